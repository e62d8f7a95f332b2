"""catclf show: what is in a model file, for a person and for a program."""

import hashlib
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

import catclf as library
from catclf import load_model
from catclf.common.npz import digest
from catclf.common.version import __version__
from catclf.features.conv import shipped
from catclf.features.pixels import Pixels
from catclf.metrics import Proportion
from catclf.model import Model, Provenance

KEYS = [
    "model", "bytes", "sha256", "format_version", "catclf_version", "classes", "features", "n_x",
    "weight_norm", "bias", "threshold", "temperature", "cost", "train_accuracy",
    "train_accuracy_interval", "cv_accuracy", "cv_accuracy_interval", "majority",
    "majority_interval", "provenance",
]  # fmt: skip


@pytest.fixture(scope="module")
def models(tmp_path_factory, drawn):
    """A model file of each kind of features, by name, and the one that is shipped."""
    folder = tmp_path_factory.mktemp("models")
    settings = {
        "pixels": {"iterations": 250},
        "patches": {"dictionary": 9, "pool": 2, "iterations": 30},
        "conv": {"solver": "newton", "l2": 1.0},
    }
    for name, how in settings.items():
        library.train(drawn, features=name, cv=3, **how).save(folder / f"{name}.npz")
    shutil.copy(shipped("photos.npz"), folder / "photos.npz")
    return folder


@pytest.mark.parametrize("name", ["pixels", "patches", "conv", "photos"])
def test_json_says_all_that_is_in_the_file(catclf, models, name):
    path = models / f"{name}.npz"
    found = json.loads(catclf("show", path, "--json").stdout)
    assert list(found) == KEYS
    model, data = load_model(path), path.read_bytes()
    assert (found["model"], found["bytes"]) == (str(path), len(data))
    assert found["sha256"] == hashlib.sha256(data).hexdigest()
    assert (found["format_version"], found["catclf_version"]) == (1, __version__)
    assert found["classes"] == ["non-cat", "cat"]
    assert found["features"] == {
        "name": model.features.name,
        "settings": model.features.settings(),
    }
    assert found["n_x"] == len(model.w)
    assert found["weight_norm"] == pytest.approx(float(np.sqrt((model.w**2).sum())))
    assert found["bias"] == model.b
    assert (found["threshold"], found["temperature"]) == (model.threshold, model.temperature)
    assert [tuple(pair) for pair in found["cost"]] == model.costs
    assert found["provenance"] == model.provenance.as_json
    counts = model.provenance.data.counts
    for key, figure in (
        ("train_accuracy", model.provenance.training),
        ("cv_accuracy", model.provenance.cross_validation),
        ("majority", Proportion(max(counts.values()), sum(counts.values()))),
    ):
        assert found[key] == figure.value
        assert found[f"{key}_interval"] == pytest.approx(figure.interval)


def unwrapped(text):
    """The panel's words in one line, without frame and folds."""
    lines = [line.strip("│ ") for line in text.splitlines() if line.startswith("│")]
    return " ".join(lines)


@pytest.mark.parametrize("name", ["pixels", "patches", "conv", "photos"])
@pytest.mark.parametrize("columns", [40, 80])
def test_the_panel_says_it_to_a_person(catclf, models, name, columns):
    path = models / f"{name}.npz"
    env = {"COLUMNS": str(columns), "NO_COLOR": "1"}
    text = catclf("show", path, env=env).stdout
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= columns
    found = json.loads(catclf("show", path, "--json").stdout)
    said = unwrapped(text)
    dense = said.replace(" ", "")
    for word in (
        found["sha256"],
        found["provenance"]["data"]["sha256"],
        f"{found['train_accuracy']:.2%}",
        f"{found['cv_accuracy']:.2%}",
        f"{found['majority']:.2%}",
        f"{found['bytes']:,}bytes",
        f"catclf{__version__}",
        f"{found['n_x']:,}numbers",
        f"{found['cost'][0][1]:.4g}nats",
        f"{found['cost'][-1][1]:.4g}at{found['cost'][-1][0]:,}",
        f"recorded{len(found['cost'])}times",
        f"{found['temperature']:.4g}",
        f"{found['weight_norm']:.4g}",
        f"name{found['provenance']['solver']['name']}",
    ):
        assert word in dense, word
    if name == "patches":
        assert "dictionary9" in dense
        assert "pool2" in dense


def test_the_default_is_the_model_that_predict_would_use(catclf, class_folder):
    assert json.loads(catclf("show", "--json").stdout)["model"].endswith("photos.npz")
    assert catclf("show").stdout == catclf("show", "photos").stdout
    catclf("train", "drawn", "--iterations", 5, "--cv", 0, "--out", "models/catclf.npz")
    found = json.loads(catclf("show", "--json").stdout)
    assert found["model"].endswith("models/catclf.npz")
    assert found["cv_accuracy"] is found["cv_accuracy_interval"] is None
    assert catclf("show").returncode == 0
    env = {"CATCLF_MODEL": "photos"}
    assert catclf("show", "--json", env=env).stdout == catclf("show", "photos", "--json").stdout


