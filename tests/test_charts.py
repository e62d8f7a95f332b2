"""Charts: what lies where in the drawing, read back from the SVG."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from catclf.common.chart import Bars, Chart, Curve
from catclf.common.text import printable
from catclf.pictures import svg
from catclf.pictures.svg import _Axis, _extent

LEFT, RIGHT, TOP, BOTTOM = 88, 696, 48, 416
UNIT = {"x_range": (0.0, 1.0), "y_range": (0.0, 1.0)}


def drawn(curves=(), bars=(), title="t", **axes):
    """Draw a chart as a page holds it, and as a file: both are XML, and hold the same shapes."""
    chart = Chart(title, "x", "y", curves, bars, **axes)
    page, file = (ElementTree.fromstring(svg.draw(chart, style=css)) for css in ("", svg.STYLE))
    style = file[0]
    assert style.tag.endswith("style")
    file.remove(style)
    assert ElementTree.tostring(page) == ElementTree.tostring(file)
    return page


def shapes(root, *classes):
    return [e for e in root.iter() if set(classes) <= set(e.get("class", "").split())]


def runs(shape):
    """The unbroken runs of points, float (k, 2), of a path."""
    return [np.array(run.split(), float).reshape(-1, 2) for run in shape.get("d").split("M")[1:]]


def shares(points):
    """Turn pixels into shares of both axes."""
    return (points - (LEFT, BOTTOM)) / (RIGHT - LEFT, TOP - BOTTOM)


def marks(root, colour):
    """The points that are marked in a colour, and the outlines around them."""
    found = [
        re.fullmatch(r"([\d.]+) ([\d.]+)(m.*)", d)
        for path in shapes(root, "area", colour)
        for d in path.get("d", "").split("M")[1:]
    ]
    return np.array([(float(m[1]), float(m[2])) for m in found]), {m[3] for m in found}


def words(root):
    return [e.text for e in root.iter() if e.tag.endswith("text")]


def test_a_curve_runs_through_its_points_and_what_is_not_finite_breaks_it():
    x = np.linspace(0, 1, 101)
    y = np.where((x > 0.4) & (x < 0.6), np.nan, x**2)
    y[:10] = np.inf
    (curve,) = shapes(drawn([Curve(x, y)], **UNIT), "line", "c0")
    first, second = (shares(run) for run in runs(curve))
    np.testing.assert_allclose(first[:, 0], x[10:41], atol=2e-4)
    np.testing.assert_allclose(second[:, 0], x[60:], atol=2e-4)
    np.testing.assert_allclose(second[:, 1], x[60:] ** 2, atol=2e-4)


def test_nothing_is_drawn_beyond_the_axes():
    x = np.linspace(-5, 5, 401)
    root = drawn([Curve(x, 1e300 * x), Curve(x, x)], x_range=(-1, 1), y_range=(-1, 1))
    (inside,) = (e for e in root if e.tag.endswith("svg"))
    left, top, width, height = map(float, inside.get("viewBox").split())
    assert [float(inside.get(key)) for key in ("x", "y", "width", "height")] == [
        left, top, width, height,
    ]  # fmt: skip
    assert (left, top, left + width, top + height) == (86, 46, 698, 418)
    assert set(shapes(root, "line", "c0")) <= set(inside)
    for run in runs(shapes(root, "line", "c0")[0]):
        assert np.abs(run).max() < 1e4
    points, _ = marks(root, "c1")
    assert len(points) == 1  # of nine marks on it, one lies between the axes
    np.testing.assert_allclose(points, [[(LEFT + RIGHT) / 2, (TOP + BOTTOM) / 2]])


@pytest.mark.parametrize(
    ("low", "high", "log", "expected"),
    [
        (0.0, 1900.0, False, [0, 500, 1000, 1500]),
        (-0.3, 0.3, False, [-0.3, -0.2, -0.1, 0, 0.1, 0.2, 0.3]),
        (0.14, 0.7, True, [0.2, 0.3, 0.4, 0.5, 0.6, 0.7]),
        (0.004, 0.7, True, [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5]),
        (1e-9, 1e9, True, [1e-9, 1e-6, 1e-3, 1, 1e3, 1e6, 1e9]),
    ],
)
def test_ticks_are_round(low, high, log, expected):
    assert np.allclose(_Axis((low, high), (0, 100), log).ticks(), expected)


def test_log_axis_spaces_powers_of_ten_evenly_and_leaves_out_zero():
    y = np.array([1.0, 0.1, 0.0, -1.0, 0.01])
    root = drawn([Curve(np.arange(5.0), y, dots=True)], log_y=True)
    points, outlines = marks(root, "c0")
    np.testing.assert_allclose(shares(points)[:, 0], [0, 1 / 4, 1], atol=1e-3)
    np.testing.assert_allclose(np.diff(points[:, 1], 2), 0, atol=0.2)
    assert outlines == {svg._CIRCLE}


def test_flat_and_empty_data_have_an_extent():
    for values in ([], [0.0], [3.0, 3.0], [np.nan], [np.inf, 2.0]):
        for log in (False, True):
            low, high = _extent([np.array(values)], 0.04, log)
            assert np.isfinite([low, high]).all()
            assert low < high
    drawn([Curve(np.zeros(0), np.zeros(0), "no points"), Curve(np.ones(1), np.ones(1))])
    drawn(log_y=True)


def test_bars_stand_side_by_side_and_are_as_high_as_they_say():
    edges = np.array([0.0, 0.5, 1.0])
    bars = [Bars(edges, np.array([4.0, 0.0])), Bars(edges, np.array([2.0, 4.0]))]
    root = drawn(bars=bars, y_range=(0, 4))
    boxes = [
        [float(box.get(key)) for key in ("x", "width", "height")]
        for box in (*shapes(root, "area", "c0"), *shapes(root, "area", "c1"))
    ]
    height = BOTTOM - TOP
    assert [box[2] for box in boxes] == [height, height / 2, height]
    (x, width, _), (left, _, _), (right, _, _) = boxes
    assert x + width == left
    assert left < (LEFT + RIGHT) / 2 < right


def test_curves_differ_in_colour_and_in_marks_and_are_named():
    x = np.linspace(0, 1, 20)
    names = [f"curve {k}" for k in range(6)]
    curves = [Curve(x, x * k, name) for k, name in enumerate(names)]
    root = drawn([Curve(x, x, "chance", dashed=True), *curves])
    assert words(root)[-7:] == ["chance", *names]
    assert len(shapes(root, "reference", "dashed")) == 2  # the curve and its sample
    for i in range(6):
        points, outlines = marks(root, f"c{i}")
        assert len(points) == 9 + 1
        assert outlines == {svg._MARKS[i % 4]}
    assert len(set(svg._MARKS)) == 4
    texts = [e.get("transform") for e in root.iter() if e.tag.endswith("}g")][1:]
    assert len(set(texts)) == 7  # none lies over another


@pytest.mark.parametrize(
    "name",
    ["</svg><script>alert(1)</script>", "\"'&<b>", "\x00\x1b[31m\udcff\ufffe\u202e", "猫" * 400],
)
def test_any_name_stays_a_short_text(name):
    root = drawn([Curve(np.zeros(2), np.ones(2), name)], title=name)
    assert {e.tag.split("}")[1] for e in root.iter()} == {"svg", "rect", "path", "text", "g"}
    assert all(len(text) <= 64 for text in words(root))
    assert root.get("aria-label") == printable(name)
