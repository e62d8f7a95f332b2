"""Five folds times twenty penalties: catclf's path against scikit-learn's LogisticRegressionCV."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import numpy as np

from benchmarks import frame
from benchmarks.frame import Column, Line, Result, Settings
from catclf.logistic import Array, cost, forward
from catclf.solvers.cross_validation import cross_validate_path, stratified_folds
from catclf.solvers.examples import Examples

PACKAGES = ("scikit-learn", "scipy")
FOLDS = 5
L2S = np.logspace(1, -4, 20)
MOST_STEPS = 10_000
OURS = "catclf"
THEIRS = (
    ("lbfgs", 1e-4, 1),
    ("newton-cg", 1e-4, 3),
    ("newton-cg", 1e-8, 1),
    ("liblinear", 1e-4, 1),
)
"""Solvers of LogisticRegressionCV, their tolerances, and rounds; the first is its own choice."""


def run(settings: Settings) -> Result:
    named, X, Y = settings.pixels()
    l2s = L2S[:3] if settings.quick else L2S
    Y = Y.astype(np.int64)
    folds = stratified_folds(Y, FOLDS)
    # scikit-learn's C weighs the sum of losses: with one C, the folds' λ differ as their sizes do.
    kept = np.array([np.sum(folds != fold) for fold in range(FOLDS)])
    own = np.outer(l2s, kept.max() / kept)
    C = 1 / (l2s * kept.max())
    rows_of, labels = np.ascontiguousarray(X.T), Y[0]

    examples = Examples(X.T)

    def ours() -> Array:
        return cross_validate_path(examples, Y, folds, own)[1]

    rows: list[dict[str, Any]] = []
    own_times: list[float] = []
    for solver, tolerance, rounds in THEIRS:
        theirs = partial(_theirs, solver, tolerance, rows_of, labels, folds, C)
        name = f"{solver}, tol {tolerance:g}"
        times, found = frame.in_turns({OURS: ours, name: theirs}, settings.rounds(rounds))
        above = _costs(found[name], X, Y, folds, own) / found[OURS] - 1
        own_times += times[OURS]
        rows.append(
            {
                "form": f"LogisticRegressionCV, {name}",
                "seconds": frame.median(times[name]),
                "ratio": frame.ratio(times, name, OURS),
                "mean": float(above.mean()),
                "most": float(above.max()),
                "least": float(above.min()),
            }
        )
    first = dict.fromkeys(rows[0])
    rows.insert(0, {**first, "form": OURS, "seconds": frame.median(own_times), "ratio": 1.0})
    return Result(
        "A path of penalties, cross-validated",
        f"{FOLDS} folds × {len(l2s)} values of λ from {l2s[0]:g} to {l2s[-1]:g}, on {named}, "
        f"n_x = {X.shape[0]:,}; catclf and each solver of LogisticRegressionCV in turns. "
        "The same folds, penalty and unpenalised bias; costs are the penalised ones on the "
        "training examples of each fold.",
        [
            Column("form", "form"),
            Column("seconds", "seconds", ",.3g"),
            Column("ratio", "it / catclf", ",.3g"),
            Column("mean", "cost above catclf's, mean", ".1e"),
            Column("most", "largest", ".1e"),
            Column("least", "smallest", ".1e"),
        ],
        rows,
        [
            "Costs above are relative to catclf's, one for each fold and λ; the smallest is below "
            "0 where catclf's was not the lowest.",
            "liblinear penalises the bias as well, here by a millionth.",
        ],
    )


def _theirs(
    solver: str, tolerance: float, rows: Array, labels: Array, folds: Array, C: Array
) -> Array:
    """Give the parameters (k, n, n_x + 1) for each fold and C, the last being the bias."""
    from sklearn.linear_model import LogisticRegressionCV

    splits = [
        (np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)) for fold in range(FOLDS)
    ]
    more = {"intercept_scaling": 1e3} if solver == "liblinear" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of settings to come, and of steps that ran out
        model = LogisticRegressionCV(
            Cs=C,
            cv=splits,
            solver=solver,
            tol=tolerance,
            max_iter=MOST_STEPS,
            scoring="neg_log_loss",
            refit=False,
            random_state=0,
            **more,
        ).fit(rows, labels)
    (path,) = (
        model.coefs_paths_.values()
        if isinstance(model.coefs_paths_, dict)
        else (model.coefs_paths_,)
    )
    return np.reshape(path, (FOLDS, len(C), -1))


def _costs(parameters: Array, X: Array, Y: Array, folds: Array, l2s: Array) -> Array:
    costs = np.empty_like(l2s)
    for fold in range(FOLDS):
        part, y = X[:, folds != fold], Y[:, folds != fold].astype(np.float64)
        for j, one in enumerate(parameters[fold]):
            w, b = one[:-1, None], float(one[-1])
            costs[j, fold] = cost(forward(w, b, part), y) + 0.5 * l2s[j, fold] * np.sum(w * w)
    return costs


def plot(result: Result, figure: Any) -> None:
    from benchmarks.plots import bars

    bars(figure, [(row["form"], row["seconds"]) for row in result.rows], "seconds")


def summary(result: Result) -> list[Line]:
    ours = result.rows[0]
    return [
        Line(
            "5 folds × 20 values of λ",
            frame.seconds(ours["seconds"]),
            f"{row['form']}: {frame.seconds(row['seconds'])}",
            frame.times_as_fast(row["ratio"]),
        )
        for row in result.rows[1:3]
    ]
