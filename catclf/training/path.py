"""Cross-validation along a path of penalties: k folds × n values of λ.

In Gram coordinates all of it takes one XᵀX: the folds are blocks of it, and so are the scores of
what is left out, (XᵀX)[left, kept] c. Along the path each λ starts where the last one ended.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from catclf.logistic import Array
from catclf.training.coordinates import Coordinates, Gram, choose
from catclf.training.fit import State
from catclf.training.folds import sample_weights
from catclf.training.newton import newton
from catclf.training.solver import NEWTON_STEPS
from catclf.training.standardise import standardise


def cross_validated_path(
    X: Array,
    Y: NDArray[np.int64],
    folds: NDArray[np.int64],
    l2s: Sequence[float] | Array,
    *,
    scaled: bool = False,
    tolerance: float = 1e-8,
    begin: Callable[[int], None] | None = None,
) -> tuple[Array, Array]:
    """Score each example by the regressions that have not seen it, one for each λ.

    Parameters
    ----------
    X : float64 (n_x, m) or (n_x, c·m)
        m examples; after them, if there are any, all their copies, in the same order. A copy is
        trained on where its example is, and never scored.
    Y : int64 (1, m)
        Labels, 0 or 1.
    folds : int64 (m,)
        The fold of each example, 0 to k − 1.
    l2s : (n,) or (n, k)
        λ above 0, from strong to weak for the best starts; of each fold its own in the second form.
    scaled : bool
        Whether features are standardised, on the training examples of each fold alone.
    tolerance : float
        Of `newton`.
    begin : callable, optional
        Called as begin(fold) before each fold.

    Returns
    -------
    scores : float64 (n, m)
        Each column by the regressions without that example's fold.
    costs : float64 (n, k)
        The penalised cost of each regression on its own training examples, in nats.
    """
    m, k = Y.shape[1], int(folds.max()) + 1
    penalties = np.array(l2s, dtype=np.float64)
    penalties = np.broadcast_to(penalties.reshape(len(penalties), -1), (len(penalties), k))
    scores, costs = np.empty((len(penalties), m)), np.empty((len(penalties), k))
    together = None if scaled else choose(X, NEWTON_STEPS)
    for fold in range(k):
        if begin is not None:
            begin(fold)
        left = np.flatnonzero(folds == fold)
        kept = np.flatnonzero(np.resize(folds, X.shape[1]) != fold)
        y = Y[:, kept % m].astype(np.float64)
        if isinstance(together, Gram):
            # With their inner products for features, what is left out has the scores for weights:
            # wᵀx = cᵀ(Xᵀx). X itself is not touched again.
            between = together.G[np.ix_(left, kept)] - 1.0
            system: Coordinates = Gram(between, together.G[np.ix_(kept, kept)])
            seen = np.eye(len(left))
        elif scaled:
            part, mean, scale = standardise(X[:, kept])
            system, seen = choose(part, NEWTON_STEPS), (X[:, left] - mean) / scale
        else:
            system, seen = choose(X[:, kept], NEWTON_STEPS), X[:, left]
        start, weights = None, sample_weights(len(kept))
        for j, l2 in enumerate(penalties[:, fold]):
            fit = newton(system, y, weights, l2=float(l2), tolerance=tolerance, start=start)
            start = State(0, fit.v, float(fit.b[0, 0]), [])
            scores[j, left] = (np.dot(fit.w.T, seen) + fit.b)[0]
            costs[j, fold] = fit.J
    return scores, costs
