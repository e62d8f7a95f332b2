"""What is in a model file, as plain values."""

from __future__ import annotations

import hashlib
import os
from typing import Any

import numpy as np

from catclf.errors import ModelError
from catclf.metrics.classification import Proportion
from catclf.model import FORMAT_VERSION, Model

MOST = 2**53
"""A count in a model file that is larger is not believed."""


def describe(model: Model, path: str | os.PathLike[str]) -> dict[str, Any]:
    """Describe a model that was read from the file at `path`, in values that JSON knows.

    What a file holds beyond what a model needs, its provenance, may be anything: the figures taken
    from there are None where it is not what training writes.

    Raises
    ------
    ModelError
        If the file cannot be read any more.
    """
    try:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
    except OSError as error:
        raise ModelError(f"{os.fspath(path)}: the model cannot be read ({error})") from error
    provenance = model.provenance
    figures = {
        "train_accuracy": _proportion(provenance.get("training")),
        "cv_accuracy": _proportion(provenance.get("cross_validation")),
        "majority": _majority(provenance.get("data")),
    }
    greatest = float(np.abs(model.w).max(initial=0.0)) or 1.0
    norm = greatest * float(np.linalg.norm(model.w / greatest))
    described: dict[str, Any] = {
        "model": os.path.abspath(path),
        "bytes": size,
        "sha256": digest,
        "format_version": FORMAT_VERSION,
        "catclf_version": model.version,
        "classes": list(model.classes),
        "features": {"name": model.features.name, "settings": model.features.settings()},
        "n_x": model.features.n_x,
        "weight_norm": norm if np.isfinite(norm) else None,
        "bias": model.b,
        "threshold": model.threshold,
        "temperature": model.temperature,
        "cost": [[iteration, cost] for iteration, cost in model.costs],
    }
    for name, figure in figures.items():
        described[name] = figure.value if figure else None
        described[f"{name}_interval"] = list(figure.interval) if figure else None
    return {**described, "provenance": provenance}


def _proportion(found: Any) -> Proportion | None:
    match found:
        case {"correct": int(correct), "n": int(n)} if 0 <= correct <= n and 0 < n < MOST:
            return Proportion(correct, n)
    return None


def _majority(data: Any) -> Proportion | None:
    """Count what always answering the commoner class of the training data would get right."""
    match data:
        case {"counts": dict(counts)} if (
            all(isinstance(n, int) for n in counts.values()) and counts
        ):
            return _proportion({"correct": max(counts.values()), "n": sum(counts.values())})
    return None
