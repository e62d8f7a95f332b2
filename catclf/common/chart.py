"""A chart as plain data: what those compute who have something to show, and what is drawn of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from catclf.common.types import Array


@dataclass(frozen=True)
class Curve:
    """A curve through (x, y), float64 (k,) each; what is not finite breaks it.

    Attributes
    ----------
    name : str
        What the legend calls it; "" leaves it out there.
    dots : bool
        Whether every point is marked.
    dashed : bool
        Whether it is a reference, something to compare the other curves with.
    """

    x: Array
    y: Array
    name: str = ""
    dots: bool = False
    dashed: bool = False


@dataclass(frozen=True)
class Bars:
    """A histogram of heights float64 (k,) over the edges of its bins, float64 (k + 1,)."""

    edges: Array
    heights: Array
    name: str = ""


@dataclass(frozen=True)
class Chart:
    """Curves, and histograms behind them, over common axes.

    Attributes
    ----------
    log_y : bool
        Whether the vertical axis is logarithmic; what is not above zero is left out.
    x_range, y_range : (low, high), optional
        What the axes show; as much as there is by default.
    """

    title: str
    x_label: str
    y_label: str
    curves: Sequence[Curve] = ()
    bars: Sequence[Bars] = ()
    log_y: bool = False
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None
