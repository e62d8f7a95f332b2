"""How far each solver gets with a number of passes over the data: Newton's method, and descent."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring import Options
from benchmarks.results import Result, headline
from catclf.common.types import Array
from catclf.solvers.coordinates import Objective, Primal
from catclf.solvers.cross_validation import sample_weights
from catclf.solvers.descent import gradient_descent
from catclf.solvers.examples import Examples
from catclf.solvers.newton import newton

L2S = (1.0, 0.1, 0.01)
RATES = (0.001, 0.003, 0.01)
PASSES = 300
GOALS = (1e-2, 1e-4, 1e-6)
SHOWN = 0.1
"""The λ, and within 1e-4, that the README shows."""


class CountedExamples(Examples):
    """Examples that count the passes over them."""

    passes = 0

    def add_up(self, *asked: Any) -> Any:
        """Add up as usual: one pass."""
        self.passes += 1
        return super().add_up(*asked)


class Watched(Primal):
    """Primal coordinates that note, at each gradient, the passes so far and the cost."""

    def __init__(self, images: NDArray[np.uint8]) -> None:
        super().__init__(CountedExamples(images, scale=255.0))
        self.curve: list[tuple[int, float]] = []

    def gradient(
        self, v: Array, b: Array, objective: Objective, *, cost: bool = True
    ) -> tuple[Array, Array, Array]:
        """Give the gradient, with the cost at every step."""
        J, dv, db = super().gradient(v, b, objective)
        self.curve.append((self.examples.passes, float(J[0])))
        return J, dv, db


def run(options: Options) -> Result:
    """Count the passes that the training images' pixels take."""
    data = options.load()
    images = data.images[:, ::8, ::8] if options.quick else data.images
    Y, passes = data.Y.astype(np.float64), 20 if options.quick else PASSES
    rows = [row for l2 in L2S for row in _compare(images, Y, l2, passes)]
    ours, descent = (row[f"within {GOALS[1]:g}"] for row in rows if row["l2"] == SHOWN)
    return Result(
        "Cost against passes",
        f"Pixels of {data.name}, m = {len(data):,}; Newton's method by conjugate gradients, and "
        f"descent from zeros at the best of the rates {', '.join(map(str, RATES))}. Shown: passes "
        "over the data until the cost is within a share of the optimum's.",
        rows,
        [
            headline(
                f"passes to within {GOALS[1]:g} of the optimum, l2 {SHOWN:g}",
                f"{ours}",
                f"descent: {descent or f'more than {passes}'}",
                descent / ours if ours and descent else None,
            )
        ],
        [f"–: not within {passes} passes."],
    )


def _compare(images: NDArray[np.uint8], Y: Array, l2: float, passes: int) -> list[dict[str, Any]]:
    objective = Objective(Y, sample_weights(len(images)), l2)
    ours = Watched(images)
    optimum = newton(ours, objective, tolerance=1e-7).J
    descents = [Watched(images) for _ in RATES]
    for descent, rate in zip(descents, RATES, strict=True):
        gradient_descent(descent, objective, learning_rate=rate, iterations=passes)
    best = min(descents, key=lambda descent: descent.curve[-1][1])

    def passes_to(goal: float, curve: list[tuple[int, float]]) -> int | None:
        return next((n for n, J in curve if J <= optimum * (1 + goal)), None)

    return [
        {
            "solver": solver,
            "l2": l2,
            **{f"within {goal:g}": passes_to(goal, curve) for goal in GOALS},
        }
        for solver, curve in (("Newton", ours.curve), ("descent", best.curve))
    ]
