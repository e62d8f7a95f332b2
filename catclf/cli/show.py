"""catclf show: say what is in a model file."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from catclf.cli import output


def show(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            envvar="CATCLF_MODEL",
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
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
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
        output.note(f"wrote {picture}", quiet)
    with output.reader_may_leave():
        if as_json:
            print(output.to_json(described))
        else:
            rows = [
                ("file", described["model"]),
                ("size", f"{described['bytes']:,} bytes"),
                ("sha256", described["sha256"]),
                ("made by", f"catclf {trained.version}, format {described['format_version']}"),
                *trained.in_words(),
            ]
            output.panel(f"{trained.features.name} model", rows)
