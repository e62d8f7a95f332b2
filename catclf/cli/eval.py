"""catclf eval: measure models on labelled images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from catclf.cli import eval_tables as figures
from catclf.cli import loading, output

if TYPE_CHECKING:
    from catclf.cluster.client import Cluster
    from catclf.data.dataset import Dataset
    from catclf.evaluation import Result
    from catclf.model import Model


def evaluate(
    context: typer.Context,
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA",
            help="An HDF5 file, a folder with a sub-folder per class, or the word drawn. "
            "Default: datasets/test_catvnoncat.h5 if there, else drawings not trained on.",
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            metavar="PATH",
            help="The model to use; given again, others to compare it with. "
            f"[default: ${output.MODEL_VARIABLE}, else {output.DEFAULT_MODEL} if there, "
            f"else {output.PHOTOS}, the one that is shipped]",
        ),
    ] = None,
    cat_class: loading.CatClass = None,
    max_file_size: loading.MaxFileSize = 64,
    trust: loading.Trust = False,
    memory: loading.Memory = None,
    scheduler: loading.Scheduler = None,
    fail_under: Annotated[
        float | None,
        typer.Option(callback=output.share, help="Exit with 1 if an accuracy is below this."),
    ] = None,
    unsure: Annotated[
        float, typer.Option(callback=output.band, help="Unsure up to this; 0.8: from 0.2 to 0.8.")
    ] = 0.8,
    errors: Annotated[int, typer.Option(min=0, metavar="N", help="List the N worst mistakes.")] = 0,
    report: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Write a page there, index.html, and report.json."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    cache: Annotated[
        str | None, typer.Option(metavar="H5", help="Keep a network's features there.")
    ] = None,
    quiet: output.Quiet = False,
) -> None:
    """Measure a model, or several, on labelled images.

    \b
    catclf eval
    catclf eval photos/test --errors 10 --report report
    catclf eval photos/test --model photos --model models/mine.npz
    catclf eval photos/test --fail-under 0.8
    """
    from catclf.common.memory import parse_size
    from catclf.evaluation import measure, short_names
    from catclf.features import ONNX
    from catclf.model import load_model

    given: list[str | None] = [*model] if model else [os.environ.get(output.MODEL_VARIABLE) or None]
    if len(set(given)) < len(given):
        raise typer.BadParameter("--model names the same model twice")
    if report is not None:
        from catclf.pictures.report import check_target, write

        check_target(report)
    paths = [os.fspath(output.find_model(path)) for path in given]
    trained = [load_model(path) for path in paths]
    for path in paths:
        output.note(f"model: {path}", quiet)
    of_networks = any(model.features.name == ONNX for model in trained)
    cluster = loading.connect(
        context, scheduler, {"--cache": cache is not None, loading.NETWORK: of_networks}
    )
    sets = _read(
        trained,
        data,
        cluster,
        cache,
        quiet,
        cat_class=cat_class,
        max_file_size=max_file_size,
        trust=trust,
        memory=parse_size(memory),
    )
    names = short_names([name or path for name, path in zip(given, paths, strict=True)])
    with loading.workers_bar("scoring", cluster, quiet):
        results = [
            measure(one, dataset, name=name, path=path, unsure=unsure)
            for one, dataset, name, path in zip(trained, sets, names, paths, strict=True)
        ]
    for result in results:
        if result.seen:
            which = "the model" if len(results) == 1 else result.name
            found = (
                f"{result.seen} of these {len(result.dataset)} images, or on near-identical ones"
            )
            output.note(f"{which} was trained on {found}", quiet)
    with output.reader_may_leave():
        if as_json:
            print(output.to_json(_as_json(results, errors)))
        else:
            _show(results, errors)
    if report is not None:  # last, so that no figure is lost if it cannot be written
        output.note(f"wrote {os.path.abspath(write(results, report))}", quiet)
    low = [r for r in results if fail_under is not None and r.figures.accuracy.value < fail_under]
    if low:
        of = (f" of {r.name}" if len(results) > 1 else "" for r in low)
        told = [f"{r.figures.accuracy.value:.4f}{name}" for r, name in zip(low, of, strict=True)]
        verb = "is" if len(low) == 1 else "are"
        output.error(f"accuracy {' and '.join(told)} {verb} below {fail_under:g}")
        raise typer.Exit(1)


def _read(
    models: Sequence[Model],
    data: str | None,
    cluster: Cluster | None,
    cache: str | None,
    quiet: bool,
    **how: Any,
) -> list[Dataset]:
    """Read the images for each model; but once for all that take what any other takes."""
    from catclf.evaluation import to_read_for

    maps = [to_read_for(model) for model in models]
    if cache is not None and len([one for one in maps if one is not None]) > 1:
        raise typer.BadParameter("--cache is for one network's features, not several")
    sets: list[Dataset] = []
    for feature_map in maps:
        if feature_map is None and None in maps[: len(sets)]:
            sets.append(sets[maps.index(None)])
            continue
        told = quiet or bool(sets)
        with loading.cached(
            feature_map, cache if feature_map or not any(maps) else None
        ) as extractor:
            how["feature_map"] = extractor
            sets.append(loading.load_all([data], "test", cluster, quiet=told, **how)[1])
    return sets


def _as_json(results: Sequence[Result], errors: int) -> dict[str, Any]:
    from catclf.evaluation import comparison, summary

    found: list[dict[str, Any]] = []
    for result in results:
        listed = {"errors": result.listed(result.worst(errors))} if errors else {}
        found.append({**summary(result.figures), **listed})
    if len(results) == 1:
        return found[0]
    models = [
        {"model": r.name, "path": r.path, **one} for r, one in zip(results, found, strict=True)
    ]
    return {"models": models, "comparison": comparison(results)}


def _show(results: Sequence[Result], errors: int) -> None:
    if len(results) == 1:
        figures.show(results[0])
    else:
        figures.show_side_by_side(results)
    for result in results:
        figures.show_worst(result, errors, named=len(results) > 1)
