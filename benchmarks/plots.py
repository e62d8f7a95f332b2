"""One look for all plots."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

SIZE = (7.5, 4.0)


def save(draw: Callable[[Any], None], title: str, path: Path) -> None:
    """Draw on a new figure and write it, in the form that the path's suffix names."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    # Bytes that do not change where the figures do not.
    with mpl.rc_context({"svg.hashsalt": "catclf", "font.size": 10}):
        figure = Figure(figsize=SIZE, layout="constrained", facecolor="white")
        draw(figure)
        figure.axes[0].set_title(title)
        more = {"metadata": {"Date": None}} if path.suffix == ".svg" else {"dpi": 100}
        figure.savefig(path, **more)


def bars(figure: Any, values: Sequence[tuple[str, float]], label: str) -> None:
    """Draw a bar for each value on a logarithmic axis, with the value beside it."""
    from benchmarks.frame import seconds

    axes = figure.subplots()
    names, sizes = zip(*values, strict=True)
    colours = ["#c44e52" if name.startswith("catclf") else "#8c9bb4" for name in names]
    axes.barh(range(len(names)), sizes, color=colours, height=0.6)
    for y, size in enumerate(sizes):
        axes.text(size * 1.15, y, seconds(size), va="center")
    axes.set(xscale="log", xlabel=label, xlim=(min(sizes) / 3, max(sizes) * 6))
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)


def in_pairs(
    figure: Any, rows: Sequence[dict[str, Any]], names: Sequence[str], ours: str, beside: str
) -> Any:
    """Draw two bars for each row, of the values under two keys, ours first; give the axes."""
    axes = figure.subplots()
    y = range(len(rows))
    for key, shift, colour in ((ours, -0.2, "#c44e52"), (beside, 0.2, "#8c9bb4")):
        sizes = [row[key] or 0.0 for row in rows]
        axes.barh([i + shift for i in y], sizes, height=0.36, color=colour)
    axes.set_yticks(y, names)
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def over_sizes(axes: Any, m: Sequence[int], label: str) -> None:
    """Finish a plot of seconds against the number of images, both logarithmic."""
    axes.set(xscale="log", yscale="log", xlabel="m, images", ylabel=label)
    axes.set_xticks(m, [f"{value:,}" for value in m])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend()
