"""catclf show: say what is in a model file."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Annotated

import typer

from catclf.cli import output


def show(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            envvar=output.MODEL_VARIABLE,
            help=f"A model file, or the word {output.PHOTOS}. "
            f"Default: {output.DEFAULT_MODEL} if there, else {output.PHOTOS}.",
        ),
    ] = None,
    picture: Annotated[
        str | None,
        typer.Option(
            metavar="PNG", help="Draw weights (pixels), dictionary (patches) or filters (conv)."
        ),
    ] = None,
    as_json: output.Json = False,
    quiet: output.Quiet = False,
) -> None:
    """Say what is in a model file, and draw what it weighs.

    \b
    catclf show
    catclf show models/mine.npz --picture weights.png
    """
    from catclf.model import load_model
    from catclf.model_file import describe_file

    path = output.find_model(model)
    if picture is not None:
        from catclf.pictures.png import check_target

        check_target(picture)
    trained = load_model(path)
    described = {**describe_file(path), **trained.describe()}
    if picture is not None:
        from catclf.pictures import explanation as pictures
        from catclf.pictures.png import save

        save(pictures.weights(trained, os.path.basename(path)), picture)
        output.note(f"wrote {picture}")
    if as_json:
        print(output.to_json(described))
        return
    rows = [
        ("file", described["model"]),
        ("size", f"{described['bytes']:,} bytes"),
        ("sha256", described["sha256"]),
        ("made by", f"catclf {trained.version}, format {described['format_version']}"),
        *trained.in_words(),
    ]
    _print_panel(f"{trained.features.name} model", rows)


def _print_panel(title: str, rows: Iterable[tuple[str, str]]) -> None:
    """Print names and what they stand for in a frame; all is taken as plain text."""
    from rich.console import Console
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(overflow="fold", max_width=16)
    grid.add_column(overflow="fold")
    for row in rows:
        grid.add_row(*(Text(output.printable(cell)) for cell in row))
    # Written by print(), for Rich would end the process itself where stdout's reader has left.
    console = Console(highlight=False)
    with console.capture() as capture:
        console.print(Panel(grid, title=Text(output.printable(title)), expand=False))
    print(capture.get(), end="")
