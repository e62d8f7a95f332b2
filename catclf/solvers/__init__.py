"""From examples X and labels Y to parameters w and b: the settings, and what comes of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple

from catclf.errors import ParameterError

if TYPE_CHECKING:  # a command's help shows defaults, and need not wait for NumPy
    from catclf.logistic import Array

FOLDS = 5
"""How many folds cross-validation has where nothing is said."""
DRAWN_LEARNING_RATE = 0.0007
"""The step on the pixels of the drawn set; the cost falls with each.

They are brighter than the course's photos: 4 / mean(‖x‖² + 1), up to which no step can raise the
cost (see `catclf.lesson.material.Material.safe_step`), is 0.000742. At 0.005 it rises to 2.1 first.
"""


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
        elif self.coordinates not in ("auto", "primal", "gram"):
            problem = f"coordinates are auto, primal or gram, not {self.coordinates!r}"
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


class State(NamedTuple):
    """Where a solver stands before a step: all that it needs to go on from there.

    The arrays are never changed afterwards; `costs` grows, by those of this and later iterations.

    Attributes
    ----------
    iteration : int
        The step that comes next.
    v : float64 (size, K)
        w, in the solver's coordinates.
    b : float64 (K, 1)
    costs : list of (iteration, cost in nats)
        Of the first of K regressions.
    """

    iteration: int
    v: Array
    b: Array
    costs: list[tuple[int, float]]


Watch = Callable[[State], None]
"""What a solver calls before each step, with the step's cost in `costs` if it is recorded."""


@dataclass(frozen=True)
class Fit:
    """Parameters of K regressions, and how they were reached.

    Attributes
    ----------
    w : float64 (n_x, K)
    b : float64 (K, 1)
    Z : float64 (K, m)
        The final scores of all m examples under each regression.
    costs : list of (iteration, cost in nats)
        Of the first regression: every 100 iterations of descent, every step of Newton's method.
    J : float
        Its cost in the end, in nats.
    start : State or None
        From where Newton's method can begin on a neighbouring problem, in the same coordinates.
    """

    w: Array
    b: Array
    Z: Array
    costs: list[tuple[int, float]]
    J: float
    start: State | None = None
