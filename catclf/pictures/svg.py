"""A chart → SVG: axes with round ticks, curves, histograms and a legend.

Colours come by the class of each element from `STYLE`, for light grounds and for dark ones: an SVG
file holds that style itself, a page once for all its charts.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from catclf.common.chart import Bars, Chart, Curve
from catclf.common.files import OutputFormat
from catclf.common.text import printable, shorten, width_in_cells
from catclf.common.types import Array
from catclf.errors import OutputError
from catclf.pictures import Markup, joined, tag

WIDTH, HEIGHT = 720, 480
"""A chart has so many pixels where it is not scaled."""
STYLE = Path(__file__).with_name("chart.css").read_text(encoding="utf-8")
COLOURS = 6
"""`STYLE` has so many colours for curves and histograms, c0 to c5."""
SVG_FILE = OutputFormat(
    "chart", OutputError, rb"\s*<(svg|\?xml)", "what is there is no SVG file; name another file"
)

_LEFT, _RIGHT, _TOP, _BOTTOM = 88, WIDTH - 24, 48, HEIGHT - 64  # of the axes, without a legend
_LINE, _SAMPLE = 24, 36  # height of a line of the legend, width of what a curve looks like there
_LETTER = 9.2  # width of a letter, about, for the viewer's font is unknown
_MARKED = 9  # of several curves so many points are marked
_CIRCLE = "m-4.5 0a4.5 4.5 0 1 0 9 0 4.5 4.5 0 1 0-9 0z"
_MARKS = ("m0-6.5 6 10.5h-12z", "m-4.2-4.2h8.4v8.4h-8.4z", "m0-6 6 6-6 6-6-6z", _CIRCLE)
"""Outlines around a point, so that colour is not all that tells curves apart."""


def check_target(path: str | os.PathLike[str]) -> None:
    """Raise OutputError if a chart could not, or should not, be written to `path`.

    What is there already is replaced only if it is SVG, or empty.
    """
    stem, suffix = os.path.splitext(path)
    if suffix.casefold() != ".svg":
        with SVG_FILE.errors(path):
            name = os.path.basename(stem).strip(".") or "curve"
            raise OSError(f"charts are SVG files; name it {name}.svg")
    SVG_FILE.check(path)


def save(chart: Chart, path: str | os.PathLike[str]) -> None:
    """Write a chart as an SVG file, whole or not at all; raise OutputError if that fails."""
    with SVG_FILE.replacing(path) as file:
        file.write(draw(chart, style=STYLE).encode())


def draw(chart: Chart, description: str = "", style: str = "") -> Markup:
    """Draw a chart; a screen reader says the description, by default the title, in its place.

    `style` is CSS that the SVG holds: `STYLE`, but where it is drawn for a page.
    """
    legend, top = _legend(chart)
    x_axis, y_axis = _axes(chart, top)
    lines, marks = [], []
    for curve, colour, mark in _styled(chart):
        pieces = _pieces(curve, x_axis, y_axis)
        lines.append(_line(pieces, colour))
        if mark:
            marks.append(_marks(pieces, colour, mark, curve.dots, top))
    left, width, height = _LEFT - 2, _RIGHT - _LEFT + 4, _BOTTOM - top + 4
    inside = tag(  # an <svg> of its own cuts off what lies beyond the axes
        "svg",
        *_bars(chart.bars, x_axis, y_axis),
        *lines,
        x=left,
        y=top - 2,
        width=width,
        height=height,
        viewBox=f"{left} {top - 2} {width} {height}",
    )
    y_label = _text(chart.y_label, 40, 0, 0, "middle")
    return tag(
        "svg",
        *([tag("style", Markup(style))] if style else []),
        tag("rect", class_="area ground", width=WIDTH, height=HEIGHT),
        *_ticks(x_axis, y_axis),
        inside,
        tag("path", class_="line", d=f"M{_LEFT} {top}V{_BOTTOM}H{_RIGHT}"),
        *marks,
        _text(chart.title, 64, WIDTH / 2, 30, "title middle"),
        _text(chart.x_label, 66, (_LEFT + _RIGHT) / 2, HEIGHT - 12, "middle"),
        tag("g", y_label, transform=f"translate(22 {(top + _BOTTOM) / 2:g}) rotate(-90)"),
        *legend,
        xmlns="http://www.w3.org/2000/svg",
        class_="chart",
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        width=WIDTH,
        height=HEIGHT,
        role="img",
        aria_label=description or chart.title,
    )


@dataclass(frozen=True)
class _Axis:
    """Values → pixels, along one axis."""

    values: tuple[float, float]
    pixels: tuple[int, int]
    log: bool = False

    def __call__(self, values: Array) -> Array:
        low, high = (math.log10(v) if self.log else v for v in self.values)
        with np.errstate(divide="ignore", invalid="ignore"):
            v = np.log10(values) if self.log else np.asarray(values, dtype=np.float64)
        start, end = self.pixels
        places = np.where(np.isfinite(v), start + (v - low) / (high - low) * (end - start), np.nan)
        return np.clip(places, -9999.0, 9999.0)  # beyond the picture, but not too far to be drawn

    def at(self, value: float) -> float:
        return float(self(np.array(value)))

    def ticks(self) -> list[float]:
        """Choose round values: 1, 2 or 5 times a power of ten; whole decades on a long log axis."""
        low, high = self.values
        if self.log:
            first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
            decades = math.log10(high / low)
            steps = (1, 2, 5) if 1 < decades <= 3 else (1,) if decades > 3 else range(1, 10)
            every = -(-(last - first) // 8)
            values = [k * 10.0**e for e in range(first, last + 1, every) for k in steps]
            values = [v for v in values if 0.999999 * low <= v <= 1.000001 * high]
            if len(values) > 1:
                return values
        step = (high - low) / 6
        power = 10.0 ** math.floor(math.log10(step))
        step = next(k * power for k in (1, 2, 5, 10) if k * power >= step)
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        return [round(k * step, 12) for k in range(first, last + 1)]


def _axes(chart: Chart, top: int) -> tuple[_Axis, _Axis]:
    """Lay out both axes, the vertical one up to `top`."""
    x = [*(curve.x for curve in chart.curves), *(bars.edges for bars in chart.bars)]
    y = [*(curve.y for curve in chart.curves), *(np.append(b.heights, 0) for b in chart.bars)]
    x_range = chart.x_range or _extent(x)
    y_range = chart.y_range or _extent(y, room=0.04, log=chart.log_y)
    return _Axis(x_range, (_LEFT, _RIGHT)), _Axis(y_range, (_BOTTOM, top), chart.log_y)


def _extent(values: Sequence[Array], room: float = 0.0, log: bool = False) -> tuple[float, float]:
    """Find the least and the greatest finite value, with some room, and never none between."""
    every = np.concatenate([np.ravel(v).astype(np.float64) for v in values] or [np.zeros(0)])
    every = every[(np.abs(every) < 1e300) & (every > (0 if log else -np.inf))]  # not NaN either
    low, high = (float(every.min()), float(every.max())) if every.size else (1.0, 1.0)
    if log:
        factor = max((high / low) ** room, 1.05)
        return low / factor, high * factor
    space = (high - low) * room if high > low else 0.5 * (abs(high) or 1.0)
    return low - (space if low else 0.0), high + space


def _styled(chart: Chart) -> Iterator[tuple[Curve, str, str]]:
    """Give each curve its colour's class and its marks' outline, "" where it needs no marks."""
    several = sum(not curve.dashed for curve in chart.curves) > 1
    place = len(chart.bars)
    for curve in chart.curves:
        if curve.dashed:
            yield curve, "reference dashed", ""
            continue
        alone = _CIRCLE if curve.dots or curve.x.size == 1 else ""  # one point makes no line
        yield curve, f"c{place % COLOURS}", _MARKS[place % len(_MARKS)] if several else alone
        place += 1


def _pieces(curve: Curve, x_axis: _Axis, y_axis: _Axis) -> list[Array]:
    """Give the curve's points in pixels, float64 (k, 2), broken where it is not finite."""
    points = np.stack([x_axis(curve.x), y_axis(curve.y)], axis=1)
    finite = np.isfinite(points).all(axis=1)
    pieces = np.split(points, np.flatnonzero(np.diff(finite)) + 1)
    return [piece for piece in pieces if len(piece) and np.isfinite(piece[0]).all()]


