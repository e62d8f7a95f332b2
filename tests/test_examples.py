"""Sums over blocks are the sums over all, wherever the blocks are."""

import math

import numpy as np
import pytest

from catclf import logistic
from catclf.common.blocks import LazyArray, in_blocks
from catclf.data.dataset import Dataset
from catclf.data.drawn import draw
from catclf.errors import DataError
from catclf.features import MAPS
from catclf.features.feature_map import extract
from catclf.solvers import Solver
from catclf.solvers import examples as module
from catclf.solvers.coordinates import Objective, Primal
from catclf.solvers.cross_validation import fit_and_cross_validate, stratified_folds
from catclf.solvers.examples import Examples
from catclf.training import Settings, make_examples, train_with


@pytest.fixture
def in_pieces(monkeypatch):
    """Give images as they would be in memory, and as they are read a few at a time."""
    monkeypatch.setattr(module, "SLICE_BYTES", 8 * 12288 * 3)
    images, labels = draw(31, seed=5)
    stored = LazyArray(lambda start, stop: images[start:stop].copy(), images.shape, np.uint8)
    stored.block_rows = 7
    return images, stored, labels.reshape(1, -1)


def dataset(images, Y, memory=math.inf):
    return Dataset(images, Y, ("non-cat", "cat"), "some", memory=memory)


