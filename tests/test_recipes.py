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


def make_photos(folder):
    """Make a folder of photos of all kinds, in which the recipes are run."""
    images, labels = draw(60, seed=4)
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        kind = "cat" if label else "other"
        save(image, folder / "photos" / ("train" if i < 40 else "test") / kind / f"{i:02}.png")
    for name, image in zip(HOLIDAY, images, strict=False):
        save(image, folder / "holiday" / name)
    save(images[0], folder / "img.jpg")


def run_all(folder):
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


def test_each_recipe_does_what_it_says(tmp_path):
    make_photos(tmp_path)
    printed = run_all(tmp_path)
    models = tmp_path / "models"

    lines = printed.pop("Is there a cat in this photo?")[0].splitlines()
    assert re.fullmatch(r"img\.jpg\t(non-)?cat\t[01]\.\d{6}", lines[0])
    assert lines[1].split("\t")[1:] == lines[0].split("\t")[1:]
    assert lines[2] == ("a cat" if "\tcat\t" in lines[0] else "no cat")

    last = printed.pop("Your own cat, from the phone's photos")[0].splitlines()[-1]
    assert last.startswith("img")
    assert load_model(models / "mine.npz").provenance.tried
    assert printed.pop("Something other than cats")
    assert load_model(models / "tabby.npz").provenance.counts == {"non-cat": 20, "cat": 20}

    # Every photo is kept, whatever its name.
    assert len(printed.pop("Sort a folder of photos")) == 2
    for target in ("sorted", "by-label"):
        copies = [path for path in (tmp_path / target).rglob("*") if path.is_file()]
        assert sorted(path.name for path in copies) == sorted(HOLIDAY)
        assert {path.parent.name for path in copies} <= {"cat", "non-cat", "unsure"}
    assert printed.pop("A spreadsheet of every photo") == [""]
    with open(tmp_path / "holiday.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(os.path.basename(row["path"]) for row in rows) == sorted(HOLIDAY)

    assert printed.pop("A gate in continuous integration") == [""]
    assert json.loads((tmp_path / "figures.json").read_text())["accuracy"] >= 0.5
    assert printed.pop("What it gets wrong, and how sure it is")
    assert (tmp_path / "report" / "index.html").read_text().startswith("<!doctype html>")
    assert "McNemar" in printed.pop("Which of two models is better")[0]

    assert printed.pop("Where it looks")
    assert printed.pop("Which learning rate")
    assert (tmp_path / "rates.svg").read_text().startswith("<svg ")
    for name in ("explained", "filters"):
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert min(picture.size) > 200

    plain = float(printed.pop("The model in plain NumPy")[0].split()[-1])
    with Image.open(tmp_path / "img.jpg") as picture:
        pixels = np.asarray(picture, dtype=np.uint8)
    scores = load_model(models / "rates.npz").scores(pixels[None])
    assert np.isclose(plain, 1 / (1 + np.exp(-scores.item())), rtol=1e-6)
    assert 0 <= float(printed.pop("With scikit-learn")[0]) <= 1
    assert printed.pop("Completion in the shell")
    assert "complete" in (tmp_path / "catclf-completion.bash").read_text()
    assert not printed  # each recipe has a check
