"""Writing a file so that it is the old one or the new one, never half of either."""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

STALE_SECONDS = 3600
"""Where files cannot be locked, a temporary file of this age is taken for a dead process's."""
_TEMPORARY = re.compile(r"\.catclf-[0-9a-f]{16}\.tmp")


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a new file that takes the place of `path` when the block ends well.

    The bytes go to a temporary file in the same folder, are synced to the disk, and are then
    renamed over `path`; a link is kept and its target replaced. Permissions are a new file's: 0666
    less the umask. If anything fails, the temporary file is removed and what was at `path` stays.
    A process that is killed leaves its temporary file lying; the next one to write to that folder
    removes it. Missing folders above `path` are made.

    Raises
    ------
    OSError
        If the folder or the file cannot be written, or `path` is no regular file, or read-only.
    """
    target = _target(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    _sweep(target.parent)
    with _temporary(target.parent) as temporary:
        with open(temporary, "r+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    if hasattr(os, "O_DIRECTORY"):  # the rename itself reaches the disk (not on Windows)
        with suppress(OSError):  # some file systems cannot; the new file is in place all the same
            folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raise OSError if a file could not be written at `path`, before work is spent on it.

    Nothing is made or changed.
    """
    folder = _target(path).parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise OSError(f"{folder} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OSError(f"the folder {folder} is not writable")


def _target(path: str | os.PathLike[str]) -> Path:
    """Follow links to the file that is to be written; raise OSError if it can be none."""
    try:
        if os.fspath(path).endswith(("/", os.sep)):
            raise OSError("it names a folder, not a file")
        target = Path(os.path.realpath(path))
        if target.is_symlink() or (target.exists() and not target.is_file()):
            raise OSError("it is not a regular file")
    except ValueError as error:  # a null character in the name
        raise OSError(str(error)) from error
    # A rename asks for no right to the file itself; one made read-only is to be left alone, by
    # the superuser too.
    if target.exists() and not (target.stat().st_mode & 0o222 and os.access(target, os.W_OK)):
        raise OSError("it is read-only")
    return target


@contextmanager
def _temporary(folder: Path) -> Iterator[Path]:
    """Make an empty file, locked until the block ends, and remove it then if it is still there.

    The lock ends with this process, however that ends. It has a descriptor of its own, so that a
    file that is whole, but not renamed yet, is locked still.
    """
    while True:
        path = folder / f".catclf-{os.urandom(8).hex()}.tmp"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            if fcntl is not None:
                with suppress(OSError):  # where nothing can be locked, nothing is swept either
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
                if os.fstat(descriptor).st_nlink == 0:
                    continue  # swept by another process before it was locked
            else:  # what is open cannot be renamed there
                os.close(descriptor)
            yield path
            return
        finally:
            with suppress(OSError):
                path.unlink()
            if fcntl is not None:
                os.close(descriptor)


def _sweep(folder: Path) -> None:
    """Remove the temporary files that dead processes left in a folder; never fail."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _TEMPORARY.fullmatch(entry.name):
                with suppress(OSError):  # it is being written, or another's, or just gone
                    _remove_if_stale(entry.path)


def _remove_if_stale(path: str) -> None:
    if fcntl is None:
        if time.time() - os.stat(path).st_mtime > STALE_SECONDS:
            os.unlink(path)
        return
    # Neither follow a link nor wait for the other end of a pipe that happens to bear such a name.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(path)
    finally:
        os.close(descriptor)


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a regular file to read it; a link to one is followed, and nothing is waited for.

    Raises
    ------
    OSError
        If it cannot be read, or is a pipe, a device or the like; IsADirectoryError if a folder.
    ValueError
        If there is a null character in the name.
    """
    _check_regular(os.stat(path))
    # What was a file may be a pipe by now, and opening one waits for a writer.
    flags = getattr(os, "O_NONBLOCK", 0)
    file = open(path, "rb", opener=lambda name, mode: os.open(name, mode | flags))  # noqa: SIM115
    try:
        _check_regular(os.fstat(file.fileno()))
    except OSError:
        file.close()
        raise
    return file


def _check_regular(status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder")
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
