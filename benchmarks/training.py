"""Training to the same cost: Newton's method and descent beside others' solvers.

Each solver gets the loosest of its settings with which it ends within a millionth of our cost; only
that setting is timed. One that does so with none, within BUDGET seconds a fit, is told with the
cost that it had reached.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np

from benchmarks import frame
from benchmarks.frame import Column, Line, Result, Settings
from benchmarks.solvers import OTHERS, Found, torch_descent
from catclf.features.conv import Conv
from catclf.logistic import Array, cost, forward
from catclf.solvers.coordinates import choose
from catclf.solvers.cross_validation import NEWTON_STEPS, sample_weights
from catclf.solvers.descent import gradient_descent
from catclf.solvers.examples import Examples, standardise
from catclf.solvers.newton import newton

PACKAGES = ("scikit-learn", "scipy", "torch", "dask-ml")
PENALTIES = (1.0, 1e-2, 1e-4)
SHOWN = 1e-2
"""The λ whose lines the README shows."""
CLOSE = 1e-6
"""How far above ours, relative, a cost may be to count as the same."""
BUDGET = 20.0
"""Seconds; a setting that is expected to take longer is not tried."""
MOST_FOR_CHOLESKY = 5000
"""Features beyond which newton-cholesky's n_x × n_x system does not fit or takes too long."""
ITERATIONS, LEARNING_RATE = 2000, 0.005
OURS = "catclf"


@dataclass(frozen=True)
class Problem:
    """Features, labels and penalty, in our layout and in that of the others."""

    work: str
    X: Array
    Y: Array
    l2: float
    rows: Array
    labels: Array

    @classmethod
    def of(cls, work: str, X: Array, Y: Array, l2: float) -> Problem:
        return cls(work, X, Y, l2, np.ascontiguousarray(X.T), Y[0])

    def cost(self, found: Found) -> float:
        w, b = found.w, found.b
        return cost(forward(w, b, self.X), self.Y) + 0.5 * self.l2 * float(np.vdot(w, w))


def run(settings: Settings) -> Result:
    named, X, Y = settings.pixels()
    extracted = Examples(Conv().transform(settings.load().images).T)
    features = standardise(extracted, sample_weights(extracted.m))[0].matrix()
    penalties = PENALTIES[1:2] if settings.quick else PENALTIES
    problems = [
        *(Problem.of(f"pixels, λ = {l2:g}", X, Y, l2) for l2 in penalties),
        Problem.of(f"conv features, λ = {SHOWN:g}", features, Y, SHOWN),
    ]
    rows = [row for problem in problems for row in _compare(problem, settings)]
    rows += _descents(Problem.of("2,000 steps of descent, pixels", X, Y, 0.0), settings)
    return Result(
        "Training to the same cost",
        f"The penalised cost on {named}, by pixels (n_x = {len(X):,}) and by standardised conv "
        f"features (n_x = {len(features)}); catclf's Newton's method, XᵀX included, goes to a "
        f"gradient of 1e-8, and each other solver, in turns with it, to {CLOSE:g} above our cost, "
        "relative, by the loosest of its settings that does.",
        [
            Column("work", "work"),
            Column("solver", "solver"),
            Column("seconds", "seconds", ",.3g"),
            Column("ratio", "it / catclf", ",.3g"),
            Column("above", "cost above, relative", ".1e"),
            Column("note", "note"),
        ],
        rows,
        [
            "liblinear penalises the bias as well, here by a millionth; dask-ml by a hundredth.",
            "The last two lines are the lesson's own descent without a penalty, the same steps on "
            "both sides.",
        ],
    )


def _ours(problem: Problem) -> Found:
    fit = newton(
        choose(Examples(problem.X.T), NEWTON_STEPS),
        problem.Y,
        sample_weights(problem.Y.size),
        l2=problem.l2,
    )
    return Found(fit.w, float(fit.b[0, 0]), f"{len(fit.costs) - 1} steps")


def _row(problem: Problem, solver: str, note: str, **more: float | None) -> dict[str, Any]:
    nothing = {"seconds": None, "ratio": None, "above": None}
    return {"work": problem.work, "solver": solver, **nothing, **more, "note": note}


