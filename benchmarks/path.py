"""Five folds times twenty penalties: catclf's path against scikit-learn's LogisticRegressionCV."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from benchmarks.measuring import Options, median, ratio, time_in_turns
from benchmarks.reference_solvers import fit_sklearn_path
from benchmarks.results import Result, headline, seconds
from catclf.common.types import Array
from catclf.logistic import cost, forward
from catclf.solvers.cross_validation import cross_validate_path, stratified_folds
from catclf.solvers.examples import Examples

FOLDS = 5
L2S = np.logspace(1, -4, 20)
CATCLF = "catclf"
OTHERS = (("lbfgs", 1e-4, 1), ("newton-cg", 1e-4, 3), ("newton-cg", 1e-8, 1))
"""Solvers of LogisticRegressionCV, their tolerances, and rounds; the first is its own choice."""


def run(options: Options) -> Result:
    """Time the path on the training images' pixels."""
    data, X, Y = options.load_pixels()
    l2s = L2S[:3] if options.quick else L2S
    Y = Y.astype(np.int64)
    folds = stratified_folds(Y, FOLDS)
    # scikit-learn's C weighs the sum of losses: with one C, the folds' λ differ as their sizes do.
    sizes = np.array([np.sum(folds != fold) for fold in range(FOLDS)])
    l2s_of_folds = np.outer(l2s, sizes.max() / sizes)
    C = 1 / (l2s * sizes.max())
    ours = partial(cross_validate_path, Examples(X.T), Y, folds, l2s_of_folds)
    rows: list[dict[str, Any]] = []
    own_times: list[float] = []
    rows_of_X = np.ascontiguousarray(X.T)
    for solver, tolerance, rounds in OTHERS:
        name = f"LogisticRegressionCV, {solver}, tol {tolerance:g}"
        theirs = partial(fit_sklearn_path, solver, tolerance, rows_of_X, Y[0], folds, C)
        times, paths = time_in_turns({CATCLF: ours, name: theirs}, options.rounds(rounds))
        above = path_costs(paths[name], X, Y, folds, l2s_of_folds) / paths[CATCLF][1] - 1
        own_times += times[CATCLF]
        rows.append(
            {
                "form": name,
                "seconds": median(times[name]),
                "it / catclf": ratio(times, name, CATCLF),
                "cost above catclf's, at most": float(above.max()),
            }
        )
    took = median(own_times)
    first = {"form": CATCLF, "seconds": took, "it / catclf": 1.0, "cost above catclf's, at most": 0}
    return Result(
        "A path of penalties, cross-validated",
        f"{FOLDS} folds × {len(l2s)} values of λ from {l2s[0]:g} to {l2s[-1]:g}, on {data}, "
        f"n_x = {X.shape[0]:,}; catclf and each solver of LogisticRegressionCV in turns. "
        "The same folds, penalty and unpenalised bias; costs are the penalised ones on the "
        "training examples of each fold.",
        [first, *rows],
        [
            headline(
                f"{FOLDS} folds × {len(l2s)} values of λ",
                seconds(took),
                f"{row['form']}: {seconds(row['seconds'])}",
                row["it / catclf"],
            )
            for row in rows[:2]
        ],
        ["Costs above are relative to catclf's, one for each fold and λ."],
    )


def path_costs(parameters: Array, X: Array, Y: Array, folds: Array, l2s: Array) -> Array:
    """Give the penalised costs (len(l2s), folds) on each fold's training examples, in nats.

    `parameters` (folds, len(l2s), n_x + 1) are w and b, as `fit_sklearn_path` gives them.
    """
    costs = np.empty_like(l2s)
    for fold, fitted in enumerate(parameters):
        part, y = X[:, folds != fold], Y[:, folds != fold].astype(np.float64)
        for j, w_and_b in enumerate(fitted):
            w, b = w_and_b[:-1, None], float(w_and_b[-1])
            penalty = 0.5 * l2s[j, fold] * np.vdot(w, w)
            costs[j, fold] = cost(forward(w, b, part), y) + penalty
    return costs
