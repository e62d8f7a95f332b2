"""Cross-validation along a path of penalties: k folds × n values of λ.

In Gram coordinates all of it takes one XᵀX: the folds are blocks of it, and so are the scores of
what is left out, (XᵀX)[left, kept] c. Along the path each λ starts where the last one ended.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from catclf.logistic import Array
from catclf.solvers.coordinates import choose
from catclf.solvers.examples import Examples
from catclf.solvers.fit import State
from catclf.solvers.newton import newton
from catclf.solvers.parts import part
from catclf.solvers.solver import NEWTON_STEPS


def cross_validated_path(
    X: Array | Examples,
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
    X : float64 (n_x, m) or (n_x, c·m), or Examples
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
    examples, m, k = Examples.of(X), Y.shape[1], int(folds.max()) + 1
    penalties = np.array(l2s, dtype=np.float64)
    penalties = np.broadcast_to(penalties.reshape(len(penalties), -1), (len(penalties), k))
    scores, costs = np.empty((len(penalties), m)), np.empty((len(penalties), k))
    labels = np.resize(Y, (1, examples.m)).astype(np.float64)
    fold_of = np.resize(folds, examples.m)
    whole = None if scaled else choose(examples, NEWTON_STEPS)
    for fold in range(k):
        if begin is not None:
            begin(fold)
        without = part(examples, fold_of != fold, scaled=scaled, steps=NEWTON_STEPS, whole=whole)
        y, start = labels[:, without.chosen], None
        left = np.flatnonzero(folds == fold)
        for j, l2 in enumerate(penalties[:, fold]):
            fit = newton(
                without.system, y, without.weight, l2=float(l2), tolerance=tolerance, start=start
            )
            start = State(0, fit.v, float(fit.b[0, 0]), [])
            scores[j, left] = without.scores(fit)[0, : len(left)]  # what follows are their copies
            costs[j, fold] = fit.J
    return scores, costs
