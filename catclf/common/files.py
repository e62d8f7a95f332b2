"""Files and folders that are the old ones or the new ones, never half of either."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from catclf.errors import CatclfError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

STALE_SECONDS = 24 * 3600
"""Where nothing can be locked, a temporary folder of this age is taken for a dead process's."""
HEAD_BYTES = 512
"""A file's kind is told by so many bytes."""
_TEMPORARY = re.compile(r"\.catclf-[0-9a-f]{16}\.tmp")
_TO_READ = os.O_RDONLY | sum(
    # What was a file may be a pipe by now, and opening one waits for a writer.
    getattr(os, name, 0)
    for name in ("O_NONBLOCK", "O_CLOEXEC", "O_BINARY", "O_NOINHERIT")
)


@dataclass(frozen=True)
class OutputFormat:
    """A format of files that catclf writes; what is in another one, and not empty, is not replaced.

    Attributes
    ----------
    name : str
        What an error calls it, as in "the model cannot be written".
    error : type
        The class of the errors that are raised.
    signature : bytes
        A regular expression that the first bytes of every such file match; an empty one allows any
        file to be replaced.
    refusal : str
        What an error says of a file of another kind.
    """

    name: str
    error: type[CatclfError]
    signature: bytes = b""
    refusal: str = ""

    def check(self, path: str | os.PathLike[str]) -> bool:
        """Tell whether there is a file already; raise `error` if none could or should be written.

        Nothing is made or changed.
        """
        with self.errors(path):
            check_writable(path)
            there = os.path.exists(path)
            if there and self.signature:
                with open(path, "rb") as file:
                    head = file.read(HEAD_BYTES)
                if head and not re.match(self.signature, head, re.DOTALL):
                    raise OSError(self.refusal)
        return there

    @contextmanager
    def replacing(self, path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
        """Check `path`, and open a new file that takes its place when the block ends well.

        The bytes go to a file in a temporary folder beside `path`, are synced to the disk, and are
        then renamed over `path`; a link is kept and its target replaced. Permissions are a new
        file's: 0666 less the umask. If anything fails, the temporary folder is removed and what was
        at `path` stays. A process that is killed leaves its temporary folder lying; the next one to
        write beside it removes it. Missing folders above `path` are made.

        In place of any OSError, `error` is raised.
        """
        self.check(path)
        with self.errors(path):
            target = _find_target(path)
            with _temporary_folder(target.parent) as folder:
                with open(folder / "new", "x+b") as file:
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(file.name, target)

    @contextmanager
    def errors(self, path: str | os.PathLike[str]) -> Iterator[None]:
        """Raise `error` in place of an OSError that the block raises."""
        try:
            yield
        except OSError as error:
            reason = error.strerror or error
            raise self.error(
                f"{os.fspath(path)}: the {self.name} cannot be written ({reason})"
            ) from error


@contextmanager
def making_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Make a folder that gets the name `path` when the block ends well; there may be an empty one.

    All else is as in `OutputFormat.replacing`.

    Raises
    ------
    OSError
        If it cannot be made, or what is there is not an empty folder.
    """
    target = resolve(path)
    with _temporary_folder(target.parent) as folder:
        temporary = folder / "new"
        temporary.mkdir()
        yield temporary
        if hasattr(os, "sync"):
            os.sync()  # the files reach the disk before their folder gets its name
        os.rename(temporary, target)


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raise OSError if a file could not be written at `path`, before work is spent on it.

    Nothing is made or changed.
    """
    folder = _find_target(path).parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise OSError(f"{folder} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OSError(f"the folder {folder} is not writable")


def resolve(path: str | os.PathLike[str]) -> Path:
    """Follow links to the place that a name stands for; raise OSError if it can be no name."""
    try:
        return Path(os.path.realpath(path))
    except ValueError as error:  # a null character
        raise OSError(str(error)) from error


def _find_target(path: str | os.PathLike[str]) -> Path:
    """Follow links to the file that is to be written; raise OSError if it can be none."""
    if os.fspath(path).endswith(("/", os.sep)):
        raise OSError("it names a folder, not a file")
    target = resolve(path)
    if target.is_symlink() or (target.exists() and not target.is_file()):
        raise OSError("it is not a regular file")
    # A rename asks for no right to the file itself; one made read-only is to be left alone, by
    # the superuser too.
    if target.exists() and not (target.stat().st_mode & 0o222 and os.access(target, os.W_OK)):
        raise OSError("it is read-only")
    return target


@contextmanager
def _temporary_folder(parent: Path) -> Iterator[Path]:
    """Make a folder beside what is written, which the block fills and renames out of it.

    It is locked meanwhile, so that no other process takes it for a dead one's; the lock ends with
    this process, however that ends.
    """
    parent.mkdir(parents=True, exist_ok=True)
    _remove_stale(parent)
    made = False
    while not made:
        folder = parent / f".catclf-{os.urandom(8).hex()}.tmp"
        with ExitStack() as at_end:
            at_end.callback(_remove, folder)
            folder.mkdir()
            if fcntl is not None:
                with suppress(OSError):  # where nothing can be locked, nothing is removed either
                    descriptor = os.open(folder, os.O_RDONLY)
                    at_end.callback(os.close, descriptor)
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
            made = folder.exists()  # else another process removed it before it was locked
            if made:
                yield folder
    if hasattr(os, "O_DIRECTORY"):  # not on Windows
        with suppress(OSError):  # some file systems cannot; what is new is in place all the same
            descriptor = os.open(parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)  # of the new name
            finally:
                os.close(descriptor)


def _remove(folder: Path) -> None:
    with suppress(OSError):  # what is left of it goes with the next that is made
        shutil.rmtree(folder)


def _remove_stale(parent: Path) -> None:
    """Remove the temporary folders that dead processes left; never fail."""
    with suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            if _TEMPORARY.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                with suppress(OSError):  # another process writes to it, or has just removed it
                    _remove_unless_locked(entry.path)


def _remove_unless_locked(folder: str) -> None:
    if fcntl is None:
        if time.time() - os.stat(folder).st_mtime > STALE_SECONDS:
            shutil.rmtree(folder)
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder)
    finally:
        os.close(descriptor)


LFS_POINTER = "a Git LFS pointer"
CONTENTS = {
    rb"\Z": "an empty file",
    rb"\0{16}": "a file of zeros",
    rb"%PDF-": "a PDF",
    rb"(\xef\xbb\xbf)?\s*<(svg|(\?xml|!--|!doctype svg).*<svg)": "an SVG drawing",
    rb"II[*+]\0|MM\0[*+]|IIU\0|IIR[OS]|MMOR|FUJIFILMCCD|.{4}ftypcrx": "a TIFF or raw photo",
    rb".{4}(ftyp(?!avi[fs]|hei|hev|mif1|msf1)|moov|mdat|wide)": "a video",
    rb"\x1aE\xdf\xa3|RIFF.{4}AVI |\0\0\x01[\xb3\xba]|FLV\x01": "a video",
    rb"8BPS|\xff\n|\0{3}\x0c(JXL|jP) |\xffO\xffQ|\0\0\x01\0|%!PS|(?-i:P[1-7])\s|gimp xcf": "an "
    "image of another kind",
    rb"version https://git-lfs\.": LFS_POINTER,
    rb"(\xef\xbb\xbf)?\s*<(!doctype|html|head|body|\?xml)": "a web page",
    rb"\x89HDF\r\n\x1a\n": "an HDF5 file",
    rb"PK\x03\x04.{26}w\.npy": "a catclf model",
    rb"PK\x03\x04.{26}[^/]*\.npy|\x93NUMPY": "a NumPy file",
    rb"PK\x03\x04.{26}[^/]+/(data\.pkl|version|byteorder|\.format_version)": "a PyTorch file",
    rb"PK\x03\x04.{26}(metadata|config)\.json": "a Keras model",
    rb"PK[\x03\x05]|\x1f\x8b|BZh|\xfd7zXZ|7z\xbc\xaf|Rar!|.{257}ustar": "an archive",
    rb"MATLAB 5\.0 MAT-file": "a MATLAB file of before version 7.3",
    rb"\x80[\x02-\x05]": "a Python pickle",
    rb"\x08[\x01-\x20][\x12\x1a\x22\x3a\x42]": "an ONNX network",
    rb".{4}\0{4}\{": "a safetensors file",
    rb"\xff\xd8\xff|\x89PNG|GIF8|RIFF.{4}WEBP|.{4}ftyp": "an image",
}
"""What files are that begin so: those that are taken for data, a model or a photo by mistake."""


def describe_content(head: bytes) -> str:
    """Say in a noun what a file is, by its first HEAD_BYTES; nothing if it is not known."""
    head = head[:HEAD_BYTES]
    for start, noun in CONTENTS.items():
        if re.match(start, head, re.DOTALL | re.IGNORECASE):
            return noun
    is_text = not re.search(rb"[\0-\x08\x0e-\x1a\x7f]", head)
    is_table = re.match(rb"[^\n]*\S[,;\t]\S", head)  # by its first line
    return ("a table as text" if is_table else "text") if is_text else ""


def is_locked(file: BinaryIO) -> bool:
    """Tell whether another program has locked a file to write to it, as HDF5's library does."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # until it is closed
    except (OSError, AttributeError) as error:  # others: where nothing can be locked
        return isinstance(error, BlockingIOError)
    return False


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a regular file to read it; a link to one is followed, and nothing is waited for.

    Raises
    ------
    OSError
        If it cannot be read, or is a pipe, a device or the like; IsADirectoryError if a folder.
    ValueError
        If there is a null character in the name.
    """
    _check_regular(os.stat(path))  # before anything is opened: to open a pipe may wake its writer
    return open(path, "rb", opener=_open_descriptor)


def _open_descriptor(path: str, flags: int) -> int:
    descriptor = os.open(path, _TO_READ)
    try:
        _check_regular(os.fstat(descriptor))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _check_regular(status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder")
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
