"""catclf eval: measure models on labelled images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from shutil import get_terminal_size
from textwrap import fill
from typing import TYPE_CHECKING, Annotated, Any

import typer

from catclf.cli import loading, output
from catclf.cli.output import check_band, check_share

if TYPE_CHECKING:
    from catclf.cluster import Cluster
    from catclf.data.dataset import Dataset
    from catclf.evaluation import Result
    from catclf.model import Model

LABEL_WIDTH, COLUMN_WIDTH = 25, 17
"""The columns of a comparison are so wide, in characters."""


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
            f"[default: ${output.MODEL_VARIABLE}, else on drawings {output.DRAWN_MODEL} if there, "
            f"else {output.DEFAULT_MODEL} if there, else {output.PHOTOS}, the one that is shipped]",
        ),
    ] = None,
    cat_class: loading.CatClass = None,
    max_file_size: loading.MaxFileSize = 64,
    trust: loading.Trust = False,
    memory: loading.Memory = None,
    scheduler: loading.Scheduler = None,
    fail_under: Annotated[
        float | None,
        typer.Option(callback=check_share, help="Exit with 1 if an accuracy is below this."),
    ] = None,
    unsure: Annotated[
        float, typer.Option(callback=check_band, help="Unsure up to this; 0.8: from 0.2 to 0.8.")
    ] = 0.8,
    errors: Annotated[int, typer.Option(min=0, metavar="N", help="List the N worst mistakes.")] = 0,
    report: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Write a page there, index.html, and report.json."),
    ] = None,
    as_json: output.Json = False,
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
    from catclf.common.blocks import parse_size
    from catclf.data.load import is_drawn
    from catclf.evaluation import evaluate_dataset, short_names
    from catclf.features import ONNX
    from catclf.model import load_model

    wanted: list[str | None] = (
        [*model] if model else [os.environ.get(output.MODEL_VARIABLE) or None]
    )
    if len(set(wanted)) < len(wanted):
        raise typer.BadParameter("--model names the same model twice")
    if report is not None:
        from catclf.pictures.report import check_target, write

        check_target(report)
    drawn = is_drawn(data, "test")
    paths = [os.fspath(output.find_model(path, drawn)) for path in wanted]
    models = [load_model(path) for path in paths]
    for path, one in zip(paths, models, strict=True):
        output.tell_model(path, one)
    has_network = any(model.features.name == ONNX for model in models)
    alone = {"--cache": cache is not None, loading.NETWORK: has_network}
    cluster = loading.connect(context, scheduler, alone)
    datasets = _load(
        models,
        data,
        cluster,
        cache,
        cat_class=cat_class,
        max_bytes=loading.to_bytes(max_file_size),
        trust=trust,
        memory=parse_size(memory),
    )
    names = short_names([name or path for name, path in zip(wanted, paths, strict=True)])
    with loading.working_bar("scoring", cluster) as progress:
        results = [
            evaluate_dataset(model, dataset, name=name, path=path, unsure=unsure, progress=progress)
            for model, dataset, name, path in zip(models, datasets, names, paths, strict=True)
        ]
    with loading.working_bar("looking for training images", cluster):
        overlaps = [result.overlap for result in results]
    several = len(results) > 1
    for result, count in zip(results, overlaps, strict=True):
        if count:
            which = result.name if several else "the model"
            output.note(
                f"{which} was trained on {count} of these {len(result.dataset)} images, "
                "or on near-identical ones"
            )
    with output.reader_may_leave():
        if as_json:
            print(output.to_json(_as_json(results, errors)))
        else:
            _show(results, errors)
    if report is not None:  # last, so that no figure is lost if it cannot be written
        with loading.working_bar("writing the report"):
            page = write(results, report)
        output.note(f"wrote {os.path.abspath(page)}")
    low = [
        f"{result.figures.accuracy.value:.4f}{f' of {result.name}' if several else ''}"
        for result in results
        if fail_under is not None and result.figures.accuracy.value < fail_under
    ]
    if low:
        verb = "is" if len(low) == 1 else "are"
        output.error(f"accuracy {' and '.join(low)} {verb} below {fail_under:g}")
        raise typer.Exit(1)


def _load(
    models: Sequence[Model],
    data: str | None,
    cluster: Cluster | None,
    cache: str | None,
    **how: Any,
) -> list[Dataset]:
    """Load the images for each model; but once for all whose map need not see them being read."""
    from catclf.features import ONNX, map_while_reading

    networks = [model.features.name for model in models].count(ONNX)
    if cache is not None and networks != 1:
        one = "one network's features, not several" if networks else "features of an ONNX network"
        raise typer.BadParameter(f"--cache is for {one}")
    datasets: dict[str, Dataset] = {}
    maps = [map_while_reading(model.features) for model in models]
    keys = [str(feature_map and feature_map.settings()) for feature_map in maps]
    for key, feature_map in dict(zip(keys, maps, strict=True)).items():
        file = cache if feature_map and feature_map.name == ONNX else None
        with loading.cached(feature_map, file) as extractor:
            how.update(feature_map=extractor, again=bool(datasets))
            _, datasets[key] = loading.load_all([data], "test", cluster, **how)
    return [datasets[key] for key in keys]


def _as_json(results: Sequence[Result], errors: int) -> dict[str, Any]:
    from catclf.evaluation import comparison_as_json, figures_as_json

    described = [figures_as_json(result) for result in results]
    for result, figures in zip(results, described, strict=True):
        if errors:
            figures["errors"] = result.list_images(result.worst(errors))
    if len(results) == 1:
        return described[0]
    models = [
        {"model": result.name, "path": result.path, **figures}
        for result, figures in zip(results, described, strict=True)
    ]
    return {"models": models, "comparison": comparison_as_json(results)}


def _show(results: Sequence[Result], errors: int) -> None:
    if len(results) == 1:
        _show_figures(results[0])
    else:
        _show_side_by_side(results)
        _show_comparison(results)
    for result in results:
        worst = result.list_images(result.worst(errors))
        if worst:
            title = "worst mistakes" + (f" of {result.name}" if len(results) > 1 else "")
            columns = [title, "is", f"P({result.model.classes[1]})"]
            rows = [(str(w["path"]), str(w["class"]), f"{w['probability']:.4f}") for w in worst]
            print("\n" + output.table(columns, rows))


def _show_figures(result: Result) -> None:
    """Print one model's figures."""
    from catclf.evaluation import figure_rows

    figures, (negative, positive) = result.figures, result.model.classes
    columns = [f"on {figures.n} images", "", "95% interval"]
    print(output.table(columns, figure_rows(figures, positive)))
    (tn, fp), (fn, tp) = figures.confusion
    columns = ["", f"called {negative}", f"called {positive}"]
    rows = [(f"is {negative}", str(tn), str(fp)), (f"is {positive}", str(fn), str(tp))]
    print("\n" + output.table(columns, rows))


