"""How far a training run has come, in a file to go on from.

The file is a line that names the format, a line with the SHA-256 of all that follows, a line of
JSON, and the numbers: for each regression its v (size, K), then its b (K, 1), as little-endian
float64, row by row.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np

from catclf.common import text
from catclf.common.files import FileKind
from catclf.common.version import __version__
from catclf.errors import CheckpointError, ClusterError, ModelError
from catclf.solvers.fit import Journal, State

MAGIC = b"catclf checkpoint 1\n"
CHECKPOINT_FILE = FileKind(
    "checkpoint",
    CheckpointError,
    b"catclf checkpoint ",
    "what is there is no checkpoint; name another --out",
)
FAILURES = (ModelError, ClusterError)
KEEPING = (KeyboardInterrupt, SystemExit, *FAILURES)
"""What ends a run whose progress is kept."""
MAX_FILE_BYTES = 256 * 2**20


class Checkpoint(Journal):
    """A run's journal that can outlive its process.

    As a context, it is written when the block is interrupted, the model cannot be saved or a
    cluster fails, and removed when the block ends well; if it cannot be written then, `failure`
    says why.

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
    ) -> None:
        super().__init__()
        self.path, self.every, self.note = os.fspath(path), every, note or (lambda line: None)
        self.settings: dict[str, Any] = {}
        self._found: dict[str, Any] | None = None
        self._own = False  # whether the file is this run's
        self._lock = threading.Lock()
        self._due = time.monotonic() + (every or 0.0)
        self.failure = ""
        there = CHECKPOINT_FILE.check(self.path)
        if resume and there:
            self._found, self.states = _load(self.path)
            self._own = True
        elif resume:
            self.note(f"no {self.path}: beginning anew")
        elif there:
            self.note(f"{self.path} is of an interrupted run; --resume would go on with that")

    def begin(self, settings: dict[str, Any]) -> None:
        """Take down what the run is; raise CheckpointError if the one to go on with was another."""
        ours = {**settings, "version": __version__}
        self.settings = json.loads(json.dumps(ours, default=lambda number: number.item()))
        if self._found is None:
            return
        for key in [*self.settings, *self._found]:
            then, now = self._found.get(key), self.settings.get(key)
            if then != now:
                was = f"{key[:100]} was {str(then)[:100]}, not {str(now)[:100]}"
                what = "its images were others" if key == "data" else was
                raise CheckpointError(
                    f"{self.path}: the checkpoint is of another run: {what}; "
                    "give the same settings and data, or leave out --resume"
                )
        self.note(f"going on from {self.path} at {self.place}")

    @property
    def begun(self) -> bool:
        """Whether there is anything to go on from."""
        return bool(self.settings and self.states)

    @property
    def place(self) -> str:
        """Where the run stands, in words."""
        iteration = f"iteration {self.states[-1].iteration}"
        fold = len(self.states) - 1
        return f"{iteration} of fold {fold}" if fold else iteration

    def keep(self, entry: int, state: State) -> None:
        """Note where a regression stands; write it down when it is time."""
        super().keep(entry, state)
        if self.every is not None and time.monotonic() >= self._due:
            with self._lock:
                self._write_in_time()

    def _write_in_time(self) -> None:
        if self.every is None:  # the run was interrupted meanwhile
            return
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
        states = list(self.states)  # training may go on meanwhile, on another thread
        entries, numbers = [], []
        for iteration, v, b, costs in states:
            numbers += [v, np.broadcast_to(b, (v.shape[1], 1))]
            known = [cost for cost in costs if cost[0] < iteration]
            entries.append({"iteration": iteration, "shape": v.shape, "costs": known})
        if not all(np.isfinite(array).all() for array in numbers):
            raise CheckpointError(f"{self.path}: not written, for the weights are not finite")
        meta = json.dumps({"settings": self.settings, "states": entries}, allow_nan=False)
        arrays = b"".join(array.astype("<f8").tobytes() for array in numbers)
        body = meta.encode() + b"\n" + arrays
        digest = hashlib.sha256(body).hexdigest().encode()
        with CHECKPOINT_FILE.replacing(self.path) as file:
            file.write(MAGIC + digest + b"\n" + body)
        self._own = True

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            if self._own:
                with suppress(OSError):
                    os.unlink(self.path)
        elif self.begun and issubclass(kind, KEEPING):
            try:
                self.save()
                if issubclass(kind, FAILURES):
                    self.note(f"what was trained is in {self.path}: --resume goes on from it")
            except CheckpointError as failure:
                self.failure = str(failure)


def _load(path: str) -> tuple[dict[str, Any], list[State]]:
    """Read a checkpoint: the settings of its run, and where that stands."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_FILE_BYTES:
            raise CheckpointError(f"{path}: not a checkpoint")
        with open(path, "rb") as file:
            data = file.read(MAX_FILE_BYTES)
    except OSError as error:
        raise CheckpointError(
            f"{path}: the checkpoint cannot be read ({error.strerror})"
        ) from error
    try:
        if not data.startswith(MAGIC):
            raise ValueError("an unknown format")
        digest, body = data[len(MAGIC) :].split(b"\n", 1)
        if hashlib.sha256(body).hexdigest().encode() != digest:
            raise ValueError("its content does not match its SHA-256")
        line, numbers = body.split(b"\n", 1)
        meta = json.loads(line)
        text.check_depth(meta)
        if set(meta) != {"settings", "states"} or not isinstance(meta["settings"], dict):
            raise ValueError("unexpected members")
        states, rest = [], np.frombuffer(numbers, "<f8").astype(np.float64)
        if not np.isfinite(rest).all():
            raise ValueError("numbers that are not finite")
        for entry in meta["states"]:
            state, rest = _state(entry, rest)
            states.append(state)
        if len(rest) or not states:
            raise ValueError("numbers that belong to no regression")
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: a damaged checkpoint ({error}); delete it, and begin anew without --resume"
        ) from error
    return meta["settings"], states


def _state(entry: dict[str, Any], numbers: Any) -> tuple[State, Any]:
    """Take one regression's numbers from the front of the rest."""
    if set(entry) != {"iteration", "shape", "costs"}:
        raise ValueError("unexpected members")
    size, K = entry["shape"]
    counts = (entry["iteration"], size, K, *(iteration for iteration, _ in entry["costs"]))
    if any(type(count) is not int or count < 0 for count in counts) or not size * K:
        raise ValueError("numbers that do not count")
    if not all(type(cost) is float and np.isfinite(cost) for _, cost in entry["costs"]):
        raise ValueError("costs that are not finite")
    if len(numbers) < size * K + K:
        raise ValueError("numbers missing")
    v, b, rest = np.split(numbers, [size * K, size * K + K])
    costs = [(iteration, cost) for iteration, cost in entry["costs"]]
    return State(entry["iteration"], v.reshape(size, K), b.reshape(K, 1), costs), rest
