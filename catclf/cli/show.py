"""catclf show: say what is in a model file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from catclf.cli import output

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
    from catclf.description import describe
    from catclf.model import load_model

    path = output.find_model(model)
    if picture is not None:
        from catclf.pictures.png import check_target

        check_target(picture)
    trained = load_model(path)
    found = describe(trained, path)
    if picture is not None:
        from catclf.pictures import heat_maps as pictures
        from catclf.pictures.png import save

        save(pictures.weights(trained, os.path.basename(path)), picture)
        output.note(f"wrote {picture}", quiet)
    with output.reader_may_leave():
        if as_json:
            print(output.to_json(found))
        else:
            output.panel(f"{found['features']['name']} model", _rows(found))


def _rows(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Name each thing and say what it is."""
    negative, positive = found["classes"]
    norm = "not finite" if found["weight_norm"] is None else f"{found['weight_norm']:.4g}"
    yield "file", found["model"]
    yield "size", f"{found['bytes']:,} bytes"
    yield "sha256", found["sha256"]
    yield "made by", f"catclf {found['catclf_version']}, format {found['format_version']}"
    yield "classes", f"0 {negative}, 1 {positive}"
    yield "features", f"{found['features']['name']}, {found['n_x']:,} numbers an image"
    for name, value in found["features"]["settings"].items():
        yield f"  {name}", _words(value)
    yield "weights", f"length {norm}, bias {found['bias']:.4g}"
    yield "threshold", f"{found['threshold']:.4g}"
    yield "temperature", f"{found['temperature']:.4g}"
    if found["cost"]:
        (first, before), (last, after) = found["cost"][0], found["cost"][-1]
        course = f"{before:.4g} nats at step {first:,}, {after:.4g} at {last:,}"
        yield "cost", f"{course}; recorded {len(found['cost']):,} times"
    provenance = dict(found["provenance"])
    if provenance.get("cross_validation", 0) is None:
        del provenance["cross_validation"]
    for figure, name in (("train", "training"), ("cv", "cross_validation")):
        if found[f"{figure}_accuracy"] is not None:
            noted = provenance.pop(name)
            label = f"{_words(noted['folds'])}-fold CV" if "folds" in noted else name
            yield label, _accuracy(found, f"{figure}_accuracy")
    if found["majority"] is not None:
        yield "majority", _accuracy(found, "majority")
    if isinstance(provenance.get("tried"), list):
        yield "--auto", f"tried {len(provenance.pop('tried'))} pairs of features and l2"
    for key, value in provenance.items():
        if isinstance(value, dict):
            yield key, ""
            yield from ((f"  {name}", _words(part)) for name, part in value.items())
        else:
            yield key, _words(value)


def _accuracy(found: dict[str, Any], name: str) -> str:
    low, high = found[f"{name}_interval"]
    return f"{found[name]:.2%} ({low:.1%} to {high:.1%})"


def _words(value: Any) -> str:
    """Write a JSON value for a person: names and what they are, or else as JSON."""
    if isinstance(value, dict):
        value = ", ".join(f"{key} {_json(part)}" for key, part in value.items())
    text = _json(value)
    return text if len(text) <= MOST else f"{text[:MOST]}..."


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
