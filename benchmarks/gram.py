"""Descent in primal and in Gram coordinates over m, and whether the automatic choice is right."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.measuring import Options, median, timed
from benchmarks.results import Result, headline
from catclf.common.threads import for_products
from catclf.common.types import Array
from catclf.solvers import coordinates
from catclf.solvers.cross_validation import sample_weights
from catclf.solvers.descent import gradient_descent
from catclf.solvers.examples import Examples

N_X = 12288
ITERATIONS = 2000
SIZES = (50, 100, 209, 500, 1000, 2000, 5000, 10_000, 20_000)
FEW, BUDGET = 4, 2.0
"""A step's time is that of more steps less that of a few; the more take so many seconds or so."""
ROUNDS_UP_TO = 2000
"""Up to so many images there are 3 rounds, beyond one: building G takes long enough there."""


def run(options: Options) -> Result:
    """Time both coordinates for each m."""
    sizes, n_x = ((30, 60), 200) if options.quick else (SIZES, N_X)
    rows = [_compare(m, n_x, options) for m in sizes]
    worst = max(row["chosen / better"] for row in rows)
    return Result(
        "Primal against Gram coordinates",
        f"{ITERATIONS:,} steps of descent on random pixels, n_x = {n_x:,}, m images of bytes: "
        "what building G takes, a step, and all of it, both forms in turns.",
        rows,
        [
            headline(
                f"descent on {sizes[0]:,} to {sizes[-1]:,} images",
                "coordinates chosen",
                "the better of primal and Gram, at worst",
                1 / worst,
            )
        ],
        [
            f"Where the steps take longer than {BUDGET:g} s, fewer were run, and scaled up.",
            where_they_cross(rows),
            "Speed-up: how many times faster a product is in building G than in a Gram step; the "
            f"choice reckons with {coordinates.GRAM_SPEEDUP}. Element: what a primal step takes "
            "for a number in X, over what a Gram step takes for one in G; the choice reckons with "
            f"{coordinates.PRIMAL_ELEMENT / for_products():g}. Both matter where they are close.",
        ],
    )


def _compare(m: int, n_x: int, options: Options) -> dict[str, Any]:
    rng = np.random.default_rng(m)
    images = Examples(rng.integers(0, 256, (m, n_x), dtype=np.uint8), scale=255.0)
    Y = (rng.random((1, m)) < 0.4).astype(np.float64)
    rounds: dict[str, list[tuple[float, ...]]] = {"gram": [], "primal": []}
    for _ in range(options.rounds(3 if m <= ROUNDS_UP_TO else 1)):
        for name, measured in rounds.items():
            building, system = timed(partial(coordinates.choose, images, ITERATIONS, name))
            measured.append((building, *_time_steps(system, Y, options.quick)))
            del system
    (building, gram_step, gram), (_, primal_step, primal) = (
        [median(values) for values in zip(*measured, strict=True)] for measured in rounds.values()
    )
    total = {"gram": building + gram, "primal": primal}
    chosen = coordinates.cheaper(n_x, m, ITERATIONS)
    return {
        "m": m,
        "building G, s": building,
        "Gram step, ms": 1e3 * gram_step,
        "primal step, ms": 1e3 * primal_step,
        "Gram, s": total["gram"],
        "primal, s": total["primal"],
        "chosen": chosen,
        "chosen / better": total[chosen] / min(total.values()),
        "speed-up": n_x * gram_step / building,
        "element": (primal_step / n_x) / (gram_step / m),
    }


def _time_steps(system: coordinates.Coordinates, Y: Array, quick: bool) -> tuple[float, float]:
    """Give the seconds of a step, and of all steps with the end, from as many as BUDGET allows."""

    def descend(n: int) -> float:
        objective = coordinates.Objective(Y, sample_weights(Y.size))
        work = partial(gradient_descent, system, objective, learning_rate=1e-4, iterations=n)
        return timed(work)[0]

    few = descend(FEW)
    n = int(np.clip(FEW * (0.01 if quick else BUDGET) / few, 3 * FEW, ITERATIONS))
    many = descend(n)
    step = max(many - few, 1e-9) / (n - FEW)
    return step, many + (ITERATIONS - n) * step


def where_they_cross(rows: list[dict[str, Any]]) -> str:
    """Say from which m on primal coordinates are the faster, between two that were measured."""
    for before, after in pairwise(rows):
        a, b = (np.log(row["Gram, s"] / row["primal, s"]) for row in (before, after))
        if a < 0 <= b:
            m = before["m"] * (after["m"] / before["m"]) ** (a / (a - b))
            return f"They cross at about m = {float(f'{m:.2g}'):,.0f}."
    return "They do not cross among these m."
