"""Leaks, duplicates, contradicting labels and poor images are found, and nothing else."""

import json

import numpy as np
import pytest
from image_files import COPIES, recompressed
from PIL import Image

from catclf import load_dataset, load_model
from catclf.data import check as checks
from catclf.data import duplicates
from catclf.data.check import check
from catclf.data.dataset import CLASSES, Dataset
from catclf.data.drawn import draw
from catclf.data.duplicates import match_fingerprints, signatures
from catclf.features.conv import shipped


def dataset(images, labels=None, **fields):
    labels = np.arange(len(images)) % 2 if labels is None else np.array(labels)
    return Dataset(np.asarray(images), labels.astype(np.int64)[None], CLASSES, "d", **fields)


@pytest.fixture(scope="module")
def drawings():
    return draw(40, seed=21)


@pytest.fixture
def course(shared):
    folder = shared / "datasets" / "course"
    return folder / "train_catvnoncat.h5", folder / "test_catvnoncat.h5"


def found(report):
    return {f.kind: [(c.images, c.exact) for c in f.cases] for f in report.findings}


@pytest.mark.parametrize("copy", COPIES)
def test_a_copy_in_the_test_set_is_a_leak_and_all_that_is_found(drawings, copy):
    images, labels = (drawing.copy() for drawing in drawings)
    images[23], labels[23] = COPIES[copy](images[7]), labels[7]
    report = check(dataset(images[:20], labels[:20]), dataset(images[20:], labels[20:]))
    assert found(report) == {"leak": [(("train[7]", "test[3]"), copy == "exact")]}
    assert report.leaked == 1


def test_copies_inside_a_set_are_told_apart_from_leaks(drawings):
    images, labels = drawings
    rows = [0, 1, 2, 0, 0, 3, 3, 5]
    more = images[rows].copy()
    more[6] = recompressed(more[6])
    report = check(dataset(more, labels[rows]))
    assert found(report) == {
        "exact": [(("train[0]", "train[3]", "train[4]"), True)],
        "near": [(("train[5]", "train[6]"), False)],
    }
    both = check(dataset(images[10:30], labels[10:30]), dataset(more, labels[rows]))
    assert set(found(both)) == {"exact", "near"}
    assert both.leaked == 0
    twice = check(dataset(images[:3], labels[:3]), dataset(more, labels[rows]))
    assert twice.leaked == 5
    assert len(found(twice)["leak"]) == 3


def test_labels_that_contradict_are_told_inside_and_across(drawings):
    images, labels = drawings
    wrong = labels.copy()
    wrong[4] = 1 - wrong[4]
    rows = [4, 8, 9, 8]
    report = check(dataset(images, wrong), dataset(images[rows], [labels[4], 0, labels[9], 1]))
    words = [name for names, _ in found(report)["conflict"] for name in names]
    kinds = {"train[4]": wrong[4], "test[0]": labels[4], "train[8]": wrong[8]}
    assert words == [
        *(f"{name} ({CLASSES[kinds[name]]})" for name in ("train[4]", "test[0]")),
        f"train[8] ({CLASSES[wrong[8]]})",
        "test[1] (non-cat)",
        "test[3] (cat)",
    ]


def test_images_of_one_colour_are_told_and_copies_of_them_found(drawings):
    images, labels = drawings
    images = images[:8].copy()
    images[2] = images[5] = (10, 200, 30)
    images[3] = np.random.default_rng(0).integers(100, 100 + checks.PLAIN, (64, 64, 3))
    images[4, 0, 0] = images[4, 0, 1] ^ 128  # one pixel differs: not of one colour
    report = check(dataset(images, labels[:8] * 0 + [0, 1, 0, 1, 0, 0, 1, 1]))
    assert found(report) == {
        "exact": [(("train[2]", "train[5]"), True)],
        "plain": [((f"train[{i}]",), True) for i in (2, 3, 5)],
    }


def test_small_originals_and_unreadable_files_are_told(class_folder):
    small = sorted((class_folder / "dogs").iterdir())[:2]
    for path, size in zip(small, [(63, 200), (64, 64)], strict=True):
        with Image.open(path) as image:
            large = image.resize(size)
        large.save(path)
    bad = class_folder / "dogs" / "bad.jpg"
    bad.write_bytes(b"\xff\xd8\xff\xe0 cut short")
    report = found(check(load_dataset(class_folder)))
    assert report["tiny"] == [((f"{small[0]} (63 × 200)",), True)]
    assert len(report["unreadable"]) == 1
    assert report["unreadable"][0][0][0].startswith(f"{bad}: ")


def test_rare_classes_are_told(drawings):
    for others, cases in ((1, [(("train: non-cat, 1 of 20 images",), True)]), (2, [])):
        report = check(dataset(drawings[0][:20], [0] * others + [1] * (20 - others)))
        assert found(report).get("rare", []) == cases


