"""catclf lesson: the lesson, walked through on images."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from catclf.cli import loading, output

if TYPE_CHECKING:
    from catclf.common.chart import Chart
    from catclf.lesson.material import Material, Table

NUMBER_OF_SECTIONS = 10


def lesson(
    data: loading.Data = "drawn",
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
    html: Annotated[str | None, typer.Option(metavar="PATH", help="Write a page instead.")] = None,
    cat_class: loading.CatClass = None,
    quiet: output.Quiet = False,
) -> None:
    """Walk through the lesson, every figure computed on your images.

    \b
    catclf lesson
    catclf lesson photos/train --section 3 --pictures lesson
    catclf lesson --html lesson.html

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
    from catclf.lesson.material import Material

    if html is not None:
        from catclf.pictures import lesson_page

        if section or everything or pictures is not None:
            raise typer.BadParameter("--html holds all sections and charts; give it alone")
        lesson_page.check_target(html)
    if pictures is not None:
        from catclf.pictures import svg

        svg.check_target(os.path.join(pictures, "chart.svg"))
    material = Material(loading.load_all([data], "train", cat_class=cat_class)[1])
    if html is not None:
        with loading.working_bar("writing the lesson"):
            lesson_page.write(material, html)
        output.note(f"wrote {os.path.abspath(html)}")
        return
    waits = sys.stdin.isatty() and sys.stdout.isatty() and not (everything or section)
    room = shutil.get_terminal_size().lines - 2
    for number in [section] if section else range(1, NUMBER_OF_SECTIONS + 1):
        lines_shown = 0
        for text in _section_texts(number, material, pictures):
            height = text.count("\n")
            if waits and lines_shown + height > room:
                if not _ask_to_go_on(number):
                    return
                lines_shown = 0
            print(text, end="", flush=True)
            lines_shown += height
        if waits and number < NUMBER_OF_SECTIONS and not _ask_to_go_on(number):
            return


def _section_texts(number: int, material: Material, pictures: str | None) -> Iterator[str]:
    """Compute a section, block by block, and write each as text for the terminal."""
    from catclf.lesson import SECTIONS
    from catclf.lesson.material import paragraphs

    section = SECTIONS[number - 1]
    heading = f"{number}. {section.title}"
    yield f"\n{heading}\n{'=' * len(heading)}\n{section.source}\n\n"
    width = min(shutil.get_terminal_size().columns, 80)
    for block in section.tell(material):
        if not isinstance(block, str):
            yield f"{_draw(block, number, pictures)}\n\n"
            continue
        for paragraph, is_formula in paragraphs(output.plain(block)):
            if is_formula:
                text = textwrap.indent(paragraph, "  ")
            else:
                text = textwrap.fill(paragraph, width, break_on_hyphens=False)
            yield f"{text}\n\n"


def _draw(block: Table | Chart, number: int, pictures: str | None) -> str:
    """Draw a table, or a chart, with characters; a chart also as a picture, if asked for."""
    from catclf.lesson.material import Table

    width = shutil.get_terminal_size().columns
    if isinstance(block, Table):
        return output.table(block.header, block.rows)
    if pictures is None:
        return plot(block, width)
    from catclf.pictures import svg

    words = "".join(c if c.isalnum() else " " for c in block.title.lower()).split()
    path = os.path.join(pictures, f"{number:02}-{'-'.join(words)}.svg")
    svg.save(block, path)
    return f"{plot(block, width)}\nPicture: {output.printable(path)}"


def _ask_to_go_on(number: int) -> bool:
    """Wait for Enter; say whether to go on."""
    try:
        answer = input(f"Section {number} of {NUMBER_OF_SECTIONS}. Enter: go on, q: leave ")
    except EOFError:
        print()
        return False
    except KeyboardInterrupt:
        print()
        raise typer.Exit(130) from None
    return answer.strip().lower() not in ("q", "quit")


ROWS = 15  # odd, so that there is a middle one
WIDEST = 60
MARGIN = 9  # for the figures of the y-axis
MARKS = "*o+x"


def plot(chart: Chart, width: int) -> str:
    """Draw the curves of a chart in so many columns; where they cross, the first is in front."""
    import numpy as np

    columns = max(min(width, WIDEST) - MARGIN, 10)
    x = np.concatenate([curve.x for curve in chart.curves])
    y = np.concatenate([curve.y for curve in chart.curves])
    first, last = float(x.min()), float(x.max())
    low, high = chart.y_range or (float(y.min()), float(y.max()))
    free = iter(MARKS)
    marks = ["." if curve.dashed else next(free) for curve in chart.curves]
    canvas = np.full((ROWS, columns), " ")
    for curve, mark in reversed(list(zip(chart.curves, marks, strict=True))):
        if curve.dots:
            at, heights = (curve.x - first) / (last - first) * (columns - 1), curve.y
        else:
            at = np.arange(columns, dtype=np.float64)
            heights = np.interp(
                np.linspace(first, last, columns), curve.x, curve.y, left=np.inf, right=np.inf
            )
        rows = (high - heights) / (high - low) * (ROWS - 1)
        seen = (rows > -0.5) & (rows < ROWS - 0.5)
        canvas[np.rint(rows[seen]).astype(int), np.rint(at[seen]).astype(int)] = mark
    ticks = {0: f"{high:.3g}", ROWS // 2: f"{(low + high) / 2:.3g}", ROWS - 1: f"{low:.3g}"}
    left, middle, right = (f"{v:.3g}" for v in (first, (first + last) / 2, last))
    scale = f"{left:<{columns // 2}}{middle}"
    lines = [
        *textwrap.wrap(chart.title, width),
        f"{output.plain(chart.y_label):>{MARGIN - 2}}",
        *(f"{ticks.get(i, ''):>{MARGIN - 2}} │{''.join(row)}" for i, row in enumerate(canvas)),
        " " * (MARGIN - 1) + "└" + "─" * columns,
        " " * MARGIN + f"{scale:<{columns - len(right)}}{right}",
        " " * MARGIN + chart.x_label.center(columns),
    ]
    for curve, mark in zip(chart.curves, marks, strict=True):
        if curve.name:
            lines.append(f"{' ' * MARGIN}{mark} {curve.name}")
    return "\n".join(line.rstrip() for line in lines)
