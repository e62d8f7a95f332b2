"""Processes that tests start, stop, and leave none of."""

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from select import select
from typing import Any, AnyStr


def unmeasured() -> dict[str, str]:
    """The environment, but for what measures coverage, which could write its own files no more."""
    return {key: value for key, value in os.environ.items() if not key.startswith("COV")}


USUAL_SIGNALS = """
import os, signal, sys
for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # ignored, if the tests were started under nohup
    signal.signal(getattr(signal, name), signal.SIG_DFL)
if os.isatty(0):
    import fcntl, termios
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@contextmanager
def started(*arguments: object, **options: Any) -> Iterator[subprocess.Popen[Any]]:
    """Start Python with these arguments, in a session of its own that is killed in the end.

    Signals act on it as on what is started at a terminal. Coverage is not measured: a signal in the
    midst of that could leave a lock of coverage's own held.
    """
    how = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    how |= {"env": unmeasured(), "text": True} | options
    begin = [sys.executable, "-I", "-S", "-c", USUAL_SIGNALS]
    command = [*begin, *map(str, arguments)]
    with subprocess.Popen(command, start_new_session=True, **how) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def told_to_stop(
    process: subprocess.Popen[AnyStr],
    sent: int,
    ready: Callable[[], object],
    send: Callable[[int, int], None] = os.kill,
) -> tuple[AnyStr, AnyStr]:
    """Send a process a signal once it is ready; give what it has written on stdout and stderr."""
    deadline = time.monotonic() + 100
    while not ready():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.002)
    send(process.pid, sent)
    return process.communicate(timeout=60)


def on_a_terminal(
    *words: object, cwd: Path, keys: Sequence[bytes] = (), **env: object
) -> tuple[int, str]:
    """Run the command on a pseudo-terminal; give its exit code and its text.

    Each key is typed when the command asks for it.
    """
    ours, its = pty.openpty()
    settings = {"COLUMNS": 80, "LINES": 1000, "TERM": "xterm", **env}
    environment = {**os.environ, **{name: str(value) for name, value in settings.items()}}
    ends = {"stdin": its, "stdout": its, "stderr": its}
    command = ("-m", "catclf", *words)
    text = b""
    with (
        os.fdopen(ours, "rb+", buffering=0) as terminal,
        started(*command, cwd=cwd, env=environment, **ends) as process,
    ):
        os.close(its)
        asked = 0
        while True:
            # A signal that comes between the prompt and the wait for a line is seen with the next.
            while asked and keys[asked - 1] == b"\x03" and not select([ours], [], [], 2)[0]:
                terminal.write(b"\x03")
            try:
                part = terminal.read(65536)
            except OSError:  # Linux says so when the other end closes
                break
            if not part:
                break
            text += part
            if text.count(b"q: leave ") > asked:
                terminal.write(keys[asked])
                asked += 1
        code = process.wait(timeout=60)
    return code, text.decode().replace("\r", "")