# What a model remembers


def fingerprints(images):
    return signatures(images).fingerprints


@pytest.mark.parametrize("copy", COPIES)
def test_a_model_knows_its_images_again_and_no_others(drawings, copy, monkeypatch):
    monkeypatch.setattr(duplicates, "BLOCK", 7)
    seen = fingerprints(drawings[0])
    copies = np.stack([COPIES[copy](image) for image in drawings[0]])
    recall = match_fingerprints(fingerprints(copies), seen).mean()
    assert recall == 1 if copy in ("exact", "mirrored") else recall > 0.9
    assert not match_fingerprints(fingerprints(draw(100, 1)[0]), seen).any()
    plain = fingerprints(np.full((2, 64, 64, 3), 77, np.uint8))
    assert plain.tolist() == [0, 0]
    assert not match_fingerprints(plain, plain).any()
    bits = np.array([0b111, 1 << 63 | 0b11, 0b1111], np.uint64)  # up to three may differ
    assert match_fingerprints(seen[0] ^ bits, seen[:1]).tolist() == [True, True, False]


def test_a_symmetric_picture_gives_no_bit_by_chance(drawings):
    half = drawings[0][:, :, :32]
    images = np.concatenate([half, half[:, :, ::-1]], axis=2)
    np.testing.assert_array_equal(fingerprints(images), fingerprints(images[:, :, ::-1]))


@pytest.mark.slow
def test_no_photo_of_the_course_is_taken_for_one_of_50_000_others(shared, course):
    seen = load_model(shipped("photos.npz")).seen
    assert len(seen) > 48_000
    for path in course:
        assert not match_fingerprints(fingerprints(load_dataset(path).images), seen).any()
    photos = load_dataset(shared / "photos").images
    again = np.stack([recompressed(image) for image in photos])
    known = match_fingerprints(fingerprints(photos), seen)
    assert 0.8 < known.mean() < 1  # the others were held out
    for images in (again[known], again[known][:, :, ::-1]):
        assert match_fingerprints(fingerprints(images), seen).mean() >= 0.97


# What train says


# The command


def test_the_photo_that_both_course_files_hold_comes_up(catclf, course):
    done = catclf("data", "check", *course, code=1)
    assert done.stdout.splitlines() == [
        "train: 209 images: non-cat 137 (65.6%), cat 72 (34.4%)",
        "test: 50 images: non-cat 17 (34.0%), cat 33 (66.0%)",
        "",
        "images of TEST that are in TRAIN too: 1",
        "  train[146] = test[17]",
    ]
    assert done.stderr == "error: images of TEST that are in TRAIN too: 1 of 50\n"
    assert json.loads(catclf("data", "check", *course, "--json", code=1).stdout) == {
        "counts": {"train": {"non-cat": 137, "cat": 72}, "test": {"non-cat": 17, "cat": 33}},
        "findings": [
            {
                "kind": "leak",
                "title": "images of TEST that are in TRAIN too",
                "cases": [{"images": ["train[146]", "test[17]"], "exact": True}],
            }
        ],
        "leaked": 1,
    }
    assert catclf("data", "check", course[0]).stdout.splitlines()[1:] == ["nothing found"]


def test_long_lists_are_cut_and_hostile_names_escaped(catclf, class_folder):
    first = next((class_folder / "Cats").iterdir()).read_bytes()
    for i in range(30):
        (class_folder / "Cats" / f"\x1b[31m\n{i:02}.png").write_bytes(first)
    out = catclf("data", "check", class_folder).stdout
    assert "\x1b" not in out
    assert "= 27 more" in out
    assert "\\x1b[31m\\n00.png = " in out
    names = json.loads(catclf("data", "check", class_folder, "--json").stdout)["findings"]
    assert len(names[0]["cases"][0]["images"]) == 31
    for i in range(30):
        (class_folder / "dogs" / f"bad{i}.jpg").write_bytes(b"\xff\xd8\xff")
    out = catclf("data", "check", class_folder, code=0).stdout
    assert "files that cannot be read: 30\n" in out
    assert out.endswith("  and 20 more; --json lists them all\n")


def test_train_warns_in_a_line(catclf, class_folder):
    quick = ("--iterations", 5, "--cv", 0)
    assert "picture" not in catclf("train", class_folder, *quick).stderr
    for cat in sorted((class_folder / "Cats").iterdir())[:3]:
        (class_folder / "dogs" / f"cat{cat.name}").write_bytes(cat.read_bytes())
    done = catclf("train", class_folder, class_folder, *quick)
    assert "one picture with both labels: " in done.stderr
    assert ", and 2 more such; catclf data check lists them\n" in done.stderr
    assert "several DATA overlap: images that an earlier one has already: 15\n" in done.stderr
    assert catclf("train", class_folder, *quick, "--quiet").stderr == ""
