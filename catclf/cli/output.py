"""What the commands share: options, safe printing, tables, progress.

Results go to stdout, all else to stderr. Rich is imported where a table or a bar is drawn.
"""

from __future__ import annotations

import codecs
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import TextIOWrapper, UnsupportedOperation
from typing import TYPE_CHECKING, Annotated, Any

import typer

from catclf.common import text
from catclf.common.text import width_in_cells, wrap

if TYPE_CHECKING:
    from catclf.common.types import Progress
    from catclf.model import Model

DEFAULT_MODEL = "models/catclf.npz"
DRAWN_MODEL = "models/drawn.npz"
"""Is made of drawings, and measured on drawings; photos are never shown to it unasked."""
MODEL_VARIABLE = "CATCLF_MODEL"
PHOTOS = "photos"
"""Names the model that is shipped."""

BAR_AFTER_SECONDS = 2.0
"""What is done sooner has no bar, and does not wait for Rich."""
Advance = Callable[..., None]

PLAIN = {
    **dict.fromkeys("─−", "-"), **dict.fromkeys("└┐┘├", "+"), "│": "|", "×": "x", "·": "*",
    "“": '"', "”": '"', "→": "->", "≤": "<=", "≥": ">=", "½": "1/2", "‖": "||", "µ": "u",
    "∞": "inf", "α": "alpha", "λ": "lambda", "σ": "sigma", "Σ": "sum", "ŷ": "yhat",
    "²": "^2", "ᵀ": "^T", "ᴶ": "^J", "ᶻ": "^z", "⁻": "^-", "⁽": "^(", "ⁱ": "i", "⁾": ")",
}  # fmt: skip
"""What catclf prints for its own characters where the output's encoding lacks them."""

to_json = text.to_json
_encoding = "utf-8"
_quiet = False


def _be_quiet(value: bool) -> bool:
    global _quiet  # noqa: PLW0603
    _quiet = value
    return value


Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", callback=_be_quiet, help="Write nothing to stderr but errors."),
]
"""Notes and bars heed it by themselves: a command only declares it."""
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
ModelPath = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="PATH",
        envvar=MODEL_VARIABLE,
        help=f"The model to use. [default: {DEFAULT_MODEL} if there, else {PHOTOS}, "
        "the one that is shipped]",
    ),
]


def check_share(value: float | None) -> float | None:
    """Check an option that is a share: 0 to 1, and a number."""
    if value is not None and not 0 <= value <= 1:
        raise typer.BadParameter(f"expected a number from 0 to 1, not {value:g}")
    return value


def check_band(value: float | None) -> float | None:
    """Check the upper end of the band in which a model counts as unsure: 0.5 to 1."""
    if value is not None and not 0.5 <= value <= 1:
        raise typer.BadParameter(f"expected a number from 0.5 to 1, not {value:g}")
    return value


def prepare_streams() -> None:
    """Make stdout and stderr take any text, whatever their encoding lacks, even if closed."""
    global _encoding  # noqa: PLW0603
    codecs.register_error("catclf", _replace)
    for name in ("stderr", "stdout"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="catclf")
            _encoding = stream.encoding


def _replace(error: UnicodeError) -> tuple[str, int]:
    """Write what an encoding lacks: catclf's own characters plainly, all others escaped."""
    assert isinstance(error, UnicodeEncodeError)
    lacking = error.object[error.start : error.end]
    escaped = (PLAIN.get(c) or c.encode("ascii", "backslashreplace").decode() for c in lacking)
    return "".join(escaped).replace("^-^", "^-"), error.end


def plain(text: str) -> str:
    """Write a text of catclf's own as stdout will show it, so that it can be laid out."""
    return text.encode(_encoding, "catclf").decode(_encoding) if _encoding != "utf-8" else text


def printable(outside: str) -> str:
    """Escape what could act on a terminal, and what stdout's encoding lacks."""
    return text.printable(outside).encode(_encoding, "backslashreplace").decode(_encoding)


def unwritten(error: OSError) -> int:
    """Tell that stdout cannot be written, unless its reader just left, and give the exit code."""
    abandon_stdout()
    if isinstance(error, BrokenPipeError):
        return 0
    _tell(f"error: the output cannot be written ({printable(str(error.strerror or error))})")
    return 3


