"""Being told to stop: by Ctrl-C, or by a signal that asks a process to end."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from math import inf
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from catclf.cli import output

if TYPE_CHECKING:
    from catclf.solvers.checkpoint import Checkpoint

T = TypeVar("T")
_AGAIN_SECONDS = 0.01
TOGETHER_SECONDS = 0.5
"""Signals that follow one so closely are the same wish to stop, as where a terminal is closed."""


def install() -> None:
    """Let SIGTERM and SIGHUP end the process as Ctrl-C does, so that it tidies up after itself.

    The exit code is 128 and the signal's number. One that is ignored, as under nohup, stays so.
    A second signal ends the tidying up, unless it comes together with the first.
    Python drops what a signal raises in the midst of a callback of its own, when something is
    deleted, say: then it is raised once more.
    """
    if hasattr(signal, "pthread_kill"):  # not on Windows
        sys.unraisablehook = _not_dropped
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # the last is not known to Windows
        number = getattr(signal, name, None)
        usual = (signal.SIG_DFL, signal.default_int_handler)
        if number is not None and signal.getsignal(number) in usual:
            signal.signal(number, _stop)


class _Stop:
    """What a signal does: it is raised, unless another has just been."""

    last = -inf

    def __call__(self, number: int, frame: Any) -> None:
        before, self.last = self.last, time.monotonic()
        if self.last - before > TOGETHER_SECONDS:
            raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)


_stop = _Stop()


def _not_dropped(dropped: sys.UnraisableHookArgs) -> None:
    value = dropped.exc_value
    if issubclass(dropped.exc_type, KeyboardInterrupt):
        number = int(signal.SIGINT)
    elif isinstance(value, SystemExit):
        number = int(value.code or 0) - 128
    else:
        sys.__unraisablehook__(dropped)
        return
    # Not at once, for it would be dropped here too; and to the main thread, which may be waiting.
    _stop.last = -inf
    main = threading.main_thread().ident
    again = threading.Timer(_AGAIN_SECONDS, signal.pthread_kill, [main, number])
    again.daemon = True
    again.start()


def on_a_thread(work: Callable[[], T]) -> T:
    """Do the work on a thread of its own, and wait for it.

    Python hears a signal between two of its own instructions on its main thread; a product of large
    matrices is one instruction, and can take seconds. After an exception that is not the work's
    own, the thread may still be at it: end by `leave`.
    """
    results: list[T] = []
    errors: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)
        done.set()

    threading.Thread(target=run, daemon=True).start()
    while not done.wait(timeout=0.5):  # without an end, Ctrl-C would not be heard on Windows
        pass
    if errors:
        raise errors[0]
    return results[0]


@contextmanager
def resumable(checkpoint: Checkpoint | None) -> Iterator[None]:
    """Let training be interrupted: keep how far it has come, say how to go on, and end."""
    try:
        with checkpoint or nullcontext():
            yield
    except (KeyboardInterrupt, SystemExit) as stop:
        if checkpoint is not None and checkpoint.begun:
            _end_saying(stop, "train", f" at {checkpoint.place}", checkpoint.failure)
        _end_saying(stop)


def behind(error: BaseException | None) -> KeyboardInterrupt | SystemExit | None:
    """Give the stop during which an error came about, if there was one, as a traceback shows it."""
    while error is not None and not isinstance(error, KeyboardInterrupt | SystemExit):
        error = error.__cause__ if error.__suppress_context__ else error.__context__
    return error


def words(stop: KeyboardInterrupt | SystemExit) -> str:
    return "interrupted" if isinstance(stop, KeyboardInterrupt) else "terminated"


def code(stop: KeyboardInterrupt | SystemExit) -> int:
    return 130 if isinstance(stop, KeyboardInterrupt) else int(stop.code or 0)


def _end_saying(
    stop: KeyboardInterrupt | SystemExit, command: str = "", place: str = "", failure: str = ""
) -> NoReturn:
    """Say that a command was interrupted, and how to go on with it if one is named; end."""
    try:
        said = words(stop)
        if command:
            names = command.split()
            again = [word for word in sys.argv[1 + len(names) :] if word != "--resume"]
            how = f"go on with: {output.command('catclf', *names, '--resume', *again)}"
            said += f"{place}; {failure or how}"
        output.error(said)
    finally:  # whatever comes in between: a second Ctrl-C, say
        leave(code(stop))


def leave(code: int) -> NoReturn:
    """End the process at once, whatever its threads are at.

    The usual way can wait for ever: a BLAS that is being unloaded waits for its threads, and those
    for the rest of a product.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(code)
