"""Model files: what is saved comes back, and nothing else is taken for a model."""

import copy
import hashlib
import io
import json
import os
import struct
import warnings
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from catclf import load_model
from catclf.errors import ModelError
from catclf.features.conv import Conv
from catclf.features.pixels import Pixels
from catclf.model import Model, Provenance


def same(a, b):
    return (
        np.array_equal(a.w, b.w)
        and np.array_equal(a.seen, b.seen)
        and (a.b, a.classes, a.threshold, a.temperature)
        == (b.b, b.classes, b.threshold, b.temperature)
        and (a.costs, a.provenance, a.version) == (b.costs, b.provenance, b.version)
        and (a.features.name, a.features.settings()) == (b.features.name, b.features.settings())
        and all(np.array_equal(x, b.features.arrays()[k]) for k, x in a.features.arrays().items())
    )


@settings(max_examples=30, deadline=None)
@given(
    w=arrays(np.float64, (12288, 1), elements=st.floats(-1e300, 1e300), fill=st.just(0.0)),
    b=st.floats(allow_nan=False, allow_infinity=False),
    costs=st.lists(st.tuples(st.integers(0, 10**9), st.floats(0, 1e300)), max_size=5),
    classes=st.tuples(st.text(), st.text()),
    threshold=st.floats(0, 1),
    temperature=st.floats(1e-3, 1e3),
)
def test_any_model_comes_back_as_it_was(
    tmp_path_factory, w, b, costs, classes, threshold, temperature
):
    path = tmp_path_factory.mktemp("m") / "m"
    past = Provenance({"note": classes[0]})
    model = Model(w, b, classes, Pixels(), threshold, temperature, costs, past, "0.0.7")
    model.save(path)
    assert same(load_model(path), model)


def sign(meta, arrays):
    """Add the SHA-256 of JSON and arrays, so that a change reaches the checks behind it."""
    content = json.dumps(meta, sort_keys=True).encode()
    for name in sorted(set(arrays) - {"meta"}):
        array = np.asarray(arrays[name])
        content += f"\n{name} {array.dtype.str} {array.shape}\n".encode() + array.tobytes()
    return {**meta, "sha256": hashlib.sha256(content).hexdigest()}


CLASSES = {"negative": "non-cat", "positive": "cat"}


def npz_bytes(meta=None, compressed=False, sha256=None, **changes):
    """A model file, with changes."""
    good = {
        "format_version": 1,
        "catclf_version": "0",
        "classes": CLASSES,
        "features": {"name": "pixels", "settings": {}},
        "image_size": 64,
        "threshold": 0.5,
        "temperature": 1.0,
    }
    arrays = {"w": np.zeros((12288, 1)), "b": np.float64(0), "costs": np.zeros((0, 2))}
    arrays |= {"seen": np.zeros(0, np.uint64), **changes}
    arrays = {key: value for key, value in arrays.items() if value is not None}
    signed = (
        sign({**good, **(meta or {})}, arrays) if sha256 is None else {**good, "sha256": sha256}
    )
    arrays["meta"] = np.array(json.dumps(signed))
    buffer = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(buffer, **arrays)
    return buffer.getvalue()


def zipped(*members):
    """A zip archive of these (name, content) pairs, whatever they are."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a name that comes twice
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def members(**changes):
    """The members of a good model file, some of them replaced."""
    with zipfile.ZipFile(io.BytesIO(npz_bytes())) as archive:
        good = {name: archive.read(name) for name in archive.namelist()}
    return list({**good, **{f"{name}.npy": data for name, data in changes.items()}}.items())


def overlapping():
    """One place in the file, listed as two members: a small archive of any size."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members():
            archive.writestr(name, content)
        again = copy.copy(archive.getinfo("w.npy"))
        again.filename = "features_w.npy"
        archive.filelist.append(again)
    return buffer.getvalue()


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def npy_header(shape, descr="<f8"):
    return npy_text(f"{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape},), }}")


def npy_text(text):
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


