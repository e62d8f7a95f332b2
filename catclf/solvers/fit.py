"""What training comes to, and where it stands meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from catclf.errors import DataError
from catclf.logistic import Array


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


class State(NamedTuple):
    """Where a solver stands before a step: all that it needs to go on from there.

    The arrays are never changed afterwards; `costs` grows, by those of later iterations.

    Attributes
    ----------
    iteration : int
        The step that comes next.
    v : float64 (size, K)
        w, in the solver's coordinates.
    b : float64 (K, 1)
    costs : list of (iteration, cost in nats)
    """

    iteration: int
    v: Array
    b: Array
    costs: list[tuple[int, float]]

    @classmethod
    def zeros(cls, size: int, K: int) -> State:
        """Give where training begins."""
        return cls(0, np.zeros((size, K)), np.zeros((K, 1)), [])


Keep = Callable[[State], None]


class Journal:
    """Where each regression of a training run stands.

    Regressions are fitted one after another, or some together; what is fitted together is one
    entry. All entries but the last are done.
    """

    def __init__(self) -> None:
        self.states: list[State] = []

    def start(self, entry: int, size: int, K: int) -> State | None:
        """Find where a regression is to go on; None if it is to begin.

        Raises
        ------
        DataError
            If what is noted is not of this shape.
        """
        if entry >= len(self.states):
            return None
        state = self.states[entry]
        if state.v.shape != (size, K):
            raise DataError(
                f"the checkpoint belongs to another run: it holds {state.v.shape} parameters, "
                f"expected {(size, K)}; leave out --resume"
            )
        return state

    def keep(self, entry: int, state: State) -> None:
        """Note where a regression stands."""
        self.states[entry : entry + 1] = [state]

    def keeper(self, entry: int) -> Keep:
        """Give `keep` of one entry."""
        return partial(self.keep, entry)
