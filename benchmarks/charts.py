"""The charts: where a picture tells more than the table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.results import Result, seconds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OURS, OTHERS = "#c44e52", "#8c9bb4"


def _draw_training(axes: Axes, result: Result) -> None:
    """Show the seconds of each solver on pixels, catclf first."""
    work = "pixels, λ = 0.01"
    rows = [row for row in result.rows if row["work"] == work and row["seconds"]]
    took = [row["seconds"] for row in rows]
    late = ["" if row["cost above, relative"] <= 1e-6 else ", not there" for row in rows]
    axes.barh(range(len(rows)), took, color=[OURS, *[OTHERS] * (len(rows) - 1)], height=0.6)
    for y, (value, note) in enumerate(zip(took, late, strict=True)):
        axes.text(value * 1.15, y, seconds(value) + note, va="center")
    axes.set(xscale="log", xlabel=f"seconds, {work}", xlim=(min(took) / 3, max(took) * 30))
    axes.set_yticks(range(len(rows)), [row["solver"] for row in rows])
    axes.invert_yaxis()


def _draw_gram(axes: Axes, result: Result) -> None:
    """Show the seconds in both coordinates over m."""
    m = [row["m"] for row in result.rows]
    for head, label, colour in (
        ("primal, s", "primal: w, n_x numbers", OTHERS),
        ("Gram, s", "Gram: c, m numbers", OURS),
    ):
        axes.plot(m, [row[head] for row in result.rows], "o-", color=colour, label=label)
    heads = {"primal": "primal, s", "gram": "Gram, s"}
    chosen = [row[heads[row["chosen"]]] for row in result.rows]
    axes.plot(m, chosen, "o", ms=13, mfc="none", mec="black", label="chosen automatically")
    axes.set(xscale="log", yscale="log", xlabel="m, images", ylabel="seconds for 2,000 steps")
    axes.set_xticks(m, [f"{value:,}" for value in m])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend()


CHARTS = {"training": _draw_training, "gram": _draw_gram}
"""What draws each of them, by the benchmark's name."""


def save(result: Result, path: Path) -> None:
    """Draw a result's chart as SVG, its text as text; the same bytes for the same figures."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "catclf", "svg.fonttype": "none"}):
        figure = Figure(figsize=(7.5, 4.0), layout="constrained", facecolor="white")
        axes = figure.subplots()
        CHARTS[result.name](axes, result)
        axes.set_title(result.title)
        axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(path, metadata={"Date": None})
