"""docs/formats.md says what the commands write, no more and no less."""

from __future__ import annotations

import json
import re
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import Run
from PIL import Image

from catclf.data.drawn import draw
from catclf.features.cache import FeatureCache
from catclf.features.conv import shipped
from catclf.features.pixels import Pixels

FORMATS = (Path(__file__).resolve().parents[1] / "docs" / "formats.md").read_text()


def section(heading: str) -> str:
    return re.split(r"^##+ ", FORMATS.split(heading, 1)[1], maxsplit=1, flags=re.M)[0]


def tables(text: str) -> list[set[str]]:
    """Give the names in the first column of each table."""
    blocks = re.findall(r"(?:^\|.*\n)+", text, re.M)
    return [
        {
            name
            for row in block.splitlines()[2:]
            for name in re.findall(r"`(\w+)`", row.split("|")[1])
        }
        for block in blocks
    ]


def named(text: str) -> set[str]:
    """Give every name in a running text."""
    return set(re.findall(r"`(\w+)`", re.sub(r"^\|.*\n", "", text, flags=re.M)))


def test_an_hdf5_file_of_this_layout_is_read(catclf: Run, tmp_path: Path) -> None:
    keys = tables(section("## Labelled images"))[0]
    x, y = draw(24, seed=11)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["train_set_x"], file["train_set_y"] = x, y
        file["source"] = [f"s{i % 8}".encode() for i in range(len(x))]
        file["list_classes"] = [b"non-cat", b"cat"]
        assert set(file) | {"test_set_x", "test_set_y"} == keys
    catclf("train", "a.h5", "--iterations", 5, "--out", "m.npz")


def test_members_of_a_model(catclf: Run, tmp_path: Path) -> None:
    members, network, cached = tables(section("## Models"))
    catclf("train", "drawn", "--iterations", 5, "--out", "m.npz")
    with np.load(tmp_path / "m.npz") as npz:
        assert set(npz) == {name for name in members if not name.startswith("features_")}
        meta = json.loads(str(npz["meta"]))
    words = named(section("## Models"))
    assert set(meta) <= words
    assert {"negative", "positive", "tried"} <= words
    with np.load(shipped("features.npz")) as npz:
        assert {name for name in npz if name in ("meta", "conv1_weight", "conv2_bias")} <= network
        assert set(json.loads(str(npz["meta"]))) <= words
    with FeatureCache(Pixels(), tmp_path / "f.h5") as cache:
        cache.transform(draw(2)[0])
    with h5py.File(tmp_path / "f.h5") as file:
        assert set(file) == cached


def test_json_of_train(catclf: Run, class_folder: Path) -> None:
    text = section("### `train --json`")
    found = json.loads(catclf("train", class_folder, "--iterations", 5, "--json").stdout)
    assert set(found) == tables(text)[0]
    rates = ("--learning-rate", 0.001, "--learning-rate", 0.002)
    several = json.loads(catclf("train", class_folder, "--iterations", 5, "--json", *rates).stdout)
    assert set(several) - set(found) == {"learning_rates"}
    assert set(several["learning_rates"][0]) <= named(text)
    auto = ("--auto", "--features", "conv", "--l2", 1)
    chosen = json.loads(catclf("train", class_folder, "--json", *auto).stdout)
    assert set(chosen) - set(found) == {"tried", "features", "l2", "complete"} & named(text)


def test_json_of_predict_and_show(catclf: Run, tmp_path: Path) -> None:
    text = section("### `predict --json`")
    Image.fromarray(draw(1)[0][0]).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    lines = catclf("predict", "a.png", "b.png", "--json", code=3).stdout.splitlines()
    read, unread = map(json.loads, lines)
    assert set(read) | set(unread) | {"explanation"} == named(text) - {"log_odds"}
    done = catclf("predict", "a.png", "--json", "--explain", "e.png")
    assert set(json.loads(done.stdout)["explanation"]) == tables(text)[0]
    shown = json.loads(catclf("show", "photos", "--json").stdout)
    assert set(shown) == tables(section("### `show --json`"))[0] | {"features"}


def test_json_of_show_of_a_network(catclf: Run, tmp_path: Path) -> None:
    graphs = pytest.importorskip("tests.onnx_graphs", reason="onnx or onnxruntime is missing")
    graphs.mixing(tmp_path / "a.onnx")
    shown = json.loads(catclf("show", "a.onnx", "--json").stdout)
    assert set(shown) == tables(section("### `show NET.onnx --json`"))[0]


def test_json_of_eval_and_report(catclf: Run, class_folder: Path, tmp_path: Path) -> None:
    text = section("### `eval --json`")
    catclf("train", class_folder, "--iterations", 5, "--out", "m.npz")
    one = json.loads(
        catclf("eval", class_folder, "-m", "m.npz", "--json", "--errors", 1, "--report", "r").stdout
    )
    assert set(one) - {"errors"} == tables(text)[0]
    assert set(one["errors"][0]) <= named(text)
    two = json.loads(catclf("eval", class_folder, "-m", "m.npz", "-m", "photos", "--json").stdout)
    assert set(two) == {"models", "comparison"}
    assert set(two["models"][0]) == tables(text)[0] | {"model", "path"}
    assert set(two["comparison"][0]) <= named(text)

    text = section("### `report.json`")
    report = json.loads((tmp_path / "r" / "report.json").read_text())
    top, curves = tables(text)
    assert set(report) == top
    cells = set(re.findall(r"`(\w+)`", text))
    assert set(report["data"]) <= cells
    assert set(report["models"][0]) - set(one) <= cells
    assert set(report["models"][0]["card"]) <= named(text)
    found = report["models"][0]["curves"]
    assert set(found) == curves
    for points in found.values():
        assert set(points) <= cells


def test_json_of_data(catclf: Run) -> None:
    found = json.loads(catclf("data", "info", "drawn", "--json").stdout)
    assert set(found) == tables(section("### `data info --json`"))[0]
    text = section("### `data check --json`")
    catclf("data", "draw", 9, "a.h5")
    found = json.loads(catclf("data", "check", "a.h5", "a.h5", "--json", code=1).stdout)
    assert set(found) == tables(text)[0]
    cells = set(re.findall(r"`(\w+)`", text))
    assert set(found["findings"][0]) | set(found["findings"][0]["cases"][0]) <= cells
    assert set(found["counts"]) <= cells
