"""The benchmarks run, and what the project shows of them is what is stored; no time is asserted."""

import platform
import re
import subprocess
import sys

import numpy as np
import pytest

from benchmarks import charts, cluster, measuring, path, reference_solvers, results, training
from benchmarks.__main__ import BENCHMARKS, README, STORED, write_readme
from benchmarks.results import Result

PROCESSES = ("startup", "scale", "cluster")
"""Benchmarks of whole commands: they are what takes time in a quick run."""


def stored(name: str) -> Result:
    return Result.load(STORED / f"{name}.json")


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in BENCHMARKS if name not in PROCESSES])
def test_a_stored_result_has_the_form_of_what_runs_now(name):
    pytest.importorskip("sklearn", reason="the benchmarks compare with scikit-learn")
    check_form(BENCHMARKS[name](measuring.Options(quick=True)), stored(name))


def check_form(now: Result, then: Result) -> None:
    """Compare all but figures, of which a quick run has fewer."""
    assert now.title == then.title
    assert {tuple(row) for row in now.rows} == {tuple(row) for row in then.rows}
    works = [
        {re.sub(r"[\d,.]+", "n", str(line["work"])) for line in r.headlines} for r in (now, then)
    ]
    assert works[0] == works[1]


@pytest.mark.slow
def test_the_command_stores_what_it_prints(tmp_path):
    pytest.importorskip("distributed", reason="a benchmark compares with Dask workers")
    command = [sys.executable, "-m", "benchmarks", *PROCESSES, "--quick", "--out", str(tmp_path)]
    done = subprocess.run(
        command, cwd=README.parent, capture_output=True, text=True, check=False, timeout=350
    )
    assert done.returncode == 0, done.stderr
    for name in PROCESSES:
        result = Result.load(tmp_path / f"{name}.json")
        check_form(result, stored(name))
        assert results.section(result, chart=False) in done.stdout
        assert f"## {result.title}" in (tmp_path / "README.md").read_text()


def test_the_readme_and_the_page_show_the_stored_results():
    text = README.read_text()
    assert write_readme(text) == text, "stale: run python -m benchmarks --readme"
    page = results.page(results.load_all(STORED, BENCHMARKS), charts.CHARTS)
    assert page == (STORED / "README.md").read_text()


def test_what_is_stored_is_small_and_names_no_path_and_no_host():
    files = sorted(STORED.iterdir())
    assert {file.stem for file in files if file.suffix == ".svg"} == set(charts.CHARTS)
    assert sum(file.stat().st_size for file in files) < 100_000
    for text in (file.read_text() for file in files):
        assert platform.node() not in text or len(platform.node()) < 4
        assert not re.search(r"(?<![\w.<:/])/(home|work|tmp|root|usr)\b", text)


def test_a_ratio_is_the_median_of_the_rounds_ratios():
    times = {"slow": [2.0, 30.0, 4.0], "fast": [1.0, 10.0, 1.0]}
    assert measuring.ratio(times, "slow", "fast") == 3.0  # of the medians it would be 4


@pytest.mark.parametrize(("more", "told"), [(6.0, "100 ms in threads"), (0.5, "too little time")])
def test_a_pass_is_told_where_more_passes_took_longer(more, told):
    rows = [{"threads, s": 1.0, "--scheduler local, s": 2.0}]
    rows.append({"threads, s": more, "--scheduler local, s": 12.0})
    assert told in cluster.pass_from_rows(rows)


@pytest.fixture
def small():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(6, 60))
    return X, (X[:1] + rng.normal(size=(1, 60)) > 0).astype(np.float64)


def test_every_solver_looks_for_the_same_cost(small):
    pytest.importorskip("sklearn", reason="the benchmarks compare with scikit-learn")
    problem = reference_solvers.Problem("small", *small, 0.03)
    lowest = problem.cost(training.fit(problem, 1e-9))
    for name, solve in reference_solvers.reference_solvers().items():
        above = problem.cost(solve(problem, 1e-9)) / lowest - 1
        assert -1e-12 < above < 1e-5, name
    other = reference_solvers.Problem("small", *small, 0.031)
    assert (
        other.cost(training.fit(problem, 1e-9)) / other.cost(training.fit(other, 1e-9)) - 1 > 1e-6
    )


def test_the_paths_costs_are_those_of_the_parameters(small):
    pytest.importorskip("sklearn", reason="the benchmarks compare with scikit-learn")
    X, Y = small
    folds = np.arange(60) % 5
    C, l2s = np.array([0.5, 2.0]), np.outer(1 / np.array([0.5, 2.0]) / 48, np.ones(5))
    examples = path.Examples(X.T)
    _, lowest = path.cross_validate_path(examples, Y.astype(int), folds, l2s)
    rows = np.ascontiguousarray(X.T)
    parameters = reference_solvers.fit_sklearn_path("newton-cg", 1e-10, rows, Y[0], folds, C)
    np.testing.assert_allclose(path.path_costs(parameters, X, Y, folds, l2s), lowest, rtol=1e-9)
    off = path.path_costs(parameters, X, Y, folds, 1.01 * l2s)
    assert not np.allclose(off, lowest, rtol=1e-9)
