"""A page on what models make of one data set, and the same figures for a program."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from catclf.common.files import FileKind
from catclf.common.text import to_json
from catclf.errors import OutputError

if TYPE_CHECKING:
    from catclf.evaluation import Result

PAGE, DATA = "index.html", "report.json"
_REFUSAL = "what is there is no report; name another folder"
_FILES = {
    PAGE: FileKind("report", OutputError, rb'.*<meta name="generator" content="catclf ', _REFUSAL),
    DATA: FileKind("report", OutputError, rb'\{"catclf_report": ', _REFUSAL),
}


def check_target(folder: str | os.PathLike[str]) -> None:
    """Raise OutputError if a report could not, or should not, be written into `folder`.

    What is there already is replaced only if it is a report, or empty.
    """
    for name, kind in _FILES.items():
        kind.check(os.path.join(folder, name))


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
    from catclf.pictures.report.contents import gather
    from catclf.pictures.report.page import render

    check_target(folder)
    contents = gather(results)
    # The JSON first: a page is there only with its figures beside it.
    for name, text in ((DATA, to_json(contents)), (PAGE, render(results, contents))):
        with _FILES[name].replacing(os.path.join(folder, name)) as file:
            file.write(text.encode())
    return Path(folder, PAGE)
