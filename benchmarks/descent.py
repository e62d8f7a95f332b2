"""2,000 steps of gradient descent: the lesson's loops, its vectorized form, and catclf's."""

from __future__ import annotations

import numpy as np

from benchmarks.measuring import Options, median, ratio, time_in_turns
from benchmarks.results import Result, headline, seconds
from catclf.common.types import Array
from catclf.lesson.loops_and_vectors import gradient_loops
from catclf.logistic import descend
from catclf.solvers.coordinates import Objective, cheaper, choose
from catclf.solvers.cross_validation import sample_weights
from catclf.solvers.descent import gradient_descent
from catclf.solvers.examples import Examples

ITERATIONS = 2000
LEARNING_RATE = 0.005
SLICE = 20
"""Examples on which the explicit loops are timed, for one step."""
LOOPS, VECTORIZED, CATCLF = "the lesson's two loops", "the lesson vectorized", "catclf"


def run(options: Options) -> Result:
    """Time the steps on the training images' pixels."""
    data, X, Y = options.load_pixels()
    part = min(2 if options.quick else SLICE, X.shape[1])
    iterations = 20 if options.quick else ITERATIONS
    times, weights = time_in_turns(
        {
            LOOPS: lambda: gradient_loops(np.zeros((len(X), 1)), 0.0, X[:, :part], Y[:, :part])[1],
            VECTORIZED: lambda: descend(X, Y, LEARNING_RATE, iterations)[0],
            CATCLF: lambda: _descend(X, Y, iterations),
        },
        options.rounds(9),
    )
    times[LOOPS] = [t * X.shape[1] / part * iterations for t in times[LOOPS]]
    took = {form: seconds(median(times[form])) for form in times}
    apart = np.abs(weights[CATCLF] - weights[VECTORIZED]).max() / np.abs(weights[VECTORIZED]).max()
    return Result(
        "The lesson's loops",
        f"{iterations:,} steps at {LEARNING_RATE} from zero on {data}: "
        f"X is {X.shape[0]:,} × {X.shape[1]:,}, float64. {options.rounds(9)} rounds in turns.",
        [
            {
                "form": form,
                "seconds": median(times[form]),
                "vectorized / it": ratio(times, VECTORIZED, form),
                "loops / it": ratio(times, LOOPS, form),
            }
            for form in times
        ],
        [
            headline(
                f"{iterations:,} steps of descent",
                took[CATCLF],
                f"{form}: {took[form]}{', scaled up' * (form == LOOPS)}",
                ratio(times, form, CATCLF),
            )
            for form in (VECTORIZED, LOOPS)
        ],
        [
            f"The loops were run for one step on {part} examples and scaled up to all.",
            f"The largest difference between catclf's w and the lesson's, relative: {apart:.1e}.",
            f"catclf chose {cheaper(*X.shape, iterations)} coordinates; building them is included.",
        ],
    )


def _descend(X: Array, Y: Array, iterations: int) -> Array:
    coordinates = choose(Examples(X.T), iterations)
    objective = Objective(Y, sample_weights(X.shape[1]))
    return gradient_descent(
        coordinates, objective, learning_rate=LEARNING_RATE, iterations=iterations
    ).w