def test_what_auto_tried_is_told(catclf, class_folder):
    catclf("train", class_folder, "--auto", "--features", "conv", "--cv", 2, "--out", "m")
    assert "tried 11 pairs of features and l2" in unwrapped(catclf("show", "m").stdout)
    assert len(json.loads(catclf("show", "m", "--json").stdout)["provenance"]["tried"]) == 11


EVIL = "[red]x[/red]\x1b[31m\u202e\nnew"
STRANGE = [
    {},
    {"training": "well", "cross_validation": 5, "data": [], "solver": None, "tried": "all"},
    {"training": {"correct": 5, "n": 0}, "data": {"counts": {}}},
    {"training": {"correct": -1, "n": 5}, "data": {"counts": {"a": -3, "b": 1}}},
    {"training": {"correct": 9, "n": 5}, "data": {"counts": {"a": "many"}}},
    {"training": {"correct": 1.5, "n": 5.0}, "data": {"counts": {"a": 10**400}}},
    {"training": {"correct": 10**400, "n": 10**401}, "cross_validation": {"correct": 1, "n": 2}},
    {"solver": {EVIL: EVIL * 1000}, "data": {"name": EVIL, "counts": {EVIL: 3}}, EVIL: [EVIL]},
    {"note": [[[[[["deep"]]]]]], "more": {"a": {"b": {"c": None}}}, "": True},
]


@pytest.mark.parametrize("provenance", STRANGE)
def test_a_strange_file_is_described_without_a_fault(catclf, tmp_path, provenance):
    classes = (EVIL, EVIL * 3)
    Model(np.zeros((12288, 1)), 0.0, classes, Pixels(), provenance=Provenance(provenance)).save(
        tmp_path / "m"
    )
    found = json.loads(catclf("show", "m", "--json").stdout)
    assert list(found) == KEYS
    assert found["provenance"] == json.loads(json.dumps(provenance))
    assert found["train_accuracy"] is None
    for columns in ("40", "200"):
        text = catclf("show", "m", env={"COLUMNS": columns}).stdout
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "[red]x[/red]" in unwrapped(text).replace(" ", "")
        assert max(map(len, text.splitlines())) <= int(columns)
        assert text.count("\n") < 400
    catclf("show", "m", "--picture", "w.png")


def test_weights_too_large_for_their_length_are_told(tmp_path):
    Model(np.full((12288, 1), 1e308), 0.0, ("a", "b"), Pixels()).save(tmp_path / "m")
    assert load_model(tmp_path / "m").describe()["weight_norm"] is None
    Model(np.full((12288, 1), 1e200), 0.0, ("a", "b"), Pixels()).save(tmp_path / "m")
    norm = load_model(tmp_path / "m").describe()["weight_norm"]
    assert norm == pytest.approx(1e200 * 12288**0.5)


def test_the_version_that_wrote_the_file_is_told(models, tmp_path):
    with np.load(models / "pixels.npz") as npz:
        held = dict(npz)
    meta = {**json.loads(str(held.pop("meta"))), "catclf_version": "0.0.7"}
    del meta["sha256"]
    meta["sha256"] = digest(meta, held)
    np.savez(tmp_path / "old.npz", **{**held, "meta": np.array(json.dumps(meta))})
    model = load_model(tmp_path / "old.npz")
    assert model.describe()["catclf_version"] == "0.0.7"
    model.save(tmp_path / "new.npz")
    assert load_model(tmp_path / "new.npz").version == "0.0.7"


@pytest.mark.parametrize("name", ["pixels", "patches", "conv", "photos"])
def test_a_picture_is_written(catclf, models, tmp_path, name):
    done = catclf("show", models / f"{name}.npz", "--picture", "w.png")
    assert done.stderr == "wrote w.png\n"
    assert done.stdout == catclf("show", models / f"{name}.npz").stdout
    with Image.open(tmp_path / "w.png") as picture:
        assert (picture.format, picture.mode, picture.width) == ("PNG", "RGB", 1440)
    catclf("show", models / f"{name}.npz", "--picture", "w.png")  # a PNG is replaced


def test_no_picture_over_anything_else(catclf, models, tmp_path):
    path = tmp_path / "m.npz"
    shutil.copy(models / "pixels.npz", path)
    before = path.read_bytes()
    for target, reason in (
        ("m.npz", "is no PNG"),
        ("m.npz/w.png", "not a folder"),
        (".", "not a regular file"),
    ):
        done = catclf("show", path, "--picture", target, code=3)
        assert reason in done.stderr
        assert done.stderr.count("\n") == 1
        assert done.stdout == ""
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_no_model_ends_with_4(catclf, tmp_path):
    (tmp_path / "notes").write_text("no model")
    for name in ("notes", "none", "."):
        done = catclf("show", name, "--picture", "w.png", code=4)
        assert re.match(rf"error: {re.escape(name)}: ", done.stderr)
    assert not (tmp_path / "w.png").exists()
