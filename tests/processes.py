"""The command, run in this process or in one of its own; and processes that tests stop."""

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from io import BytesIO, TextIOWrapper
from pathlib import Path
from select import select
from typing import Any, AnyStr

import pytest

from catclf.cli import main
from catclf.common import interruption

SECONDS = 300
"""How long to wait for a process, on a machine that is busy with other things."""


def left(mark: str, seconds: float = 10) -> dict[int, str]:
    """Wait for the processes with this mark in their environment to end; give those that do not.

    Gives each one's number and command; nothing where other processes cannot be seen.
    """
    deadline = time.monotonic() + seconds
    while True:
        commands = {}
        for path in Path("/proc").glob("[0-9]*/environ"):
            with suppress(OSError):
                if mark.encode() in path.read_bytes():
                    command = (path.parent / "cmdline").read_bytes()
                    commands[int(path.parent.name)] = command.replace(b"\0", b" ").decode()
        if not commands or time.monotonic() > deadline:
            return commands
        time.sleep(0.05)


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
    deadline = time.monotonic() + SECONDS
    while not ready():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.002)
    send(process.pid, sent)
    return process.communicate(timeout=SECONDS)


BARS_AT_ONCE = """
import rich.progress
from catclf.cli import main, output
output.BAR_AFTER_SECONDS = 0
main()
"""


def on_a_terminal(
    *words: object,
    cwd: Path,
    keys: Sequence[bytes] = (),
    stdout: Path | None = None,
    bars: bool = False,
    **env: object,
) -> tuple[int, str]:
    """Run the command on a pseudo-terminal; give its exit code and its text.

    Each key is typed when the command asks for it. Results may go to a file `stdout` instead. With
    `bars`, these are shown at once.
    """
    ours, its = pty.openpty()
    settings = {"COLUMNS": 80, "LINES": 1000, "TERM": "xterm", **env}
    environment = {**os.environ, **{name: str(value) for name, value in settings.items()}}
    out = its if stdout is None else os.open(stdout, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    ends = {"stdin": its, "stdout": out, "stderr": its}
    command = ("-c", BARS_AT_ONCE, *words) if bars else ("-m", "catclf", *words)
    text = b""
    with (
        os.fdopen(ours, "rb+", buffering=0) as terminal,
        started(*command, cwd=cwd, env=environment, **ends) as process,
    ):
        for end in {its, out}:
            os.close(end)
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
        code = process.wait(timeout=SECONDS)
    return code, text.decode().replace("\r", "")


def catclf_here(
    *words: object, cwd: Path, code: int = 0, env: Mapping[str, str] = {}, input: AnyStr = ""
) -> subprocess.CompletedProcess[AnyStr]:
    """Run the command in this process, which is much quicker than in one of its own.

    What it writes is bytes if `input` is. It must end with `code`, and show no traceback.
    """
    is_text = isinstance(input, str)
    streams = [TextIOWrapper(BytesIO(), "utf-8") for _ in range(3)]
    streams[0].buffer.write(input.encode() if is_text else input)
    streams[0].seek(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(interruption, "listen", lambda: None)
        patch.setattr(interruption._stop, "noted", None)
        patch.setattr(sys, "argv", ["catclf", *map(str, words)])
        for name, stream in zip(("stdin", "stdout", "stderr"), streams, strict=True):
            patch.setattr(sys, name, stream)
        for name, value in {"COLUMNS": "80", **env}.items():
            patch.setenv(name, value)
        patch.chdir(cwd)
        try:
            main()
            ended = 0
        except SystemExit as end:
            ended = end.code or 0
        for stream in streams:
            stream.flush()
    written = [stream.buffer.getvalue() for stream in streams[1:]]
    return _checked(words, ended, code, [part.decode() if is_text else part for part in written])


def catclf_process(
    *words: object,
    cwd: Path,
    code: int = 0,
    env: Mapping[str, str] = {},
    largest: int | None = None,
    **options: Any,
) -> subprocess.CompletedProcess[Any]:
    """Run the command as a process of its own, which must end with `code`, without a traceback.

    Where a `largest` file is given, in bytes, the disk is full for what goes beyond.
    """
    command = [sys.executable, "-m", "catclf", *map(str, words)]
    environment = {**os.environ, "COLUMNS": "80", **env}
    if largest is not None:
        command = [sys.executable, "-c", SMALL_DISK, str(largest), *command]
        environment = unmeasured()
    how: dict[str, Any] = {"text": not isinstance(options.get("input"), bytes), **options}
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, check=False, timeout=SECONDS, **how
    )
    return _checked(words, done.returncode, code, [done.stdout, done.stderr])


SMALL_DISK = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
os.execv(sys.argv[2], sys.argv[2:])
"""


def _checked(
    words: Sequence[object], ended: int, code: int, written: list[AnyStr]
) -> subprocess.CompletedProcess[AnyStr]:
    assert ended == code, written
    assert "Traceback" not in str(written[1])
    return subprocess.CompletedProcess(words, ended, *written)
