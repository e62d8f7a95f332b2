"""Others' solvers of the same problem: scikit-learn's and PyTorch's.

All minimise J = mean loss + (λ/2)‖w‖². scikit-learn writes it as Σ loss + ‖w‖²/2C, which is m times
as much where C = 1/(mλ).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np

from catclf.common.types import Array
from catclf.logistic import cost, forward

MOST_STEPS = 10_000


class Solution(NamedTuple):
    """Weights w (n_x, 1), bias, and how many steps led there."""

    w: Array
    b: float
    steps: int


class Problem:
    """X (n_x, m), Y (1, m) and λ; `rows` (m, n_x) and `labels` (m,) are the same for the others."""

    def __init__(self, name: str, X: Array, Y: Array, l2: float) -> None:
        self.name, self.X, self.Y, self.l2 = name, X, Y, l2
        self.rows, self.labels = np.ascontiguousarray(X.T), Y[0]

    def cost(self, solution: Solution) -> float:
        """Give the penalised cost in nats."""
        w, b, _ = solution
        return cost(forward(w, b, self.X), self.Y) + 0.5 * self.l2 * float(np.vdot(w, w))


def _fit_sklearn(problem: Problem, tolerance: float, solver: str, **more: float) -> Solution:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(
        C=1 / (problem.labels.size * problem.l2),
        solver=solver,
        tol=tolerance,
        max_iter=MOST_STEPS,
        random_state=0,
        **more,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of steps that ran out: the cost tells
        model.fit(problem.rows, problem.labels)
    return Solution(model.coef_.T, float(model.intercept_[0]), int(np.max(model.n_iter_)))


def _fit_torch(problem: Problem, tolerance: float) -> Solution:
    import torch

    X, y = torch.from_numpy(problem.rows), torch.from_numpy(problem.labels)
    w = torch.zeros(X.shape[1], dtype=torch.float64, requires_grad=True)
    b = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [w, b],
        max_iter=MOST_STEPS,
        max_eval=2 * MOST_STEPS,
        tolerance_grad=tolerance,
        tolerance_change=1e-14,
        line_search_fn="strong_wolfe",
    )

    def evaluate() -> Any:
        optimiser.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(X @ w + b, y)
        J = loss + 0.5 * problem.l2 * (w @ w)
        J.backward()
        return J

    optimiser.step(evaluate)
    steps = optimiser.state[w]["n_iter"]
    return Solution(w.detach().numpy()[:, None].copy(), float(b.detach()), steps)


def reference_solvers() -> dict[str, Callable[[Problem, float], Solution]]:
    """Give what fits a problem to a tolerance, by name: each solver that is installed."""
    solvers: dict[str, Callable[[Problem, float], Solution]] = {}
    if find_spec("sklearn"):
        for name in ("lbfgs", "newton-cg", "newton-cholesky"):
            solvers[name] = partial(_fit_sklearn, solver=name)
        # It penalises the bias as well: one that is scaled by 1,000, by a millionth.
        solvers["liblinear"] = partial(_fit_sklearn, solver="liblinear", intercept_scaling=1e3)
    if find_spec("torch"):
        solvers["PyTorch, L-BFGS"] = _fit_torch
    return solvers


def fit_sklearn_path(
    solver: str, tolerance: float, rows: Array, labels: Array, folds: Array, C: Array
) -> Array:
    """Fit each fold's training examples under each C by LogisticRegressionCV.

    `folds` (m,) says which examples each fold leaves out. Gives w and then b for each fold and C:
    (folds, len(C), n_x + 1).
    """
    from sklearn.linear_model import LogisticRegressionCV

    numbers = range(int(folds.max()) + 1)
    splits = [(np.flatnonzero(folds != i), np.flatnonzero(folds == i)) for i in numbers]
    model = LogisticRegressionCV(
        Cs=C,
        cv=splits,
        solver=solver,
        tol=tolerance,
        max_iter=MOST_STEPS,
        scoring="neg_log_loss",
        refit=False,
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of settings to come, and of steps that ran out
        model.fit(rows, labels)
    paths = model.coefs_paths_
    (path,) = paths.values() if isinstance(paths, dict) else (paths,)
    return np.reshape(path, (len(splits), len(C), -1))
