"""Charts: what lies where in the picture, read back from its pixels."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from catclf.errors import OutputError
from catclf.pictures import canvas
from catclf.pictures.charts import COLOURS, DARK_COLOURS, SIZE, Bars, Line, _Axis, _extent, chart

LABELS = {"title": "t", "x_label": "x", "y_label": "y"}


def places(picture: Image.Image, colour: str) -> NDArray[np.intp]:
    """Give rows and columns of the pixels that have a colour, within rounding."""
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    near = np.abs(np.asarray(picture).astype(int) - wanted).max(axis=2) <= 2
    return np.stack(np.nonzero(near))


def test_line_runs_through_its_points() -> None:
    x = np.linspace(0, 1, 50)
    picture = chart([Line(x, x)], **LABELS, x_range=(0, 1), y_range=(0, 1))
    assert (picture.size, picture.mode) == (SIZE, "RGB")
    rows, columns = places(picture, COLOURS[0])
    # The axes reach from column 176 to 1392 and from row 832 up to 96.
    assert np.abs((columns - 176) / 1216 - (832 - rows) / 736).max() < 0.01
    assert columns.max() - columns.min() > 1200


def test_what_is_not_finite_breaks_a_line() -> None:
    x = np.linspace(0, 1, 101)
    y = np.where((x > 0.4) & (x < 0.6), np.nan, 0.5)
    y[:10] = np.inf
    picture = chart([Line(x, y)], **LABELS, x_range=(0, 1), y_range=(0, 1))
    shown = (places(picture, COLOURS[0])[1] - 176) / 1216
    assert not np.any((shown > 0.41) & (shown < 0.59))
    assert 0.09 < shown.min() < 0.11
    assert shown.max() > 0.99


def test_nothing_is_drawn_beyond_the_axes() -> None:
    x = np.linspace(-5, 5, 400)
    picture = chart([Line(x, 1e300 * x)], **LABELS, x_range=(-1, 1), y_range=(-1, 1))
    rows, columns = places(picture, COLOURS[0])
    assert len(rows)
    assert rows.min() >= 96 - 4
    assert rows.max() <= 832 + 4
    assert columns.min() >= 176 - 4
    assert columns.max() <= 1392 + 4


def test_log_axis_spaces_powers_of_ten_evenly_and_leaves_out_zero() -> None:
    axis = _Axis((0.001, 1.0), (832, 96), log=True)
    assert np.allclose(axis(np.array([1.0, 0.1, 0.01, 0.001])), [96, 341.333, 586.667, 832])
    x = np.arange(4.0)
    picture = chart([Line(x, np.array([1.0, 0.1, 0.0, -1.0]), dots=True)], **LABELS, log_y=True)
    assert (places(picture, COLOURS[0])[1] - 176).max() / 1216 < 0.4


@pytest.mark.parametrize(
    ("low", "high", "log", "expected"),
    [
        (0.0, 1.0, False, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0.0, 1900.0, False, [0, 500, 1000, 1500]),
        (-0.3, 0.3, False, [-0.3, -0.2, -0.1, 0, 0.1, 0.2, 0.3]),
        (0.14, 0.7, True, [0.2, 0.3, 0.4, 0.5, 0.6, 0.7]),
        (0.004, 0.7, True, [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5]),
        (1e-9, 1e9, True, [1e-9, 1e-6, 1e-3, 1, 1e3, 1e6, 1e9]),
    ],
)
def test_ticks_are_round(low: float, high: float, log: bool, expected: list[float]) -> None:
    assert np.allclose(_Axis((low, high), (0, 100), log).ticks(), expected)


def test_flat_and_empty_data_have_an_extent() -> None:
    for values in ([], [0.0], [3.0, 3.0], [np.nan], [np.inf, 2.0]):
        for log in (False, True):
            low, high = _extent([np.array(values)], 0.04, log)
            assert np.isfinite([low, high]).all()
            assert low < high
    chart([Line(np.zeros(0), np.zeros(0))], **LABELS)
    chart([], **LABELS, log_y=True)


def test_bars_stand_side_by_side_and_are_as_high_as_they_say() -> None:
    edges = np.array([0.0, 0.5, 1.0])
    bars = [Bars(edges, np.array([4.0, 0.0])), Bars(edges, np.array([2.0, 4.0]))]
    picture = chart(bars, **LABELS, y_range=(0, 4))
    first, second = (places(picture, c) for c in COLOURS[:2])
    assert first[1].max() <= second[1].min()
    left = second[1] < 176 + 608
    assert abs((832 - second[0][left].min()) / 736 - 0.5) < 0.01
    assert abs((832 - second[0][~left].min()) / 736 - 1.0) < 0.01


def test_curves_differ_in_colour_and_are_named() -> None:
    x = np.linspace(0, 1, 20)
    curves = [Line(x, x * k, f"curve {k}") for k in range(6)]
    for dark, colours in ((False, COLOURS), (True, DARK_COLOURS)):
        picture = chart(curves, **LABELS, dark=dark)
        for colour in colours:
            rows, _ = places(picture, colour)
            assert rows.min() < 200
            assert rows.max() > 250


def test_names_that_the_font_lacks_are_replaced() -> None:
    assert canvas.drawable("a\u202e猫\x1bé z") == "a???? z"
    chart([Line(np.zeros(2), np.ones(2), "猫" * 400)], **{**LABELS, "title": "\ud800"})


def test_text_is_broken_at_spaces() -> None:
    lines = list(canvas.wrapped("one two three four " + "x" * 60, 20, 120))
    assert " ".join(lines).split() == ["one", "two", "three", "four", "x" * 60]
    assert all(canvas.width_of(line, 20) <= 120 for line in lines[:-1])
    assert len(lines) > 2


def test_a_picture_replaces_pictures_alone(tmp_path: Path) -> None:
    picture = Image.new("RGB", (4, 4), "red")
    target = tmp_path / "a.png"
    for _ in range(2):
        canvas.save(picture, target)
    with Image.open(target) as read:
        assert read.size == (4, 4)
    other = tmp_path / "thesis.txt"
    other.write_text("years of work")
    with pytest.raises(OutputError, match="no PNG"):
        canvas.save(picture, other)
    assert other.read_text() == "years of work"
    with pytest.raises(OutputError, match="not a folder"):
        canvas.save(picture, other / "a.png")
    assert sorted(os.listdir(tmp_path)) == ["a.png", "thesis.txt"]
