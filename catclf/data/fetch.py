"""Download the course's two files, and accept nothing else.

Each file is known by its size and sha256 beforehand. Bytes go to a file `.part` beside the place,
where a later attempt takes up; only the very bytes expected ever get the file's name.
"""

from __future__ import annotations

import hashlib
import os
import queue
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPMessage, HTTPResponse
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urljoin

from catclf.common import files
from catclf.common.version import __version__
from catclf.errors import DataError, OutputError

MIRRORS = (
    "https://raw.githubusercontent.com/Hiren2002/Logistic-Regression/"
    "a6139a838a0e624f4ab923377df0c5d3386fdf1f/datasets/",
    "https://raw.githubusercontent.com/ramakris/coursera-deeplearning/"
    "c79617ebb9ff38e765e821f80352adee93f19357/neuralnetworks/week2/datasets/",
)
REDIRECTS = 5
BLOCK = 64 * 2**10
POINTER = b"version https://git-lfs."


@dataclass(frozen=True)
class Known:
    """A file that is known before it is here: its name, bytes and sha256."""

    name: str
    size: int
    sha256: str


COURSE = (
    Known(
        "train_catvnoncat.h5",
        2_572_022,
        "fbe56ab67c3ae28d564e3a644189117976d6b31af0a3ce9bb17dbf22908af242",
    ),
    Known(
        "test_catvnoncat.h5",
        616_958,
        "6a9d39ce52fa85953c5834695b8534a30ed8cfd54971fb2f080b5a24d002b951",
    ),
)


@dataclass(frozen=True)
class Patience:
    """How slow a server may be.

    Attributes
    ----------
    silence : float
        Seconds without a byte after which it is given up; the first answer included.
    rate : float
        Bytes a second that it has to send at least, taken over `silence` seconds.
    """

    silence: float = 30.0
    rate: float = 1000.0


PATIENCE = Patience()


class FetchError(DataError):
    """A file that no mirror gave."""


class _MirrorError(Exception):
    """Why a mirror did not serve."""


class _SpoiltError(_MirrorError):
    """Bytes that arrived, now or earlier, are not the file's: they are given up."""


class _Head(NamedTuple):
    """How an answer begins."""

    status: int
    headers: HTTPMessage


def fetch(
    known: Known,
    folder: str | os.PathLike[str],
    *,
    mirrors: tuple[str, ...] = MIRRORS,
    opener: urllib.request.OpenerDirector | None = None,
    patience: Patience = PATIENCE,
    progress: Callable[[int, int], None] | None = None,
    tell: Callable[[str], None] | None = None,
) -> bool:
    """Download a file into `folder` from the first mirror that serves it.

    Parameters
    ----------
    known : Known
        What is to come.
    mirrors : tuple of str
        Addresses of folders that hold it, ending in "/", tried in this order.
    opener : optional
        What opens addresses; by default one that knows HTTPS alone, so that no redirect can lead
        elsewhere.
    patience : Patience
        How slow a server may be.
    progress : callable, optional
        Called as progress(bytes here, bytes in all).
    tell : callable, optional
        Called with a line on each mirror that failed while there is another.

    Returns
    -------
    bool
        False if the file was there already.

    Raises
    ------
    FetchError
        If every mirror failed; what may be right of it stays in `.part` for the next attempt.
    DataError
        If another file is there under this name.
    OutputError
        If the folder cannot be written.
    """
    path = Path(folder) / known.name
    part = path.with_name(path.name + ".part")
    reasons = []
    try:
        if path.is_file():
            _check_present(known, path)
            return False
        files.check_writable(path)
        for k, mirror in enumerate(mirrors):
            try:
                data = _from_mirror(
                    mirror + known.name, known, part, opener or https_opener(), patience, progress
                )
            except _MirrorError as error:
                reasons.append(f"{'/'.join(mirror.split('/')[2:5])}: {error}")
                if tell is not None and k + 1 < len(mirrors):
                    tell(f"{reasons[-1]}; trying the next address")
            else:
                with files.replacing(path) as file:
                    file.write(data)
                part.unlink()
                return True
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"{path}: the file cannot be written ({reason})") from error
    raise FetchError(f"{known.name}: could not be fetched; {'; '.join(reasons)}")


