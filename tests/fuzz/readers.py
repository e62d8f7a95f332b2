"""The readers that are tried: sound files for each, a way to damage them, and a call."""

from __future__ import annotations

import io
import json
import random
import zipfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

from catclf.errors import CatclfError

from .mutations import hdf5_blocks, mutate, repair_hdf5, repair_png


def picture(mode: str = "RGB", size: tuple[int, int] = (20, 14)) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 4), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


@cache
def images() -> list[bytes]:
    exif = Image.Exif()
    exif[0x0112] = 6
    more = {"save_all": True, "append_images": [picture()]}
    kinds: list[tuple[str, str, dict[str, Any]]] = [
        ("RGB", "JPEG", {"exif": exif}),
        ("RGB", "JPEG", {"progressive": True, "icc_profile": b"profile" * 9, "comment": b"hello"}),
        ("CMYK", "JPEG", {}),
        ("RGB", "MPO", more),
        ("RGB", "PNG", {"exif": exif}),
        ("RGBA", "PNG", more),
        ("P", "PNG", {"transparency": 0}),
        ("1", "PNG", {}),
        ("LA", "PNG", {}),
        ("P", "GIF", {"save_all": True, "append_images": [picture("P")], "comment": b"hello"}),
        ("P", "BMP", {}),
        ("RGBA", "BMP", {}),
        ("RGBA", "WEBP", {"exif": exif}),
        ("RGB", "WEBP", {"lossless": True, **more}),
        ("RGB", "AVIF", {"exif": exif}),
    ]
    made = []
    for mode, kind, options in kinds:
        buffer = io.BytesIO()
        picture(mode).save(buffer, kind, **options)
        made.append(buffer.getvalue())
    sixteen = io.BytesIO()
    Image.fromarray(np.arange(280, dtype=np.uint16).reshape(14, 20) * 200).save(sixteen, "PNG")
    return [*made, sixteen.getvalue()]


def damaged_image(chance: random.Random) -> bytes:
    data = mutate(chance, chance.choice(images()))
    return repair_png(data) if data[:4] == b"\x89PNG" and chance.random() < 0.9 else data


def read_image(data: bytes, path: Path) -> None:
    from catclf.data.images import load_image

    image = load_image(data)
    assert (image.shape, image.dtype) == ((64, 64, 3), np.uint8)


@cache
def hdf5_files() -> list[tuple[bytes, list[int], list[tuple[int, int]]]]:
    """Write files of every storage; with each, the places of no pixels, and its checksums."""
    import h5py

    shape = (2, 64, 64, 3)
    storages: list[dict[str, Any]] = [
        {},
        {"chunks": (1, 64, 64, 3)},
        {"chunks": (1, 32, 64, 3), "compression": "gzip", "shuffle": True, "fletcher32": True},
        {"chunks": shape, "compression": "gzip"},
        {"chunks": (1, 64, 64, 3), "maxshape": (None, 64, 64, 3), "compression": "gzip"},
    ]
    made = []
    for version in ("earliest", "v108", "latest"):
        for storage in storages:
            if version == "latest" and "maxshape" in storage:  # an extensible array: not read
                continue
            for names in ([b"non-cat", b"cat"], ["non-cat", "cat"]):
                buffer = io.BytesIO()
                with h5py.File(buffer, "w", libver=version) as file:
                    file.create_dataset("train_set_x", data=np.full(shape, 77, np.uint8), **storage)
                    file["train_set_y"] = [0, 1]
                    file["list_classes"] = names
                    if not storage:
                        file["source"] = [b"a", b"b"]
                        file.attrs["made"] = "here"
                data = buffer.getvalue()
                blocks = [at for at in range(0, len(data), 16) if set(data[at : at + 16]) - {0, 77}]
                places = [at + i for at in blocks for i in range(16)]
                made.append((data, places, hdf5_blocks(data)))
    return made


def damaged_hdf5(chance: random.Random) -> bytes:
    data, places, blocks = chance.choice(hdf5_files())
    changed = mutate(chance, data, places)
    return repair_hdf5(changed, blocks) if chance.random() < 0.9 else changed


def read_hdf5(data: bytes, path: Path) -> None:
    from catclf.data.load import load_dataset

    path.write_bytes(data)
    found = load_dataset(path)
    assert found.images.shape == (len(found), 64, 64, 3)


@cache
def models() -> list[bytes]:
    from catclf.features.patches import Patches
    from catclf.features.pixels import Pixels
    from catclf.model import Model

    ones = np.ones((108, 108), dtype=np.float32)
    made = []
    with TemporaryDirectory() as folder:
        for feature_map in (Pixels(), Patches(ones, ones[0], ones[:3], pool=2)):
            w = np.ones((feature_map.n_x, 1))
            model = Model(w, 0.5, ("non-cat", "cat"), feature_map, costs=[(0, 0.7), (100, 0.6)])
            path = Path(folder, "m.npz")
            model.save(path)
            made.append(path.read_bytes())
    return made


