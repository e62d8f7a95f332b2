"""A page on what models make of one data set, and the same figures for a program."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catclf.common.files import OutputFormat
from catclf.common.text import to_json
from catclf.common.version import __version__
from catclf.data.dataset import Dataset
from catclf.errors import OutputError
from catclf.evaluation import Result, comparison_as_json, figures_as_json
from catclf.logistic import sigmoid
from catclf.metrics import curves

PAGE, DATA = "index.html", "report.json"
_REFUSAL = "what is there is no report; name another folder"
_FILES = {
    PAGE: OutputFormat(
        "report", OutputError, rb'.*<meta name="generator" content="catclf ', _REFUSAL
    ),
    DATA: OutputFormat("report", OutputError, rb'\{"catclf_report": ', _REFUSAL),
}


def check_target(folder: str | os.PathLike[str]) -> None:
    """Raise OutputError if a report could not, or should not, be written into `folder`.

    What is there already is replaced only if it is a report, or empty.
    """
    for name, kind in _FILES.items():
        kind.check(os.path.join(folder, name))


def write(results: Sequence[Result], folder: str | os.PathLike[str]) -> Path:
    """Write index.html, whose path it returns, and report.json into `folder`, made if need be.

    The results, one or more, are of models on the same images.

    Raises
    ------
    OutputError
        If one of them cannot be written, or would replace what is no report.
    """
    from catclf.pictures.report.page import render

    check_target(folder)
    contents = gather(results)
    # The JSON first: a page is there only with its figures beside it.
    for name, text in ((DATA, to_json(contents)), (PAGE, render(results, contents))):
        with _FILES[name].replacing(os.path.join(folder, name)) as file:
            file.write(text.encode())
    return Path(folder, PAGE)


LISTED = 24
"""A list, as of the worst mistakes, names so many images at most."""
COMPARABLE = 10_000
"""Among more images than these, copies are not looked for: it would take longer than all else."""
MOST_POINTS = 500
"""Curves are thinned to so many points."""
BINS = 20
"""The histogram of P(cat) has so many bins."""


def gather(results: Sequence[Result]) -> dict[str, Any]:
    """Gather the figures, the curves and the lists of one or more models on the same images."""
    dataset = results[0].dataset
    return {
        "catclf_report": 1,
        "catclf_version": __version__,
        "data": _describe_data(dataset),
        "models": [_describe_model(result) for result in results],
        "comparison": comparison_as_json(results),
        "disagreements": [
            {
                "path": dataset.label(i),
                "class": dataset.classes[int(dataset.Y[0, i])],
                "probabilities": [float(result.A[0, i]) for result in results],
            }
            for i in disagreements(results, LISTED)
        ],
    }


def _describe_data(dataset: Dataset) -> dict[str, Any]:
    n = len(dataset)
    return {
        "name": dataset.name,
        "folder": folder_of(dataset),
        "n": n,
        "counts": dataset.counts,
        "sha256": dataset.sha256,
        "near_copies": n - len(np.unique(dataset.duplicate_groups)) if n <= COMPARABLE else None,
        "notes": list(dataset.notes),
    }


def folder_of(dataset: Dataset) -> str | None:
    """Find the folder that all images lie in; None where they are no files."""
    folders = {os.path.dirname(path) for path in dataset.paths}
    return os.path.commonpath(folders) if folders else None


def _describe_model(result: Result) -> dict[str, Any]:
    model = result.model.describe()
    model["features"]["n_x"] = model["n_x"]
    card = ("catclf_version", "classes", "features", "threshold", "temperature", "provenance")
    return {
        "model": result.name,
        "path": result.path,
        "trained_on_these_images": result.overlap,
        **figures_as_json(result),
        "card": {key: model[key] for key in card},
        "curves": _curves(result),
        "worst": result.list_images(result.worst(LISTED)),
        "least_sure": result.list_images(result.least_sure(LISTED)),
    }


def _curves(result: Result) -> dict[str, Any]:
    """Compute the points of a model's curves; there is no ranking where a class is missing."""
    Y, A = result.dataset.Y, result.A
    ranking = curves.ranking(Y, result.Z)
    edges = np.linspace(0.0, 1.0, BINS + 1)
    counts = {
        name: np.histogram(A[Y == y], edges)[0].tolist()
        for y, name in enumerate(result.dataset.classes)
    }
    return {
        "ranking": ranking
        and _points(
            probability=sigmoid(ranking.score),
            false_positive_rate=ranking.false_positive_rate,
            recall=ranking.recall,
            precision=ranking.precision,
        ),
        "reliability": _points(**curves.reliability(Y, A)._asdict()),
        "coverage": _points(**curves.coverage(Y, A, result.model.threshold)._asdict()),
        "histogram": {"edges": edges.tolist(), "counts": counts},
    }


def _points(**columns: NDArray[Any]) -> dict[str, list[float]]:
    """Thin the columns, which are of one length; both ends stay."""
    k = len(next(iter(columns.values())))
    rows = np.rint(np.linspace(0, k - 1, min(k, MOST_POINTS))).astype(int)
    return {name: column[rows].tolist() for name, column in columns.items()}


def disagreements(results: Sequence[Result], n: int) -> list[int]:
    """Find n images that the models call differently, those first on which they differ most."""
    A = np.concatenate([result.A for result in results])
    right = np.concatenate([result.right for result in results])
    differ = np.flatnonzero(right.any(axis=0) & ~right.all(axis=0))
    spread = np.ptp(A[:, differ], axis=0)
    return [int(i) for i in differ[np.argsort(-spread, kind="stable")][:n]]
