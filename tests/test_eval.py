"""catclf eval with several models and with a report."""

import json

import h5py
import numpy as np
import pytest
from processes import catclf_here
from scipy.stats import binomtest

from catclf import load_dataset, load_model
from catclf.data.drawn import draw


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with 150 drawings and three models, one of them with a space in its name."""
    folder = tmp_path_factory.mktemp("trained")
    images, labels = draw(150, seed=5)
    with h5py.File(folder / "data.h5", "w") as file:
        file["test_set_x"], file["test_set_y"] = images, labels
    catclf_here("data", "draw", 150, "train.h5", cwd=folder)
    for out, iterations in (("a.npz", 1), ("two words.npz", 1000), ("sub/a.npz", 2)):
        words = ("train.h5", "--cv", "0", "--out", out, "--iterations", iterations)
        catclf_here("train", *words, cwd=folder)
    return folder


BOTH = ("--model", "a.npz", "--model", "two words.npz")


def test_several_models_stand_side_by_side(catclf, trained):
    text = catclf("eval", "data.h5", *BOTH, "--errors", 2, cwd=trained).stdout
    head = text.splitlines()[0].split()
    assert head == ["on", "150", "images", "a", "two", "words"]
    found = json.loads(catclf("eval", "data.h5", *BOTH, "--json", cwd=trained).stdout)
    for one in found["models"]:
        assert f"{one['accuracy']:.2%}" in text
        assert f"worst mistakes of {one['model']}" in text
        words = ("eval", "data.h5", "--model", one["path"], "--json")
        alone = json.loads(catclf(*words, cwd=trained).stdout)
        assert one == {"model": one["model"], "path": one["path"], **alone}
    assert [one["model"] for one in found["models"]] == ["a", "two words"]


def test_mcnemars_test_is_that_of_the_predictions(catclf, trained):
    data = load_dataset(trained / "data.h5")
    right = [
        (load_model(trained / name).probabilities(data.images) > 0.5) == (data.Y == 1)
        for name in ("a.npz", "two words.npz")
    ]
    only_first, only_second = np.sum(right[0] & ~right[1]), np.sum(~right[0] & right[1])
    assert only_first != only_second
    p = binomtest(int(only_first), int(only_first + only_second)).pvalue
    found = json.loads(catclf("eval", "data.h5", *BOTH, "--json", cwd=trained).stdout)
    assert found["comparison"] == [
        {
            "model": "two words",
            "against": "a",
            "only_model_right": only_second,
            "only_against_right": only_first,
            "p": pytest.approx(p),
        }
    ]
    text = " ".join(catclf("eval", "data.h5", *BOTH, cwd=trained).stdout.split())
    assert (
        f"two words is right on {only_second} that a gets wrong, and wrong on {only_first}" in text
    )
    assert f"p = {p:.2g}" in text


def test_models_of_one_name_are_told_apart(catclf, trained):
    words = ("--model", "a.npz", "--model", "sub/a.npz", "--model", "photos")
    found = json.loads(catclf("eval", "data.h5", *words, "--json", cwd=trained).stdout)
    assert [one["model"] for one in found["models"]] == ["a", "sub/a", "photos"]
    assert [test["against"] for test in found["comparison"]] == ["a", "a"]
    message = catclf("eval", "data.h5", *BOTH, *BOTH, cwd=trained, code=2).stderr
    assert "the same model twice" in message


@pytest.mark.parametrize("columns", [40, 80])
def test_the_comparison_fits_the_terminal(catclf, trained, columns):
    words = (*BOTH, "--model", "sub/a.npz", "--model", "./a.npz", "--errors", 3)
    text = catclf("eval", "data.h5", *words, cwd=trained, env={"COLUMNS": str(columns)}).stdout
    assert max(map(len, text.splitlines())) <= columns
    assert text.count("ROC-AUC") == {40: 4, 80: 2}[columns]


def test_every_model_must_pass_the_gate(catclf, trained):
    found = json.loads(catclf("eval", "data.h5", *BOTH, "--json", cwd=trained).stdout)
    low, high = sorted(one["accuracy"] for one in found["models"])
    assert low < high
    catclf("eval", "data.h5", *BOTH, "--fail-under", low, cwd=trained)
    for gate in (low + 1e-9, high + 1e-9):
        message = catclf("eval", "data.h5", *BOTH, "--fail-under", gate, cwd=trained, code=1).stderr
        assert ("a and" in message) == (gate > high)


def test_the_environment_names_one_model_whatever_its_name(catclf, trained):
    env = {"CATCLF_MODEL": "two words.npz"}
    done = catclf("eval", "data.h5", cwd=trained, env=env)
    assert "model: two words.npz\n" in done.stderr
    assert done.stdout == catclf("eval", "data.h5", *BOTH[2:], cwd=trained).stdout
    assert "model: a.npz" in catclf("eval", "data.h5", *BOTH[:2], cwd=trained, env=env).stderr


def test_a_report_is_written_beside_the_usual_output(catclf, trained, tmp_path):
    plain = catclf("eval", "data.h5", *BOTH, "--json", cwd=trained).stdout
    done = catclf(
        "eval", "data.h5", *BOTH, "--json", "--report", tmp_path / "new/report", cwd=trained
    )
    assert done.stdout == plain
    assert done.stderr.splitlines()[-1] == f"wrote {tmp_path}/new/report/index.html"
    found = json.loads((tmp_path / "new/report/report.json").read_text())
    printed = json.loads(plain)
    assert found["comparison"] == printed["comparison"]
    for one, other in zip(found["models"], printed["models"], strict=True):
        assert {key: one[key] for key in other} == other
    quiet = ("--quiet", "--report", tmp_path / "new/report", "--fail-under", 1)
    done = catclf("eval", "data.h5", *BOTH[:2], *quiet, cwd=trained, code=1)
    assert done.stderr.count("\n") == 1
    assert len(json.loads((tmp_path / "new/report/report.json").read_text())["models"]) == 1


def test_a_report_that_cannot_be_is_told_before_any_work(catclf, trained, tmp_path):
    (tmp_path / "file").write_text("mine")
    done = catclf("eval", "none.h5", "--report", tmp_path / "file", cwd=trained, code=3)
    assert "the report cannot be written" in done.stderr
    assert done.stderr.count("\n") == 1
    assert (tmp_path / "file").read_text() == "mine"


def test_a_report_on_a_folder_names_its_photos(catclf, class_folder, tmp_path):
    (class_folder / "dogs" / "<b>bad.jpg").write_bytes(b"\xff\xd8\xff\xe0 short")
    photo = next((class_folder / "dogs").glob("*.png"))
    photo.rename(photo.with_name("<img src=x onerror=alert(1)>.png"))
    catclf("eval", class_folder, "--model", "photos", "--report", "report")
    text = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "dogs/&lt;img src=x onerror=alert(1)&gt;.png" in text
    assert "dogs/&lt;b&gt;bad.jpg" in text
    assert "onerror=alert(1)>" not in text
    found = json.loads((tmp_path / "report" / "report.json").read_text())
    assert found["data"]["folder"] == str(class_folder)
    assert found["data"]["n"] == 12
