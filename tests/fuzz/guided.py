"""Let the coverage of the readers choose the changes, by atheris, in a process of its own.

What it makes is repaired before it is read: checksums are put right, and a model is built of JSON.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["catclf"]):
    pass

from .mutations import repair_png
from .readers import (
    make,
    npz_that_says,
    outcome,
    what_it_says,
)


def _repaired_image(data: bytes) -> bytes:
    return repair_png(data) if data[:4] == b"\x89PNG" else data


REPAIRS: dict[str, Callable[[bytes], bytes]] = {
    "images": _repaired_image,
    "model": partial(npz_that_says, "model"),
    "checkpoint": partial(npz_that_says, "checkpoint"),
}


def main(reader: str, folder: Path, words: list[str]) -> None:
    """Begin with 200 files as the other way of fuzzing makes them."""
    corpus = folder / "corpus"
    corpus.mkdir()
    for number in range(200):
        (corpus / str(number)).write_bytes(make(reader, number))
    if reader in ("model", "checkpoint"):
        (corpus / "said").write_bytes(what_it_says(reader))

    def try_one(data: bytes) -> None:
        outcome(reader, REPAIRS.get(reader, bytes)(data), folder / "file")

    atheris.Setup([sys.argv[0], str(corpus), *words], try_one)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
