"""catclf export: write a model as an ONNX network, for other programs."""

from __future__ import annotations

from typing import Annotated

import typer

from catclf.cli import output


def export(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help=f"A model file, or the word {output.PHOTOS}.")
    ],
    out: Annotated[str, typer.Argument(metavar="OUT", help="The ONNX file to write.")],
    quiet: output.Quiet = False,
) -> None:
    """Write a model as an ONNX network, for phones, web pages, C++.

    It takes pixels, and gives probability and label: features and scaling are inside. What must be
    done to a photo before is in its metadata, and in docs/onnx.md. It needs the package onnx: pip
    install 'catclf[onnx]'.

    \b
    catclf export photos photos.onnx
    catclf export models/mine.npz mine.onnx
    """
    from catclf.export import write_onnx
    from catclf.model import load_model
    from catclf.model_file import describe_file

    path = output.find_model(model)
    trained = load_model(path)
    output.tell_model(str(path), trained)
    write_onnx(trained, out, describe_file(path)["sha256"])
    print(f"wrote {output.printable(out)}")
