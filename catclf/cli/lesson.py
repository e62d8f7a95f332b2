"""catclf lesson: the lesson, walked through on images."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from contextlib import redirect_stdout
from io import StringIO
from typing import TYPE_CHECKING, Annotated

import typer

from catclf.cli import output

if TYPE_CHECKING:
    from catclf.common.chart import Chart
    from catclf.lesson.blocks import Block, Material

NUMBER_OF_SECTIONS = 10


def lesson(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="An HDF5 file, a folder with a sub-folder per class, or the word drawn.",
        ),
    ] = "drawn",
    section: Annotated[
        int | None,
        typer.Option(min=1, max=NUMBER_OF_SECTIONS, metavar="N", help="This section only."),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All sections, without waiting for Enter.")
    ] = False,
    pictures: Annotated[
        str | None, typer.Option(metavar="DIR", help="Also write the charts there, as SVG.")
    ] = None,
    cat_class: output.CatClass = None,
    quiet: output.Quiet = False,
) -> None:
    """Walk through the lesson, every figure computed on your images.

    \b
    catclf lesson
    catclf lesson photos/train --section 3 --pictures lesson

    \b
     1  Images as columns of numbers       (in the lesson: 1.1)
     2  Logistic regression                (1.2)
     3  Loss and cost                      (1.3)
     4  Gradient descent                   (2)
     5  Computation graph, forward         (3.1)
     6  Computation graph, backward        (3.2)
     7  Logistic regression as a graph     (4)
     8  The loop over m examples           (4)
     9  Vectorization                      (5)
    10  Gradient check
    """
    if section and everything:
        raise typer.BadParameter("choose one of --section and --all")
    from catclf.lesson.blocks import Material
    from catclf.lesson.sections import SECTIONS

    if pictures is not None:
        _check_folder(pictures)
    material = Material.of(output.read(data, "train", cat_class, quiet))
    numbers = [section] if section else list(range(1, len(SECTIONS) + 1))
    waits = sys.stdin.isatty() and sys.stdout.isatty() and not (everything or section)
    with output.reader_may_leave():
        for number in numbers:
            if not _tell(number, material, pictures, waits):
                return
            if waits and number < len(SECTIONS) and not _go_on(number):
                return


def _tell(number: int, material: Material, pictures: str | None, waits: bool) -> bool:
    """Print a section, block by block, as they are computed, and wait when the screen is full.

    Say whether the reader wants to go on.
    """
    from catclf.lesson.sections import SECTIONS

    room = shutil.get_terminal_size().lines - 2
    chosen = SECTIONS[number - 1]
    heading = f"{number}. {chosen.title}"
    where = f"section {chosen.lesson} of the lesson" if chosen.lesson else "beyond the lesson"
    print(f"\n{heading}\n{'=' * len(heading)}\n{where}\n", flush=True)
    shown, charts = 5, 0
    for block in chosen.tell(material):
        with redirect_stdout(StringIO()) as text:
            charts += _show(block, number, pictures)
            print()
        height = text.getvalue().count("\n")
        if waits and shown + height > room:
            if not _go_on(number):
                return False
            shown = 0
        print(text.getvalue(), end="", flush=True)
        shown += height
    if pictures is not None and not charts:
        print("(This section has no chart.)\n", flush=True)
    return True


def _show(block: Block, number: int, pictures: str | None) -> bool:
    """Print a block; say whether it is a chart."""
    from catclf.cli.terminal_plot import plot
    from catclf.lesson.blocks import Formula, Table

    width = shutil.get_terminal_size().columns
    if isinstance(block, str):
        print(_wrapped(block, width))
    elif isinstance(block, Formula):
        print(textwrap.indent(block.text, "  "))
    elif isinstance(block, Table):
        output.table(block.header, block.rows)
    else:
        print(plot(block, width))
        if pictures is not None:
            print(_wrapped(f"Picture: {_write(block, number, pictures)}", width))
        return True
    return False


def _wrapped(text: str, width: int) -> str:
    lines = textwrap.wrap(
        output.printable(text), min(width, 80), break_long_words=True, break_on_hyphens=False
    )
    return "\n".join(lines)


def _check_folder(folder: str) -> None:
    from catclf.pictures.svg import check_target

    check_target(os.path.join(folder, "*.svg"))


def _write(chart: Chart, number: int, folder: str) -> str:
    """Draw a chart as an SVG file too; give its name."""
    from catclf.pictures.svg import save

    words = "".join(c if c.isalnum() else " " for c in chart.title.lower()).split()
    path = os.path.join(folder, f"{number:02}-{'-'.join(words)}.svg")
    save(chart, path)
    return path


def _go_on(number: int) -> bool:
    """Wait for Enter; say whether to go on."""
    try:
        return input(
            f"Section {number} of {NUMBER_OF_SECTIONS}. Enter: go on, q: leave "
        ).strip().lower() not in ("q", "quit")
    except EOFError:
        print()
        return False
    except KeyboardInterrupt:
        print()
        raise typer.Exit(130) from None
