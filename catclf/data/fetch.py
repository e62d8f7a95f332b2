"""Download the course's two files, and accept nothing else.

Each file is known by its size and sha256 beforehand: only the very bytes expected get its name.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from pathlib import Path
from ssl import SSLContext, create_default_context
from urllib import request
from urllib.parse import urljoin

from catclf.common.files import LFS_POINTER, OutputFormat, describe_content
from catclf.common.threads import on_a_thread
from catclf.common.types import Progress
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
DOWNLOAD = OutputFormat("file", OutputError)


@dataclass(frozen=True)
class KnownFile:
    """A file that is known before it is here: its name, bytes and sha256."""

    name: str
    size: int
    sha256: str


COURSE = (
    KnownFile(
        "train_catvnoncat.h5",
        2_572_022,
        "fbe56ab67c3ae28d564e3a644189117976d6b31af0a3ce9bb17dbf22908af242",
    ),
    KnownFile(
        "test_catvnoncat.h5",
        616_958,
        "6a9d39ce52fa85953c5834695b8534a30ed8cfd54971fb2f080b5a24d002b951",
    ),
)


def fetch(
    known: KnownFile,
    folder: str | os.PathLike[str],
    *,
    mirrors: tuple[str, ...] = MIRRORS,
    opener: request.OpenerDirector | None = None,
    silence: float = 30.0,
    longest: float = 600.0,
    progress: Progress | None = None,
    note: Callable[[str], None] | None = None,
) -> bool:
    """Download a file into `folder` from the first mirror that serves it, whole or not at all.

    Nothing is done, and False returned, if it is there already.

    Parameters
    ----------
    mirrors : tuple of str
        Addresses of folders that hold it, ending in "/", tried in this order.
    opener : optional
        What opens addresses; by default one that knows HTTPS alone, so that no redirect can lead
        elsewhere.
    silence, longest : float
        Seconds after which a mirror is given up that sends nothing, or is not done.
    progress : callable, optional
        Called as progress(bytes here, bytes in all), from another thread.
    note : callable, optional
        Called with a line on each mirror that failed while there is another.

    Raises
    ------
    DataError
        If every mirror failed, or another file is there under this name.
    OutputError
        If the folder cannot be written.
    """
    path = Path(folder) / known.name
    if path.is_file():
        with DOWNLOAD.errors(path), open(path, "rb") as present:
            data = present.read(known.size + 1)
        if hashlib.sha256(data).hexdigest() == known.sha256:
            return False
        other = describe_content(data) or "another file"
        raise DataError(f"{path}: {other} is there under this name; move it away, and fetch again")
    DOWNLOAD.check(path)
    reasons: list[str] = []
    for mirror in mirrors:
        if reasons and note is not None:
            note(f"{reasons[-1]}; trying the next address")
        get = partial(_get, mirror + known.name, known, opener or https_opener(), silence, progress)
        try:
            data = on_a_thread(get, longest)  # a server may send a byte now and then for ever
        except (OSError, HTTPException, ValueError) as error:  # of network, protocol, address
            reason = getattr(error, "reason", error)
            words = " ".join(str(getattr(reason, "strerror", None) or reason).split())
            reasons.append(f"{'/'.join(mirror.split('/')[2:5])}: {words or type(error).__name__}")
        else:
            with DOWNLOAD.replacing(path) as file:
                file.write(data)
            return True
    raise DataError(f"{known.name}: could not be fetched; {'; '.join(reasons)}")


def https_opener(context: SSLContext | None = None) -> request.OpenerDirector:
    """Make an opener that knows HTTPS alone, and checks certificates.

    The proxy that the variable https_proxy names, if any, is a tunnel for it. Passwords and
    cookies are neither looked for nor sent; redirects are not followed here.
    """
    opener = request.OpenerDirector()
    opener.add_handler(request.ProxyHandler())
    opener.add_handler(request.HTTPSHandler(context=context or create_default_context()))
    opener.add_handler(request.UnknownHandler())
    return opener


def _get(
    url: str,
    known: KnownFile,
    opener: request.OpenerDirector,
    silence: float,
    progress: Progress | None,
) -> bytes:
    """Request a file, follow redirects, and give its bytes, verified."""
    headers = {"User-Agent": f"catclf/{__version__}", "Accept-Encoding": "identity"}
    for _ in range(1 + REDIRECTS):
        with opener.open(request.Request(url, headers=headers), timeout=silence) as response:
            location = response.headers["Location"]
            if response.status in (301, 302, 303, 307, 308) and location:
                url = urljoin(url, location)
                continue
            if response.status != 200:
                raise OSError(f"it answered with status {response.status}")
            data = b""
            while len(data) <= known.size and (block := response.read1(BLOCK)):
                data += block
                if progress is not None:
                    progress(min(len(data), known.size), known.size)
        if describe_content(data) == LFS_POINTER:
            raise OSError(f"it holds {LFS_POINTER}, not the file itself")
        if len(data) > known.size:
            raise OSError(f"it sent more than the expected {known.size} bytes")
        if len(data) < known.size:
            raise OSError(f"the answer ended after {len(data)} of {known.size} bytes")
        if hashlib.sha256(data).hexdigest() != known.sha256:
            raise OSError("it sent other bytes than expected (their sha256 is wrong)")
        return data
    raise OSError("it redirects again and again")
