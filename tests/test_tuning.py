"""Choosing by cross-validation: what is kept apart, what is chosen, and being interrupted."""

import io
from unittest.mock import DEFAULT, MagicMock

import h5py
import numpy as np
import pytest
from PIL import Image

from catclf import load_dataset, tuning
from catclf import training as pipeline
from catclf.data.dataset import Dataset
from catclf.data.drawn import draw
from catclf.errors import ParameterError
from catclf.features import patches
from catclf.features.pixels import Pixels
from catclf.logistic import cost, sigmoid
from catclf.metrics import best_threshold, fit_temperature
from catclf.solvers.coordinates import Gram, Objective
from catclf.solvers.cross_validation import stratified_folds
from catclf.solvers.newton import newton
from catclf.tuning import L2_PATH, tune

CLASSES = ("non-cat", "cat")
SMALL = {"dictionary": 6, "cv": 3}


@pytest.fixture(autouse=True, scope="module")
def _few_samples():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(patches, "SAMPLES", 3000)
        yield


@pytest.fixture(scope="module")
def whole(drawn):
    """All maps and penalties tried, and what was told meanwhile."""
    told = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, "_is_behind", lambda *_: False)
        return tune(drawn, **SMALL, progress=lambda *one: told.append(one)), told


@pytest.fixture
def recorded(monkeypatch):
    """Keep what the folds were dealt from and the temperature fitted to, and what came of it."""
    calls = {}

    def record(home, name):
        function = getattr(home, name)

        def wrapped(*arguments):
            calls[name] = *arguments, function(*arguments)
            return calls[name][-1]

        monkeypatch.setattr(home, name, wrapped)

    record(tuning, "grouped_folds")
    record(pipeline.metrics, "fit_temperature")
    return calls


def interrupt(at):
    """Give a progress that interrupts when a certain thing is about to be done."""

    def progress(word, spent, total):
        if word.startswith(at):
            raise KeyboardInterrupt

    return progress


def dataset(images, labels, **more):
    return Dataset(images, np.reshape(labels, (1, -1)), CLASSES, "some", **more)


def nearly(image, quality=80):
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def with_copies(m=44, copies=20):
    """Drawings, followed by a recompressed copy of the first, every other one mirrored too."""
    images, labels = draw(m, seed=5)
    again = [nearly(images[i][:, :: 1 if i % 2 else -1]) for i in range(copies)]
    return dataset(np.concatenate([images, again]), np.append(labels, labels[:copies]))


def test_copies_and_what_shares_a_source_never_straddle_folds(tmp_path, recorded):
    images, labels = draw(48, seed=6)
    sources = np.array([f"photographer {i // 3}".encode() for i in range(48)] + [b"copies"] * 4)
    sources[1] = sources[2] = b"caf\xc3\xa9"
    copies = np.stack([nearly(images[i][:, :: 1 if i % 2 else -1]) for i in (10, 20, 30, 40)])
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["train_set_x"] = np.concatenate([images, copies])
        file["train_set_y"] = np.append(labels, labels[[10, 20, 30, 40]])
        file["source"] = sources
    data = load_dataset(tmp_path / "a.h5")
    assert data.groups[:4] == ("photographer 0", "café", "café", "photographer 1")
    with pytest.raises(KeyboardInterrupt):
        tune(data, features="pixels", cv=4, progress=interrupt("pixels: features"))
    *_, folds = recorded["grouped_folds"]
    straddling = stratified_folds(data.Y, 4, tuning.FOLD_SEED)
    assert len(set(folds)) == 4
    for source in set(sources):
        assert len(set(folds[sources == source])) == 1
    assert any(len(set(straddling[sources == source])) > 1 for source in set(sources))
    # The copies hold together, and with them the sources of what they are copies of.
    assert len(set(folds[[9, 10, 11, 18, 19, 20, 30, 31, 32, 39, 40, 41, 48, 49, 50, 51]])) == 1


