"""2,000 steps of gradient descent: the lesson's loops, its vectorized form, and catclf's."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks import frame
from benchmarks.frame import Column, Line, Result, Settings
from catclf.lesson.vectorization import gradient_loops
from catclf.logistic import Array, descend
from catclf.solvers.coordinates import cheaper, choose
from catclf.solvers.cross_validation import sample_weights
from catclf.solvers.descent import gradient_descent
from catclf.solvers.examples import Examples

PACKAGES: tuple[str, ...] = ()
ITERATIONS = 2000
LEARNING_RATE = 0.005
SLICE = 20
"""Examples on which the explicit loops are timed, for one step."""
LOOPS, VECTORIZED, CATCLF = "the lesson's two loops", "the lesson vectorized", "catclf"


def run(settings: Settings) -> Result:
    named, X, Y = settings.pixels()
    part = min(2 if settings.quick else SLICE, X.shape[1])
    iterations = 20 if settings.quick else ITERATIONS
    times, found = frame.in_turns(
        {
            LOOPS: lambda: gradient_loops(np.zeros((len(X), 1)), 0.0, X[:, :part], Y[:, :part])[1],
            VECTORIZED: lambda: _vectorized(X, Y, iterations),
            CATCLF: lambda: _ours(X, Y, iterations),
        },
        settings.rounds(9),
    )
    times[LOOPS] = [t * X.shape[1] / part * iterations for t in times[LOOPS]]
    rows = [
        {
            "form": name,
            "seconds": frame.median(times[name]),
            "vectorized": frame.ratio(times, VECTORIZED, name),
            "loops": frame.ratio(times, LOOPS, name),
        }
        for name in times
    ]
    apart = np.abs(found[CATCLF] - found[VECTORIZED]).max() / np.abs(found[VECTORIZED]).max()
    return Result(
        "The lesson's loops",
        f"{iterations:,} steps at {LEARNING_RATE} from zero on {named}: "
        f"X is {X.shape[0]:,} × {X.shape[1]:,}, float64. {settings.rounds(9)} rounds in turns.",
        [
            Column("form", "form"),
            Column("seconds", "seconds", ",.4g"),
            Column("vectorized", "vectorized / it", ",.3g"),
            Column("loops", "loops / it", ",.0f"),
        ],
        rows,
        [
            f"The loops were run for one step on {part} examples and scaled up to all.",
            f"The largest difference between catclf's w and the lesson's, relative: {apart:.1e}.",
            f"catclf chose {cheaper(*X.shape, iterations)} coordinates; building them is included.",
        ],
    )


def _vectorized(X: Array, Y: Array, iterations: int) -> Array:
    return descend(X, Y, LEARNING_RATE, iterations)[0]


def _ours(X: Array, Y: Array, iterations: int) -> Array:
    return gradient_descent(
        choose(Examples(X.T), iterations),
        Y,
        sample_weights(X.shape[1]),
        learning_rate=LEARNING_RATE,
        iterations=iterations,
    ).w


def plot(result: Result, figure: Any) -> None:
    from benchmarks.plots import bars

    bars(figure, [(row["form"], row["seconds"]) for row in result.rows], "seconds for 2,000 steps")


def summary(result: Result) -> list[Line]:
    ours = result.row(form=CATCLF)
    lines = []
    for form, key in ((VECTORIZED, "vectorized"), (LOOPS, "loops")):
        other = result.row(form=form)
        assert ours is not None
        assert other is not None
        scaled = ", scaled up" if form == LOOPS else ""
        lines.append(
            Line(
                "2,000 steps of descent",
                frame.seconds(ours["seconds"]),
                f"{form}: {frame.seconds(other['seconds'])}{scaled}",
                frame.times_as_fast(ours[key]),
            )
        )
    return lines
