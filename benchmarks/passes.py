"""How far each solver gets with a number of passes over the data: Newton's method, and descent."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.frame import Column, Line, Result, Settings
from catclf.logistic import Array
from catclf.solvers import coordinates
from catclf.solvers.coordinates import Primal
from catclf.solvers.cross_validation import sample_weights
from catclf.solvers.descent import gradient_descent
from catclf.solvers.examples import Examples
from catclf.solvers.fit import Fit
from catclf.solvers.newton import newton

PACKAGES: tuple[str, ...] = ()
L2S = (1.0, 0.1, 0.01)
RATES = (0.001, 0.003, 0.01)
PASSES = 300
GOALS = (1e-2, 1e-4, 1e-6)


class Counted(Examples):
    """Examples that count the passes over them."""

    passes = 0

    def add_up(self, *asked: Any) -> Any:
        self.passes += 1
        return super().add_up(*asked)


def run(settings: Settings) -> Result:
    data = settings.load()
    images = data.images[:, ::8, ::8] if settings.quick else data.images
    Y, weight = data.Y.astype(np.float64), sample_weights(len(data))
    rows = [row for l2 in L2S for row in _compare(images, Y, weight, l2, settings)]
    return Result(
        "Cost against passes",
        f"Pixels of {data.name}, m = {len(data):,}; Newton's method by conjugate gradients, and "
        f"descent from zeros at the best of the rates {', '.join(map(str, RATES))}. Shown: passes "
        "over the data until the cost is within a share of the optimum's.",
        [
            Column("solver", "solver"),
            Column("l2", "l2", "g"),
            *(Column(_key(goal), f"within {goal:g}", ",") for goal in GOALS),
            Column("end", f"excess after {PASSES} passes", ".1e"),
        ],
        rows,
        [f"–: not within {PASSES} passes."],
    )


def _key(goal: float) -> str:
    return f"within_{goal:g}"


def _compare(
    images: Any, Y: Array, weight: Array, l2: float, settings: Settings
) -> list[dict[str, Any]]:
    steps, J = _newton(images, Y, weight, l2)
    curves = {"Newton": steps}
    passes = 20 if settings.quick else PASSES
    descents = [_descent(images, Y, weight, l2, rate, passes) for rate in RATES]
    curves["descent"] = min(descents, key=lambda curve: curve[-1][1])
    return [
        {
            "solver": name,
            "l2": l2,
            "curve": [(n, float(cost / J - 1)) for n, cost in curve],
            **{
                _key(goal): next((n for n, cost in curve if cost <= J * (1 + goal)), None)
                for goal in GOALS
            },
            "end": max(next(c for n, c in reversed(curve) if n <= PASSES) / J - 1, 0.0),
        }
        for name, curve in curves.items()
    ]


def _newton(images: Any, Y: Array, weight: Array, l2: float) -> tuple[list[Any], float]:
    examples = Counted(images, scale=255.0)
    curve: list[tuple[int, float]] = []
    small, coordinates.SMALL = coordinates.SMALL, 0  # conjugate gradients, however few
    try:
        fit: Fit = newton(
            Primal(examples),
            Y,
            weight,
            l2=l2,
            tolerance=1e-7,
            callback=lambda step, cost: curve.append((examples.passes, cost)),
        )
    finally:
        coordinates.SMALL = small
    return curve, fit.costs[-1][1]


def _descent(
    images: Any, Y: Array, weight: Array, l2: float, rate: float, passes: int
) -> list[tuple[int, float]]:
    system = Primal(Counted(images, scale=255.0))
    curve: list[tuple[int, float]] = []

    def gradient(v: Array, b: Array, Y: Array, weight: Array, l2: float, **_: bool) -> Any:
        J, dv, db = Primal.gradient(system, v, b, Y, weight, l2)  # with the cost, for the curve
        curve.append((system.examples.passes, float(J[0])))  # type: ignore[attr-defined]
        return J, dv, db

    system.gradient = gradient  # type: ignore[method-assign]
    gradient_descent(system, Y, weight, learning_rate=rate, iterations=passes, l2=l2)
    return curve


def plot(result: Result, figure: Any) -> None:
    axes = figure.subplots()
    colours = dict(zip(L2S, ("#4c72b0", "#c44e52", "#55a868"), strict=True))
    for row in result.rows:
        curve = [(n, excess) for n, excess in row["curve"] if excess > 1e-9]
        style = "o-" if row["solver"] == "Newton" else "--"
        label = f"{row['solver']}, l2 {row['l2']:g}"
        axes.plot(*zip(*curve, strict=True), style, ms=4, label=label, color=colours[row["l2"]])
    axes.axhline(1e-4, color="grey", lw=0.8)
    axes.set(yscale="log", xlabel="passes over the data", ylabel="cost / optimum − 1")
    axes.set_xlim(0, PASSES)
    axes.grid(alpha=0.3)
    axes.legend(ncols=2)


def summary(result: Result) -> list[Line]:
    key = _key(1e-4)
    row = result.row(solver="Newton", l2=0.1)
    descent = result.row(solver="descent", l2=0.1)
    assert row is not None
    assert descent is not None
    return [
        Line(
            "passes to within 1e-4 of the optimum, l2 0.1",
            f"{row[key]}",
            f"descent: {descent[key] or f'more than {PASSES}'}",
            "" if not (row[key] and descent[key]) else f"{descent[key] / row[key]:.2g}",
        )
    ]
