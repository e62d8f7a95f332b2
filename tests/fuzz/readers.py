"""The readers that are tried: sound files for each, a way to damage them, and a call."""

from __future__ import annotations

import io
import json
import random
import zipfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

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


@cache
def heic_photos() -> list[bytes]:
    """Make photos as pillow-heif writes them: turned, in tiles, with more than the picture."""
    from pillow_heif import HeifFile, from_bytes, from_pillow

    exif = Image.Exif()
    exif[0x0112] = 6
    turned = picture()
    turned.info["exif"] = exif.tobytes()
    deep = np.asarray(picture()).astype("<u2") * 257
    kinds: list[tuple[HeifFile, dict[str, Any]]] = [
        (from_pillow(turned), {"thumbnails": [8], "icc_profile": b"profile" * 9}),
        (from_pillow(picture(size=(150, 70))), {"tile_size": 64, "chroma": 444}),
        (from_pillow(picture("RGBA")), {}),
        (from_pillow(picture("L")), {"quality": -1}),
        (from_bytes("RGB;16", (20, 14), deep.tobytes()), {}),
    ]
    made = []
    for photo, options in kinds:
        buffer = io.BytesIO()
        photo.save(buffer, **options)
        made.append(buffer.getvalue())
    return made


def damage_heic(chance: random.Random, data: bytes) -> bytes:
    """Damage the tables, or the picture itself."""
    end = data.index(b"mdat") if chance.random() < 0.8 else len(data)
    return mutate(chance, data, list(range(end)))


def damage_image(chance: random.Random, data: bytes) -> bytes:
    data = mutate(chance, data)
    return repair_png(data) if data[:4] == b"\x89PNG" and chance.random() < 0.9 else data


def read_image(data: bytes, path: Path) -> None:
    from catclf.data.images import load_image

    image = load_image(data)
    assert (image.shape, image.dtype) == ((64, 64, 3), np.uint8)


@cache
def hdf5_files() -> list[bytes]:
    """Write files of every storage."""
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
                made.append(buffer.getvalue())
        buffer = io.BytesIO()
        with h5py.File(buffer, "w", libver=version) as file:  # grey, of other keys and classes
            grey = {"chunks": (2, 40, 32), "compression": "gzip"}
            file.create_dataset("test_images", data=np.full((3, 40, 32), 77, np.uint8), **grey)
            file["test_labels"] = [[0], [1], [3]]
            file["list_classes"] = [b"dog", b"fox", b"hare", b"cat"]
        made.append(buffer.getvalue())
    return made


@cache
def places_in_hdf5(data: bytes) -> tuple[list[int], list[tuple[int, int]]]:
    """Find the places that hold no pixels, and what ends in a checksum."""
    blocks = [at for at in range(0, len(data), 16) if set(data[at : at + 16]) - {0, 77}]
    return [at + i for at in blocks for i in range(16)], hdf5_blocks(data)


def damage_hdf5(chance: random.Random, data: bytes) -> bytes:
    places, blocks = places_in_hdf5(data)
    changed = mutate(chance, data, places)
    return repair_hdf5(changed, blocks) if chance.random() < 0.9 else changed


def read_hdf5(data: bytes, path: Path) -> None:
    from catclf.data.load import load_dataset

    path.write_bytes(data)
    dataset = load_dataset(path)
    assert dataset.images.shape == (len(dataset), 64, 64, 3)


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


def damage_npz(chance: random.Random, data: bytes) -> bytes:
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
        members = signed_again(chance, members)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


VALUES = (None, True, 0, -1, 2, 0.5, 1e999, -1e999, 10**400, "", "cat", "x" * 2000, [], [1], {})