def abandon_stdout() -> None:
    """Send what is still to come nowhere, so that Python does not complain of it at exit."""
    with suppress(UnsupportedOperation):  # no file at all
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def reader_may_leave() -> Iterator[None]:
    """Write out what the block prints; end it if stdout's reader, `head` say, has all it wants."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        abandon_stdout()


def find_model(path: str | None, drawn: bool = False) -> str | os.PathLike[str]:
    """Find the model that --model names, or the one to use without it: on drawings, their own."""
    if path is None:
        mine = [DRAWN_MODEL, DEFAULT_MODEL] if drawn else [DEFAULT_MODEL]
        path = next(filter(os.path.exists, mine), PHOTOS)
    if path == PHOTOS:
        from catclf.features.conv import shipped

        return shipped("photos.npz")
    return path


def csv_cell(text: str) -> str:
    """Make text from outside safe to open as CSV: an apostrophe goes before what is like a formula.

    What could act on a terminal is escaped, as in `printable`.
    """
    return ("'" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else "") + printable(text)


def note(*lines: str) -> None:
    """Write lines to stderr, unless --quiet is set."""
    for line in () if _quiet else lines:
        _tell(text.printable(line))


def tell_model(path: str, model: Model) -> None:
    """Say which model answers, and on a line of its own if it cannot be trusted with photos."""
    note(f"model: {path}")
    if model.distrust:
        note(f"do not trust it with photos: {model.distrust}; try --model {PHOTOS}")


def error(line: str) -> None:
    """Write an error, one line, to stderr."""
    _tell(f"error: {text.printable(line)}")


def _tell(line: str) -> None:
    with suppress(OSError):  # a full or closed stderr must not change how the command ends
        print(line, file=sys.stderr, flush=True)


def command(*words: str) -> str:
    """Write a command for a person to type, quoted where a shell needs it."""
    import shlex

    return printable(shlex.join(words))


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out a table for stdout, wrapping names in the first column where it would be too wide."""
    shown = [[plain(text.printable(cell)) for cell in row] for row in (columns, *rows)]
    widths = [max(map(width_in_cells, column)) for column in zip(*shown, strict=True)]
    spare = shutil.get_terminal_size().columns - sum(widths) - 3 * len(widths) + 1
    widths[0] = max(widths[0] + min(spare, 0), 4)
    lines = []
    for i, (name, *figures) in enumerate(shown):
        for j, part in enumerate(wrap(name, widths[0])):
            padded = [part + " " * (widths[0] - width_in_cells(part))]
            cells = figures if j == 0 else [""] * len(figures)
            for cell, width in zip(cells, widths[1:], strict=True):
                padded.append(" " * (width - width_in_cells(cell)) + cell)
            lines.append(f" {'   '.join(padded)} ")
        if i == 0:
            lines.append("─" * (sum(widths) + 3 * len(widths) - 1))
    return "\n".join(lines)


@contextmanager
def counting_bar(label: str, unit: str) -> Iterator[Progress]:
    """Show a bar of what is counted in this unit; give the function to call with done and total."""
    with progress_bar(label) as advance:
        yield lambda done, total: advance(done, unit, total)


@contextmanager
def progress_bar(
    label: str,
    total: float | Callable[[], float] | None = None,
    *,
    counted: bool = True,
    hidden: bool = False,
) -> Iterator[Advance]:
    """Show a bar on stderr once the block has taken a while; give the function that moves it.

    The function takes how much is done, a word on it, and the total if that has changed; with
    `counted` it shows how many are done a second. Where nobody would see a bar, it does nothing. A
    total that takes time to find out is a function, asked once the bar is there.
    """
    if hidden or _quiet or not sys.stderr.isatty():
        yield lambda *_: None
        return
    from threading import Lock, Timer

    start = last = time.perf_counter()
    told, before = "", 0.0
    state: dict[str, Any] = {"completed": 0.0, "word": ""}
    state["total"] = None if callable(total) else total
    lock, bar = Lock(), None

    def show() -> None:
        """Draw the bar; on a thread of its own, for one long step of the work calls nothing."""
        nonlocal bar
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        drawn = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[word]}", markup=False),
            TimeRemainingColumn(compact=True),
            console=Console(stderr=True),
            transient=True,
            expand=True,
            redirect_stdout=False,  # results go to a file
        )
        drawn.add_task(label, **state)
        with lock:
            if timer.finished.is_set():  # the work is done
                return
            drawn.start()
            bar = drawn
        if callable(total):
            state["total"] = total()

    def advance(done: float, word: str = "", total: float | None = None) -> None:
        nonlocal start, last, told, before
        now = time.perf_counter()
        if done < before:  # something else is counted now
            start = now
        before = done
        # Drawing must not slow down what it shows; but a new stage may be a long one.
        if now - last > 0.05 or (not counted and word != told):
            last, told = now, word
            rate = f" {done / (now - start):.0f}/s" if counted and now > start else ""
            state.update(completed=done, word=word + rate, total=total or state["total"])
            if bar is not None:
                bar.update(bar.task_ids[0], **state)

    timer = Timer(BAR_AFTER_SECONDS, show)
    timer.daemon = True
    timer.start()
    try:
        yield advance
    finally:
        timer.cancel()
        with lock:
            if bar is not None:
                bar.stop()
