"""The files in models/ are what their card says, and useful out of the box."""

import hashlib
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest

from catclf import load_model, predict
from catclf.errors import ModelError
from catclf.features.conv import shipped

CARD = Path(__file__).resolve().parents[1] / "models" / "README.md"


def test_the_card_names_the_files_that_are_there():
    named = dict(re.findall(r"^\| `(\w+\.npz)`.* \| `([0-9a-f]{64})` \|$", CARD.read_text(), re.M))
    assert set(named) == {"features.npz", "photos.npz"}
    for name, digest in named.items():
        assert hashlib.sha256(shipped(name).read_bytes()).hexdigest() == digest


def test_the_network_is_small_and_holds_numbers_and_text_only():
    path = shipped("features.npz")
    assert path.stat().st_size <= 1_500_000
    with zipfile.ZipFile(path) as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
    with np.load(path, allow_pickle=False) as npz:
        assert {npz[key].dtype.kind for key in npz} == {"f", "U"}


def test_the_photo_model_is_used_before_any_training(catclf, class_folder):
    done = catclf("predict", class_folder)
    model, counts = done.stderr.splitlines()
    assert model == f"model: {shipped('photos.npz')}"
    assert counts.startswith("12 images in ")
    assert done.stdout == catclf("predict", "--model", "photos", class_folder).stdout
    catclf("train", class_folder, "--iterations", 5, "--cv", 0)
    assert catclf("predict", class_folder).stderr.startswith("model: models/catclf.npz\n")


def test_the_photo_model_knows_cats(shared):
    # These photos are among those it learned from: this is a check of the way through, not a
    # figure of merit; that is in the card.
    model = load_model(shipped("photos.npz"))
    for kind in ("cat", "non-cat"):
        photos = sorted((shared / "photos" / kind).iterdir())[::4]
        assert len(photos) > 20
        assert np.mean([p.label == kind for p in predict(model, photos)]) > 0.85


def test_a_damaged_or_missing_network_is_one_clear_error(tmp_path, monkeypatch):
    from catclf.features import conv

    data = bytearray(shipped("features.npz").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "damaged.npz").write_bytes(data)
    for name, message in (("damaged.npz", "not the network"), ("none.npz", "cannot be read")):
        conv._network_in_tiles.cache_clear()
        monkeypatch.setattr(conv, "shipped", lambda _, name=name: tmp_path / name)
        with pytest.raises(ModelError, match=message):
            conv.Conv()
    conv._network_in_tiles.cache_clear()
