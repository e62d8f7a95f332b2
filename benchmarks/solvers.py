"""Others' solvers of the same problem: scikit-learn's, PyTorch's, dask-ml's.

All minimise J = mean loss + (λ/2)‖w‖². scikit-learn and dask-ml write it as Σ loss + ‖w‖²/2C, which
is m times as much where C = 1/(mλ).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from catclf.logistic import Array

if TYPE_CHECKING:
    from benchmarks.training import Problem

MOST_STEPS = 10_000
TOLERANCES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9)
EPOCHS = (10, 100, 1000, 10_000)


class Found(NamedTuple):
    """Weights, bias, and how they were reached."""

    w: Array
    b: float
    note: str


@dataclass(frozen=True)
class Other:
    """A solver: the package to import, its settings from loose to strict, how it fits."""

    package: str
    settings: Sequence[float]
    fit: Callable[[Problem, Any], Found]

    @property
    def growth(self) -> float:
        """How many times longer the next setting is expected to take."""
        return 10.0 if self.settings is EPOCHS else 2.0


def _sklearn(solver: str, **fixed: Any) -> Callable[[Problem, float], Found]:
    def fit(problem: Problem, tolerance: float) -> Found:
        from sklearn.linear_model import LogisticRegression

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of steps that ran out: the cost tells
            model = LogisticRegression(
                C=1 / (problem.labels.size * problem.l2),
                solver=solver,
                random_state=0,
                **{"tol": tolerance, "max_iter": MOST_STEPS, **fixed},
            ).fit(problem.rows, problem.labels)
        steps = int(np.max(model.n_iter_))
        return Found(
            model.coef_.T, float(model.intercept_[0]), f"tol {tolerance:g}, {steps:,} steps"
        )

    return fit


def _saga(problem: Problem, epochs: int) -> Found:
    found = _sklearn("saga", max_iter=epochs)(problem, 1e-12)
    return found._replace(note=f"{epochs:,} epochs")


def _sgd(problem: Problem, epochs: int) -> Found:
    from sklearn.linear_model import SGDClassifier

    model = SGDClassifier(
        loss="log_loss", alpha=problem.l2, max_iter=epochs, tol=None, random_state=0
    ).fit(problem.rows, problem.labels)
    return Found(model.coef_.T, float(model.intercept_[0]), f"{epochs:,} epochs")


def _torch(problem: Problem) -> tuple[Any, Any, Callable[[], Any]]:
    import torch

    X, y = torch.from_numpy(problem.rows), torch.from_numpy(problem.labels)
    w = torch.zeros(X.shape[1], dtype=torch.float64, requires_grad=True)
    b = torch.zeros(1, dtype=torch.float64, requires_grad=True)

    def closure() -> Any:
        J = torch.nn.functional.binary_cross_entropy_with_logits(X @ w + b, y)
        if problem.l2:
            J = J + 0.5 * problem.l2 * (w @ w)
        return J

    return w, b, closure


def _from_torch(w: Any, b: Any, note: str) -> Found:
    return Found(w.detach().numpy()[:, None].copy(), float(b.detach()), note)


def torch_descent(problem: Problem, steps: int, learning_rate: float) -> Found:
    """Take plain steps on all examples, from zero."""
    import torch

    w, b, closure = _torch(problem)
    optimiser = torch.optim.SGD([w, b], lr=learning_rate)
    for _ in range(steps):
        optimiser.zero_grad()
        closure().backward()
        optimiser.step()
    return _from_torch(w, b, f"{steps:,} steps")


def _torch_full_batch(problem: Problem, steps: int) -> Found:
    # One over a bound on the curvature: a longer step may overshoot.
    step = 4.0 / float(np.mean(np.sum(problem.rows**2, axis=1) + 1.0) + 4 * problem.l2)
    return torch_descent(problem, steps, step)


def _torch_lbfgs(problem: Problem, tolerance: float) -> Found:
    import torch

    w, b, closure = _torch(problem)
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
        J = closure()
        J.backward()
        return J

    optimiser.step(evaluate)
    steps = optimiser.state[w]["n_iter"]
    return _from_torch(w, b, f"tol {tolerance:g}, {steps:,} steps")


def _dask(problem: Problem, tolerance: float) -> Found:
    import dask.array as da
    from dask_ml.linear_model import LogisticRegression

    # Its own intercept is penalised in full; a constant feature of 10 by a hundredth.
    rows = np.hstack([problem.rows, np.full((len(problem.rows), 1), 10.0)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = LogisticRegression(
            solver="lbfgs",
            C=1 / (problem.labels.size * problem.l2),
            fit_intercept=False,
            tol=tolerance,
            max_iter=MOST_STEPS,
            solver_kwargs={"normalize": False},
        ).fit(
            da.from_array(rows, chunks=rows.shape), da.from_array(problem.labels, chunks=len(rows))
        )
    c = np.ravel(model.coef_)
    return Found(c[:-1, None], 10.0 * float(c[-1]), f"tol {tolerance:g}")


OTHERS = {
    "lbfgs": Other("sklearn", TOLERANCES, _sklearn("lbfgs")),
    "liblinear": Other("sklearn", TOLERANCES, _sklearn("liblinear", intercept_scaling=1e3)),
    "newton-cg": Other("sklearn", TOLERANCES, _sklearn("newton-cg")),
    "newton-cholesky": Other("sklearn", TOLERANCES, _sklearn("newton-cholesky")),
    "saga": Other("sklearn", EPOCHS, _saga),
    "SGDClassifier": Other("sklearn", EPOCHS, _sgd),
    "PyTorch, L-BFGS": Other("torch", TOLERANCES, _torch_lbfgs),
    "PyTorch, full batch": Other("torch", EPOCHS, _torch_full_batch),
    "dask-ml, lbfgs": Other("dask_ml", TOLERANCES, _dask),
}
