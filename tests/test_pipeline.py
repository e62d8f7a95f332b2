"""Training and evaluation from end to end, in Python."""

import numpy as np
import pytest

import catclf
from catclf.data.dataset import Dataset
from catclf.errors import DataError, ParameterError
from catclf.solvers.cross_validation import stratified_folds


def test_cross_validation_equals_training_without_each_fold_of_the_smaller_class(drawn):
    order = np.argsort(drawn.Y[0])[: 30 + 5]
    few = Dataset(drawn.images[order], drawn.Y[:, order], drawn.classes, "few cats")
    model = catclf.train(few, iterations=150)
    folds, right = stratified_folds(few.Y, 5, 0), 0  # not ten: there are five cats
    for fold in range(5):
        kept, left = folds != fold, folds == fold
        part = Dataset(few.images[kept], few.Y[:, kept], few.classes, "part")
        A = catclf.train(part, iterations=150, cv=0).probabilities(few.images[left])
        right += int(np.sum((A > 0.5) == (few.Y[:, left] == 1)))
    shown = {"folds": 5, "seed": 0, "correct": right, "n": 35}
    assert model.provenance.as_json["cross_validation"] == shown
    trained = np.sum((model.probabilities(few.images) > 0.5) == (few.Y == 1))
    assert model.provenance.training == (int(trained), 35)
    one = Dataset(few.images[:31], few.Y[:, :31], few.classes, "one cat")
    assert catclf.train(one, iterations=5).provenance.cross_validation is None


def test_the_threshold_can_serve_balanced_accuracy(drawn):
    order = np.argsort(drawn.Y[0], kind="stable")[: 30 + 12]
    few = Dataset(drawn.images[order], drawn.Y[:, order], drawn.classes, "few cats")
    plain = catclf.train(few, iterations=200)
    balanced = catclf.train(few, iterations=200, maximise="balanced-accuracy")
    assert plain.threshold == 0.5
    assert balanced.threshold != 0.5
    assert balanced.temperature == plain.temperature
    with pytest.raises(ParameterError, match="cross-validation"):
        catclf.train(few, maximise="balanced-accuracy", cv=0)


def test_one_class_alone_cannot_be_trained_on_but_evaluated(drawn):
    cats = drawn.Y[0] == 1
    alone = Dataset(drawn.images[cats], drawn.Y[:, cats], drawn.classes, "alone")
    with pytest.raises(DataError, match="no non-cat"):
        catclf.train(alone)
    model = catclf.train(drawn, iterations=100, cv=0)
    figures, A = catclf.evaluate(model, alone)
    assert figures.roc_auc is None
    assert figures.balanced_accuracy is None
    assert figures.recall == np.mean(A > 0.5)
    dogs = Dataset(drawn.images, drawn.Y, ("cat", "dog"), "dogs")
    with pytest.raises(DataError, match="cat and dog, the model's non-cat and cat"):
        catclf.evaluate(model, dogs)


def test_the_package_offers_what_it_lists():
    for name in catclf.__all__:
        assert getattr(catclf, name)
    with pytest.raises(AttributeError, match="dogclf"):
        _ = catclf.dogclf


def test_copies_of_one_picture_do_not_help_cross_validation(drawn, monkeypatch):
    twice = Dataset(
        np.concatenate([drawn.images, drawn.images]),
        np.concatenate([drawn.Y, drawn.Y], axis=1),
        drawn.classes,
        "twice",
    )

    def cross_validated(data):
        model = catclf.train(data, solver="newton", l2=0.1, cv=3)
        return model.provenance.cross_validation.value

    once = cross_validated(drawn)
    assert cross_validated(twice) < once + 0.1
    monkeypatch.setattr(Dataset, "duplicate_groups", property(lambda data: np.arange(len(data))))
    assert cross_validated(twice) > once + 0.1  # each is known by its copy among the rest
