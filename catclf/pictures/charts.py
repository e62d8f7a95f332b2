"""Curves and histograms → a picture with axes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from catclf.logistic import Array
from catclf.pictures.canvas import Canvas, width_of

SIZE = (1440, 960)
"""Of a chart, in pixels; it is meant to be shown at half that size."""
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
DARK_COLOURS = ("#56B4E9", "#E69F00", "#00B583", "#E091BD", "#F0E442", "#F07A2B")
"""Those of Okabe & Ito 2008, which the colour-blind can tell apart; lighter on a dark ground."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 176, 48, 96, 128  # margins, in pixels; more above for a legend
_LINE, _TITLE, _TEXT, _TICK = 48, 40, 32, 29
_SAMPLE = 72  # of a curve, beside its name
_MARKS = 9  # on each of several curves, so that colour is not all that tells them apart


@dataclass(frozen=True)
class Line:
    """A curve through (x, y), float arrays of one length; what is not finite breaks it."""

    x: Array
    y: Array
    name: str = ""
    dots: bool = False
    """Mark every point."""
    dashed: bool = False
    """Draw it grey and dashed: something to compare with."""


@dataclass(frozen=True)
class Bars:
    """A histogram: heights (k,) over edges (k + 1,)."""

    edges: Array
    heights: Array
    name: str = ""


@dataclass(frozen=True)
class _Theme:
    ground: str
    ink: str
    grid: str
    grey: str
    colours: tuple[str, ...]


_LIGHT = _Theme("#ffffff", "#1a1a1a", "#dddddd", "#6b6b6b", COLOURS)
_DARK = _Theme("#16181c", "#ececec", "#3a3d43", "#a3a3a3", DARK_COLOURS)


def chart(
    curves: Sequence[Line | Bars],
    *,
    title: str,
    x_label: str,
    y_label: str,
    log_y: bool = False,
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
    dark: bool = False,
) -> Image.Image:
    """Draw curves and histograms over common axes.

    Parameters
    ----------
    curves : sequence of Line or Bars
        Those with a name are listed above the axes.
    title, x_label, y_label : str
    log_y : bool
        Whether the vertical axis is logarithmic; what is not above zero is left out.
    x_range, y_range : (low, high), optional
        What the axes show; as much as there is by default.
    dark : bool
        Light lines on a dark ground.

    Returns
    -------
    RGB picture of 1440 × 960 pixels.
    """
    theme = _DARK if dark else _LIGHT
    canvas = Canvas(*SIZE, theme.ground)
    legend = _legend_rows([curve.name for curve in curves])
    top, bottom, right = _TOP + _LINE * len(legend), SIZE[1] - _BOTTOM, SIZE[0] - _RIGHT
    x_values = [c.x if isinstance(c, Line) else c.edges for c in curves]
    y_values = [c.y if isinstance(c, Line) else np.append(c.heights, 0.0) for c in curves]
    x_axis = _Axis(x_range or _extent(x_values), (_LEFT, right))
    y_axis = _Axis(y_range or _extent(y_values, room=0.04, log=log_y), (bottom, top), log_y)
    for value in y_axis.ticks():
        canvas.line([(_LEFT, y_axis.at(value)), (right, y_axis.at(value))], theme.grid)

    styles = list(_styles(curves, theme))
    histograms = [
        (c, colour) for c, (colour, _) in zip(curves, styles, strict=True) if isinstance(c, Bars)
    ]
    for place, (bars, colour) in enumerate(histograms):
        _draw_bars(canvas, bars, colour, x_axis, y_axis, place, len(histograms))
    several = sum(isinstance(curve, Line) and not curve.dashed for curve in curves) > 1
    lines = [(c, *style) for c, style in zip(curves, styles, strict=True) if isinstance(c, Line)]
    for line, colour, _ in lines:
        _draw_line(canvas, line, colour, x_axis, y_axis)
    _draw_axes(canvas, theme, x_axis, y_axis)
    for line, colour, corners in lines:
        _draw_marks(canvas, line, colour, corners, several, x_axis, y_axis)
    canvas.text(SIZE[0] / 2, 22, title, _TITLE, theme.ink, "ma")
    canvas.text((_LEFT + right) / 2, SIZE[1] - 16, x_label, _TEXT, theme.ink, "md")
    canvas.upright(34, (top + bottom) / 2, y_label, _TEXT, theme.ink)
    for row, names in enumerate(legend):
        x, y = _LEFT, _TOP - 6 + _LINE * row + _LINE // 2
        for i, width in names:
            _draw_sample(canvas, curves[i], *styles[i], several, x, y)
            canvas.text(x + _SAMPLE, y, curves[i].name, _TEXT, theme.ink, "lm")
            x += width
    return canvas.finish()


class _Axis:
    """Values → pixels, along one axis."""

    def __init__(
        self, values: tuple[float, float], pixels: tuple[int, int], log: bool = False
    ) -> None:
        self.values, self.pixels, self.log = values, pixels, log

    def __call__(self, values: Array) -> Array:
        low, high = (math.log10(v) if self.log else v for v in self.values)
        with np.errstate(divide="ignore", invalid="ignore"):
            v = np.log10(values) if self.log else np.asarray(values, dtype=np.float64)
        start, end = self.pixels
        found = start + (v - low) / (high - low) * (end - start)
        return np.clip(found, -9999.0, 9999.0)  # beyond the picture, but not too far to be drawn

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
            found = [k * 10.0**e for e in range(first, last + 1, every) for k in steps]
            found = [v for v in found if 0.999999 * low <= v <= 1.000001 * high]
            if len(found) > 1:
                return found
        step = (high - low) / 6
        power = 10.0 ** math.floor(math.log10(step))
        step = next(k * power for k in (1, 2, 5, 10) if k * power >= step)
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        return [round(k * step, 12) for k in range(first, last + 1)]


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


