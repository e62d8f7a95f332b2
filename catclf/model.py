"""A trained model: parameters, the features they weigh, class names, and how it came about."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catclf import features, logistic
from catclf.common.blocks import Rows, block_slices, map_blocks
from catclf.common.types import DRAWN, Progress, check_images
from catclf.common.version import __version__
from catclf.errors import ModelError
from catclf.features import FeatureMap
from catclf.logistic import Array
from catclf.metrics import Proportion
from catclf.model_file import read_model, write_model

MOST_COUNTED = 2**53
"""A count of images in a model file that is larger is not believed."""
MOST_SAID = 400
"""So many characters are shown of anything that a model file says."""


@dataclass(frozen=True)
class Provenance:
    """How a model came about.

    A stranger's file may say anything of it, or nothing: what is not as training writes it is None
    here, or empty, and is saved again as it was.

    Attributes
    ----------
    as_json : dict
        What the file says, as plain JSON values: `solver`, `data`, `training`, `cross_validation`
        and, after --auto, `tried`; see docs/formats.md.
    """

    as_json: dict[str, Any] = field(default_factory=dict)

    @property
    def solver(self) -> dict[str, Any]:
        """The name and the settings of the solver."""
        return self._dict("solver")

    @property
    def data(self) -> dict[str, Any]:
        """The training images' name, counts by class and SHA-256."""
        return self._dict("data")

    @property
    def counts(self) -> dict[str, int]:
        """How many training images each class has, by name."""
        counts = self.data.get("counts")
        counted = isinstance(counts, dict) and all(type(n) is int for n in counts.values())
        return counts if isinstance(counts, dict) and counted else {}

    @property
    def training(self) -> Proportion | None:
        """How many of the training images come out right."""
        return _proportion(**self._dict("training"))

    @property
    def cross_validation(self) -> Proportion | None:
        """How many images come out right of a model that was trained without them."""
        return _proportion(**self._dict("cross_validation"))

    @property
    def folds(self) -> int | None:
        """How many folds cross-validation had."""
        folds = self._dict("cross_validation").get("folds")
        return folds if type(folds) is int else None

    @property
    def majority(self) -> Proportion | None:
        """How many training images always answering the commoner class would get right."""
        counts = self.counts.values()
        return _proportion(max(counts, default=0), sum(counts))

    @property
    def tried(self) -> list[Any]:
        """What --auto tried: lists of the features, l2, the log loss and the accuracy."""
        tried = self.as_json.get("tried")
        return tried if isinstance(tried, list) else []

    def _dict(self, name: str) -> dict[str, Any]:
        said = self.as_json.get(name)
        return said if isinstance(said, dict) else {}


def _proportion(correct: Any = None, n: Any = None, **_: Any) -> Proportion | None:
    if type(correct) is int and type(n) is int and 0 <= correct <= n and 0 < n < MOST_COUNTED:
        return Proportion(correct, n)
    return None


