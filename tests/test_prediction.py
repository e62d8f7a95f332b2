"""Predicting files, folders and bytes, good and bad, in order."""

import math
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from processes import started, told_to_stop

from catclf import load_dataset, predict, prediction, train
from catclf.common import threads
from catclf.data.drawn import draw
from catclf.features import MAPS
from catclf.model import Model


@pytest.fixture(scope="module")
def model(drawn):
    return train(drawn, iterations=100, cv=0)


def test_a_folder_is_read_to_the_bottom_without_its_other_files(model, class_folder):
    (class_folder / "dogs" / "deeper").mkdir()
    image = next((class_folder / "dogs").glob("*.png"))
    (class_folder / "dogs" / "deeper" / "x").write_bytes(image.read_bytes())
    (class_folder / "notes.txt").write_text("not an image")
    found = list(predict(model, [class_folder]))
    assert len(found) == 13
    assert not any(p.error for p in found)


def test_bad_images_are_told_and_the_rest_go_on(model, class_folder):
    good = next((class_folder / "dogs").glob("*.png"))
    text = class_folder / "notes.txt"
    text.write_text("not an image")
    (class_folder / "empty").mkdir()
    short = class_folder / "dogs" / "zz.png"
    short.write_bytes(good.read_bytes()[:600])
    sources = [good, text, class_folder / "none.png", class_folder / "empty", ("-", b"x"), short]
    found = list(predict(model, [*sources, good]))
    assert [bool(p.error) for p in found] == [False, True, True, True, True, True, False]
    assert found[0] == found[-1]
    for p in found[1:-1]:
        assert p.label == ""
        assert math.isnan(p.probability)
    assert "no such file" in found[2].error
    assert "no images" in found[3].error


def test_the_threshold_decides(model, class_folder):
    p = next(iter(predict(model, [class_folder]))).probability
    for threshold, label in ((p - 1e-9, "cat"), (p, "non-cat"), (p + 1e-9, "non-cat")):
        found = next(iter(predict(model, [class_folder], threshold=threshold)))
        assert found.label == label


# Several at a time


@pytest.fixture
def two_threads(monkeypatch):
    """Two threads, whatever processors there are."""
    monkeypatch.setattr(threads, "count", lambda: 2)


def written(folder, images):
    folder.mkdir()
    for i, image in enumerate(images):
        Image.fromarray(np.ascontiguousarray(image)).save(folder / f"{i:03}.png")
    return sorted(folder.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["pixels", "patches", "conv"])
def test_a_probability_does_not_depend_on_what_comes_with_it(kind, tmp_path, two_threads):
    images, _ = draw(70)
    rng = np.random.default_rng(0)
    features = MAPS[kind].fit(images)
    w = rng.normal(size=(features.n_x, 1)) / features.n_x**0.5
    mixed = Model(w, 0.1, ("non-cat", "cat"), features)
    paths = written(tmp_path / "x", images)
    together = [p.probability for p in predict(mixed, paths)]
    alone = [next(predict(mixed, [path])).probability for path in paths]
    assert together == alone
    assert mixed.probabilities(images)[0].tolist() == alone
    assert len(set(alone)) == 70


def test_the_order_is_that_of_the_sources_however_long_each_takes(
    model, tmp_path, monkeypatch, two_threads
):
    images, _ = draw(60)
    paths = written(tmp_path / "x", images)
    expected = model.probabilities(images)[0].tolist()
    sound = prediction.load_image

    def late(source, **how):
        time.sleep(0.01 * (int(Path(source).stem) % 5 == 0))
        return sound(source, **how)

    monkeypatch.setattr(prediction, "load_image", late)
    found = list(predict(model, [tmp_path / "x", *paths[::-1]]))
    assert [p.path for p in found] == [*map(str, paths), *map(str, paths[::-1])]
    assert [p.probability for p in found] == expected + expected[::-1]


