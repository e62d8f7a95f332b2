"""Charts drawn with characters, for terminals and pipes."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from catclf.common.chart import Chart, Curve

ROWS = 15  # odd, so that there is a middle one
WIDEST = 60
MARKS = "*o+x"


def plot(chart: Chart, width: int) -> str:
    """Draw a chart in so many columns; where curves cross, the first is in front."""
    left = 9  # the figures of the y-axis
    columns = max(min(width, WIDEST) - left, 10)
    x = np.concatenate([curve.x for curve in chart.curves])
    y = np.concatenate([curve.y for curve in chart.curves])
    x_range = (float(x.min()), float(x.max()))
    low, high = chart.y_range or (float(y.min()), float(y.max()))
    high = high if high > low else low + 1.0
    canvas = np.full((ROWS, columns), " ")
    marks = _marks(chart.curves)
    for curve, mark in reversed(list(zip(chart.curves, marks, strict=True))):
        px, py = _points(curve, x_range, columns)
        rows = np.rint((py - low) / (high - low) * (ROWS - 1))
        seen = (rows >= 0) & (rows < ROWS)
        canvas[ROWS - 1 - rows[seen].astype(int), px[seen]] = mark
    ticks = {0: high, ROWS // 2: high - (high - low) * (ROWS // 2) / (ROWS - 1), ROWS - 1: low}
    lines = [*textwrap.wrap(chart.title, width), f"{chart.y_label:>{left - 2}}"]
    for i, row in enumerate(canvas):
        tick = f"{ticks[i]:.3g}" if i in ticks else ""
        lines.append(f"{tick:>{left - 2}} │{''.join(row)}".rstrip())
    lines.append(" " * (left - 1) + "└" + "─" * columns)
    first, last = (f"{v:.3g}" for v in x_range)
    middle = f"{sum(x_range) / 2:.3g}"
    scale = f"{first:<{columns // 2}}{middle}"
    lines.append(" " * left + f"{scale:<{columns - len(last)}}{last}")
    lines.append(" " * left + chart.x_label.center(columns).rstrip())
    for curve, mark in zip(chart.curves, marks, strict=True):
        if curve.name:
            lines.append(f"{' ' * left}{mark} {curve.name}")
    return "\n".join(lines)


def _marks(curves: Sequence[Curve]) -> list[str]:
    """Give each curve its character; references have a dot."""
    free = iter(MARKS)
    return ["." if curve.dashed else next(free) for curve in curves]


def _points(
    curve: Curve, x_range: tuple[float, float], columns: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Give the curve's column and height wherever it is to be marked."""
    first, last = x_range
    span = (last - first) or 1.0
    if curve.dots:
        return np.rint((curve.x - first) / span * (columns - 1)).astype(np.int64), curve.y
    at = first + span * np.arange(columns) / (columns - 1)
    inside = np.flatnonzero((at >= curve.x[0]) & (at <= curve.x[-1]))
    return inside, np.interp(at[inside], curve.x, curve.y)