def _line(pieces: Sequence[Array], colour: str) -> Markup:
    paths = (" ".join(f"{x:.1f} {y:.1f}" for x, y in piece) for piece in pieces if len(piece) > 1)
    return tag("path", class_=f"line {colour}", d="".join(f"M{path}" for path in paths))


def _marks(pieces: Sequence[Array], colour: str, mark: str, every: bool, top: int) -> Markup:
    """Mark every point, or some, of those that lie between the axes."""
    points = np.concatenate([np.zeros((0, 2)), *pieces])
    if not every and len(points) > _MARKED:
        points = points[np.linspace(0, len(points) - 1, _MARKED).astype(int)]
    inside = ((points >= (_LEFT - 1, top - 1)) & (points <= (_RIGHT + 1, _BOTTOM + 1))).all(axis=1)
    d = "".join(f"M{x:.1f} {y:.1f}{mark}" for x, y in points[inside])
    return tag("path", class_=f"area {colour}", d=d)


def _bars(histograms: Sequence[Bars], x_axis: _Axis, y_axis: _Axis) -> Iterator[Markup]:
    """Draw histograms; several stand side by side in each bin."""
    floor = y_axis.values[0] if y_axis.log else max(0.0, y_axis.values[0])
    bottom = y_axis.at(floor)
    for place, bars in enumerate(histograms):
        edges, tops = x_axis(bars.edges), y_axis(np.maximum(bars.heights, floor))
        widths = (np.diff(edges) - 2) / len(histograms)
        lefts = edges[:-1] + 1 + place * widths
        for x, y, width in zip(lefts, tops, widths, strict=True):
            if y < bottom:
                colour = f"area c{place % COLOURS}"
                yield tag("rect", class_=colour, x=x, y=y, width=width, height=bottom - y)


