"""Being told to stop, by Ctrl-C or by a signal that asks a process to end."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from threading import current_thread, main_thread
from typing import Any

SIGNALS = [getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n)]
"""The signals that tell a process to stop; the last is not known to Windows."""
TOGETHER_SECONDS = 0.5
"""Signals that follow one so closely are the same wish to stop, as where a terminal is closed."""


class _Stop:
    """The handler of the signals: it notes the stop, and raises it where Python then is.

    Python drops an exception that is raised in the midst of a callback of its own, as when an
    object is deleted: `check`, which whatever waits or loops calls, makes up for that.
    """

    noted: int | None = None
    last = -inf

    def __call__(self, number: int, frame: Any) -> None:
        before, self.last = self.last, time.monotonic()
        if self.last - before > TOGETHER_SECONDS:
            self.noted = number
            self.check()

    def check(self) -> None:
        """Raise KeyboardInterrupt or SystemExit, with the exit code, if a stop was noted."""
        if self.noted is not None:
            raise KeyboardInterrupt if self.noted == signal.SIGINT else SystemExit(128 + self.noted)

    def heed(self) -> None:
        """Forget the stop: what was told to stop has done so, and there is more to do."""
        self.noted = None

    def drop(self, dropped: sys.UnraisableHookArgs) -> None:
        if self.noted is None:
            sys.__unraisablehook__(dropped)


_stop = _Stop()
check, heed = _stop.check, _stop.heed


def listen() -> None:
    """Let SIGINT, SIGTERM and SIGHUP raise KeyboardInterrupt or SystemExit(128 + the number).

    A signal that is ignored, as under nohup, stays so. A second one is raised too, unless it comes
    together with the first.
    """
    sys.unraisablehook = _stop.drop
    for number in SIGNALS:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _stop)


@contextmanager
def delayed() -> Iterator[list[int]]:
    """Note the signals that come during the block in a list, and raise the first at its end.

    This is for what no exception may cut short. Threads other than the main one hear no signal.
    """
    came: list[int] = []
    handlers = {}
    if current_thread() is main_thread():
        handlers = {n: signal.getsignal(n) for n in SIGNALS if callable(signal.getsignal(n))}
    try:
        for number in handlers:
            signal.signal(number, lambda number, _: came.append(number))
        yield came
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


def noted(error: BaseException | None = None) -> int | None:
    """Give the number of the signal that told to stop, or that the error stands for, if any."""
    return signal.SIGINT if isinstance(error, KeyboardInterrupt) else _stop.noted
