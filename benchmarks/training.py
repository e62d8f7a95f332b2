"""Training to the same cost: Newton's method beside others' solvers.

Each gets the loosest tolerance with which it ends within a millionth of the lowest cost, which is
ours at 1e-9; only that is timed. One that does so with none is told with the cost that it reached.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.measuring import Options, median, ratio, time_in_turns
from benchmarks.reference_solvers import Problem, Solution, reference_solvers
from benchmarks.results import Result, headline, seconds
from catclf.features.conv import Conv
from catclf.solvers.coordinates import NEWTON_STEPS, Objective, choose
from catclf.solvers.cross_validation import sample_weights
from catclf.solvers.examples import Examples, standardise
from catclf.solvers.newton import newton

PENALTIES = (1.0, 1e-2, 1e-4)
SHOWN = 1e-2
"""The λ whose lines the README shows."""
TOLERANCES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9)
CLOSE = 1e-6
"""How far above ours, relative, a cost may be to count as the same."""
MOST_FOR_CHOLESKY = 5000
"""Features beyond which newton-cholesky's n_x × n_x system does not fit or takes too long."""
CATCLF = "catclf"


def run(options: Options) -> Result:
    """Time each solver on pixels under each penalty, and on the network's features."""
    data, X, Y = options.load_pixels()
    extracted = Examples(Conv().transform(options.load().images).T)
    features = standardise(extracted, sample_weights(extracted.m))[0].matrix()
    problems = [
        Problem(f"pixels, λ = {l2:g}", X, Y, l2)
        for l2 in (PENALTIES[1:2] if options.quick else PENALTIES)
    ]
    problems.append(Problem(f"conv features, λ = {SHOWN:g}", features, Y, SHOWN))
    rows = [row for problem in problems for row in _compare(problem, options)]
    return Result(
        "Training to the same cost",
        f"The penalised cost on {data}, by pixels (n_x = {len(X):,}) and by standardised conv "
        f"features (n_x = {len(features)}): catclf's Newton's method, XᵀX included, and each other "
        f"solver in turns with it, all by the loosest tolerance that ends within {CLOSE:g} of the "
        "lowest cost, relative.",
        rows,
        [line for kind in ("pixels", "conv features") for line in _headlines(rows, kind)],
        [
            f"newton-cholesky would solve a system of {len(X):,} × {len(X):,} for pixels.",
            "liblinear penalises the bias as well, here by a millionth.",
        ],
    )


def fit(problem: Problem, tolerance: float) -> Solution:
    """Fit by catclf's Newton's method."""
    coordinates = choose(Examples(problem.X.T), NEWTON_STEPS, newton=True)
    objective = Objective(problem.Y, sample_weights(problem.Y.size), problem.l2)
    fitted = newton(coordinates, objective, tolerance=tolerance)
    return Solution(fitted.w, fitted.b.item(), len(fitted.costs) - 1)


def _compare(problem: Problem, options: Options) -> list[dict[str, Any]]:
    lowest = problem.cost(fit(problem, TOLERANCES[-1]))
    own_tolerance, ours = _find_loosest(problem, fit, lowest)
    own_times: list[float] = []
    rows = []
    for name, solve in reference_solvers().items():
        if name == "newton-cholesky" and len(problem.X) > MOST_FOR_CHOLESKY:
            continue
        tolerance, solution = _find_loosest(problem, solve, lowest)
        works = {
            CATCLF: partial(fit, problem, own_tolerance),
            name: partial(solve, problem, tolerance),
        }
        times, _ = time_in_turns(works, options.rounds(5))
        own_times += times[CATCLF]
        rows.append(
            {
                "work": problem.name,
                "solver": name,
                "seconds": median(times[name]),
                "it / catclf": ratio(times, name, CATCLF),
                "cost above, relative": problem.cost(solution) / lowest - 1,
                "tolerance": tolerance,
                "steps": solution.steps,
            }
        )
    own = {"work": problem.name, "solver": CATCLF, "seconds": median(own_times)}
    own |= {"it / catclf": 1.0, "cost above, relative": problem.cost(ours) / lowest - 1}
    own |= {"tolerance": own_tolerance, "steps": ours.steps}
    return [own, *rows]


def _find_loosest(
    problem: Problem, solve: Callable[[Problem, float], Solution], lowest: float
) -> tuple[float, Solution]:
    """Find the loosest tolerance that comes close to the lowest cost, else take the strictest."""
    for tolerance in TOLERANCES:
        solution = solve(problem, tolerance)
        if problem.cost(solution) <= lowest * (1 + CLOSE):
            break
    return tolerance, solution


def _headlines(rows: list[dict[str, Any]], kind: str) -> list[dict[str, str | float]]:
    """Show lbfgs and the fastest other, where catclf is ahead and where it is not."""
    work = f"{kind}, λ = {SHOWN:g}"
    ours, *others = (row for row in rows if row["work"] == work)
    close = [row for row in others if row["cost above, relative"] <= CLOSE]
    fastest = min(close, key=lambda row: row["it / catclf"], default=None)
    return [
        headline(
            f"to the same cost, {work}",
            seconds(ours["seconds"]),
            f"{row['solver']}{', the fastest other' * (row is fastest)}: {seconds(row['seconds'])}",
            row["it / catclf"],
        )
        for row in close
        if row["solver"] == "lbfgs" or row is fastest
    ]