def _compare(problem: Problem, settings: Settings) -> list[dict[str, Any]]:
    budget = 0.2 if settings.quick else BUDGET
    lowest, own, rows = problem.cost(_ours(problem)), [], []
    for name, other in OTHERS.items():
        if find_spec(other.package) is None:
            rows.append(_row(problem, name, f"{other.package} is not installed"))
            continue
        if name == "newton-cholesky" and len(problem.X) > MOST_FOR_CHOLESKY:
            n = len(problem.X)
            rows.append(_row(problem, name, f"not run: it solves a system of {n:,} × {n:,}"))
            continue
        for setting in other.settings:
            forms = {
                OURS: partial(_ours, problem),
                name: partial(other.fit, problem, setting),
            }
            times, found = frame.in_turns(forms, 1)
            spent, above = times[name][0], problem.cost(found[name]) / lowest - 1
            if above <= CLOSE or spent * other.growth > budget:
                break
        if spent < budget / 10:
            times, _ = frame.in_turns(forms, settings.rounds(5))
        own += times[OURS]
        note = found[name].note + ("" if above <= CLOSE else ", not there")
        rows.append(
            _row(
                problem,
                name,
                note,
                seconds=frame.median(times[name]),
                ratio=frame.ratio(times, name, OURS),
                above=above,
            )
        )
    first = _row(problem, OURS, _ours(problem).note, ratio=1.0, above=0.0)
    return [{**first, "seconds": frame.median(own) if own else None}, *rows]


def _descents(problem: Problem, settings: Settings) -> list[dict[str, Any]]:
    """Take the very same steps by catclf and, if it is there, by PyTorch."""
    steps = 20 if settings.quick else ITERATIONS

    def ours() -> Found:
        fit = gradient_descent(
            choose(Examples(problem.X.T), steps),
            problem.Y,
            sample_weights(problem.Y.size),
            learning_rate=LEARNING_RATE,
            iterations=steps,
        )
        return Found(fit.w, float(fit.b[0, 0]), f"{steps:,} steps")

    name = "PyTorch, full batch"
    forms: dict[str, Callable[[], Found]] = {OURS: ours}
    if find_spec("torch") is not None:
        forms[name] = lambda: torch_descent(problem, steps, LEARNING_RATE)
    times, found = frame.in_turns(forms, settings.rounds(3))
    lowest = problem.cost(found[OURS])
    rows = [
        _row(
            problem,
            form,
            found[form].note,
            seconds=frame.median(times[form]),
            ratio=frame.ratio(times, form, OURS),
            above=problem.cost(found[form]) / lowest - 1,
        )
        for form in forms
    ]
    return rows if name in forms else [*rows, _row(problem, name, "torch is not installed")]


def plot(result: Result, figure: Any) -> None:
    axes = figure.subplots()
    works = list(dict.fromkeys(row["work"] for row in result.rows if "descent" not in row["work"]))
    solvers = list(dict.fromkeys(row["solver"] for row in result.rows))
    solvers = [s for s in solvers if any(r["solver"] == s and r["seconds"] for r in result.rows)]
    for work, marker in zip(works, "os^D", strict=False):
        there = [r for r in result.rows if r["work"] == work and r["seconds"]]
        for reached in (True, False):
            part = [r for r in there if (r["above"] <= CLOSE) == reached]
            axes.plot(
                [r["seconds"] for r in part],
                [solvers.index(r["solver"]) for r in part],
                marker,
                color=f"C{works.index(work)}",
                mfc=None if reached else "none",
                label=work if reached else None,
                ms=8,
            )
    axes.set(xscale="log", xlabel="seconds to the same cost (hollow: stopped above it)")
    axes.set_yticks(range(len(solvers)), solvers)
    axes.invert_yaxis()
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=4, fontsize=9)


def summary(result: Result) -> list[Line]:
    """Show lbfgs and the fastest other, where catclf is ahead and where it is not."""
    lines = []
    for kind in ("pixels", "conv features"):
        work = f"{kind}, λ = {SHOWN:g}"
        rows = [r for r in result.rows if r["work"] == work and r["seconds"] is not None]
        ours, others = rows[0], [r for r in rows[1:] if r["above"] <= CLOSE]
        fastest = min(others, key=lambda r: r["ratio"])
        lines += [
            Line(
                f"to the same cost, {work}",
                frame.seconds(ours["seconds"]),
                f"{row['solver']}{', the fastest other' if row is fastest else ''}: "
                f"{frame.seconds(row['seconds'])}",
                frame.times_as_fast(row["ratio"]),
            )
            for row in others
            if row["solver"] == "lbfgs" or row is fastest
        ]
    return lines
