"""How far a training run has come, in a file to go on from.

The file is an uncompressed .npz: for each regression an array `state_0`, `state_1`, ..., float64
(size + 1, K), its v above its b; and `meta`, JSON as text. See docs/formats.md.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catclf.common import npz
from catclf.common.files import OutputFormat, open_regular
from catclf.common.version import __version__
from catclf.errors import CheckpointError, ClusterError, ModelError
from catclf.solvers import State

STOPS = (KeyboardInterrupt, SystemExit)
ENDINGS = (*STOPS, ModelError, ClusterError)
"""What ends a run so that its progress is kept."""
MAX_FILE_BYTES = 256 * 2**20
MOST_REGRESSIONS = 10_000
OLD_FORMAT = b"catclf checkpoint "
"""Checkpoints of earlier versions, which are not read any more, begin so."""
CHECKPOINT_FILE = OutputFormat(
    "checkpoint",
    CheckpointError,
    rb"PK.{28}state_0\.npy|" + OLD_FORMAT,  # a zip archive with its first member's name
    "what is there is no checkpoint; name another --out",
)


class Checkpoint:
    """Where each regression of a training run stands; it can outlive the run's process.

    Regressions are fitted one after another, or some together; what is fitted together is one
    entry of `states`, and all entries but the last are done.

    As a context, it is written when the block is interrupted, the model cannot be saved or a
    cluster fails, and removed when the block ends well. What interrupts gets a note of how far the
    run has come and how to go on, or why that cannot be kept.

    Parameters
    ----------
    path : path
        The file.
    every : float, optional
        Seconds after which it is written while training goes on; else only when interrupted.
    resume : bool
        Whether to go on from what is there; where nothing is, the run begins anew.
    note : callable, optional
        Told, in a line each, what a person should know.
    command : str
        What goes on with the run.

    Raises
    ------
    CheckpointError
        If the file could not be written, what is there is no checkpoint, or, with `resume`, it is
        damaged.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        every: float | None = None,
        resume: bool = False,
        note: Callable[[str], None] | None = None,
        command: str = "Checkpoint(..., resume=True)",
    ) -> None:
        self.states: list[State] = []
        self.path, self.every, self.command = os.fspath(path), every, command
        self.note = note or (lambda line: None)
        self.settings: dict[str, Any] = {}
        self._earlier: dict[str, Any] | None = None  # the settings of the run to go on with
        self._own = False  # whether the file is this run's
        # When training is told to stop, its thread goes on while the main thread writes.
        self._lock = threading.Lock()
        self._due = time.monotonic() + (every or 0.0)
        there = CHECKPOINT_FILE.check(self.path)
        if resume and there:
            self._earlier, self.states = _load(self.path)
            self._own = True
        elif resume:
            self.note(f"no {self.path}: beginning anew")
        elif there:
            with CHECKPOINT_FILE.errors(self.path), open_regular(self.path) as file:
                readable = file.read(2) == b"PK"
            whether = "--resume would go on" if readable else "this catclf cannot go on"
            self.note(f"{self.path} is of an interrupted run; {whether} with that")

    def begin(self, settings: dict[str, Any]) -> None:
        """Take down what the run is; raise CheckpointError if the one to go on with was another."""
        ours = {**settings, "version": __version__}
        self.settings = json.loads(json.dumps(ours, default=lambda number: number.item()))
        if self._earlier is None:
            return
        for key in [*self.settings, *self._earlier]:
            then, now = self._earlier.get(key), self.settings.get(key)
            if then != now:
                was = f"{key[:100]} was {str(then)[:100]}, not {str(now)[:100]}"
                what = "its images were others" if key == "data" else was
                raise CheckpointError(
                    f"{self.path}: the checkpoint is of another run: {what}; "
                    "give the same settings and data, or leave out --resume"
                )
        self.note(f"going on from {self.path} at {self.place}")

    @property
    def place(self) -> str:
        """Where the run stands, in words."""
        iteration = f"iteration {self.states[-1].iteration}"
        fold = len(self.states) - 1
        return f"{iteration} of fold {fold}" if fold else iteration

    def start(self, entry: int, shape: tuple[int, int]) -> State | None:
        """Find where a regression with v of this shape is to go on; None if it is to begin.

        Raises
        ------
        CheckpointError
            If what is noted is of another shape.
        """
        if entry >= len(self.states):
            return None
        state = self.states[entry]
        if state.v.shape != shape:
            raise CheckpointError(
                f"the checkpoint belongs to another run: it holds {state.v.shape} parameters, "
                f"expected {shape}; leave out --resume"
            )
        return state

    def keep(self, entry: int, state: State) -> None:
        """Note where a regression stands; write it down when it is time."""
        self.states[entry : entry + 1] = [state]
        with self._lock:
            if self.every is not None and time.monotonic() >= self._due:
                try:
                    self._write()
                except CheckpointError as error:  # no reason to lose the run
                    self.note(f"{error}; training goes on")
                self._due = time.monotonic() + self.every

    def save(self) -> None:
        """Write the checkpoint, whole or not at all; from then on it is not written by itself.

        Raises
        ------
        CheckpointError
            If it cannot be written.
        """
        with self._lock:
            self.every = None
            self._write()

    def _write(self) -> None:
        states = list(self.states)
        arrays = {f"state_{i}": np.vstack([s.v, s.b.T]) for i, s in enumerate(states)}
        if not all(np.isfinite(array).all() for array in arrays.values()):
            raise CheckpointError(f"{self.path}: not written, for the weights are not finite")
        entries = [
            {"iteration": s.iteration, "costs": [cost for cost in s.costs if cost[0] < s.iteration]}
            for s in states
        ]
        with CHECKPOINT_FILE.replacing(self.path) as file:
            npz.write_npz(file, {"settings": self.settings, "states": entries}, arrays)
        self._own = True

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            if self._own:
                with suppress(OSError):
                    os.unlink(self.path)
        elif self.settings and self.states and isinstance(error, ENDINGS):
            how = f"go on with: {self.command}"
            try:
                self.save()
                if not isinstance(error, STOPS):
                    self.note(f"what was trained is in {self.path}: --resume goes on from it")
            except CheckpointError as failure:
                how = str(failure)
            error.add_note(f"at {self.place}; {how}")


