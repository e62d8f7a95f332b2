"""catclf show: what is in a model file, for a person and for a program."""

import hashlib
import json
import re
import shutil

import numpy as np
import pytest

import catclf as library
from catclf import load_model
from catclf.features.conv import shipped
from catclf.features.pixels import Pixels
from catclf.metrics import Proportion
from catclf.model import Model, Provenance

MODELS = ("pixels", "patches", "conv", "photos")


@pytest.fixture(scope="module")
def models(tmp_path_factory, drawn):
    """A model file of each kind of features, by name, and the one that is shipped."""
    folder = tmp_path_factory.mktemp("models")
    settings = {
        "pixels": {"iterations": 150},
        "patches": {"dictionary": 9, "pool": 2, "iterations": 30},
        "conv": {"solver": "newton", "l2": 1.0},
    }
    for name, how in settings.items():
        library.train(drawn, features=name, cv=3, **how).save(folder / f"{name}.npz")
    shutil.copy(shipped("photos.npz"), folder / "photos.npz")
    return folder


def unwrapped(text):
    """The panel's words in one line, without frame and folds."""
    lines = [line.strip("│ ") for line in text.splitlines() if line.startswith("│")]
    return " ".join(lines)


@pytest.mark.parametrize("name", MODELS)
def test_all_that_is_in_the_file_is_said(catclf, models, name):
    path = models / f"{name}.npz"
    found = json.loads(catclf("show", path, "--json").stdout)
    model, data = load_model(path), path.read_bytes()
    past = model.provenance
    expected = {
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "features": {"name": model.features.name, "settings": model.features.settings()},
        "weight_norm": pytest.approx(float(np.linalg.norm(model.w))),
        "provenance": past.as_json,
    }
    assert {key: found[key] for key in expected} == expected
    counts = past.counts.values()
    for key, figure in (
        ("train_accuracy", past.training),
        ("cv_accuracy", past.cross_validation),
        ("majority", Proportion(max(counts), sum(counts))),
    ):
        assert found[key] == figure.value
        assert found[f"{key}_interval"] == pytest.approx(figure.interval)

    for columns in (40, 80):
        env = {"COLUMNS": str(columns), "NO_COLOR": "1"}
        text = catclf("show", path, env=env).stdout
        assert "\x1b" not in text
        assert max(map(len, text.splitlines())) <= columns
        dense = unwrapped(text).replace(" ", "")
        for word in (
            found["sha256"],
            past.data["sha256"],
            f"{found['train_accuracy']:.2%}",
            f"{found['cv_accuracy']:.2%}",
            f"{found['majority']:.2%}",
            f"{found['bytes']:,}bytes",
            f"{found['n_x']:,}numbers",
            *(f"{J:.4g}at{step:,}" for step, J in found["cost"][-1:]),
            f"{found['temperature']:.4g}",
            f"{found['weight_norm']:.4g}",
            f"name{past.solver['name']}".replace(" ", ""),
            *(["dictionary9", "pool2"] if name == "patches" else []),
        ):
            assert word in dense, word


def test_the_default_is_the_model_that_predict_would_use(catclf, class_folder):
    assert json.loads(catclf("show", "--json").stdout)["model"].endswith("photos.npz")
    assert catclf("show").stdout == catclf("show", "photos").stdout
    catclf("train", class_folder, "--iterations", 5, "--cv", 0, "--out", "models/catclf.npz")
    found = json.loads(catclf("show", "--json").stdout)
    assert found["model"].endswith("models/catclf.npz")
    assert found["cv_accuracy"] is found["cv_accuracy_interval"] is None
    assert catclf("show").returncode == 0
    env = {"CATCLF_MODEL": "photos"}
    assert catclf("show", "--json", env=env).stdout == catclf("show", "photos", "--json").stdout


EVIL = "[red]x[/red]\x1b[31m\u202e\nnew"
STRANGE = [
    {},
    {"training": "well", "cross_validation": 5, "data": [], "solver": None, "tried": "all"},
    {"training": {"correct": 5, "n": 0}, "data": {"counts": {"a": -3, "b": 1}}},
    {"training": {"correct": 9, "n": 5}, "data": {"counts": {"a": "many"}}},
    {"training": {"correct": 10**400, "n": 10**401}, "data": {"counts": {"a": 10**400}}},
    {"solver": {EVIL: EVIL * 1000}, "data": {"name": EVIL, "counts": {EVIL: 3}}, EVIL: [EVIL]},
    {"note": [[[[[["deep"]]]]]], "more": {"a": {"b": {"c": None}}}, "": True},
]


@pytest.mark.parametrize("past", STRANGE)
def test_a_strange_file_is_described_without_a_fault(catclf, tmp_path, past):
    model = Model(
        np.zeros((12288, 1)), 0.0, (EVIL, EVIL * 3), Pixels(), provenance=Provenance(past)
    )
    model.save(tmp_path / "m")
    found = json.loads(catclf("show", "m", "--json").stdout)
    assert found["provenance"] == past
    assert found["train_accuracy"] is None
    for columns in ("40", "200"):
        text = catclf("show", "m", env={"COLUMNS": columns}).stdout
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "[red]x[/red]" in unwrapped(text).replace(" ", "")
        assert max(map(len, text.splitlines())) <= int(columns)
        assert text.count("\n") < 400
    catclf("show", "m", "--picture", "w.png")


def test_weights_too_large_for_their_length_are_told():
    for weight, norm in ((1e308, None), (1e200, pytest.approx(1e200 * 12288**0.5))):
        model = Model(np.full((12288, 1), weight), 0.0, ("a", "b"), Pixels())
        assert model.describe()["weight_norm"] == norm


def test_what_cannot_be_done_is_one_line_and_changes_nothing(catclf, models, tmp_path):
    path = shutil.copy(models / "pixels.npz", tmp_path / "m.npz")
    (tmp_path / "notes").write_text("no model")
    before = {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()}
    for model, picture, code, reason in (
        (path, "m.npz", 3, "m.npz: .*is no PNG"),
        (path, "m.npz/w.png", 3, "m.npz/w.png: .*not a folder"),
        ("notes", "w.png", 4, "notes: "),
        (".", "w.png", 4, ".: "),
    ):
        done = catclf("show", model, "--picture", picture, code=code)
        assert re.match(rf"error: .*{reason}", done.stderr)
        assert (done.stderr.count("\n"), done.stdout) == (1, "")
    assert {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()} == before
