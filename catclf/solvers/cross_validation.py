"""Folds of cross-validation, and the regressions that are scored on what they left out.

In Gram coordinates all of it takes one XᵀX: the folds are blocks of it, and so are the scores of
what is left out, (XᵀX)[left out, trained] c.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from catclf.errors import DataError
from catclf.logistic import Array
from catclf.solvers import Fit, Solver, State
from catclf.solvers.coordinates import NEWTON_STEPS, Coordinates, Gram, Objective, choose
from catclf.solvers.descent import gradient_descent
from catclf.solvers.examples import Examples, standardise, unstandardise
from catclf.solvers.newton import newton


def stratified_folds(Y: NDArray[np.int64], k: int, seed: int = 0) -> NDArray[np.int64]:
    """Deal the examples into k folds, each with its share of both classes.

    The examples of each class are shuffled, then dealt out in turn; the second class goes on where
    the first one stopped, so that the folds' sizes differ by at most one. Y (1, m) holds 0 and 1;
    the fold of each example (m,) is 0 to k − 1.
    """
    shuffled = np.random.default_rng(seed).permutation(Y.shape[1])
    dealt = shuffled[np.argsort(Y[0, shuffled], kind="stable")]
    folds = np.empty(Y.shape[1], dtype=np.int64)
    folds[dealt] = np.arange(Y.shape[1]) % k
    return folds


def grouped_folds(
    Y: NDArray[np.int64], groups: NDArray[np.int64], k: int, seed: int = 0
) -> NDArray[np.int64]:
    """Deal whole groups into at most k folds, each with about its share of both classes.

    The largest group goes first, each to the fold that then holds the least of the group's classes;
    where every example is a group of its own, this is `stratified_folds`. `groups` (m,) holds the
    number of each example's group.

    Raises
    ------
    DataError
        If a class has fewer than two groups: it would be missing from a training fold.
    """
    _, group = np.unique(groups, return_inverse=True)
    n = group.max() + 1
    counts = np.stack([np.bincount(group[Y[0] == y], minlength=n) for y in (0, 1)])
    k = min(k, *(counts > 0).sum(axis=1).tolist())
    if k < 2:
        raise DataError("cross-validation needs two examples, or groups of them, of each class")
    if n == Y.shape[1]:
        return stratified_folds(Y, k, seed)
    shuffled = np.random.default_rng(seed).permutation(n)
    mixed = np.all(counts > 0, axis=0)
    order = shuffled[np.lexsort((-counts.sum(axis=0)[shuffled], ~mixed[shuffled]))]
    relative = counts / counts.sum(axis=1, keepdims=True)
    held = np.zeros((k, 2))
    fold_of = np.empty(n, dtype=np.int64)
    for g in order:
        # Of the sum of squares of the folds' shares, what adding this group would add.
        added = 2 * held @ relative[:, g] + 1e-9 * held.sum(axis=1)
        # No class may end up in one fold alone: its second group keeps away from its first.
        alone = (held > 0).sum(axis=0) == 1
        added[(held[:, alone & (counts[:, g] > 0)] > 0).any(axis=1)] = np.inf
        fold_of[g] = np.argmin(added)
        held[fold_of[g]] += relative[:, g]
    return fold_of[group]


def sample_weights(m: int, folds: NDArray[np.int64] | None = None) -> Array:
    """Weigh the examples for several regressions at once: one on all, then one without each fold.

    Row 0 counts every example 1/m. Row 1 + f leaves fold f out: it counts that fold's examples 0,
    and the others one over their number. So all the regressions of a cross-validation are rows of
    the same matrix products.

    Returns
    -------
    float64 (1, m) without folds, (1 + k, m) with k of them
        Each row adds up to 1.
    """
    rows: Array = np.ones((1, m))
    if folds is not None:
        without = np.arange(folds.max() + 1)[:, None] != folds[None, :]
        rows = np.vstack([rows, without])
    rows /= rows.sum(axis=1, keepdims=True)
    return rows


def fit_and_cross_validate(
    solver: Solver,
    examples: Examples,
    Y: NDArray[np.int64],
    *,
    scaled: bool,
    folds: NDArray[np.int64] | None = None,
    watch: Callable[[int, State], None] = lambda entry, state: None,
    start: Callable[[int, tuple[int, int]], State | None] = lambda entry, shape: None,
) -> tuple[Fit, Array | None]:
    """Train on all examples and, given folds, on all but each of them.

    Parameters
    ----------
    solver : Solver
    examples : Examples
    Y : int64 (1, m)
        Labels, 0 or 1.
    scaled : bool
        Whether features are standardised, on the training examples of each fit alone.
    folds : int64 (m,), optional
        The fold of each example.
    watch : callable
        Called as watch(entry, state) before each step; entry 0 is the training on all examples, and
        what is trained together with it, and 1 + f that without fold f.
    start : callable
        Gives where an entry with v of a shape is to go on, start(entry, shape), or None.

    Returns
    -------
    fit : Fit
        Of one regression on all examples, for the features as they are given.
    out_of_fold : float64 (1, m) or None
        The score of each example under the regression that has not seen it.

    Raises
    ------
    ParameterError
        If descent's cost stops being finite, or the coordinates asked for do not fit into memory.
    """
    labels, m = Y.astype(np.float64), examples.m
    k = 0 if folds is None else int(folds.max()) + 1
    descent = solver.name == "descent"
    method: Callable[..., Fit]
    if descent:
        steps = solver.iterations
        method = partial(gradient_descent, learning_rate=solver.learning_rate, iterations=steps)
    else:
        steps, method = NEWTON_STEPS, partial(newton, tolerance=solver.tolerance)
    pick = partial(choose, steps=steps, coordinates=solver.coordinates, newton=not descent)

    def run(entry: int, coordinates: Coordinates, objective: Objective) -> Fit:
        begun = start(entry, (coordinates.size, len(objective.sample_weight)))
        return method(coordinates, objective, start=begun, watch=partial(watch, entry))

    if descent and not scaled:  # of all folds at once
        fit = run(0, pick(examples), Objective(labels, sample_weights(m, folds), solver.l2))
        out_of_fold = None if folds is None else fit.Z[1 + folds, np.arange(m)].reshape(1, m)
        return replace(fit, w=fit.w[:, :1], b=fit.b[:1], Z=fit.Z[:1]), out_of_fold
    objective = Objective(labels, sample_weights(m), solver.l2)
    if scaled:
        standard, mean, scale = standardise(examples, objective.sample_weight)
        fit = run(0, pick(standard), objective)
        w, b = unstandardise(fit.w, fit.b, mean, scale)
        shared, fit = None, replace(fit, w=w, b=b)
    else:
        shared = pick(examples, steps=(1 + k) * steps)
        fit = run(0, shared, objective)
    if folds is None:
        return fit, None

    def train(fold: int, coordinates: Coordinates, objective: Objective) -> list[Fit]:
        return [run(1 + fold, coordinates, objective)]

    return fit, _scores_left_out(examples, objective, folds, shared, pick, train)


def cross_validate_path(
    examples: Examples,
    Y: NDArray[np.int64],
    folds: NDArray[np.int64],
    l2s: Sequence[float] | Array,
    *,
    scaled: bool = False,
    tolerance: float = 1e-8,
    begin: Callable[[int], None] = lambda fold: None,
) -> tuple[Array, Array]:
    """Score each example by the regressions that have not seen it, one for each λ.

    They are trained by Newton's method; in each fold λ starts where the last one ended.

    Parameters
    ----------
    examples : Examples
        m of them; after them, if there are any, all their copies, in the same order. A copy is
        trained on where its example is, and never scored.
    Y : int64 (1, m)
        Labels, 0 or 1.
    folds : int64 (m,)
        The fold of each example, 0 to k − 1; one of none, −1, is always trained on.
    l2s : (n,) or (n, k)
        λ above 0, from strong to weak for the best starts; of each fold its own in the second form.
    scaled : bool
        Whether features are standardised, on the training examples of each fold alone.
    tolerance : float
        The relative norm of the gradient at which each λ ends; see `newton`.
    begin : callable
        Called as begin(fold) before each fold.

    Returns
    -------
    scores : float64 (n, m)
        Each column by the regressions without that example's fold; NaN if it has none.
    costs : float64 (n, k)
        The penalised cost of each regression on its own training examples, in nats.
    """
    n, k = len(l2s), int(folds.max()) + 1
    penalties = np.broadcast_to(np.reshape(l2s, (n, -1)).astype(np.float64), (n, k))
    costs = np.empty((n, k))

    def train(fold: int, coordinates: Coordinates, objective: Objective) -> Iterator[Fit]:
        start = None
        for j, l2 in enumerate(penalties[:, fold].tolist()):
            penalised = objective._replace(l2=l2)
            fit = newton(coordinates, penalised, tolerance=tolerance, start=start)
            start, costs[j, fold] = fit.start, fit.J
            yield fit

    steps = n * NEWTON_STEPS
    pick = partial(choose, steps=steps, newton=True)
    shared = None if scaled else pick(examples, steps=k * steps)
    labels = np.resize(Y, (1, examples.m)).astype(np.float64)
    objective = Objective(labels, sample_weights(examples.m))
    return _scores_left_out(examples, objective, folds, shared, pick, train, n, begin), costs


def _scores_left_out(
    examples: Examples,
    objective: Objective,
    folds: NDArray[np.int64],
    shared: Coordinates | None,
    pick: Callable[[Examples], Coordinates],
    train: Callable[[int, Coordinates, Objective], Iterable[Fit]],
    n: int = 1,
    begin: Callable[[int], None] = lambda fold: None,
) -> Array:
    """Score each example by n regressions, given by train(fold, coordinates, objective).

    The folds share the coordinates of all examples; where there are none, each fold scales its own
    and picks coordinates for them. `objective` counts all examples.
    """
    scores, m = np.full((n, len(folds)), np.nan), examples.m
    weights = sample_weights(m, np.resize(folds, m))[1:, None]
    for fold in range(len(weights)):
        begin(fold)
        trained, left_out = np.flatnonzero(weights[fold]), np.flatnonzero(folds == fold)
        own = objective._replace(sample_weight=weights[fold])
        system = shared or pick(standardise(examples, own.sample_weight)[0])
        in_gram = isinstance(system, Gram)
        if isinstance(system, Gram):
            # With their inner products for features, what is left out has the scores for weights:
            # wᵀx = cᵀ(Xᵀx). X itself is not touched again.
            G = system.G
            system = Gram(G[np.ix_(left_out, trained)] - 1.0, G[np.ix_(trained, trained)])
            own = Objective(own.Y[:, trained], own.sample_weight[:, trained], own.l2)
        for j, fit in enumerate(train(fold, system, own)):
            scores[j, left_out] = fit.w[:, 0] + fit.b[0, 0] if in_gram else fit.Z[0, left_out]
    return scores
