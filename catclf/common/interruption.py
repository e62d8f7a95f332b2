"""Being told to stop, by Ctrl-C or by a signal that asks a process to end."""

from __future__ import annotations

import signal
import sys
import time
from math import inf
from typing import Any

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
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # the last is not known to Windows
        number = getattr(signal, name, None)
        usual = (signal.SIG_DFL, signal.default_int_handler)
        if number is not None and signal.getsignal(number) in usual:
            signal.signal(number, _stop)


def noted(error: BaseException | None = None) -> int | None:
    """Give the number of the signal that told to stop, or that the error stands for, if any."""
    return signal.SIGINT if isinstance(error, KeyboardInterrupt) else _stop.noted
