"""Predicting files, folders and bytes, good and bad, in order."""

import math

import numpy as np
import pytest

from catclf import load_dataset, predict, train


@pytest.fixture(scope="module")
def model(drawn):
    return train(drawn, iterations=100, cv=0)


def test_each_image_gets_what_the_model_says_of_it(model, class_folder):
    data = load_dataset(class_folder)
    A = model.probabilities(data.images)[0]
    found = list(predict(model, data.paths))
    assert [p.path for p in found] == list(data.paths)
    np.testing.assert_allclose([p.probability for p in found], A, rtol=1e-9)
    assert [p.label for p in found] == [("non-cat", "cat")[int(a > 0.5)] for a in A]


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


def test_content_in_memory_equals_the_file(model, class_folder):
    image = next((class_folder / "dogs").glob("*.png"))
    a, b = predict(model, [image, ("-", image.read_bytes())])
    assert (a.label, a.probability) == (b.label, b.probability)
    assert b.path == "-"


def test_a_photo_in_a_folder_that_cannot_be_read_is_named(catclf, class_folder):
    for name in ("broken.jpg", "phone.HEIC"):
        (class_folder / name).write_text("no image")
    (class_folder / "notes.txt").write_text("no image")
    done = catclf("predict", class_folder, "-q", code=3)
    assert len(done.stdout.splitlines()) == 12
    assert sorted(line.split("/")[-1].split(":")[0] for line in done.stderr.splitlines()) == [
        "broken.jpg",
        "phone.HEIC",
    ]
    (class_folder / "Cats" / "phone.heic").write_text("no image")
    done = catclf("eval", class_folder, "--model", "photos")
    assert "phone.heic" in done.stderr


def test_a_reader_that_leaves_is_no_error(class_folder, tmp_path):
    import subprocess
    import sys

    for words in (
        ["lesson", str(class_folder)],
        ["show", "photos"],
        ["predict", str(class_folder)],
    ):
        command = [sys.executable, "-m", "catclf", *words]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
        ) as process:
            process.stdout.readline()
            process.stdout.close()
            assert b"Traceback" not in process.stderr.read()
            assert process.wait() == 0
