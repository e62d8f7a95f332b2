"""What report.json holds: plain JSON values, none of them NaN or infinite."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from catclf.common.version import __version__
from catclf.data.dataset import Dataset
from catclf.data.duplicates import clusters
from catclf.evaluation import Result, comparison, summary
from catclf.logistic import sigmoid
from catclf.metrics import curves
from catclf.pictures.report.pictures import histogram_counts

SHEET = 24
"""How many images a contact sheet holds at most."""
COMPARABLE = 10_000
"""Among more images than these, copies are not looked for: it would take longer than all else."""


def gather(results: Sequence[Result]) -> dict[str, Any]:
    """Gather the figures, the curves and the lists of one or more models on the same images.

    Curves are thinned to `catclf.metrics.curves.MOST_POINTS` points.
    """
    dataset = results[0].dataset
    found = {
        "catclf_report": 1,
        "catclf_version": __version__,
        "data": _data(dataset),
        "models": [_model(result) for result in results],
        "comparison": comparison(results),
        "disagreements": _disagreements(results),
    }
    return {key: _finite(value) for key, value in found.items()}


def _data(dataset: Dataset) -> dict[str, Any]:
    copies = None
    if len(dataset) <= COMPARABLE:
        copies = len(dataset) - len(np.unique(clusters(dataset.images)))
    return {
        "name": dataset.name,
        "folder": folder_of(dataset),
        "n": len(dataset),
        "counts": dataset.counts,
        "sha256": dataset.sha256,
        "near_copies": copies,
        "notes": list(dataset.notes),
    }


def folder_of(dataset: Dataset) -> str | None:
    """Find the folder that all images lie in; None where they are no files."""
    folders = {os.path.dirname(path) for path in dataset.paths}
    return os.path.commonpath(folders) if folders else None


def _model(result: Result) -> dict[str, Any]:
    model = result.model
    return {
        "model": result.name,
        "path": result.path,
        "trained_on_these_images": result.seen,
        **summary(result.figures),
        "card": {
            "catclf_version": model.version,
            "classes": model.classes,
            "features": {
                "name": model.features.name,
                "n_x": model.features.n_x,
                "settings": model.features.settings(),
            },
            "threshold": model.threshold,
            "temperature": model.temperature,
            "provenance": model.provenance,
        },
        "curves": _curves(result),
        "worst": result.listed(result.worst(SHEET)),
        "least_sure": result.listed(result.least_sure(SHEET)),
    }


def _curves(result: Result) -> dict[str, Any]:
    Y, A = result.dataset.Y, result.A
    ranked, bins = curves.ranking(Y, result.Z), curves.reliability(Y, A)
    covered = curves.coverage(Y, A, result.model.threshold)
    heights, edges = histogram_counts(result)
    found: dict[str, Any] = {"ranking": None}
    if ranked is not None:
        kept = curves.thinned(len(ranked.score))
        ranked = ranked._replace(score=sigmoid(ranked.score))
        points = {key: v[kept].tolist() for key, v in ranked._asdict().items()}
        found["ranking"] = {"probability": points.pop("score"), **points}
    kept = curves.thinned(len(covered.unsure))
    found["reliability"] = {key: v.tolist() for key, v in bins._asdict().items()}
    found["coverage"] = {key: v[kept].tolist() for key, v in covered._asdict().items()}
    counts = dict(zip(result.dataset.classes, heights.tolist(), strict=True))
    found["histogram"] = {"edges": edges.tolist(), "counts": counts}
    return found


def disagreements(results: Sequence[Result], n: int) -> list[int]:
    """Find n images that the models call differently, those first on which they differ most."""
    A = np.concatenate([result.A for result in results])
    right = np.concatenate([result.right for result in results])
    differ = np.flatnonzero(right.any(axis=0) & ~right.all(axis=0))
    spread = np.ptp(A[:, differ], axis=0)
    return [int(i) for i in differ[np.argsort(-spread, kind="stable")][:n]]


def _disagreements(results: Sequence[Result]) -> list[dict[str, Any]]:
    dataset = results[0].dataset
    return [
        {
            "path": dataset.label(i),
            "class": dataset.classes[int(dataset.Y[0, i])],
            "probabilities": [float(result.A[0, i]) for result in results],
        }
        for i in disagreements(results, SHEET)
    ]


def _finite(value: Any) -> Any:
    """Put None for what JSON has no number for: a model file may say anything of its past."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