def damaged_npz(chance: random.Random, data: bytes) -> bytes:
    """Damage the archive, or a member of it, or what its JSON says: with the right digest then."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    kind = chance.randrange(3)
    if kind == 0:
        head = [at for at in range(0, len(data), 16) if set(data[at : at + 16]) - {0, 63, 240}]
        return mutate(chance, data, [at + i for at in head for i in range(16)])
    if kind == 1:
        name = chance.choice(list(members))
        members[name] = mutate(chance, members[name], list(range(140)))
    else:
        members = _signed_again(chance, members)
    return _packed(members)


def _packed(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


VALUES = (None, True, 0, -1, 2, 0.5, 1e999, -1e999, 10**400, "", "cat", "x" * 2000, [], [1], {})


def _signed_again(chance: random.Random, members: dict[str, bytes]) -> dict[str, bytes]:
    meta, arrays = _opened(members)
    place = meta
    while chance.random() < 0.5 and (inner := _dicts_in(place)):
        place = chance.choice(inner)
    key = chance.choice([*place, "new"])
    if chance.random() < 0.2:
        place.pop(key, None)
    else:
        place[key] = chance.choice(VALUES)
    if chance.random() < 0.3:
        name = chance.choice(list(arrays))
        arrays[name] = arrays[name].astype(chance.choice(("<f4", ">f8", "<i8", "?", "<U3")))
    return _signed(meta, arrays)


def _dicts_in(place: dict[str, Any]) -> list[dict[str, Any]]:
    values = [*place.values(), *(x for v in place.values() if isinstance(v, list) for x in v)]
    return [value for value in values if isinstance(value, dict)]


def _opened(members: dict[str, bytes]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Take a file apart: what it says of itself, but for the digest, and its arrays."""
    arrays = {
        name.removesuffix(".npy"): np.load(io.BytesIO(content)) for name, content in members.items()
    }
    meta = json.loads(arrays.pop("meta").item())
    del meta["sha256"]
    return meta, arrays


def _signed(meta: dict[str, Any], arrays: dict[str, Any]) -> dict[str, bytes]:
    from catclf.common import npz

    text = json.dumps(meta)
    with suppress(ValueError):  # numbers that are not finite have no digest
        text = json.dumps({**meta, "sha256": npz.digest(meta, arrays)})
    buffers = {name: io.BytesIO() for name in (*arrays, "meta")}
    for name, array in (*arrays.items(), ("meta", np.array(text))):
        np.save(buffers[name], array)
    return {f"{name}.npy": buffer.getvalue() for name, buffer in buffers.items()}


def npz_that_says(reader: str, text: bytes) -> bytes:
    """Make a file, rightly signed, that says this of itself; what is no JSON stays as it is."""
    with suppress(ValueError, RecursionError):
        meta = json.loads(text)
        if isinstance(meta, dict):
            return _packed(_signed(meta, _plain(reader)[1]))
    return text


@cache
def _plain(reader: str) -> tuple[dict[str, Any], dict[str, Any]]:
    sound = (models if reader == "model" else checkpoints)()[0]
    with zipfile.ZipFile(io.BytesIO(sound)) as archive:
        return _opened({name: archive.read(name) for name in archive.namelist()})


def what_it_says(reader: str) -> bytes:
    return json.dumps(_plain(reader)[0]).encode()


def read_model(data: bytes, path: Path) -> None:
    from catclf.errors import ModelError
    from catclf.model import load_model

    path.write_bytes(data)
    model = load_model(path)
    assert np.isfinite(model.w).all()
    try:
        A = model.probabilities(np.zeros((1, 64, 64, 3), dtype=np.uint8))
    except ModelError:  # weights that overflow
        return
    assert ((A >= 0) & (A <= 1)).all()


@cache
def checkpoints() -> list[bytes]:
    from catclf.solvers.checkpoint import Checkpoint
    from catclf.solvers.fit import State

    with TemporaryDirectory() as folder:
        path = Path(folder, "m.checkpoint")
        checkpoint = Checkpoint(path)
        checkpoint.begin({"solver": "descent", "data": "0" * 64})
        checkpoint.keep(0, State(7, np.ones((5, 2)), np.ones((2, 1)), [(0, 0.7)]))
        checkpoint.save()
        return [path.read_bytes()]


def read_checkpoint(data: bytes, path: Path) -> None:
    from catclf.solvers.checkpoint import Checkpoint

    path.write_bytes(data)
    found = Checkpoint(path, resume=True)
    assert all(np.isfinite(state.v).all() for state in found.states)


Read = Callable[[bytes, Path], None]
READERS: dict[str, tuple[Callable[[random.Random], bytes], Read]] = {
    "images": (damaged_image, read_image),
    "hdf5": (damaged_hdf5, read_hdf5),
    "model": (lambda chance: damaged_npz(chance, chance.choice(models())), read_model),
    "checkpoint": (lambda chance: damaged_npz(chance, checkpoints()[0]), read_checkpoint),
}


def make(reader: str, number: int) -> bytes:
    """Make the damaged file of this number; the same number makes the same file."""
    return READERS[reader][0](random.Random(f"{reader} {number}"))


def outcome(reader: str, data: bytes, path: Path) -> str:
    """Read a file: "read" or "refused"; any other way to end is the caller's to notice."""
    try:
        READERS[reader][1](data, path)
    except CatclfError as error:
        found = error
    else:
        return "read"
    assert found.exit_code in (3, 4), found
    assert "\n" not in str(found), found
    return "refused"
