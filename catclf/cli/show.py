"""catclf show: say what is in a model file, or what would be done with a network."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Annotated

import typer

from catclf.cli import output


def show(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            envvar=output.MODEL_VARIABLE,
            help=f"A model file, the word {output.PHOTOS}, or a network, NAME.onnx. "
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
    """Say what is in a model file, and draw what it weighs; or how a network would be used.

    \b
    catclf show
    catclf show models/mine.npz --picture weights.png
    catclf show lite0.onnx
    """
    from catclf.model import load_model
    from catclf.model_file import describe_file

    path = output.find_model(model)
    if os.fspath(path).lower().endswith(".onnx"):
        if picture is not None:
            raise typer.BadParameter("--picture is for models, not for networks")
        _show_network(os.fspath(path), as_json)
        return
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


def _show_network(path: str, as_json: bool) -> None:
    from catclf.features.onnx.description import USUAL_SIDE, describe_network

    about = describe_network(path)
    if as_json:
        print(output.to_json(about))
        return

    def times(sides: Sequence[int]) -> str:
        return " × ".join(map(str, sides))

    left_open = f"its size is left open (--onnx-size, here {USUAL_SIDE})"
    size = times(about["size"]) if about["size"] else left_open
    places = times(about["output_size"]) + " places" if about["output_size"] else "no places"
    explained = "" if about["output_size"] else ", so that predict --explain cannot be"
    rows = [
        ("file", about["network"]),
        ("size", f"{about['bytes']:,} bytes"),
        ("sha256", about["sha256"]),
        ("input", f"{about['input']}, {about['layout']}, {about['type']}, {size}"),
        ("pixels", "--onnx-normalise must be given" if about["normalise"] else "as they are"),
        ("output", f"{about['output']}, {places}{explained}"),
        ("features", f"{about['n_x']:,} an image of {times(about['image_size'])}"),
        ("time", f"{about['milliseconds']:.1f} ms an image, on one processor"),
    ]
    _print_panel("network", rows)


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
