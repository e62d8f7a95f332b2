"""Time 2,000 steps of gradient descent on the same data: the lesson's loops, its vectorized form,
and catclf's.

    python benchmarks/descent.py [DATA] [--rounds N]

DATA is what `catclf train` takes; without it, the course's file or the drawn set. The three forms
take turns in one process; each figure is the median of the rounds, and the ratios are medians of
ratios within a round. The explicit loops are run on a slice and scaled, and the table says so.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np

from catclf import load_dataset
from catclf.features.pixels import Pixels
from catclf.lesson import gradient_loops, gradient_vectorized
from catclf.logistic import Array
from catclf.training.coordinates import choose
from catclf.training.descent import gradient_descent
from catclf.training.folds import sample_weights

ITERATIONS = 2000
LEARNING_RATE = 0.005
SLICE = 20
"""Examples on which the explicit loops are timed, for one step."""


def timed(work: Callable[[], object]) -> tuple[float, object]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def loops(X: Array, Y: Array) -> float:
    """Time one step on a slice, scaled to all examples and all steps."""
    part, labels = X[:, :SLICE], Y[:, :SLICE]
    seconds, _ = timed(lambda: gradient_loops(np.zeros((len(X), 1)), 0.0, part, labels))
    return seconds * (X.shape[1] / part.shape[1]) * ITERATIONS


def vectorized(X: Array, Y: Array) -> Array:
    w, b = np.zeros((len(X), 1)), 0.0
    for _ in range(ITERATIONS):
        _, dw, db = gradient_vectorized(w, b, X, Y)
        w = w - LEARNING_RATE * dw
        b = b - LEARNING_RATE * db
    return w


def ours(X: Array, Y: Array) -> Array:
    system = choose(X, ITERATIONS)
    weights = sample_weights(X.shape[1])
    return gradient_descent(
        system, Y, weights, learning_rate=LEARNING_RATE, iterations=ITERATIONS
    ).w


def product_rates(X: Array, seconds: float = 0.2) -> tuple[float, float]:
    """Measure products a second in a matrix-matrix and in a matrix-vector product on X."""
    n_x, m = X.shape
    w = np.ones((1, n_x))
    rates = []
    for work, products in ((lambda: np.dot(X.T, X), n_x * m * m), (lambda: np.dot(w, X), n_x * m)):
        work()
        start, count = time.perf_counter(), 0
        while time.perf_counter() - start < seconds:
            work()
            count += 1
        rates.append(count * products / (time.perf_counter() - start))
    return rates[0], rates[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()

    data = load_dataset(arguments.data)
    X = Pixels().transform(data.images).astype(np.float64)
    Y = data.Y.astype(np.float64)
    times: dict[str, list[float]] = {"loops": [], "vectorized": [], "catclf": []}
    for _ in range(arguments.rounds):
        times["loops"].append(loops(X, Y))
        seconds, w_lesson = timed(lambda: vectorized(X, Y))
        times["vectorized"].append(seconds)
        seconds, w_ours = timed(lambda: ours(X, Y))
        times["catclf"].append(seconds)

    def ratio(slow: str, fast: str) -> str:
        pairs = zip(times[slow], times[fast], strict=True)
        return f"{statistics.median(a / b for a, b in pairs):,.4g}"

    print(f"{data.name}: X is {X.shape}, {ITERATIONS} steps at {LEARNING_RATE}")
    print(
        f"numpy {np.__version__}, Python {platform.python_version()}, {os.cpu_count()} CPUs, "
        f"{platform.machine()}; {arguments.rounds} rounds, medians"
    )
    print(f"{'form':<52}{'seconds':>10}{'vectorized / it':>17}{'loops / it':>13}")
    for name, label in (
        ("loops", f"lesson's two loops ({SLICE} examples, 1 step, scaled)"),
        ("vectorized", "lesson's vectorized form"),
        ("catclf", f"catclf ({choose(X, ITERATIONS).name} coordinates)"),
    ):
        median = statistics.median(times[name])
        ratios = f"{ratio('vectorized', name):>17}{ratio('loops', name):>13}"
        print(f"{label:<52}{median:>10.3f}{ratios}")
    difference = np.abs(w_ours - w_lesson).max() / np.abs(w_lesson).max()
    print(f"largest difference in w, relative: {difference:.1e}")
    fast, slow = product_rates(X)
    print(f"a product in XᵀX takes 1/{fast / slow:.0f} of the time of one in wᵀX")


if __name__ == "__main__":
    sys.exit(main())
