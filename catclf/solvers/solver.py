"""How a regression is trained, as settings."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

from catclf.errors import ParameterError

FOLDS = 5
"""How many folds cross-validation has where nothing is said."""


@dataclass(frozen=True)
class Solver:
    """How to train: the lesson's gradient descent, or Newton's method.

    Attributes
    ----------
    name : "descent" or "newton"
    learning_rate, iterations : α and the number of steps, of descent
    l2 : λ of the penalty (λ/2)‖w‖²
    tolerance : relative norm of the gradient at which Newton's method stops
    coordinates : "auto", "primal" or "gram"

    Raises
    ------
    ParameterError
        When it is made, naming the first setting that makes no sense.
    """

    name: str = "descent"
    learning_rate: float = 0.005
    iterations: int = 2000
    l2: float = 0.0
    tolerance: float = 1e-8
    coordinates: str = "auto"

    def __post_init__(self) -> None:
        problem = None
        if self.name not in ("descent", "newton"):
            problem = f"the solver is descent or newton, not {self.name!r}"
        elif not (isfinite(self.learning_rate) and self.learning_rate > 0):
            problem = f"the learning rate must be a positive number, not {self.learning_rate:g}"
        elif self.iterations < 1:
            problem = f"the iterations must be at least 1, not {self.iterations}"
        elif not (isfinite(self.l2) and self.l2 >= 0):
            problem = f"l2 must be zero or a positive number, not {self.l2:g}"
        elif self.name == "newton" and self.l2 == 0:
            problem = "newton needs an l2 above 0, not 0: try --l2 0.01"
        elif not 0 < self.tolerance < 1:
            problem = f"the tolerance must lie between 0 and 1, not {self.tolerance:g}"
        if problem:
            raise ParameterError(problem)

    def settings(self) -> dict[str, Any]:
        """Give the settings that this solver goes by, as JSON values."""
        unused = {"descent": {"tolerance"}, "newton": {"learning_rate", "iterations"}}[self.name]
        # From Python a setting may be a NumPy number, which JSON does not know.
        return {
            key: value.item() if hasattr(value, "item") else value
            for key, value in asdict(self).items()
            if key not in unused
        }
