"""catclf predict: say which images show a cat."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from catclf.cli import loading, output
from catclf.cli.output import check_band, check_share

if TYPE_CHECKING:
    from catclf.model import Model
    from catclf.pictures.explanation import Explanation
    from catclf.prediction import Prediction


def predict(
    context: typer.Context,
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGES...", help="Files, folders with all below them, or - for stdin."
        ),
    ],
    model: output.ModelPath = None,
    threshold: Annotated[
        float | None,
        typer.Option(callback=check_share, help="P(cat) above which it is a cat. [the model's]"),
    ] = None,
    unsure: Annotated[
        float | None,
        typer.Option(
            metavar="X", callback=check_band, help="Call P(cat) from 1 - X to X unsure, as 0.8."
        ),
    ] = None,
    explain: Annotated[
        str | None,
        typer.Option(metavar="PNG", help="Draw which regions of one image speak for a cat."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object a line.")] = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print CSV; a cell like =1 gets a ' in front.")
    ] = False,
    max_file_size: loading.MaxFileSize = 64,
    scheduler: loading.Scheduler = None,
    quiet: output.Quiet = False,
) -> None:
    """Say which images show a cat, and how sure the model is.

    \b
    catclf predict img.jpg
    catclf predict photos/ --csv > photos.csv
    catclf predict img.jpg --explain why.png
    curl -s https://example.org/cat.jpg | catclf predict -
    """
    from catclf import prediction
    from catclf.data.load import expand_pattern
    from catclf.errors import DataError
    from catclf.features import ONNX
    from catclf.model import load_model

    if as_json and as_csv:
        raise typer.BadParameter("choose one of --json and --csv")
    max_bytes = loading.to_bytes(max_file_size)
    if explain is not None:
        images = [path for word in images for path in expand_pattern(word)]
        _check_explain(images, explain, as_csv)
    path = output.find_model(model)
    trained = load_model(path)
    output.tell_model(os.fspath(path), trained)
    named = ((name, _read_stdin(max_bytes)) if name == "-" else name for name in images)
    sources = list(named) if explain is not None else named  # one image is looked at again
    alone = {"--explain": explain is not None, loading.NETWORK: trained.features.name == ONNX}
    predictions: Iterable[Prediction]
    predictions = prediction.predict(
        trained,
        sources,
        threshold=threshold,
        unsure=unsure,
        max_bytes=max_bytes,
        cluster=loading.connect(context, scheduler, alone),
    )
    explanation = None
    if explain is not None:
        [source], predictions = sources, list(predictions)
        explanation = _explain(trained, source, predictions[0], explain, max_bytes)
    labels, start = Counter[str](), time.perf_counter()
    failed: list[Prediction] = []
    # Where results are seen as they come there is no need of a bar, nor room for it.
    on_screen, total = sys.stdout.isatty(), partial(prediction.count_images, images)
    with output.reader_may_leave():
        with output.progress_bar("predicting", total, hidden=on_screen) as advance:
            predictions = _count(predictions, labels, failed, advance)
            readable = (p for p in predictions if not p.error)
            if as_json:
                _print_json(predictions, trained.distrust is None, explanation)
            elif as_csv:
                _print_csv(readable)
            elif on_screen:
                _print_table(readable, trained.classes)
            else:
                _print_lines(readable)
        if explanation is not None:
            output.note(f"wrote {explain}")
        if explanation is not None and not as_json:
            _show(explanation, trained.classes[1])
        if any(map(os.path.isdir, images)) or labels.total() + len(failed) > len(images):
            seconds = time.perf_counter() - start
            output.note(_in_words(labels, failed, trained.classes, seconds))
    if failed:
        raise typer.Exit(DataError.exit_code)


def _read_stdin(max_bytes: int) -> bytes:
    from catclf.common.threads import on_a_thread
    from catclf.errors import DataError

    if sys.stdin is None:
        raise DataError("-: stdin is closed; expected an image")
    return on_a_thread(lambda: sys.stdin.buffer.read(max_bytes + 1))


def _check_explain(images: list[str], picture: str, as_csv: bool) -> None:
    """Refuse what cannot be explained, or would cost the photo, before work is spent."""
    from catclf.pictures.png import check_target

    if len(images) != 1 or os.path.isdir(images[0]):
        raise typer.BadParameter("--explain takes one image: a file, or - for stdin")
    if as_csv:
        raise typer.BadParameter("--explain goes with --json, or with neither, not with --csv")
    with suppress(OSError):  # one of them is not there
        if os.path.samefile(images[0], picture):
            raise typer.BadParameter("--explain would replace the photo itself; name another file")
    check_target(picture)


def _explain(
    model: Model,
    source: str | tuple[str, bytes],
    prediction: Prediction,
    picture: str,
    max_bytes: int,
) -> Explanation | None:
    """Draw why the model says what it says of an image; None if that cannot be read."""
    from catclf.data.images import load_image, load_photo
    from catclf.pictures.explanation import PHOTO, explain, heat_map
    from catclf.pictures.png import save

    if prediction.error:
        return None
    content = source if isinstance(source, str) else source[1]
    image = load_image(content, size=model.features.image_size, max_bytes=max_bytes)
    explanation = explain(model, image)
    photo = load_photo(content, PHOTO, max_bytes=max_bytes)
    save(heat_map(photo, explanation, prediction.label, model.classes[1], prediction.path), picture)
    return explanation


def _show(explanation: Explanation, name: str) -> None:
    """Print what adds up to the log-odds of the class of that name."""
    log_odds, total = explanation.log_odds, explanation.total
    rows = [
        ("bias", f"{explanation.bias:+.6f}"),
        (f"regions for {name}", f"{explanation.positive:+.6f}"),
        ("regions against it", f"{explanation.negative:+.6f}"),
        ("together", f"{total:+.6f}"),
        (f"log-odds of {name}", f"{log_odds:+.6f}"),
        ("difference", f"{total - log_odds:.1e}"),
    ]
    print("\n" + output.table(["adding up", "nats"], rows))


def _count(
    predictions: Iterable[Prediction],
    labels: Counter[str],
    failed: list[Prediction],
    advance: output.Advance,
) -> Iterator[Prediction]:
    """Pass the predictions on, counting them; tell of each image that could not be read."""
    for p in predictions:
        if p.error:
            failed.append(p)
            output.error(f"{p.path}: {p.error}")
        else:
            labels[p.label] += 1
        advance(labels.total() + len(failed), "photos")
        yield p


def _in_words(
    labels: Counter[str], failed: list[Prediction], classes: tuple[str, str], seconds: float
) -> str:
    """Say how many images came out how, and how long it took."""
    unreadable = sum(p.kind is not None for p in failed)  # it is None of a folder
    n = labels.total() + unreadable
    counts = [f"{labels[name]:,} {name}" for name in (*classes[::-1], "unsure")]
    plural = "" if n == 1 else "s"
    return f"{n:,} image{plural} in {seconds:.1f} s: {', '.join(counts)}, {unreadable:,} unreadable"


# A line is printed at once: whoever reads need not wait for the rest.


def _print_lines(predictions: Iterable[Prediction]) -> None:
    for p in predictions:
        cells = output.printable(p.path), output.printable(p.label), f"{p.probability:.6f}"
        print(*cells, sep="\t", flush=True)


def _print_table(predictions: Iterable[Prediction], classes: tuple[str, str]) -> None:
    """Print a line as each prediction comes, under a head; the paths, of any length, stand last."""
    names = [output.printable(name) for name in (*classes, "unsure", "label")]
    width = max(map(len, names))
    score = f"P({names[1]})"
    head = f" {'label':<{width}}   {score}   image"
    for i, p in enumerate(predictions):
        if i == 0:
            print(f"{head}\n{'─' * (len(head) + 1)}")
        label, path = output.printable(p.label), output.printable(p.path)
        print(f" {label:<{width}}   {p.probability:>{len(score)}.4f}   {path}", flush=True)


def _print_json(
    predictions: Iterable[Prediction], trusted: bool, explanation: Explanation | None
) -> None:
    for p in predictions:
        said: dict[str, object] = {"label": p.label, "probability": p.probability}
        if explanation is not None:
            said["explanation"] = {
                "log_odds": explanation.log_odds,
                "bias": explanation.bias,
                "positive": explanation.positive,
                "negative": explanation.negative,
                "regions": explanation.regions.tolist(),
            }
        if p.error:
            said = {"error": p.error}
        print(output.to_json({"path": p.path, **said, "trusted": trusted}), flush=True)


def _print_csv(predictions: Iterable[Prediction]) -> None:
    import csv

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["path", "label", "probability"])
    for p in predictions:
        writer.writerow([output.csv_cell(p.path), output.csv_cell(p.label), repr(p.probability)])
        sys.stdout.flush()