def https_opener(context: ssl.SSLContext | None = None) -> urllib.request.OpenerDirector:
    """Make an opener that knows HTTPS alone, and checks certificates.

    The proxy that the variable https_proxy names, if any, is a tunnel for it. Passwords and
    cookies are neither looked for nor sent; redirects are not followed here.
    """
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPSHandler(context=context or ssl.create_default_context()),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _check_present(known: Known, path: Path) -> None:
    """Raise DataError unless what is at `path` is the file already."""
    with open(path, "rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() == known.sha256:
            return
        file.seek(0)
        pointer = file.read(len(POINTER)) == POINTER
    found = "a Git LFS pointer" if pointer else "another file"
    raise DataError(f"{path}: {found} is there under this name; move it away, and fetch again")


def _from_mirror(
    url: str,
    known: Known,
    part: Path,
    opener: urllib.request.OpenerDirector,
    patience: Patience,
    progress: Callable[[int, int], None] | None,
) -> bytes:
    """Download to `part`, from where an earlier attempt ended; give the bytes, verified."""
    here = part.stat().st_size if part.exists() else 0
    start = here if here <= known.size else 0
    try:
        if start != known.size:
            _download(url, known, part, start, opener, patience, progress)
        data = part.read_bytes()
        if hashlib.sha256(data).hexdigest() != known.sha256:
            raise _SpoiltError("it sent other bytes than expected (their sha256 is wrong)")
        return data
    except _SpoiltError:
        part.unlink(missing_ok=True)
        if not start:
            raise
    return _from_mirror(url, known, part, opener, patience, progress)  # now from the first byte


def _download(
    url: str,
    known: Known,
    part: Path,
    start: int,
    opener: urllib.request.OpenerDirector,
    patience: Patience,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Write the file's bytes from `start` on to `part`, never more than the file has."""
    answer = _answer(url, start, opener, patience)
    status, headers = next(answer)
    if start and status == 200:  # the whole file, though a part was asked for
        start = 0
    elif start and status in (206, 416):
        if headers["Content-Range"] != f"bytes {start}-{known.size - 1}/{known.size}":
            raise _SpoiltError("it has not the part that is missing")
    elif status != 200:
        raise _MirrorError(f"it answered with status {status}")
    declared = headers["Content-Length"]
    if declared is not None and declared != str(known.size - start):
        if next(answer, b"").startswith(POINTER):
            raise _MirrorError("it holds a Git LFS pointer, not the file itself")
        raise _MirrorError(f"it declares {declared} bytes; expected {known.size - start}")
    part.parent.mkdir(parents=True, exist_ok=True)
    with open(part, "r+b" if start else "wb") as file:
        file.seek(start)
        done = start
        for block in answer:
            done += len(block)
            if done > known.size:
                raise _SpoiltError(f"it sent more than the expected {known.size} bytes")
            file.write(block)
            if progress is not None:
                progress(done, known.size)
    if done < known.size:
        raise _MirrorError(f"the answer ended after {done} of {known.size} bytes")


def _answer(
    url: str, start: int, opener: urllib.request.OpenerDirector, patience: Patience
) -> Iterator[Any]:
    """Yield the head of the answer to a request, then its bytes as they come.

    A thread of its own waits for the network, so that no server, however it dawdles, can hold up
    this one, and Ctrl-C is heard.
    """
    box: queue.Queue[_Head | bytes | Exception | None] = queue.Queue(maxsize=8)

    def work() -> None:
        with suppress(queue.Full):  # nobody listens any more
            try:
                for item in _exchange(url, start, opener, 2 * patience.silence):
                    box.put(item, timeout=patience.silence)
                box.put(None, timeout=patience.silence)
            except queue.Full:
                raise
            except Exception as error:  # of the network, of the protocol, of the address
                box.put(error, timeout=patience.silence)

    threading.Thread(target=work, daemon=True).start()
    since, received = time.monotonic(), 0
    while True:
        try:
            item = box.get(timeout=patience.silence)
        except queue.Empty:
            raise _MirrorError(f"nothing came for {patience.silence:g} s") from None
        if item is None:
            return
        if isinstance(item, Exception):
            reason = getattr(item, "reason", item)
            reason = getattr(reason, "strerror", None) or reason
            raise _MirrorError(" ".join(str(reason).split()) or type(item).__name__)
        yield item
        received += len(item)
        if time.monotonic() - since > patience.silence:
            if received < patience.rate * patience.silence:
                raise _MirrorError(f"it is slower than {patience.rate:g} bytes a second")
            since, received = time.monotonic(), 0


def _exchange(
    url: str, start: int, opener: urllib.request.OpenerDirector, timeout: float
) -> Iterator[_Head | bytes]:
    """Send the request, follow redirects, and yield the answer."""
    headers = {"User-Agent": f"catclf/{__version__}", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    for _ in range(1 + REDIRECTS):
        request = urllib.request.Request(url, headers=headers)
        response: HTTPResponse = opener.open(request, timeout=timeout)
        with response:
            if response.status in (301, 302, 303, 307, 308) and response.headers["Location"]:
                url = urljoin(url, response.headers["Location"])
                continue
            yield _Head(response.status, response.headers)
            while block := response.read1(BLOCK):
                yield block
            return
    raise _MirrorError("it redirects again and again")
