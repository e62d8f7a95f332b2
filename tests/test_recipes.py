"""Every block of docs/recipes.md, run in order as a real process, and what it must leave."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from catclf.data.drawn import draw
from catclf.model import load_model

pytestmark = pytest.mark.slow

RECIPES = Path(__file__).resolve().parents[1] / "docs" / "recipes.md"
HOLIDAY = ("a b.png", "it's.png", "[red]x[bold].png", "-n.png", "ü.png", "$(x).png")


def blocks():
    """Give heading, language and content of each fenced block."""
    for section in re.split(r"^## ", RECIPES.read_text(), flags=re.MULTILINE)[1:]:
        for language, block in re.findall(r"^```(\w+)\n(.*?)^```$", section, re.M | re.S):
            yield section.splitlines()[0], language, block


def save(image, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(image)).save(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Make a folder of photos of all kinds, in which the recipes are run."""
    folder = tmp_path_factory.mktemp("recipes")
    images, labels = draw(60, seed=4)
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        kind = "cat" if label else "other"
        save(image, folder / "photos" / ("train" if i < 40 else "test") / kind / f"{i:02}.png")
    for name, image in zip(HOLIDAY, images, strict=False):
        save(image, folder / "holiday" / name)
    save(images[0], folder / "img.jpg")
    return folder


@pytest.fixture(scope="module")
def printed(folder):
    """Run them all; give what the blocks of each recipe printed."""
    commands = folder / "bin"
    commands.mkdir()
    (commands / "catclf").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m catclf "$@"\n')
    (commands / "catclf").chmod(0o755)
    (commands / "python3").symlink_to(sys.executable)
    env = {**os.environ, "PATH": f"{commands}:{os.environ['PATH']}", "COLUMNS": "80"}
    printed = {}
    for heading, language, block in blocks():
        words = {"sh": ["sh", "-euc", block], "python": [sys.executable, "-c", block]}[language]
        done = subprocess.run(
            words, cwd=folder, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (heading, block, done.stdout, done.stderr)
        printed.setdefault(heading, []).append(done.stdout)
    return printed


def test_there_are_ten_or_more_and_each_has_a_check():
    headings = {heading for heading, _, _ in blocks()}
    assert len(headings) >= 10
    source = Path(__file__).read_text()
    assert [heading for heading in headings if f'"{heading}"' not in source] == []


def test_prediction(printed):
    lines = printed["Is there a cat in this photo?"][0].splitlines()
    assert re.fullmatch(r"img\.jpg\t(non-)?cat\t[01]\.\d{6}", lines[0])
    assert lines[1].split("\t")[1:] == lines[0].split("\t")[1:]
    assert lines[2] == ("a cat" if "\tcat\t" in lines[0] else "no cat")


def test_own_photos(folder, printed):
    assert load_model(folder / "models" / "mine.npz").provenance.tried
    assert printed["Your own cat, from the phone's photos"][0].splitlines()[-1].startswith("img")


def test_other_classes(folder, printed):
    model = load_model(folder / "models" / "tabby.npz")
    assert model.provenance.counts == {"non-cat": 20, "cat": 20}
    assert printed["Something other than cats"]


def test_sorting_keeps_every_photo_whatever_its_name(folder, printed):
    assert len(printed["Sort a folder of photos"]) == 2
    both = {"cat", "non-cat"}
    for target, labels in (("sorted", both | {"unsure"}), ("by-label", both)):
        copies = [path for path in (folder / target).rglob("*") if path.is_file()]
        assert sorted(path.name for path in copies) == sorted(HOLIDAY)
        assert {path.parent.name for path in copies} <= labels


def test_spreadsheet(folder, printed):
    with open(folder / "holiday.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(os.path.basename(row["path"]) for row in rows) == sorted(HOLIDAY)
    assert printed["A spreadsheet of every photo"] == [""]


def test_gate(folder, printed):
    assert json.loads((folder / "figures.json").read_text())["accuracy"] >= 0.5
    assert printed["A gate in continuous integration"] == [""]


def test_report(folder, printed):
    assert (folder / "report" / "index.html").read_text().startswith("<!doctype html>")
    assert json.loads((folder / "report" / "report.json").read_text())
    assert printed["What it gets wrong, and how sure it is"]


def test_comparison(printed):
    assert "McNemar" in printed["Which of two models is better"][0]


def test_pictures(folder, printed):
    assert printed["Where it looks"]
    assert printed["Which learning rate"]
    assert (folder / "rates.svg").read_text().startswith("<svg ")
    for name in ("explained", "filters"):
        with Image.open(folder / f"{name}.png") as picture:
            assert min(picture.size) > 200


def test_in_python(folder, printed):
    plain = float(printed["The model in plain NumPy"][0].split()[-1])
    with Image.open(folder / "img.jpg") as picture:
        pixels = np.asarray(picture, dtype=np.uint8)
    scores = load_model(folder / "models" / "rates.npz").scores(pixels[None])
    assert np.isclose(plain, 1 / (1 + np.exp(-scores.item())), rtol=1e-6)
    assert 0 <= float(printed["With scikit-learn"][0]) <= 1


def test_completion(folder, printed):
    assert "complete" in (folder / "catclf-completion.bash").read_text()
    assert printed["Completion in the shell"]