def test_folders_and_what_they_come_to_keep_their_place(model, class_folder, tmp_path, two_threads):
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    for i in range(40):
        (tmp_path / "texts" / f"{i}").write_text("not an image")
    one = str(next((class_folder / "dogs").iterdir()))
    sources = [tmp_path / "empty", one, tmp_path / "texts", class_folder, tmp_path / "empty", one]
    found = list(predict(model, sources))
    told = [p.path for p in found if p.error]
    assert told == [str(tmp_path / name) for name in ("empty", "texts", "empty")]
    assert [found.index(p) for p in found if p.error][:2] == [0, 2]
    assert [p.path for p in found[3:15]] == sorted(p.path for p in found[3:15])
    assert [found[i].path for i in (1, 16)] == [one, one]
    assert len(found) == 17


def test_few_images_are_in_memory_however_many_there_are(model, class_folder, two_threads):
    one = next((class_folder / "dogs").iterdir()).read_bytes()
    taken = 0

    def sources():
        nonlocal taken
        for i in range(1000):
            taken += 1
            yield str(i), one

    most = 0
    for done, p in enumerate(predict(model, sources())):
        assert p.path == str(done)
        most = max(most, taken - done)
    # A batch that is being handed on, and the others under way; the last batch is dealt whole.
    assert most <= threads.LARGEST_BATCH * threads.AHEAD * 2


def test_a_folder_of_classes_is_read_in_order_and_told_in_order(tmp_path, monkeypatch, two_threads):
    images, _ = draw(40)
    for name in ("cat", "dog"):
        (tmp_path / "x").mkdir(exist_ok=True)
        written(tmp_path / "x" / name, images)
        for i in (3, 17, 30):
            (tmp_path / "x" / name / f"{i:03}.png").write_bytes(b"\x89PNG no more")
        (tmp_path / "x" / name / "notes.txt").write_text("not an image")
    steps = []
    data = load_dataset(tmp_path / "x", progress=lambda done, n: steps.append((done, n)))
    good = [i for i in range(40) if i not in (3, 17, 30)]
    np.testing.assert_array_equal(data.images, np.concatenate([images[good]] * 2))
    assert [Path(path).stem for path in data.paths] == [f"{i:03}" for i in good] * 2
    assert data.Y[0].tolist() == [1] * 37 + [0] * 37
    assert data.sizes == ((64, 64),) * 74
    bad = [line.split(":")[0] for line in data.unreadable]
    names = [f"{name}/{i:03}.png" for name in ("cat", "dog") for i in (3, 17, 30)]
    assert bad == [str(tmp_path / "x" / name) for name in names]
    assert steps == [(i + 1, 82) for i in range(82)]
    assert "skipped: not an image (2)" in data.notes


HANGING = """
import sys, time
from catclf import prediction
sound = prediction.load_image
def hanging(source, **how):
    if source.endswith({}):
        open("hung", "w").close()
        time.sleep(600)
    return sound(source, **how)
prediction.load_image = hanging
sys.argv = ["catclf", "predict", "-q", "x"]
from catclf.cli import run
run()
"""


def test_predictions_come_out_while_others_are_at_work(tmp_path):
    """The first is read, and its reader leaves, though the rest would take ten minutes."""
    written(tmp_path / "x", draw(30)[0])
    code = HANGING.format("('005.png', '009.png')")
    with started("-c", code, cwd=tmp_path) as process:
        assert process.stdout.readline().startswith("x/000.png\t")
        assert process.stdout.readline().startswith("x/001.png\t")


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_being_told_to_stop_waits_for_no_image(tmp_path, name, code):
    written(tmp_path / "x", draw(30)[0])
    with started("-c", HANGING.format("'.png'"), cwd=tmp_path) as process:
        out, err = told_to_stop(process, getattr(signal, name), (tmp_path / "hung").exists)
    assert (process.returncode, out) == (code, "")
    assert err in ("error: interrupted\n", "error: terminated\n")