@dataclass(frozen=True)
class Model:
    """A logistic regression on a feature map.

    Attributes
    ----------
    w : float64 (n_x, 1)
    b : float
    classes : (str, str)
        Names of class 0 and class 1; the probability is that of class 1.
    features : FeatureMap
        What turns images into X.
    threshold : float
        An image whose probability lies above it is called class 1.
    temperature : float
        T by which scores are divided before they become probabilities.
    costs : list of (iteration, cost in nats)
    provenance : Provenance
        How the model came about: solver, training data, cross-validation.
    version : str
        Of the catclf that made it.
    seen : uint64 (k,)
        Fingerprints of the training images, ascending, each once; see `catclf.data.duplicates`.
    """

    w: Array
    b: float
    classes: tuple[str, str]
    features: FeatureMap
    threshold: float = 0.5
    temperature: float = 1.0
    costs: list[tuple[int, float]] = field(default_factory=list)
    provenance: Provenance = field(default_factory=Provenance)
    version: str = __version__
    seen: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, dtype=np.uint64))

    @property
    def distrust(self) -> str | None:
        """Why the model cannot be trusted with photos, in a few words; None where it can.

        It is told from what the file says of the training. Drawings that `catclf data draw` wrote
        to a file cannot be told from photos.
        """
        past = self.provenance
        cv, majority, data = past.cross_validation, past.majority, past.data.get("name")
        if isinstance(data, str) and DRAWN in data.split(" + "):
            return "trained on drawings"
        if cv is None or majority is None:
            return "no cross-validation"
        if cv.value <= majority.value:
            commonest = max(self.classes, key=lambda name: past.counts.get(name, 0))
            return f'no better than always "{commonest}"'
        return None

    def scores(self, images: Rows, progress: Progress | None = None) -> Array:
        """Score images: Z float64 (1, m), log-odds of class 1.

        They are uint8 (m, height, width, 3), of the size that the features are taken from. Of those
        at hand, not on a cluster, progress(done, total) counts the ones that are done.

        The score of an image is the same, to the last bit, whatever images come with it.

        Raises
        ------
        DataError
            If the images are of another type or shape.
        ModelError
            If a score is not finite.
        """
        check_images(images, self.features.image_size, or_small=self.features.enlarges)
        done, m = 0, len(images)  # what follows may go to a cluster, without the images

        def score(block: NDArray[np.uint8]) -> Array:
            nonlocal done
            Z = np.empty((1, len(block)))
            for part in block_slices(block, features.BATCH):
                Z[:, part] = self.weigh(self.features.transform(block[part]).T)
                done += part.stop - part.start
                if progress is not None:
                    progress(done, m)
            return Z

        return np.concatenate([np.zeros((1, 0)), *map_blocks(score, images)], axis=1)

    def weigh(self, rows: NDArray[Any]) -> Array:
        """Score features (m, n_x), a row for each image: Z = wᵀx + b float64 (1, m), log-odds.

        The score of an image is the same, to the last bit, whatever images come with it.

        Raises
        ------
        ModelError
            If a score is not finite.
        """
        x = np.ascontiguousarray(rows, dtype=np.float64)
        with np.errstate(over="ignore", invalid="ignore"):  # what these would warn of is told
            # A product for each image: in one for all, the last digits can be others.
            Z: Array = np.matmul(x[:, None], self.w)[None, :, 0, 0] + self.b
        if not np.isfinite(Z).all():
            raise ModelError("the model gives scores that are not finite; train it again")
        return Z

    def probabilities(self, images: NDArray[np.uint8]) -> Array:
        """Give each image's probability of class 1: A = σ(Z/T) float64 (1, m), in [0, 1]."""
        return logistic.sigmoid(self.scores(images) / self.temperature)

    def describe(self) -> dict[str, Any]:
        """Describe the model in values that JSON knows; what is not known is None."""
        greatest = float(np.abs(self.w).max(initial=0.0)) or 1.0
        norm = greatest * float(np.linalg.norm(self.w / greatest))
        described: dict[str, Any] = {
            "catclf_version": self.version,
            "classes": list(self.classes),
            "features": {"name": self.features.name, "settings": self.features.settings()},
            "n_x": self.features.n_x,
            "weight_norm": norm if np.isfinite(norm) else None,
            "bias": self.b,
            "threshold": self.threshold,
            "temperature": self.temperature,
            "cost": [[iteration, cost] for iteration, cost in self.costs],
        }
        for name, figure in (
            ("train_accuracy", self.provenance.training),
            ("cv_accuracy", self.provenance.cross_validation),
            ("majority", self.provenance.majority),
        ):
            described[name] = figure.value if figure else None
            described[f"{name}_interval"] = list(figure.interval) if figure else None
        described["trusted"] = self.distrust is None
        return {**described, "provenance": self.provenance.as_json}

    def in_words(self) -> Iterator[tuple[str, str]]:
        """Describe the model for a person: names of what there is to say of it, and words.

        What belongs to the name above it is set in by two blanks.
        """
        norm = self.describe()["weight_norm"]
        length = "not finite" if norm is None else f"{norm:.4g}"
        yield "classes", f"0 {self.classes[0]}, 1 {self.classes[1]}"
        yield "features", f"{self.features.name}, {self.features.n_x:,} numbers an image"
        for name, value in self.features.settings().items():
            yield f"  {name}", _words(value)
        yield "weights", f"length {length}, bias {self.b:.4g}"
        yield "threshold", f"{self.threshold:.4g}"
        yield "temperature", f"{self.temperature:.4g}"
        if self.costs:
            (first, before), (last, after) = self.costs[0], self.costs[-1]
            course = f"{before:.4g} nats at step {first:,}, {after:.4g} at {last:,}"
            yield "cost", f"{course}; recorded {len(self.costs):,} times"
        past = self.provenance
        rest = {key: value for key, value in past.as_json.items() if value is not None}
        unseen = f"{past.folds}-fold CV" if past.folds else "held out"
        for key, label, figure in (
            ("training", "training", past.training),
            ("cross_validation", unseen, past.cross_validation),
        ):
            if figure is not None:
                del rest[key]
                yield label, "{} ({})".format(*figure.percent)
        if past.majority is not None:
            yield "majority", "{} ({})".format(*past.majority.percent)
        yield "trusted", f"not with photos: {self.distrust}" if self.distrust else "with photos"
        if past.tried:
            del rest["tried"]
            yield "--auto", f"tried {len(past.tried)} pairs of features and l2"
        for key, value in rest.items():
            inner = value if isinstance(value, dict) else {}
            yield key, "" if isinstance(value, dict) else _words(value)
            yield from ((f"  {name}", _words(part)) for name, part in inner.items())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to `path`, whole or not at all; the name is taken as given.

        Raises
        ------
        ModelError
            If it cannot be written, what is there is no model, or the weights are not finite; what
            was there before stays.
        """
        write_model(path, vars(self), self.provenance.as_json)


def load_model(path: str | os.PathLike[str]) -> Model:
    """Read a model file and check it.

    Raises
    ------
    ModelError
        If the file is missing, is no catclf model, is damaged, holds weights that are not finite,
        or was written by a newer version.
    """
    fields, past = read_model(path)
    return Model(**fields, provenance=Provenance(past))


def _words(value: Any) -> str:
    """Write a JSON value for a person: names and what they are, or else as JSON."""
    if isinstance(value, dict):
        value = ", ".join(f"{key} {_json(part)}" for key, part in value.items())
    text = _json(value)
    return text if len(text) <= MOST_SAID else f"{text[:MOST_SAID]}..."


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