def _load(path: str) -> tuple[dict[str, Any], list[State]]:
    """Read a checkpoint: the settings of its run, and where that stands."""
    try:
        with open_regular(path) as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise CheckpointError(
            f"{path}: the checkpoint cannot be read ({error.strerror})"
        ) from error
    remedy = "delete it, or begin anew without --resume"
    if data.startswith(OLD_FORMAT):
        raise CheckpointError(f"{path}: a checkpoint in the format of an older catclf; {remedy}")
    try:
        if len(data) > MAX_FILE_BYTES:
            raise ValueError("it is too large")
        arrays = npz.read_npz(data, MOST_REGRESSIONS)
        meta = npz.take_meta(arrays)
        npz.check_digest(meta, arrays)
        if set(meta) != {"settings", "states"} or not isinstance(meta["settings"], dict):
            raise ValueError("unexpected members")
        states = [_state(entry, arrays.pop(f"state_{i}")) for i, entry in enumerate(meta["states"])]
        if arrays or not states:
            raise ValueError("numbers that belong to no regression")
    except (KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{path}: a damaged checkpoint ({reason}); {remedy}") from error
    return meta["settings"], states


def _state(entry: dict[str, Any], numbers: NDArray[Any]) -> State:
    """Check what a file says of one regression."""
    if set(entry) != {"iteration", "costs"}:
        raise ValueError("unexpected members")
    if numbers.dtype != np.float64 or numbers.ndim != 2 or len(numbers) < 2 or not numbers.size:
        raise ValueError("weights of another type or shape")
    if not np.isfinite(numbers).all():
        raise ValueError("weights that are not finite")
    costs = [(iteration, cost) for iteration, cost in entry["costs"]]
    counts = (entry["iteration"], *(iteration for iteration, _ in costs))
    if any(type(count) is not int or count < 0 for count in counts):
        raise ValueError("iterations that do not count")
    if any(type(cost) is not float for _, cost in costs):
        raise ValueError("costs that are no numbers")
    return State(entry["iteration"], numbers[:-1], numbers[-1:].T, costs)