BAD = {
    "another digest": npz_bytes(sha256="0" * 64),
    "a member twice": zipped(*members(), members()[0]),
    "a member that is no array": zipped(*members(), ("notes.txt", b"hello")),
    "a folder": zipped(*members(), ("w.npy/", b"")),
    "many members": zipped(*members(), *((f"features_{i}.npy", b"") for i in range(200))),
    "an array with bytes behind it": zipped(*members(b=dict(members())["b.npy"] + b"\0" * 8)),
    "an array of 2**60 numbers": zipped(*members(w=npy_header(2**60))),
    "an array of minus one": zipped(*members(w=npy_header(-1))),
    "text of no length": zipped(*members(w=npy_header(2**60, "<U0"))),
    "a header that is code": zipped(*members(w=npy_text("__import__('os').getpid()"))),
    "a temperature beyond all bounds": npz_bytes(meta={"temperature": 10**400}),
    "version 3 of .npy": zipped(*members(w=b"\x93NUMPY\x03\x00" + b"\0" * 100)),
    "meta of several": zipped(*members(meta=npy(np.array(["{}", "{}"])))),
    "a class name without end": npz_bytes(meta={"classes": {**CLASSES, "negative": "x" * 10**6}}),
    "text": b"hello",
    "a zip of something else": npz_bytes(w=None),
    "an array too many": npz_bytes(extra=np.zeros(3)),
    "cut short": npz_bytes()[:-40],
    "compressed": npz_bytes(compressed=True),
    "pickled": zipped(*members(w=npy(np.array([{}], dtype=object)))),
    "weights not finite": npz_bytes(w=np.full((12288, 1), np.nan)),
    "weights of another shape": npz_bytes(w=np.zeros((5, 1))),
    "weights of another type": npz_bytes(w=np.zeros((12288, 1), dtype=np.float32)),
    "costs of another shape": npz_bytes(costs=np.zeros(3)),
    "fingerprints twice": npz_bytes(seen=np.array([1, 5, 5], np.uint64)),
    "fingerprints out of order": npz_bytes(seen=np.array([5, 1], np.uint64)),
    "a newer format": npz_bytes(meta={"format_version": 2}),
    "an unknown format": npz_bytes(meta={"format_version": 0}),
    "unknown features": npz_bytes(meta={"features": {"name": "eyes", "settings": {}}}),
    "a temperature of nothing": npz_bytes(meta={"temperature": 0.0}),
    "a threshold that is none": npz_bytes(meta={"threshold": 2}),
    "a class without a name": npz_bytes(meta={"classes": {**CLASSES, "negative": 1}}),
    "a setting of the wrong type": npz_bytes(meta={"image_size": "64"}),
    "images of another size": npz_bytes(meta={"image_size": 32}),
    "weights of another file": zipped(*members(w=npy(np.ones((12288, 1))))),
    "members that overlap": overlapping(),
    "arrays of other features": npz_bytes(features_dictionary=np.zeros(3)),
}
MESSAGES = {
    "a newer format": "upgrade",
    "unknown features": "upgrade",
    "weights of another file": "SHA-256",
    "members that overlap": "overlap",
    "arrays of other features": "do not belong",
    "weights not finite": "not finite",
}


def meta_text(text):
    return zipped(*members(meta=npy(np.array(text))))


def nested(levels):
    return json.loads("[" * (levels - 1) + "{}" + "]" * (levels - 1))


BAD["no JSON"] = meta_text("cats")
BAD["JSON of something else"] = meta_text("[]")
BAD["JSON too deep"] = meta_text("[" * 100_000)
for number in ("1e999", "NaN"):
    BAD[number] = meta_text(f'{{"note": [{number}]}}')
    MESSAGES[number] = "a number that is not finite"
for levels in (30, 900):  # 30 with the outermost
    BAD[f"{levels} lists"] = npz_bytes(meta={"note": nested(levels)})
    MESSAGES[f"{levels} lists"] = "more than 30 levels deep"


@pytest.mark.parametrize("name", BAD)
def test_anything_else_is_refused_in_one_line(name, tmp_path):
    path = tmp_path / "m.npz"
    path.write_bytes(npz_bytes(meta={"note": nested(29)}))
    assert load_model(path).provenance.as_json["note"] == nested(29)
    path.write_bytes(BAD[name])
    with pytest.raises(ModelError) as caught:
        load_model(path)
    told = str(caught.value)
    assert "\n" not in told
    assert str(path) in told
    assert MESSAGES.get(name, "") in told


def test_what_is_no_file_or_beyond_all_models_is_refused(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "fifo", tmp_path / "none", "nul\0"):
        with pytest.raises(ModelError):
            load_model(path)
    (tmp_path / "m").write_bytes(npz_bytes())
    monkeypatch.setattr("catclf.model_file.MAX_FILE_BYTES", 1000)
    with pytest.raises(ModelError, match="more than 0 MiB"):
        load_model(tmp_path / "m")


@pytest.mark.slow
def test_any_flipped_bit_is_refused_or_harmless(tmp_path):
    """One bit of every byte; with CATCLF_EVERY_BIT set, every bit."""
    path = tmp_path / "m"
    model = Model(np.zeros((256, 1)), 0.0, ("non-cat", "cat"), Conv(), costs=[(0, 0.7)])
    model.save(path)
    data, harmless = bytearray(path.read_bytes()), 0
    chance = np.random.default_rng(0)
    for at in range(len(data)):
        bits = range(8) if "CATCLF_EVERY_BIT" in os.environ else [int(chance.integers(8))]
        for bit in bits:
            data[at] ^= 1 << bit
            path.write_bytes(data)
            data[at] ^= 1 << bit
            try:
                found = load_model(path)
            except ModelError:
                continue
            assert same(found, model), f"bit {bit} of byte {at} changes the model"
            harmless += 1
    assert harmless < len(data) * len(bits) / 10


def test_a_model_that_is_not_finite_is_not_written(tmp_path):
    for w, b in ((np.full((12288, 1), np.inf), 0.0), (np.zeros((12288, 1)), np.nan)):
        with pytest.raises(ModelError, match="not finite"):
            Model(w, b, ("a", "b"), Pixels()).save(tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_scores_that_overflow_are_refused():
    model = Model(np.full((12288, 1), 1e308), 0.0, ("a", "b"), Pixels())
    with pytest.raises(ModelError, match="scores that are not finite"):
        model.scores(np.full((2, 64, 64, 3), 255, dtype=np.uint8))
    assert model.scores(np.zeros((2, 64, 64, 3), dtype=np.uint8)).tolist() == [[0.0, 0.0]]
