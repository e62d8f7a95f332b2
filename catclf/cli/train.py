"""catclf train: learn a model from labelled images."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from catclf.cli import loading, output
from catclf.cli.train_summary import show, show_next, summary
from catclf.common.threads import on_a_thread
from catclf.solvers import DRAWN_LEARNING_RATE, FOLDS, Solver

if TYPE_CHECKING:
    from catclf.cluster import Cluster
    from catclf.data.dataset import Dataset
    from catclf.model import Model
    from catclf.solvers.checkpoint import Checkpoint
    from catclf.training import Attempt, Settings
    from catclf.tuning import Tuning


def train(
    context: typer.Context,
    data: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="DATA...",
            help="HDF5 files, folders of classes, or drawn. [the course's, or drawn]",
        ),
    ] = None,
    auto: Annotated[
        bool, typer.Option("--auto", help="Choose features and l2 by cross-validation.")
    ] = False,
    features: Annotated[
        str | None,
        typer.Option(metavar="MAP", help="pixels, patches, conv or onnx:PATH. [pixels]"),
    ] = None,
    onnx_normalise: Annotated[
        str | None,
        typer.Option(metavar="HOW", help="imagenet, unit, none or M/S, as 127/128."),
    ] = None,
    onnx_output: Annotated[
        str | None, typer.Option(metavar="NAME", help="What to take. [the first output]")
    ] = None,
    onnx_size: Annotated[
        int | None,
        typer.Option(metavar="N", help="Pixels a side, where the file leaves it open."),
    ] = None,
    cache: Annotated[
        str | None, typer.Option(metavar="H5", help="Keep the network's features there.")
    ] = None,
    dictionary: Annotated[int | None, typer.Option(help="How many patches. [400]")] = None,
    pool: Annotated[int | None, typer.Option(help="Cells of patches, each way. [1]")] = None,
    solver: Annotated[
        Literal["descent", "newton"],
        typer.Option(help="The lesson's, or the optimum. [descent]", show_default=False),
    ] = "descent",
    learning_rate: Annotated[
        list[float] | None,
        typer.Option(
            help=f"Step; of several the best. [{Solver.learning_rate}, drawn {DRAWN_LEARNING_RATE}]"
        ),
    ] = None,
    iterations: Annotated[int, typer.Option(help="Steps of descent.")] = Solver.iterations,
    l2: Annotated[float | None, typer.Option(help="Weight of l2/2 |w|^2. [default: 0]")] = None,
    tolerance: Annotated[float, typer.Option(help="End of newton.")] = Solver.tolerance,
    coordinates: Annotated[
        Literal["auto", "primal", "gram"],
        typer.Option(
            metavar="NAME", help="auto, primal or gram; same result. [auto]", show_default=False
        ),
    ] = "auto",
    cv: Annotated[
        int,
        typer.Option(help=f"Folds of cross-validation; 0: none. [{FOLDS}]", show_default=False),
    ] = FOLDS,
    group_by: Annotated[
        Literal["folder"] | None, typer.Option(help="With --auto: what stays in one fold.")
    ] = None,
    maximise: Annotated[
        Literal["accuracy", "balanced-accuracy"],
        typer.Option(
            metavar="WHAT", help="accuracy or balanced-accuracy. [accuracy]", show_default=False
        ),
    ] = "accuracy",
    cat_class: loading.CatClass = None,
    max_file_size: loading.MaxFileSize = 64,
    trust: loading.Trust = False,
    memory: loading.Memory = None,
    scheduler: loading.Scheduler = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            "-o",
            metavar="PATH",
            help=f"Model to write. [{output.DEFAULT_MODEL} or drawn.npz]",
        ),
    ] = None,
    plot: Annotated[
        str | None, typer.Option(metavar="SVG", help="Draw the cost by iteration.")
    ] = None,
    checkpoint_every: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Keep progress in OUT.checkpoint."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from OUT.checkpoint, if there.")
    ] = False,
    as_json: output.Json = False,
    quiet: output.Quiet = False,
) -> None:
    """Learn a model from labelled images.

    \b
    catclf train photos/train --auto --out models/mine.npz
    catclf train photos.h5 --features conv --solver newton --l2 0.3
    """
    start = time.perf_counter()
    from catclf.common.blocks import parse_size
    from catclf.data.load import is_drawn
    from catclf.features import map_while_reading, open_network
    from catclf.training import Settings, default_learning_rate

    if group_by and not auto:
        raise typer.BadParameter("--group-by goes with --auto")
    own = Solver.name, None, Solver.iterations, Solver.tolerance, Solver.coordinates
    if auto and (solver, learning_rate or None, iterations, tolerance, coordinates) != own:
        raise typer.BadParameter("--auto sets the solver itself; leave its options out")
    drawn = all(is_drawn(source, "train") for source in data) if data else is_drawn(None, "train")
    rates = list(dict.fromkeys(learning_rate or [default_learning_rate(drawn, features)]))
    if out is None:
        out = output.DRAWN_MODEL if drawn else output.DEFAULT_MODEL
    network = open_network(features, onnx_normalise, onnx_output, onnx_size)
    settings = Settings(network or features, dictionary, pool, cv, maximise, auto)
    if auto:
        from catclf.tuning import penalties

        l2s = penalties(l2)
    else:
        solvers = [
            Solver(solver, rate, iterations, l2 or 0.0, tolerance, coordinates) for rate in rates
        ]
    _check_outputs(out, plot, cache)
    checkpoint = _checkpoint(out, checkpoint_every, resume, not auto and len(rates) == 1)
    cluster = loading.connect(
        context, scheduler, {"--auto": auto, loading.NETWORK: network is not None}
    )
    with loading.cached(map_while_reading(settings.first_features), cache) as extractor:
        parts, dataset = loading.load_all(
            data or [None],
            "train",
            cluster,
            by_folder=group_by == "folder",
            memory=parse_size(memory),
            cat_class=cat_class,
            max_bytes=loading.to_bytes(max_file_size),
            trust=trust,
            feature_map=extractor,
        )
    _warn(parts, dataset, cluster)
    tuning, attempts = None, []
    with checkpoint or nullcontext(), cluster or nullcontext():
        if auto:
            tuning = _tune(dataset, settings, l2s)
            model = tuning.model
        else:
            attempts = _train(dataset, settings, solvers, checkpoint, cluster)
            model = min(attempts, key=lambda one: (one.cost, one.learning_rate)).model
        replaced = os.path.exists(out)
        model.save(out)
    seconds = time.perf_counter() - start
    if replaced:
        output.note(f"replaced the model that was at {out}")
    with output.reader_may_leave():
        if as_json:
            print(output.to_json(summary(model, tuning, attempts, out, seconds)))
        else:
            show(model, tuning, attempts, out, seconds, cv)
            show_next(model, auto, out, data or [], cat_class or [])
    if plot is not None:  # last, so that no figure is lost if it cannot be written
        _draw(model, attempts, plot)
        output.note(f"wrote {plot}")


def _checkpoint(out: str, every: float | None, resume: bool, single: bool) -> Checkpoint | None:
    """Make what keeps the progress of a single training; there is none for several."""
    from catclf.solvers.checkpoint import Checkpoint

    if every is not None and not 0 < every < float("inf"):
        raise typer.BadParameter(f"--checkpoint-every needs some seconds, not {every:g}")
    if not single:
        if every is not None or resume:
            raise typer.BadParameter("checkpoints are for one learning rate, and without --auto")
        return None
    again = (word for word in sys.argv[2:] if word != "--resume")
    command = output.command("catclf", "train", "--resume", *again)
    path = f"{out}.checkpoint"
    return Checkpoint(path, every=every, resume=resume, note=output.note, command=command)


def _check_outputs(out: str, plot: str | None, cache: str | None) -> None:
    from catclf.model_file import MODEL_FILE

    MODEL_FILE.check(out)
    for option, path in (("--plot", plot), ("--cache", cache)):
        if path is not None and os.path.realpath(path) == os.path.realpath(out):
            raise typer.BadParameter(f"{option} and --out name the same file")
    if plot is not None:
        from catclf.pictures.svg import check_target

        check_target(plot)


def _warn(parts: Sequence[Dataset], dataset: Dataset, cluster: Cluster | None) -> None:
    from catclf.data.check import warnings

    with loading.working_bar("looking for copies", cluster):
        lines = list(warnings(parts, dataset))
    output.note(*lines)


def _draw(model: Model, attempts: Sequence[Attempt], path: str) -> None:
    """Draw the cost by iteration, on a logarithmic axis, of one training or of several."""
    import numpy as np

    from catclf.common.chart import Chart, Curve
    from catclf.pictures.svg import save

    costs = [(f"learning rate {a.learning_rate:g}", a.costs) for a in attempts]
    curves = []
    for name, pairs in costs or [("", model.costs)]:
        x, y = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
        legend = name if pairs else f"{name} (diverged)"
        curves.append(Curve(x, y, legend, dots=len(costs) <= 1 and len(x) <= 50))
    title = f"Training cost, {model.provenance.data['name']}"
    if len(costs) <= 1:
        title += f": {model.costs[-1][1]:.4g} nats in the end"
    descended = model.provenance.solver["name"] == "descent"
    steps = "iteration" if descended else "step of Newton's method"
    save(Chart(title, steps, "cost (nats, log scale)", curves, log_y=True), path)


def _train(
    dataset: Dataset,
    settings: Settings,
    solvers: list[Solver],
    checkpoint: Checkpoint | None,
    cluster: Cluster | None,
) -> list[Attempt]:
    from catclf.training import train_with

    steps = sum(solver.iterations for solver in solvers)
    with output.progress_bar("training", steps) as advance:
        watch = _progress(advance, cluster, steps)
        return on_a_thread(
            lambda: train_with(
                dataset,
                settings,
                solvers,
                callback=watch,
                checkpoint=checkpoint,
                progress=lambda done, n: advance(done, "photos", n),
            )
        )


def _progress(
    advance: output.Advance, cluster: Cluster | None, steps: int
) -> Callable[[int, float], None]:
    """Show the cost at each step, and after each pass of a cluster how many workers it has."""
    done, cost = 0, ""

    def show() -> None:
        advance(done, f"{cost}{cluster or ''}", steps)

    def callback(iteration: int, J: float) -> None:
        nonlocal done, cost
        done, cost = iteration, f"cost {J:.6g}{', ' if cluster else ''}"
        show()

    if cluster is not None:
        cluster.callback = show
    return callback


def _tune(dataset: Dataset, settings: Settings, l2s: Sequence[float]) -> Tuning:
    from catclf.tuning import tune_with

    estimated = False
    with output.progress_bar("choosing", counted=False) as advance:

        def progress(word: str, spent: float, total: float | None) -> None:
            nonlocal estimated
            if total is not None and not estimated:
                estimated, left = True, max(total - spent, 0)
                output.note(f"about {left:.0f} s to go; Ctrl-C keeps the best")
            advance(spent, word, total)

        return tune_with(dataset, settings, l2s, progress)