def out_of_fold(data, folds, l2):
    """Cross-validate pixels plainly: train on the other folds and their mirror images."""
    Z = np.empty((1, len(data)))
    for fold in set(folds):
        kept = folds != fold
        images = np.concatenate([data.images[kept], data.images[kept][:, :, ::-1]])
        X, Y = Pixels().transform(images).astype(float), np.tile(data.Y[:, kept], 2).astype(float)
        fit = newton(Gram(X), Objective(Y, np.full(Y.shape, 1 / Y.size), l2))
        Z[:, ~kept] = fit.w.T @ Pixels().transform(data.images[~kept]) + fit.b
    return Z


def test_mirrored_copies_are_trained_on_and_never_scored(recorded):
    data = with_copies(30, 10)
    tuning = tune(data, features="pixels", cv=3)
    *_, folds = recorded["grouped_folds"]
    Y, Z, T = recorded["fit_temperature"]
    np.testing.assert_array_equal(Y, data.Y)
    np.testing.assert_array_equal(folds[30:], folds[:10])
    expected = out_of_fold(data, folds, tuning.best.l2)
    np.testing.assert_allclose(Z, expected, rtol=5e-3, atol=5e-3)
    assert tuning.model.temperature == T == fit_temperature(data.Y, Z)
    assert tuning.best.log_loss == pytest.approx(cost(expected, data.Y), rel=5e-3)
    assert tuning.best.accuracy.correct == np.sum((Z > 0) == data.Y)
    # The temperature comes from scores of images not seen.
    assert tuning.model.temperature > 2 * fit_temperature(data.Y, tuning.model.scores(data.images))


def test_the_model_is_trained_on_all_images_and_their_mirror_images(drawn):
    model = tune(drawn, features="pixels", l2=0.05, cv=3).model
    images = np.concatenate([drawn.images, drawn.images[:, :, ::-1]])
    X, Y = Pixels().transform(images).astype(float), np.tile(drawn.Y, 2).astype(float)
    fit = newton(Gram(X), Objective(Y, np.full(Y.shape, 1 / Y.size), 0.05))
    assert np.linalg.norm(model.w - fit.w) <= 1e-6 * np.linalg.norm(fit.w)
    # So that its weights are their own mirror image.
    square = model.w.reshape(64, 64, 3)
    assert np.abs(square - square[:, ::-1]).max() <= 1e-6 * np.abs(square).max()
    right = np.sum((model.scores(drawn.images) > 0) == drawn.Y)
    assert model.provenance.training.correct == right


def test_the_best_has_the_lowest_log_loss(whole):
    tuning, told = whole
    assert tuning.complete
    assert [(trial.features, trial.l2) for trial in tuning.trials] == [
        (name, l2) for name in ("conv", "pixels", "patches") for l2 in L2_PATH
    ]
    lowest = min(tuning.trials, key=lambda trial: trial.log_loss)
    assert tuning.best is lowest
    assert tuning.model.features.name == lowest.features
    assert tuning.model.provenance.solver["l2"] == lowest.l2
    assert tuning.model.provenance.tried == [
        [t.features, t.l2, t.log_loss, t.accuracy.value] for t in tuning.trials
    ]
    assert len({trial.log_loss for trial in tuning.trials}) == len(tuning.trials)
    # Progress has an estimate from the first fold on.
    assert [word for word, _, _ in told] == [
        f"{name}: {part}"
        for name in ("conv", "pixels", "patches")
        for part in (
            *(("features", "fold 1", "fold 2") if name != "conv" else ()),  # the race
            *("features", "fold 1", "fold 2", "fold 3"),
        )
    ]
    assert [total for _, _, total in told[:2]] == [None, None]
    assert all(total > spent > 0 for _, spent, total in told[2:])


def test_a_map_that_is_behind_after_two_folds_is_left_out(drawn, monkeypatch, recorded):
    told = []
    raced = tune(drawn, l2=0.5, **SMALL, progress=lambda *one: told.append(one))
    *_, folds = recorded["grouped_folds"]
    first, *others = raced.trials
    assert not first.left_out
    assert {"pixels", "patches"} == {t.features for t in others}
    assert any(t.left_out for t in others)
    for trial in others:
        assert trial.accuracy.n == (np.sum(folds < 2) if trial.left_out else len(drawn))
        last = max(word for word, *_ in told if word.startswith(f"{trial.features}: fold"))
        assert last.endswith("2" if trial.left_out else "3")
    assert [row[4:] for row in raced.model.provenance.tried] == [
        ["left out"] if t.left_out else [] for t in raced.trials
    ]
    assert raced.complete
    monkeypatch.setattr(tuning, "RACE_IMAGES", 31)
    fewer = tune(drawn, l2=0.5, **SMALL)
    assert {t.accuracy.n <= 31 for t in fewer.trials if t.left_out} == {True}
    np.testing.assert_array_equal(fewer.model.w, raced.model.w)


