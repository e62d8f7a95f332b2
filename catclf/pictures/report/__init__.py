"""A page on what models make of one data set, and the same figures for a program."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from catclf.common import files
from catclf.errors import OutputError

if TYPE_CHECKING:
    from catclf.evaluation import Result

PAGE, DATA = "index.html", "report.json"
_MARKS = {PAGE: b'<meta name="generator" content="catclf ', DATA: b'{"catclf_report": '}
"""What tells a report of ours from other files of these names."""


def check_target(folder: str | os.PathLike[str]) -> None:
    """Raise OutputError if a report could not, or should not, be written into `folder`.

    What is there already is replaced only if it is a report, or empty.
    """
    for name, mark in _MARKS.items():
        path = Path(folder, name)
        try:
            files.check_writable(path)
            if path.exists():
                with open(path, "rb") as file:
                    head = file.read(256)
                if head and mark not in head:
                    raise OSError("what is there is no report; name another folder")
        except (OSError, ValueError) as error:
            raise _cannot_write(folder, name, error) from error


def write(results: Sequence[Result], folder: str | os.PathLike[str]) -> Path:
    """Write index.html and report.json into `folder`, which is made if it is not there.

    Parameters
    ----------
    results : sequence of Result
        Of models on the same images; one or more.
    folder : path

    Returns
    -------
    Path
        Of the page.

    Raises
    ------
    OutputError
        If one of them cannot be written, or would replace what is no report.
    """
    from catclf.pictures.report.data import gather
    from catclf.pictures.report.page import render

    check_target(folder)
    found = gather(results)
    # The JSON first: a page is there only with its figures beside it.
    contents = {DATA: json.dumps(found, allow_nan=False), PAGE: render(results, found)}
    for name, text in contents.items():
        try:
            with files.replacing(Path(folder, name)) as file:
                file.write(text.encode())
        except OSError as error:
            raise _cannot_write(folder, name, error) from error
    return Path(folder, PAGE)


def _cannot_write(folder: str | os.PathLike[str], name: str, error: Exception) -> OutputError:
    reason = getattr(error, "strerror", None) or error
    return OutputError(f"{os.path.join(folder, name)}: the report cannot be written ({reason})")
