"""Time Newton's method to the optimum of the penalised cost, beside scikit-learn's solvers.

    python benchmarks/newton.py [DATA] [--rounds N]

DATA is what `catclf train` takes; without it, the course's file or the drawn set. All minimise the
same cost on pixels / 255, the solvers in turns within one process; each time is the median of the
rounds, the ratios are medians of ratios within a round, and the last column says how far above
ours the cost is where each one stops. liblinear penalises the bias as well, here by a millionth.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
import scipy
import sklearn
from sklearn.linear_model import LogisticRegression

from catclf import load_dataset
from catclf.features.pixels import Pixels
from catclf.logistic import Array, cost, forward
from catclf.training.coordinates import choose
from catclf.training.folds import sample_weights
from catclf.training.newton import newton
from catclf.training.solver import NEWTON_STEPS

PENALTIES = (1.0, 1e-2, 1e-4)
MOST_FOR_CHOLESKY = 5000
"""Features beyond which newton-cholesky's n_x × n_x system does not fit or takes too long."""
SOLVERS = {
    "lbfgs": {"tol": 1e-6, "max_iter": 10_000},
    "liblinear": {"tol": 1e-6, "max_iter": 10_000, "intercept_scaling": 1e3},
    "newton-cg": {"tol": 1e-6, "max_iter": 1000},
    "newton-cholesky": {"tol": 1e-6, "max_iter": 1000},
    "saga": {"tol": 1e-6, "max_iter": 100},
}

Found = tuple[Array, float, str]
"""Weights, bias, and what is to be said of how they were reached."""


def ours(X: Array, Y: Array, l2: float) -> Found:
    fit = newton(choose(X, NEWTON_STEPS), Y, sample_weights(X.shape[1]), l2=l2)
    return fit.w, float(fit.b[0, 0]), f"{len(fit.costs) - 1} steps"


def theirs(solver: str, rows: Array, labels: Array, l2: float) -> Found:
    """Minimise Σ L + ‖w‖²/2C, which is our cost times m where C = 1/(mλ)."""
    settings = SOLVERS[solver]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of steps that ran out: the note says so
        model = LogisticRegression(
            C=1 / (len(rows) * l2), solver=solver, random_state=0, **settings
        ).fit(rows, labels)
    steps = int(np.max(model.n_iter_))
    cut = ", stopped there" if steps >= settings["max_iter"] else ""
    return model.coef_.T, float(model.intercept_[0]), f"{steps} steps{cut}"


def timed(work: Callable[[], Found]) -> tuple[float, Found]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def compare(X: Array, Y: Array, l2: float, rounds: int) -> None:
    rows, labels = np.ascontiguousarray(X.T), Y[0]  # in the layout that each likes best
    forms: dict[str, Callable[[], Found]] = {"catclf": lambda: ours(X, Y, l2)}
    for solver in SOLVERS:
        if solver == "newton-cholesky" and len(X) > MOST_FOR_CHOLESKY:
            continue
        forms[solver] = lambda solver=solver: theirs(solver, rows, labels, l2)
    times: dict[str, list[float]] = {name: [] for name in forms}
    found: dict[str, Found] = {}
    for _ in range(rounds):
        for name, work in forms.items():
            seconds, found[name] = timed(work)
            times[name].append(seconds)

    def objective(name: str) -> float:
        w, b, _ = found[name]
        return cost(forward(w, b, X), Y) + 0.5 * l2 * float(np.vdot(w, w))

    lowest = objective("catclf")
    print(f"\nl2 {l2:g}: our cost is {lowest:.12g}, by {choose(X, NEWTON_STEPS).name} coordinates")
    print(f"{'solver':<17}{'seconds':>9}{'/ catclf':>10}{'cost − ours':>13}  note")
    for name in forms:
        pairs = zip(times[name], times["catclf"], strict=True)
        ratio = statistics.median(a / b for a, b in pairs)
        above = objective(name) - lowest
        print(
            f"{name:<17}{statistics.median(times[name]):>9.3f}{ratio:>10.1f}{above:>13.1e}"
            f"  {found[name][2]}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()

    data = load_dataset(arguments.data)
    X = Pixels().transform(data.images).astype(np.float64)
    Y = data.Y.astype(np.float64)
    print(f"{data.name}: X is {X.shape}, pixels / 255; the time includes building XᵀX")
    print(
        f"numpy {np.__version__}, scikit-learn {sklearn.__version__}, scipy {scipy.__version__}, "
        f"Python {platform.python_version()}, {os.cpu_count()} CPUs, {platform.machine()}; "
        f"{arguments.rounds} rounds, medians"
    )
    if len(X) > MOST_FOR_CHOLESKY:
        print(f"newton-cholesky is left out: it solves a system of {len(X)} × {len(X)}")
    for l2 in PENALTIES:
        compare(X, Y, l2, arguments.rounds)


if __name__ == "__main__":
    sys.exit(main())