def test_behind_is_by_more_than_the_spread_of_the_folds():
    Y, folds = np.array([[1, 0, 1, 0, 1, 0]]), np.array([0, 0, 1, 1, -1, -1])
    sign = np.where(Y == 1, 1.0, -1.0)
    lead, steady, wild = 2 * sign, 1 * sign, sign * np.where(folds == 0, 4, 0.1)
    assert tuning._is_behind(steady, lead, Y, folds)
    assert not tuning._is_behind(wild, lead, Y, folds)
    assert not tuning._is_behind(lead, steady, Y, folds)


def test_what_is_given_is_not_tuned(drawn):
    only = tune(drawn, features="patches", pool=2, **SMALL)
    assert {t.features for t in only.trials} == {"patches"}
    assert [t.l2 for t in only.trials] == list(L2_PATH)
    assert only.model.features.settings() == {"dictionary": 6, "pool": 2}
    again = tune(drawn, features="patches", pool=2, **SMALL)
    assert only.trials == again.trials  # the same images give the same choice
    np.testing.assert_array_equal(only.model.w, again.model.w)


def test_balanced_accuracy_moves_the_threshold_on_unequal_classes(recorded):
    images, labels = draw(130, seed=8)
    kept = np.concatenate([np.flatnonzero(labels == 0)[:60], np.flatnonzero(labels == 1)[:14]])
    data = dataset(images[kept], labels[kept])
    how = {"features": "patches", "dictionary": 12, "l2": 0.1, "cv": 4}
    plain, balanced = tune(data, **how).model, tune(data, **how, maximise="balanced-accuracy").model
    _, Z, T = recorded["fit_temperature"]
    assert plain.threshold == 0.5
    assert balanced.threshold == best_threshold(data.Y, sigmoid(Z / T)) < 0.4
    np.testing.assert_array_equal(plain.w, balanced.w)


def test_an_interrupt_keeps_the_best_so_far_if_there_is_one(drawn, whole):
    for at in ("conv: features", "conv: fold 2"):
        with pytest.raises(KeyboardInterrupt):
            tune(drawn, **SMALL, progress=interrupt(at))
    for at in ("pixels: features", "pixels: fold 2"):
        broken, (unbroken, _) = tune(drawn, **SMALL, progress=interrupt(at)), whole
        assert not broken.complete
        assert broken.trials == unbroken.trials[: len(L2_PATH)]
        assert broken.model.features.name == "conv"
        assert broken.best is min(broken.trials, key=lambda trial: trial.log_loss)


def test_an_interrupt_during_the_last_training_keeps_the_choice(drawn, monkeypatch):
    once = MagicMock(side_effect=[KeyboardInterrupt, DEFAULT], wraps=tuning.make_model)
    plain = tune(drawn, features="pixels", l2=0.1, cv=3)
    monkeypatch.setattr(tuning, "make_model", once)
    again = tune(drawn, features="pixels", l2=0.1, cv=3)
    assert once.call_count == 2
    np.testing.assert_array_equal(again.model.w, plain.model.w)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"maximise": "recall"}, "not 'recall'"),
        ({"features": "edges"}, "not 'edges'"),
        ({"l2": 0.0}, "above 0, not 0"),
        ({"cv": 1}, "not 1"),
        ({"features": "pixels", "pool": 2}, "pool can be set with --features patches"),
        ({"dictionary": 0}, "1 to 10000 patches, not 0"),
    ],
)
def test_choices_that_make_no_sense_are_refused(drawn, choice, message):
    with pytest.raises(ParameterError, match=message):
        tune(drawn, **choice)