def _ticks(x_axis: _Axis, y_axis: _Axis) -> Iterator[Markup]:
    """Draw the ticks with their values, and lines across at those of the vertical axis."""
    for value in x_axis.ticks():
        x = x_axis.at(value)
        yield tag("path", class_="line thin", d=f"M{x:.1f} {_BOTTOM}v5")
        yield _text(f"{value:g}", 12, x, _BOTTOM + 20, "tick middle")
    for value in y_axis.ticks():
        y = y_axis.at(value)
        yield tag("path", class_="line thin grid", d=f"M{_LEFT} {y:.1f}H{_RIGHT}")
        yield tag("path", class_="line thin", d=f"M{_LEFT} {y:.1f}h-5")
        yield _text(f"{value:g}", 12, _LEFT - 9, y + 5, "tick end")


def _legend(chart: Chart) -> tuple[list[Markup], int]:
    """Lay out the names, each beside what its curve looks like, and find where the axes begin."""
    samples = [
        (bars.name, tag("path", class_=f"area c{i % COLOURS}", d="M2-6h24v12h-24z"))
        for i, bars in enumerate(chart.bars)
    ]
    for curve, colour, mark in _styled(chart):
        line = tag("path", class_=f"line {colour}", d="M0 0h28")
        point = tag("path", class_=f"area {colour}", d=f"M14 0{mark}")
        samples.append((curve.name, joined(line, point) if mark else line))
    legend: list[Markup] = []
    x, y = _LEFT, _TOP + _LINE // 2 - 3
    for name, sample in samples:
        if not name:
            continue
        width = _SAMPLE + round(_LETTER * width_in_cells(_fit(name, 58))) + 20
        if legend and x + width > _RIGHT:
            x, y = _LEFT, y + _LINE
        words = _text(name, 58, _SAMPLE, 5, "")
        legend.append(tag("g", sample, words, transform=f"translate({x} {y})"))
        x += width
    return legend, y + _LINE // 2 + 3 if legend else _TOP


def _text(words: str, letters: int, x: float, y: float, style: str) -> Markup:
    """Write a line of so many letters at most."""
    return tag("text", _fit(words, letters), class_=style, x=x, y=y)


def _fit(words: str, letters: int) -> str:
    return shorten(printable(words), letters)
