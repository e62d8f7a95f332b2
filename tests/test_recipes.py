"""Every block of docs/recipes.md, run in order as a real process, and what it must leave."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from catclf.data.drawn import draw
from catclf.model import load_model

RECIPES = Path(__file__).resolve().parents[1] / "docs" / "recipes.md"
HOLIDAY = ("a b.png", "it's.png", "[red]x[bold].png", "-n.png", "ü.png", "$(x).png")


def blocks(text: str) -> Iterator[tuple[str, str, str]]:
    """Give heading, language and content of each fenced block."""
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        for language, block in re.findall(r"^```(\w+)\n(.*?)^```$", section, re.M | re.S):
            yield section.splitlines()[0], language, block


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[str]]]:
    """Run them all in one folder; give it, and what the blocks of each recipe printed."""
    folder = tmp_path_factory.mktemp("recipes")
    images, labels = draw(60, seed=4)
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        sub = folder / "photos" / ("train" if i < 40 else "test") / ("cat" if label else "other")
        sub.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.ascontiguousarray(image)).save(sub / f"{i:02}.png")
    (folder / "holiday").mkdir()
    for name, image in zip(HOLIDAY, images, strict=False):
        Image.fromarray(np.ascontiguousarray(image)).save(folder / "holiday" / name)
    Image.fromarray(np.ascontiguousarray(images[0])).save(folder / "img.jpg")
    commands = folder / "bin"
    commands.mkdir()
    (commands / "catclf").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m catclf "$@"\n')
    (commands / "catclf").chmod(0o755)
    (commands / "python3").symlink_to(sys.executable)
    environment = {**os.environ, "PATH": f"{commands}:{os.environ['PATH']}", "COLUMNS": "80"}
    printed: dict[str, list[str]] = {}
    for heading, language, block in blocks(RECIPES.read_text()):
        words = {"sh": ["sh", "-euc", block], "python": [sys.executable, "-c", block]}[language]
        run = subprocess.run(
            words, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, (heading, block, run.stdout, run.stderr)
        printed.setdefault(heading, []).append(run.stdout)
    return folder, printed


def test_there_are_ten_or_more_and_each_has_a_check() -> None:
    headings = {heading for heading, _, _ in blocks(RECIPES.read_text())}
    assert len(headings) >= 10
    source = Path(__file__).read_text()
    assert [heading for heading in headings if f'"{heading}"' not in source] == []


def test_prediction(done: tuple[Path, dict[str, list[str]]]) -> None:
    lines = done[1]["Is there a cat in this photo?"][0].splitlines()
    assert re.fullmatch(r"img\.jpg\t(non-)?cat\t[01]\.\d{6}", lines[0])
    assert lines[1].split("\t")[1:] == lines[0].split("\t")[1:]
    assert lines[2] == ("a cat" if "\tcat\t" in lines[0] else "no cat")


def test_own_photos(done: tuple[Path, dict[str, list[str]]]) -> None:
    folder, printed = done
    assert load_model(folder / "models" / "mine.npz").provenance.tried
    assert printed["Your own cat, from the phone's photos"][0].splitlines()[-1].startswith("img")


def test_other_classes(done: tuple[Path, dict[str, list[str]]]) -> None:
    folder, printed = done
    model = load_model(folder / "models" / "tabby.npz")
    assert model.provenance.counts == {"non-cat": 20, "cat": 20}
    assert printed["Something other than cats"]


def test_sorting_keeps_every_photo_whatever_its_name(
    done: tuple[Path, dict[str, list[str]]],
) -> None:
    folder, printed = done
    assert len(printed["Sort a folder of photos"]) == 2
    for target, labels in (
        ("sorted", {"cat", "non-cat", "unsure"}),
        ("by-label", {"cat", "non-cat"}),
    ):
        copies = [path for path in (folder / target).rglob("*") if path.is_file()]
        assert sorted(path.name for path in copies) == sorted(HOLIDAY)
        assert {path.parent.name for path in copies} <= labels


def test_spreadsheet(done: tuple[Path, dict[str, list[str]]]) -> None:
    folder, printed = done
    with open(folder / "holiday.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(os.path.basename(row["path"]) for row in rows) == sorted(HOLIDAY)
    assert printed["A spreadsheet of every photo"] == [""]


def test_gate(done: tuple[Path, dict[str, list[str]]]) -> None:
    folder, printed = done
    assert json.loads((folder / "figures.json").read_text())["accuracy"] >= 0.5
    assert printed["A gate in continuous integration"] == [""]


def test_report(done: tuple[Path, dict[str, list[str]]]) -> None:
    folder, printed = done
    assert (folder / "report" / "index.html").read_text().startswith("<!doctype html>")
    assert json.loads((folder / "report" / "report.json").read_text())
    assert printed["What it gets wrong, and how sure it is"]


def test_comparison(done: tuple[Path, dict[str, list[str]]]) -> None:
    assert "McNemar" in done[1]["Which of two models is better"][0]


def test_pictures(done: tuple[Path, dict[str, list[str]]]) -> None:
    folder, printed = done
    assert printed["Where it looks"]
    assert printed["Which learning rate"]
    assert (folder / "rates.svg").read_text().startswith("<svg ")
    for name in ("explained", "filters"):
        with Image.open(folder / f"{name}.png") as picture:
            assert min(picture.size) > 200


def test_in_python(done: tuple[Path, dict[str, list[str]]]) -> None:
    folder, printed = done
    plain = float(printed["The model in plain NumPy"][0].split()[-1])
    with Image.open(folder / "img.jpg") as picture:
        pixels = np.asarray(picture, dtype=np.uint8)
    scores = load_model(folder / "models" / "rates.npz").scores(pixels[None])
    assert np.isclose(plain, 1 / (1 + np.exp(-scores.item())), rtol=1e-6)
    assert 0 <= float(printed["With scikit-learn"][0]) <= 1


def test_completion(done: tuple[Path, dict[str, list[str]]]) -> None:
    assert "complete" in (done[0] / "catclf-completion.bash").read_text()
    assert done[1]["Completion in the shell"]
