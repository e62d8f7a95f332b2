"""What the commands share: options, safe printing, tables, progress.

Results go to stdout, all else to stderr. Rich is imported where a table or a bar is drawn.
"""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from catclf.metrics import Proportion

DEFAULT_MODEL = "models/catclf.npz"

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Write nothing to stderr but errors.")]
ModelPath = Annotated[
    str, typer.Option("--model", "-m", envvar="CATCLF_MODEL", help="The model to use.")
]
CatClass = Annotated[
    str | None,
    typer.Option("--cat-class", metavar="NAME", help="The class that is the cat, by name."),
]


def tolerate_any_text() -> None:
    """Let stdout and stderr take any text: what their encoding lacks is escaped."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def printable(text: str) -> str:
    """Escape whatever could act on a terminal: controls, escapes, bidi marks, stray bytes."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


def note(text: str, quiet: bool = False) -> None:
    """Write a line to stderr, unless quiet."""
    if not quiet:
        print(printable(text), file=sys.stderr)


def error(text: str) -> None:
    """Write an error, one line, to stderr."""
    print(f"error: {printable(text)}", file=sys.stderr)


def command(*words: str) -> str:
    """Write a command for a person to type, quoted where a shell needs it."""
    return printable(shlex.join(words))


def percent(proportion: Proportion) -> tuple[str, str]:
    """Write a proportion and its 95% interval."""
    low, high = proportion.interval
    return f"{proportion.value:.2%}", f"{low:.1%} to {high:.1%}"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table to stdout; every cell is taken as plain text."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, show_edge=False)
    for i, column in enumerate(columns):
        # Names fold, so that they can be read whole; figures keep to one line.
        drawn.add_column(
            Text(column), justify="right" if i else "left", overflow="fold", no_wrap=i > 0
        )
    for row in rows:
        drawn.add_row(*(Text(printable(cell)) for cell in row))
    Console(highlight=False).print(drawn)


@contextmanager
def progress_bar(
    label: str, total: int, quiet: bool
) -> Iterator[Callable[[int, str], None] | None]:
    """Show a bar on stderr while the block runs; give the function that moves it.

    The function takes how much is done and a word on it. There is none where nobody would see.
    """
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    start = last = time.perf_counter()
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[word]}", markup=False),
        TimeRemainingColumn(compact=True),
        console=Console(stderr=True),
        transient=True,
        expand=True,
    ) as bar:
        task = bar.add_task(label, total=total, word="")

        def advance(done: int, word: str) -> None:
            nonlocal last
            now = time.perf_counter()
            if now - last > 0.05:  # drawing must not slow down what it shows
                last = now
                bar.update(task, completed=done, word=f"{word} {done / (now - start):.0f}/s")

        yield advance