def test_the_sums_are_the_lessons(in_pieces):
    images, stored, Y = in_pieces
    X = images.reshape(31, -1).T / 255.0
    rng = np.random.default_rng(0)
    w, b = 0.01 * rng.normal(size=(12288, 3)), rng.normal(size=(3, 1))
    weight = rng.random((3, 31))
    objective = Objective(Y, weight)
    Z = logistic.forward(w, b, X)
    dw, db = logistic.backward(X, weight * (logistic.sigmoid(Z) - Y))
    J = np.sum(weight * logistic.loss(Z, Y), axis=1)
    for rows in (images, stored):
        seen = Examples(rows, scale=255.0)
        np.testing.assert_allclose(seen.forward(w, b), Z, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(seen.matrix(), X, rtol=1e-15)
        found = Primal(seen).gradient(w, b, objective)
        for got, expected in zip(found, (J, dw, db), strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-12)
        assert not Primal(seen).gradient(w, b, objective, cost=False)[0].any()


def test_a_tree_of_sums_comes_out_the_same_however_it_is_divided():
    rng = np.random.default_rng(2)
    leaves = rng.normal(size=(150, 3, 2)) * 10.0 ** rng.integers(-8, 8, (150, 1, 1))
    by_threes = 0
    for n in range(1, 151):
        at_once, by_sixteens, others = (
            module.total(
                module.total((leaf.copy(),) for leaf in leaves[i : min(i + size, n)])
                for i in range(0, n, size)
            )[0].tobytes()
            for size in (256, 16, 3)
        )
        assert at_once == by_sixteens
        by_threes += at_once == others
    assert by_threes < 15  # the order is seen in the last bits


def test_products_with_the_hessian_are_differences_of_gradients(in_pieces):
    _, stored, Y = in_pieces
    seen = Examples(stored, scale=255.0)
    rng = np.random.default_rng(1)
    w, p = 0.02 * rng.normal(size=(2, 12288, 1))
    weight = rng.random((1, 31))
    objective = Objective(Y, weight)
    b, q, step = np.array([[0.3]]), np.array([[-0.7]]), 1e-5
    u, total = seen.add_up(module.hessian_product, Y, weight, w, b, p, q)
    _, before, bias_before = Primal(seen).gradient(w - step * p, b - step * q, objective)
    _, after, bias_after = Primal(seen).gradient(w + step * p, b + step * q, objective)
    np.testing.assert_allclose(u, (after - before) / (2 * step), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(total, (bias_after - bias_before) / (2 * step), rtol=1e-5)
    few = Examples(stored[:][:, :2, :2], scale=255.0)  # 12 features
    H, H_b, H_bb = few.add_up(module.hessian, Y, weight, w[:12], b)
    u, total = few.add_up(module.hessian_product, Y, weight, w[:12], b, p[:12], q)
    np.testing.assert_allclose(H @ p[:12] + q * H_b, u, rtol=1e-10)
    np.testing.assert_allclose(H_b.T @ p[:12] + q * H_bb, total, rtol=1e-10)


@pytest.mark.parametrize(
    ("name", "solver"),
    [
        ("pixels", Solver("descent", iterations=40, learning_rate=0.01)),
        ("pixels", Solver("newton", l2=0.1, tolerance=1e-10)),
        ("conv", Solver("descent", iterations=40, learning_rate=0.01, l2=0.3)),
        ("patches", Solver("newton", l2=0.1, tolerance=1e-10)),
    ],
)
def test_every_solver_and_map_gives_the_same_from_disk(in_pieces, name, solver):
    images, stored, Y = in_pieces
    feature_map = MAPS[name].fit(images, **({"dictionary": 8} if name == "patches" else {}))
    folds = stratified_folds(Y, 3)
    (one, left), (other, also_left) = (
        fit_and_cross_validate(solver, seen, Y, scaled=feature_map.standardised, folds=folds)
        for seen in (
            make_examples(feature_map, dataset(images, Y)),
            make_examples(feature_map, dataset(stored, Y, memory=0)),
        )
    )
    # A network's float32 sums depend, in their last digits, on how many images are in a block.
    exact = 1e-3 if name == "conv" else 1e-6
    np.testing.assert_allclose(other.w, one.w, rtol=exact, atol=exact * np.abs(one.w).max())
    np.testing.assert_allclose(other.Z, one.Z, rtol=exact, atol=exact)
    np.testing.assert_allclose(also_left, left, rtol=exact, atol=exact)
    assert other.J == pytest.approx(one.J, rel=exact)


def test_features_that_do_not_fit_are_kept_in_a_file_and_all_are_counted(in_pieces):
    images, stored, Y = in_pieces
    told, conv = [], MAPS["conv"].fit(images)
    ample, tight = (
        make_examples(conv, dataset(rows, Y, memory), progress=lambda *n: told.append(n))
        for rows, memory in ((images, 1e9), (stored, 1e4))
    )
    assert isinstance(ample.rows, np.ndarray)
    assert isinstance(tight.rows, LazyArray)
    np.testing.assert_allclose(tight.rows[:], ample.rows, rtol=1e-5, atol=1e-6)
    assert (tight.memory, ample.memory) == (0, 1e9 - images.nbytes - ample.rows.nbytes)
    assert told.count((31, 31)) == 2 < len(told)
    with pytest.raises(DataError, match=r"expected uint8 .* or \(m, 64, 64, 3\)"):
        extract(conv, images[:, :32])
    data = dataset(images, Y)
    for name, count in (("conv", 1), ("pixels", 0)):
        told.clear()
        solvers = [Solver(learning_rate=rate, iterations=2) for rate in (0.01, 0.02)]
        count_images = lambda *n: told.append(n)  # noqa: E731
        train_with(data, Settings(name, cv=0), solvers, progress=count_images)
        assert told == [(31, 31)] * count


def test_a_dataset_stays_on_disk_if_it_does_not_fit(in_pieces):
    images, stored, Y = in_pieces
    data = dataset(stored, Y)
    small, large = data.within(images.nbytes - 1), data.within(images.nbytes)
    assert small.images is stored
    assert stored.cache_bytes == images.nbytes - 1
    assert isinstance(large.images, np.ndarray)
    memory = dataset(images, Y)
    for one in (small, large):
        assert one.sha256 == memory.sha256
        np.testing.assert_array_equal(one.signatures.fingerprints, memory.signatures.fingerprints)
        np.testing.assert_array_equal(one.duplicate_groups, memory.duplicate_groups)
    assert [part for part, _ in in_blocks(images)] == [slice(0, 31)]
