"""Charts drawn with characters, for terminals and pipes."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from catclf.common.chart import Chart

ROWS = 15  # odd, so that there is a middle one
WIDEST = 60
MARGIN = 9  # for the figures of the y-axis
MARKS = "*o+x"


def plot(chart: Chart, width: int) -> str:
    """Draw the curves of a chart in so many columns; where they cross, the first is in front."""
    columns = max(min(width, WIDEST) - MARGIN, 10)
    x = np.concatenate([curve.x for curve in chart.curves])
    y = np.concatenate([curve.y for curve in chart.curves])
    first, last = float(x.min()), float(x.max())
    low, high = chart.y_range or (float(y.min()), float(y.max()))
    free = iter(MARKS)
    marks = ["." if curve.dashed else next(free) for curve in chart.curves]
    canvas = np.full((ROWS, columns), " ")
    for curve, mark in reversed(list(zip(chart.curves, marks, strict=True))):
        if curve.dots:
            at, heights = (curve.x - first) / (last - first) * (columns - 1), curve.y
        else:
            at = np.arange(columns, dtype=np.float64)
            heights = np.interp(
                np.linspace(first, last, columns), curve.x, curve.y, left=np.inf, right=np.inf
            )
        rows = (high - heights) / (high - low) * (ROWS - 1)
        seen = (rows > -0.5) & (rows < ROWS - 0.5)
        canvas[np.rint(rows[seen]).astype(int), np.rint(at[seen]).astype(int)] = mark
    ticks = {0: f"{high:.3g}", ROWS // 2: f"{(low + high) / 2:.3g}", ROWS - 1: f"{low:.3g}"}
    left, middle, right = (f"{v:.3g}" for v in (first, (first + last) / 2, last))
    scale = f"{left:<{columns // 2}}{middle}"
    lines = [
        *textwrap.wrap(chart.title, width),
        f"{chart.y_label:>{MARGIN - 2}}",
        *(f"{ticks.get(i, ''):>{MARGIN - 2}} │{''.join(row)}" for i, row in enumerate(canvas)),
        " " * (MARGIN - 1) + "└" + "─" * columns,
        " " * MARGIN + f"{scale:<{columns - len(right)}}{right}",
        " " * MARGIN + chart.x_label.center(columns),
    ]
    for curve, mark in zip(chart.curves, marks, strict=True):
        if curve.name:
            lines.append(f"{' ' * MARGIN}{mark} {curve.name}")
    return "\n".join(line.rstrip() for line in lines)
