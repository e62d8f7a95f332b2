"""Which models can be trusted with photos, what is said of others, and where photos go instead."""

import json
import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from processes import catclf_here

import catclf as library
from catclf import load_dataset, load_model
from catclf.cli.train_summary import show_next
from catclf.features.conv import shipped
from catclf.features.pixels import Pixels
from catclf.lesson.material import Material
from catclf.model import Model, Provenance
from catclf.solvers import DRAWN_LEARNING_RATE, Solver

WARNING = "do not trust it with photos: {}; try --model photos"
COUNTS = {"non-cat": 8, "cat": 4}


def model_of(name, counts, correct):
    """Make a model with this past: its data's name and counts, and how many folds got right."""
    past = {"data": {"name": name, "counts": counts}}
    past["cross_validation"] = None if correct is None else {"correct": correct, "n": 12}
    w, classes = np.zeros((12288, 1)), ("non-cat", "cat")
    return Model(w, 0.0, classes, Pixels(), provenance=Provenance(past))


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A folder in which nothing but `catclf train` has been typed; and what that printed."""
    folder = tmp_path_factory.mktemp("bare")
    return folder, catclf_here("train", cwd=folder).stdout


@pytest.mark.parametrize(
    ("name", "counts", "correct", "doubt"),
    [
        ("photos", COUNTS, 9, None),
        ("photos", COUNTS, 8, 'no better than always "non-cat"'),
        ("photos", COUNTS, 1, 'no better than always "non-cat"'),
        ("photos", {"cat": 9, "non-cat": 3}, 5, 'no better than always "cat"'),
        ("photos", {"non-cat": "many"}, 9, "no cross-validation"),
        ("photos", COUNTS, None, "no cross-validation"),
        ("photos", COUNTS, 13, "no cross-validation"),  # of 12
        (None, None, None, "no cross-validation"),
        ("drawn", COUNTS, 9, "trained on drawings"),
        ("drawn + photos", COUNTS, 9, "trained on drawings"),
        ("hand-drawn", COUNTS, 9, None),
        (["drawn"], COUNTS, 9, None),
    ],
)
def test_a_model_knows_whether_it_can_be_trusted(name, counts, correct, doubt, tmp_path):
    model = model_of(name, counts, correct)
    model.save(tmp_path / "m.npz")
    loaded = load_model(tmp_path / "m.npz")
    assert loaded.distrust == model.distrust == doubt
    assert loaded.describe()["trusted"] == (doubt is None)


@pytest.mark.parametrize("past", [{}, {"data": [], "cross_validation": "well"}, {"data": None}])
def test_a_model_that_says_nothing_of_its_past_is_not_trusted(past):
    model = replace(model_of("photos", COUNTS, 9), provenance=Provenance(past))
    assert model.distrust == "no cross-validation"


def test_the_shipped_model_is_trusted():
    assert load_model(shipped("photos.npz")).distrust is None


def test_the_first_commands_make_sense_in_this_order(bare):
    folder, printed = bare
    assert f"wrote {folder}/models/drawn.npz\n" in printed
    assert "Do not trust this model with photos: trained on drawings.\n" in printed
    assert printed.endswith(
        "Next: catclf eval\nFor photos there is a model already: catclf predict img.jpg\n"
    )
    catclf_here("data", "draw", 4, "d.h5", cwd=folder)
    catclf_here("data", "convert", "d.h5", "d", cwd=folder)
    predicted = catclf_here("predict", "d", "--json", cwd=folder)
    assert predicted.stderr.startswith(f"model: {shipped('photos.npz')}\n4 images in ")
    assert all(json.loads(line)["trusted"] for line in predicted.stdout.splitlines())
    for words in ([], ["drawn"]):
        measured = catclf_here("eval", *words, "--json", cwd=folder)
        model, doubt, *data = measured.stderr.splitlines()
        assert model == "model: models/drawn.npz"
        assert doubt == WARNING.format("trained on drawings")
        assert [line.split(";")[0] for line in data] == (
            [] if words else ["no datasets/test_catvnoncat.h5: using 600 other drawings"]
        )
        figures = json.loads(measured.stdout)
        assert figures["trusted"] is False
        assert figures["accuracy"] > 0.7
    assert catclf_here("eval", "d.h5", cwd=folder).stderr.startswith("model: /")
    env = {"CATCLF_MODEL": "photos"}
    assert "drawn.npz" not in catclf_here("eval", "d.h5", cwd=folder, env=env).stderr


def test_the_cost_on_drawings_falls_at_every_line(bare):
    costs = [float(J) for J in re.findall(r" \d+  (0\.\d{6})", bare[1])]
    assert len(costs) == 20
    ordered = dict(load_model(bare[0] / "models/drawn.npz").costs)
    assert all(later < earlier for earlier, later in pairwise(ordered.values()))
    assert "It rose on the way" not in bare[1]
    assert DRAWN_LEARNING_RATE <= Material(load_dataset("drawn")).safe_step


@pytest.mark.parametrize(
    ("words", "rate"),
    [
        (["drawn"], DRAWN_LEARNING_RATE),
        (["drawn", "--features", "pixels"], DRAWN_LEARNING_RATE),
        (["drawn", "--learning-rate", 0.002], 0.002),
        (["drawn", "--features", "conv"], Solver.learning_rate),
        (["photos"], Solver.learning_rate),
        (["drawn", "photos"], Solver.learning_rate),
    ],
)
def test_the_rate_is_the_drawings_own_unless_named(catclf, class_folder, tmp_path, words, rate):
    catclf("train", *words, "--iterations", 2, "--cv", 0, "--out", "m")
    assert load_model(tmp_path / "m").provenance.solver["learning_rate"] == rate
    if words == ["drawn"]:
        model = library.train("drawn", iterations=2, cv=0)
        assert model.provenance.solver["learning_rate"] == rate


def test_each_command_says_what_cannot_be_trusted(catclf, class_folder, tmp_path):
    (tmp_path / "models").mkdir()
    catclf("train", "photos", "--iterations", 3, "--cv", 0)
    catclf("train", "drawn", "--iterations", 3, "--out", "old.npz")
    (tmp_path / "old.npz").rename(tmp_path / "models/drawn.npz")
    undrawn, drawn = (WARNING.format(why) for why in ("no cross-validation", "trained on drawings"))
    assert catclf("predict", "photos").stderr.splitlines()[:2] == [
        "model: models/catclf.npz", undrawn
    ]  # fmt: skip
    models = [word for name in ("catclf", "drawn") for word in ("-m", f"models/{name}.npz")]
    done = catclf("eval", "photos", *models, "-m", "photos", "--json", "--report", "r")
    assert done.stderr.splitlines()[:5] == [
        "model: models/catclf.npz", undrawn, "model: models/drawn.npz", drawn,
        f"model: {shipped('photos.npz')}",
    ]  # fmt: skip
    assert [m["trusted"] for m in json.loads(done.stdout)["models"]] == [False, False, True]
    page = (tmp_path / "r/index.html").read_text()
    assert page.count("Do not trust ") == 2
    assert "Do not trust drawn with photos: trained on drawings." in page
    assert catclf("eval", "photos", *models, "-q").stderr == ""
    assert catclf("predict", "photos", "-q").stderr == ""
    assert "trained on drawings" in catclf("show", "models/drawn.npz").stdout


PHOTOS, WORSE, DRAWN = ("photos", 11), ("photos", 2), ("drawn", 11)
OWN, DRAWN_OUT = "models/catclf.npz", "models/drawn.npz"


@pytest.mark.parametrize(
    ("past", "auto", "out", "data", "cats", "there", "lines"),
    [
        (PHOTOS, False, OWN, ["p"], [], [OWN], ["catclf predict img.jpg"]),
        (PHOTOS, True, "my model", ["p"], [], [], ["catclf predict --model 'my model' img.jpg"]),
        (PHOTOS, True, DRAWN_OUT, ["p"], [], [], [f"catclf predict --model {DRAWN_OUT} img.jpg"]),
        (WORSE, False, OWN, ["a b"], [], [OWN],
         ["catclf train 'a b' --auto", "catclf predict --model photos img.jpg"]),
        (WORSE, False, "m", ["p", "drawn"], ["tabby", "ginger"], [],
         ["catclf train p --cat-class tabby --cat-class ginger --out m --auto",
          "catclf predict img.jpg"]),
        (WORSE, False, OWN, [], [], [OWN],
         ["catclf train --auto", "catclf predict --model photos img.jpg"]),
        (WORSE, True, "m", ["p"], [], [],
         ["train it on more photos, of both classes.", "catclf predict img.jpg"]),
        (DRAWN, False, DRAWN_OUT, [], [], [], ["catclf eval", "catclf predict img.jpg"]),
        (DRAWN, True, "m", ["drawn"], [], [OWN],
         ["catclf eval --model m", "catclf predict --model photos img.jpg"]),
        (DRAWN, False, DRAWN_OUT, ["drawn"], [], ["datasets/test_catvnoncat.h5"],
         ["catclf eval drawn", "catclf predict img.jpg"]),
    ],
)  # fmt: skip
def test_what_to_type_next_fits_the_model(
    past, auto, out, data, cats, there, lines, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CATCLF_MODEL", raising=False)
    for path in there:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).touch()
    name, correct = past
    show_next(model_of(name, COUNTS, correct), auto, out, data, cats)
    begins = ["Next: ", "For photos there is a model already: "]
    expected = [begin + line for begin, line in zip(begins, lines, strict=False)]
    assert capsys.readouterr().out.splitlines() == expected
