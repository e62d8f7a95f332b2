"""Descent in primal and in Gram coordinates over m, and whether the automatic choice is right."""

from __future__ import annotations

import time
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks import frame
from benchmarks.frame import Column, Line, Result, Settings
from benchmarks.plots import over_sizes
from catclf.common.threads import for_products
from catclf.logistic import Array
from catclf.solvers.coordinates import (
    GRAM_SPEEDUP,
    PRIMAL_ELEMENT,
    Coordinates,
    cheaper,
    choose,
)
from catclf.solvers.cross_validation import sample_weights
from catclf.solvers.descent import gradient_descent
from catclf.solvers.examples import Examples

PACKAGES: tuple[str, ...] = ()
N_X = 12288
ITERATIONS = 2000
SIZES = (50, 100, 209, 500, 1000, 2000, 5000, 10_000, 20_000)
BUDGET = 2.0
"""Seconds of steps to run in each form and round, at least 5 steps and at most 2,000."""
ROUNDS_UP_TO = 2000
"""Up to so many images there are 3 rounds, beyond one: building G takes long enough there."""


def run(settings: Settings) -> Result:
    sizes, n_x = ((30, 60), 200) if settings.quick else (SIZES, N_X)
    rows = [_compare(m, n_x, settings) for m in sizes]
    return Result(
        "Primal against Gram coordinates",
        f"{ITERATIONS:,} steps of descent on random pixels, n_x = {n_x:,}, m images of bytes: "
        "what building the coordinates takes, the median step, and the end, both forms in turns.",
        [
            Column("m", "m", ","),
            Column("steps", "steps run", ","),
            Column("setup", "building G, s", ",.3g"),
            Column("gram_step", "Gram step, ms", ",.3g"),
            Column("primal_step", "primal step, ms", ",.3g"),
            Column("gram", "Gram, s", ",.3g"),
            Column("primal", "primal, s", ",.3g"),
            Column("chosen", "chosen"),
            Column("excess", "chosen / better", ".2f"),
            Column("speedup", "speed-up", ".3g"),
            Column("element", "element", ".3g"),
        ],
        rows,
        [
            "The seconds are those of building and ending, and "
            f"{ITERATIONS:,} times the median of the steps that were run.",
            f"Largest chosen / better: {max(row['excess'] for row in rows):.2f}.",
            _where_they_cross(rows),
            "Speed-up: how many times faster a product is in building G than in a Gram step; the "
            f"choice reckons with {GRAM_SPEEDUP}. Element: what a primal step takes for a number "
            "in X, over what a Gram step takes for one in G; the choice reckons with "
            f"{PRIMAL_ELEMENT / for_products():g}. Both "
            "matter where the coordinates are close; where G stays in the cache they are not.",
        ],
    )


def _compare(m: int, n_x: int, settings: Settings) -> dict[str, Any]:
    rng = np.random.default_rng(m)
    images = Examples(rng.integers(0, 256, (m, n_x), dtype=np.uint8), scale=255.0)
    Y = (rng.random((1, m)) < 0.4).astype(np.float64)
    setups, found = [], {"gram": [], "primal": []}
    for _ in range(settings.rounds(3 if m <= ROUNDS_UP_TO else 1)):
        for name, each in found.items():
            setup, system = frame.timed(partial(choose, images, ITERATIONS, name))
            if name == "gram":
                setups.append(setup)
            each.append((setup, *_steps(system, Y, 0.01 if settings.quick else BUDGET)))
            del system
    median = {
        name: [frame.median(values) for values in zip(*each, strict=True)]
        for name, each in found.items()
    }
    total = {
        name: setup + ITERATIONS * step + end for name, (setup, step, end, _) in median.items()
    }
    chosen = cheaper(n_x, m, ITERATIONS)
    setup, gram_step, primal_step = median["gram"][0], median["gram"][1], median["primal"][1]
    return {
        "m": m,
        "steps": int(min(median["gram"][3], median["primal"][3])),
        "setup": setup,
        "gram_step": 1e3 * gram_step,
        "primal_step": 1e3 * primal_step,
        **total,
        "chosen": chosen,
        "excess": total[chosen] / min(total.values()),
        "speedup": (n_x * m * m / setup) / (m * m / gram_step),
        "element": (primal_step / (n_x * m)) / (gram_step / (m * m)),
    }


def _steps(system: Coordinates, Y: Array, budget: float) -> tuple[float, float, float]:
    """Time single steps until the budget is spent: the median step, the end, steps run."""
    weights = sample_weights(Y.shape[1])

    def descend(iterations: int) -> tuple[list[float], float]:
        stamps: list[float] = []
        spent, _ = frame.timed(
            lambda: gradient_descent(
                system,
                Y,
                weights,
                learning_rate=1e-4,
                iterations=iterations,
                callback=lambda *_: stamps.append(time.perf_counter()),
            )
        )
        return list(np.diff(stamps)), spent

    first, _ = descend(4)
    n = int(np.clip(budget / frame.median(first), 6, ITERATIONS))
    steps, spent = descend(n)
    step = frame.median(steps)
    # Before the first stamp and after the last: one step, the last scores, and w.
    return step, max(spent - sum(steps) - step, 0.0), n


def _where_they_cross(rows: list[dict[str, Any]]) -> str:
    for before, after in pairwise(rows):
        a, b = (np.log(row["gram"] / row["primal"]) for row in (before, after))
        if a < 0 <= b:
            share = a / (a - b)
            m = np.exp(np.log(before["m"]) + share * np.log(after["m"] / before["m"]))
            return f"They cross at about m = {float(f'{m:.2g}'):,.0f}."
    return "They do not cross among these m."


def plot(result: Result, figure: Any) -> None:
    axes = figure.subplots()
    m = [row["m"] for row in result.rows]
    for name, colour in (("primal", "#c44e52"), ("gram", "#4c72b0")):
        label = {"primal": "primal: w, n_x numbers", "gram": "Gram: c, m numbers"}[name]
        axes.plot(m, [row[name] for row in result.rows], "o-", color=colour, label=label)
    chosen = [row[row["chosen"]] for row in result.rows]
    axes.plot(m, chosen, "o", ms=13, mfc="none", mec="black", label="chosen automatically")
    over_sizes(axes, m, "seconds for 2,000 steps")


def summary(result: Result) -> list[Line]:
    worst = max(result.rows, key=lambda row: row["excess"])
    sizes = [row["m"] for row in result.rows]
    return [
        Line(
            f"descent on {min(sizes):,} to {max(sizes):,} images",
            "coordinates chosen",
            "the better of primal and Gram, at worst",
            f"{1 / worst['excess']:.2f}",
        )
    ]
