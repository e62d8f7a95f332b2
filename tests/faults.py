"""Make the k-th file operation of a piece of work fail."""

import builtins
import fcntl
import io
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest import mock

BY_PATH = (
    "open", "stat", "lstat", "readlink", "access", "scandir", "listdir",
    "mkdir", "replace", "rename", "unlink", "remove", "rmdir",
)  # fmt: skip
BY_DESCRIPTOR = ("fstat", "write", "fsync", "ftruncate")


class Faults:
    """The file operations below a folder: counted, and one of them made to fail.

    `log` says what each was. Files are opened so that each read, write and close of the operating
    system's counts. What h5py reads, through a library in C, does not.
    """

    def __init__(self, folder: Path, k: int = 0, code: int = 0) -> None:
        self.folder, self.k, self.code = os.path.realpath(folder), k, code
        self.log: list[str] = []
        self._inside, self._readlink = os.path.abspath, os.readlink  # before they are replaced
        self._lock = threading.Lock()

    def step(self, what: str, path: object = "") -> None:
        with self._lock:
            self.log.append(f"{what} {path}".strip())
            fails = len(self.log) == self.k
        if fails:
            raise OSError(self.code, os.strerror(self.code), str(path))

    def watches(self, path: Any) -> bool:
        if not isinstance(path, str | os.PathLike):
            return False
        name = self._inside(os.fspath(path))
        return name == self.folder or name.startswith(self.folder + os.sep)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Watch what happens within the block."""
        with mock.patch.multiple(
            os,
            **{name: self._by_path(name) for name in BY_PATH},
            **{name: self._by_descriptor(os, name) for name in BY_DESCRIPTOR},
        ):
            flock = self._by_descriptor(fcntl, "flock")
            opened = self._open(builtins.open)
            with (
                mock.patch.object(fcntl, "flock", flock),
                mock.patch.object(builtins, "open", opened),
                mock.patch.object(io, "open", opened),
                mock.patch.object(os, "sync"),  # slow; it cannot fail
            ):
                yield

    def _by_path(self, name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def operation(path: Any = ".", *rest: Any, **settings: Any) -> Any:
            if self.watches(path):
                self.step(name, path)
            return real(path, *rest, **settings)

        return operation

    def _by_descriptor(self, module: Any, name: str) -> Callable[..., Any]:
        real = getattr(module, name)

        def operation(descriptor: int, *rest: Any) -> Any:
            self.step(name, self._name_of(descriptor))
            if name != "fsync":  # slow, and whether it was called is all that shows
                return real(descriptor, *rest)

        return operation

    def _name_of(self, descriptor: int) -> str:
        with suppress(OSError):  # not on Linux
            return self._readlink(f"/proc/self/fd/{descriptor}")
        return ""

    def _open(self, real: Callable[..., Any]) -> Callable[..., Any]:
        faults = self

        class Raw(io.FileIO):
            """A file whose every system call counts."""

            def write(self, data: Any) -> Any:
                faults.step("write", self.name)
                return super().write(data)

            def readinto(self, buffer: Any) -> Any:
                faults.step("read", self.name)
                return super().readinto(buffer)

            def readall(self) -> Any:
                faults.step("read", self.name)
                return super().readall()

            def close(self) -> None:
                was_open = not self.closed
                super().close()
                if was_open:
                    faults.step("close", self.name)

        def opened(path: Any, mode: str = "r", buffering: int = -1, *rest: Any, **more: Any) -> Any:
            if not faults.watches(path):
                return real(path, mode, buffering, *rest, **more)
            faults.step(f"open {mode}", path)
            raw = Raw(path, mode.replace("b", "").replace("t", ""))
            if buffering == 0:
                return raw
            kind = io.BufferedReader if mode.strip("bt") == "r" else io.BufferedWriter
            file = (io.BufferedRandom if "+" in mode else kind)(raw)
            return file if "b" in mode else io.TextIOWrapper(file, *rest, **more)

        return opened
