"""catclf show: say what is in a model file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from catclf.cli import output

if TYPE_CHECKING:
    from catclf.model import Model

MOST = 400
"""Characters that are shown of any value."""


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
        from catclf.pictures import heat_maps as pictures
        from catclf.pictures.png import save

        save(pictures.weights(trained, os.path.basename(path)), picture)
        output.note(f"wrote {picture}", quiet)
    with output.reader_may_leave():
        if as_json:
            print(output.to_json(described))
        else:
            output.panel(f"{trained.features.name} model", _rows(trained, described))


def _rows(model: Model, described: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Name each thing and say what it is."""
    negative, positive = model.classes
    norm = described["weight_norm"]
    length = "not finite" if norm is None else f"{norm:.4g}"
    yield "file", described["model"]
    yield "size", f"{described['bytes']:,} bytes"
    yield "sha256", described["sha256"]
    yield "made by", f"catclf {model.version}, format {described['format_version']}"
    yield "classes", f"0 {negative}, 1 {positive}"
    yield "features", f"{model.features.name}, {model.features.n_x:,} numbers an image"
    for name, value in model.features.settings().items():
        yield f"  {name}", _words(value)
    yield "weights", f"length {length}, bias {model.b:.4g}"
    yield "threshold", f"{model.threshold:.4g}"
    yield "temperature", f"{model.temperature:.4g}"
    if model.costs:
        (first, before), (last, after) = model.costs[0], model.costs[-1]
        course = f"{before:.4g} nats at step {first:,}, {after:.4g} at {last:,}"
        yield "cost", f"{course}; recorded {len(model.costs):,} times"
    past = model.provenance
    said = dict(past.as_json)
    for key, label, figure in (
        ("training", "training", past.training),
        ("cross_validation", f"{past.folds}-fold CV", past.cross_validation),
    ):
        if figure is not None:
            del said[key]
            yield label, "{} ({})".format(*figure.percent)
    if past.majority is not None:
        yield "majority", "{} ({})".format(*past.majority.percent)
    if past.tried:
        del said["tried"]
        yield "--auto", f"tried {len(past.tried)} pairs of features and l2"
    if said.get("cross_validation", 0) is None:
        del said["cross_validation"]
    for key, value in said.items():
        if isinstance(value, dict):
            yield key, ""
            yield from ((f"  {name}", _words(part)) for name, part in value.items())
        else:
            yield key, _words(value)


def _words(value: Any) -> str:
    """Write a JSON value for a person: names and what they are, or else as JSON."""
    if isinstance(value, dict):
        value = ", ".join(f"{key} {_json(part)}" for key, part in value.items())
    text = _json(value)
    return text if len(text) <= MOST else f"{text[:MOST]}..."


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
