"""What `catclf train` prints of a new model."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from catclf.cli import output

if TYPE_CHECKING:
    from catclf.model import Model
    from catclf.training import Attempt
    from catclf.tuning import Tuning

COSTS_SHOWN = 20
ACCURACIES = ("train_accuracy", "cv_accuracy")


def summary(
    model: Model, tuning: Tuning | None, attempts: Sequence[Attempt], out: str, seconds: float
) -> dict[str, object]:
    """Give what --json prints; attempts are told of if there were several."""
    described = model.describe()
    result: dict[str, object] = {
        "model": os.path.abspath(out),
        "m": sum(model.provenance.counts.values()),
        **{key: described[key] for key in ("n_x", "cost", *ACCURACIES, "majority", "trusted")},
        "seconds": seconds,
    }
    if tuning is not None:
        result["tried"] = model.provenance.tried
        result["features"], result["l2"] = tuning.best.features, tuning.best.l2
        result["complete"] = tuning.complete
    if len(attempts) > 1:
        result["learning_rates"] = [
            {"learning_rate": a.learning_rate, "diverged": not a.costs, **_figures(a)}
            for a in attempts
        ]
    return result


def _figures(attempt: Attempt) -> dict[str, float | None]:
    """Give the cost in the end and the accuracies of an attempt; None where it diverged."""
    if not attempt.costs:
        return dict.fromkeys(("cost", *ACCURACIES))
    described = attempt.model.describe()
    return {"cost": attempt.cost, **{key: described[key] for key in ACCURACIES}}


def _show_rates(attempts: Sequence[Attempt], model: Model) -> None:
    """Print what each learning rate came to, and which is the model's."""
    best = next(attempt for attempt in attempts if attempt.outcome is model)
    rows = []
    for attempt in attempts:
        cost, *accuracies = _figures(attempt).values()
        rate = f"{attempt.learning_rate:g}" + (" *" if attempt is best else "")
        end = "diverged" if cost is None else f"{cost:.6g}"
        percents = ("-" if value is None else f"{value:.2%}" for value in accuracies)
        rows.append((rate, end, *percents))
    print(output.table(["rate", "end cost", "training", "CV"], rows))
    print(f"\n* the lowest cost in the end: learning rate {best.learning_rate:g} is kept.\n")


def show(
    model: Model,
    tuning: Tuning | None,
    attempts: Sequence[Attempt],
    out: str,
    seconds: float,
    cv_asked: int,
) -> None:
    """Print the costs or the choices tried, the table of figures and the file."""
    if len(attempts) > 1:
        _show_rates(attempts, model)
    past = model.provenance
    training, cv, baseline = past.training, past.cross_validation, past.majority
    assert training is not None  # it was trained just now
    assert baseline is not None
    commonest = max(past.counts, key=past.counts.__getitem__)
    descended = past.solver["name"] == "descent"
    if tuning is None:
        _show_costs(model.costs, "iterations" if descended else "steps of Newton's method")
        rose = model.costs[-1][1] > model.costs[0][1]
        if descended and rose and training.correct <= baseline.correct:
            print("The steps are too long for these images: try a smaller --learning-rate.")
    else:
        _show_trials(tuning)
    rows = [("training", *training.percent)]
    if cv:
        rows.append((f"{past.folds}-fold CV", *cv.percent))
    rows.append((f'always "{commonest}"', *baseline.percent))
    print("\n" + output.table([f"on {training.n} images", "accuracy", "95% interval"], rows) + "\n")
    if past.folds and past.folds < cv_asked:
        print(f"{past.folds} folds, not {cv_asked}: the smaller class has no more examples,")
        print("or groups of them.")
    if cv_asked and not cv:
        print("No cross-validation: it needs two examples of each class.")
    if model.distrust:
        print(f"Do not trust this model with photos: {output.printable(model.distrust)}.")
    if model.threshold != 0.5:
        name = output.printable(model.classes[1])
        print(f"Called {name} above {model.threshold:.3f}, chosen on the left-out folds.")
    print(f"{seconds:.2f} s; wrote {output.printable(os.path.abspath(out))}")


def show_next(model: Model, auto: bool, out: str, data: Sequence[str], cats: Sequence[str]) -> None:
    """Print what makes sense to type next, with the data and the classes of cats as named.

    Photos go to a model that can be trusted with them: this one, or the one that is shipped.
    """
    from catclf.common.types import DRAWN
    from catclf.data.load import is_drawn

    drawn = model.provenance.data["name"] == DRAWN
    default = output.DRAWN_MODEL if drawn else output.DEFAULT_MODEL
    named = [] if out == default else ["--model", out]
    if not model.distrust:
        print(f"Next: {output.command('catclf', 'predict', *named, 'img.jpg')}")
        return
    if drawn:
        words = [] if is_drawn(None, "test") else [DRAWN]
        print(f"Next: {output.command('catclf', 'eval', *words, *named)}")
    elif auto:
        print("Next: train it on more photos, of both classes.")
    else:
        words = [word for word in data if word != DRAWN]
        words += [word for name in cats for word in ("--cat-class", name)]
        words += [] if out == default else ["--out", out]
        print(f"Next: {output.command('catclf', 'train', *words, '--auto')}")
    found = os.environ.get(output.MODEL_VARIABLE) or os.path.exists(output.DEFAULT_MODEL)
    words = ["--model", output.PHOTOS] if found else []
    print(f"For photos there is a model already: catclf predict {' '.join([*words, 'img.jpg'])}")


def _show_trials(tuning: Tuning) -> None:
    best, rows = tuning.best, []
    for trial in tuning.trials:
        mark = " *" if trial == best else ", left out" if trial.left_out else ""
        name = f"{trial.features}, l2 {trial.l2:g}{mark}"
        rows.append((name, f"{trial.log_loss:.4f}", f"{trial.accuracy.value:.2%}"))
    print(output.table(["tried", "log loss", "accuracy"], rows))
    print(f"\n* the lowest log loss on left-out folds: {best.features} with l2 {best.l2:g}.")
    if any(trial.left_out for trial in tuning.trials):
        print("Left out: behind after two folds, whose images the figures are of.")
    if not tuning.complete:
        print("Interrupted: not everything was tried.")


def _show_costs(costs: list[tuple[int, float]], steps: str) -> None:
    """Print the cost's history, at most 20 values of it, in columns to be read downwards."""
    from shutil import get_terminal_size

    step = -(-len(costs) // COSTS_SHOWN)
    cells = [f"{i:>7}  {J:{'.6f' if J < 1e4 else '.4g'}}" for i, J in costs[::step]]
    columns = max(1, min(4, get_terminal_size().columns // 18))
    height = -(-len(cells) // columns)
    print(f"Cost after so many {steps}, in nats:")
    for row in range(height):
        print("  ".join(cells[row::height]))
    if any(later > earlier for (_, earlier), (_, later) in pairwise(costs)):
        print("It rose on the way: with a smaller --learning-rate it would fall steadily.")
