"""Writing a file so that it is the old one or the new one, never half of either."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a new file that takes the place of `path` when the block ends well.

    The bytes go to a temporary file in the same folder, are synced to the disk, and are then
    renamed over `path`; a link is kept and its target replaced. If anything fails, the temporary
    file is removed and what was at `path` stays. Missing folders above it are made.

    Raises
    ------
    OSError
        If the folder or the file cannot be written, or `path` is not a regular file.
    """
    target = _target(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".catclf-{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
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
    return target