def _show_side_by_side(results: Sequence[Result]) -> None:
    """Print several models' figures, a column a model; what has no room goes into more tables."""
    from catclf.evaluation import figure_rows

    column = max(COLUMN_WIDTH, 3 + max(len(output.printable(result.name)) for result in results))
    room = max(1, (get_terminal_size().columns - LABEL_WIDTH) // column)
    negative, positive = results[0].dataset.classes
    for start in range(0, len(results), room):
        part = results[start : start + room]
        rows = []
        for cells in zip(*(figure_rows(r.figures, positive) for r in part), strict=True):
            rows.append((cells[0][0], *(value for _, value, _ in cells)))
            if any(interval for *_, interval in cells):
                rows.append(("  95% interval", *(interval for *_, interval in cells)))
        confusions = [result.figures.confusion for result in part]
        rows.append((f"{negative} called {positive}", *(str(fp) for (_, fp), _ in confusions)))
        rows.append((f"{positive} called {negative}", *(str(fn) for _, (fn, _) in confusions)))
        columns = [f"on {results[0].figures.n} images", *(r.name for r in part)]
        print(output.table(columns, rows) + "\n")


def _show_comparison(results: Sequence[Result]) -> None:
    """Print McNemar's tests of the models against the first."""
    from catclf.evaluation import compare_with_first

    first = output.printable(results[0].name)
    for other, test in compare_with_first(results):
        name = output.printable(other.name)
        chance = "" if test.p < 0.05 else ", no more than chance may do"
        line = (
            f"{name} is right on {test.only_a} that {first} gets wrong, and wrong on "
            f"{test.only_b} that it gets right: p {test.p_shown}{chance} (McNemar's exact test)."
        )
        print(fill(line, get_terminal_size().columns))