def _styles(curves: Sequence[Line | Bars], theme: _Theme) -> Iterator[tuple[str, int]]:
    """Give each curve its colour and its marks' corners; references are grey and have none."""
    place = 0
    for curve in curves:
        if isinstance(curve, Line) and curve.dashed:
            yield theme.grey, 0
        else:
            yield theme.colours[place % len(theme.colours)], 3 + place % 4
            place += 1


def _pieces(curve: Line, x_axis: _Axis, y_axis: _Axis) -> Iterator[list[tuple[float, float]]]:
    """Give the curve's points in pixels, broken where it is not finite."""
    x, y = x_axis(curve.x), y_axis(curve.y)
    known = np.isfinite(x) & np.isfinite(y)
    for piece in np.split(np.arange(len(x)), np.flatnonzero(np.diff(known)) + 1):
        if len(piece) and known[piece[0]]:
            yield list(zip(x[piece].tolist(), y[piece].tolist(), strict=True))


def _draw_line(canvas: Canvas, curve: Line, colour: str, x_axis: _Axis, y_axis: _Axis) -> None:
    for points in _pieces(curve, x_axis, y_axis):
        if len(points) > 1 and curve.dashed:
            canvas.dashed(points, colour)
        elif len(points) > 1:
            canvas.line(points, colour, 4)


def _draw_marks(
    canvas: Canvas,
    curve: Line,
    colour: str,
    corners: int,
    several: bool,
    x_axis: _Axis,
    y_axis: _Axis,
) -> None:
    """Mark points of a curve: all of it if it wants that, else some if there are several curves."""
    pieces = list(_pieces(curve, x_axis, y_axis))
    points = [point for piece in pieces for point in piece]
    if several and not curve.dots and not curve.dashed and points:
        points = [points[i] for i in np.linspace(0, len(points) - 1, _MARKS).astype(int)]
    elif not curve.dots:
        points = [piece[0] for piece in pieces if len(piece) == 1]
    (left, right), (bottom, top) = x_axis.pixels, y_axis.pixels
    for x, y in points:
        if left - 1 <= x <= right + 1 and top - 1 <= y <= bottom + 1:
            canvas.mark(x, y, colour, corners if several else 0)


def _draw_bars(
    canvas: Canvas, bars: Bars, colour: str, x_axis: _Axis, y_axis: _Axis, place: int, of: int
) -> None:
    """Draw a histogram; several stand side by side in each bin."""
    floor = y_axis.values[0] if y_axis.log else max(0.0, y_axis.values[0])
    edges, heights = x_axis(bars.edges), y_axis(np.maximum(bars.heights, floor))
    for left, right, height in zip(edges[:-1], edges[1:], heights, strict=True):
        width = (right - left - 4) / of
        x = left + 2 + place * width
        if height < y_axis.at(floor):
            canvas.box(x, float(height), x + width, y_axis.at(floor), colour)


def _draw_axes(canvas: Canvas, theme: _Theme, x_axis: _Axis, y_axis: _Axis) -> None:
    """Cover what was drawn beyond the axes, and draw these, with their ticks."""
    width, height = SIZE
    (left, right), (bottom, top) = x_axis.pixels, y_axis.pixels
    for box in (
        (0, 0, width, top - 3),
        (0, bottom + 3, width, height),
        (0, 0, left - 3, height),
        (right + 3, 0, width, height),
    ):
        canvas.box(*box, theme.ground)
    canvas.line([(left, top), (left, bottom), (right, bottom)], theme.ink)
    for value in x_axis.ticks():
        x = x_axis.at(value)
        canvas.line([(x, bottom), (x, bottom + 8)], theme.ink)
        canvas.text(x, bottom + 16, f"{value:g}", _TICK, theme.ink, "ma")
    for value in y_axis.ticks():
        y = y_axis.at(value)
        canvas.line([(left - 8, y), (left, y)], theme.ink)
        canvas.text(left - 16, y, f"{value:g}", _TICK, theme.ink, "rm")


def _legend_rows(names: Sequence[str]) -> list[list[tuple[int, int]]]:
    """Lay out the names in rows: for each its curve's place and its width in pixels."""
    rows: list[list[tuple[int, int]]] = []
    room = 0
    for i, name in enumerate(names):
        if not name:
            continue
        width = _SAMPLE + width_of(name, _TEXT) + 40
        if not rows or width > room:
            rows.append([])
            room = SIZE[0] - _LEFT - _RIGHT
        rows[-1].append((i, width))
        room -= width
    return rows


def _draw_sample(
    canvas: Canvas, curve: Line | Bars, colour: str, corners: int, several: bool, x: int, y: int
) -> None:
    """Draw what a curve looks like beside its name."""
    if isinstance(curve, Bars):
        canvas.box(x + 8, y - 11, x + 56, y + 11, colour)
    elif curve.dashed:
        canvas.dashed([(x, y), (x + 56, y)], colour)
    else:
        canvas.line([(x, y), (x + 56, y)], colour, 4)
        if several or curve.dots:
            canvas.mark(x + 28, y, colour, corners if several else 0)
