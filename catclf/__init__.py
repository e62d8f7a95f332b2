"""catclf tells cats from everything else by vectorized logistic regression.

``train``, ``tune``, ``evaluate``, ``predict``, ``load_model``, ``load_dataset`` and ``load_image``
do in Python what the commands do. They are looked up on first use, so that ``import catclf`` alone
costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from catclf.common.version import __version__

if TYPE_CHECKING:
    from catclf.data.images import load_image
    from catclf.data.load import load_dataset
    from catclf.evaluation import evaluate
    from catclf.model import load_model
    from catclf.prediction import predict
    from catclf.training import train
    from catclf.tuning import tune

_HOMES = {
    "evaluate": "catclf.evaluation",
    "load_dataset": "catclf.data.load",
    "load_image": "catclf.data.images",
    "load_model": "catclf.model",
    "predict": "catclf.prediction",
    "train": "catclf.training",
    "tune": "catclf.tuning",
}

__all__ = [
    "__version__",
    "evaluate",
    "load_dataset",
    "load_image",
    "load_model",
    "predict",
    "train",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'catclf' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