def signed_again(chance: random.Random, members: dict[str, bytes]) -> dict[str, bytes]:
    """Change what a file says of itself, or the type of an array, and sign it as it is then."""
    from catclf.common import npz

    arrays = {
        name.removesuffix(".npy"): np.load(io.BytesIO(content)) for name, content in members.items()
    }
    meta = json.loads(arrays.pop("meta").item())
    del meta["sha256"]
    place = meta
    while chance.random() < 0.5:
        values = [*place.values(), *(x for v in place.values() if isinstance(v, list) for x in v)]
        place = chance.choice([v for v in values if isinstance(v, dict)] or [place])
    key = chance.choice([*place, "new"])
    if chance.random() < 0.2:
        place.pop(key, None)
    else:
        place[key] = chance.choice(VALUES)
    if chance.random() < 0.3:
        name = chance.choice(list(arrays))
        arrays[name] = arrays[name].astype(chance.choice(("<f4", ">f8", "<i8", "?", "<U3")))
    with suppress(ValueError):  # numbers that are not finite have no digest
        meta["sha256"] = npz.digest(meta, arrays)
    arrays["meta"] = np.array(json.dumps(meta))
    buffers = {f"{name}.npy": io.BytesIO() for name in arrays}
    for buffer, array in zip(buffers.values(), arrays.values(), strict=True):
        np.save(buffer, array)
    return {name: buffer.getvalue() for name, buffer in buffers.items()}


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
    from catclf.solvers import State
    from catclf.solvers.checkpoint import Checkpoint

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


class Means:
    """A feature map for the cache: the mean of each colour."""

    image_size, n_x, enlarges = (64, 64), 3, False

    def settings(self) -> dict[str, Any]:
        return {}

    def transform(self, images: np.ndarray) -> np.ndarray:
        return images.mean(axis=(1, 2), dtype=np.float32).T


@cache
def caches() -> list[bytes]:
    from catclf.features.cache import FeatureCache

    with TemporaryDirectory() as folder:
        path = Path(folder, "f.h5")
        with FeatureCache(Means(), path) as made:
            made.transform(np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), np.uint8))
        return [path.read_bytes()]


def read_cache(data: bytes, path: Path) -> None:
    from catclf.features.cache import FeatureCache

    path.write_bytes(data)
    FeatureCache(Means(), path)


@cache
def networks() -> list[bytes]:
    """Make the structure of an ONNX file: tensors in a graph and in a node's attribute."""
    from catclf.features.onnx.file import encode_field as field

    entry = field(1, b"location") + field(2, b"weights")
    tensor = field(8, b"w") + field(9, b"\0" * 12) + field(13, entry) + b"\x10\x01"
    node = field(1, b"x") + field(2, b"y") + field(5, field(1, b"value") + field(5, tensor))
    graph = field(1, node) + field(5, tensor) + field(12, field(1, b"y"))
    return [b"\x08\x08" + field(7, graph), b"\x08\x08" + field(7, field(1, node))]


def read_network(data: bytes, path: Path) -> None:
    """Follow an ONNX file; onnxruntime is not asked."""
    from catclf.features.onnx import file as onnx_file

    path.write_bytes(data)
    path.with_name("weights").write_bytes(b"weights")
    assert set(onnx_file.read_network(path).external_data.values()) <= {b"weights", data}
    onnx_file.with_output("a network", data, "y")


class Reader(NamedTuple):
    """What a reader is tried with: sound files, a way to damage them, and a call."""

    sound: Callable[[], list[bytes]]
    damage: Callable[[random.Random, bytes], bytes]
    read: Callable[[bytes, Path], None]


READERS = {
    "images": Reader(images, damage_image, read_image),
    "heic": Reader(heic_photos, damage_heic, read_image),
    "hdf5": Reader(hdf5_files, damage_hdf5, read_hdf5),
    "model": Reader(models, damage_npz, read_model),
    "checkpoint": Reader(checkpoints, damage_npz, read_checkpoint),
    "cache": Reader(caches, damage_hdf5, read_cache),
    "onnx": Reader(networks, mutate, read_network),
}
if not find_spec("pillow_heif"):
    del READERS["heic"]


def make(reader: str, number: int) -> bytes:
    """Make the damaged file of this number; the same number makes the same file."""
    chance = random.Random(f"{reader} {number}")
    return READERS[reader].damage(chance, chance.choice(READERS[reader].sound()))


def outcome(reader: str, data: bytes, path: Path) -> str:
    """Read a file: "read" or "refused"; any other way to end is the caller's to notice."""
    try:
        READERS[reader].read(data, path)
    except CatclfError as error:
        refusal = error
    else:
        return "read"
    assert refusal.exit_code in (3, 4), refusal
    assert "\n" not in str(refusal), refusal
    return "refused"
