"""The benchmarks run, and what the project shows of them is what is stored; no time is asserted."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import frame, pages
from benchmarks.__main__ import MODULES, STORED, module, readme
from benchmarks.frame import Column, Line, Result
from catclf.logistic import Array

PROJECT = Path(__file__).resolve().parents[1]
LABELS = ("form", "solver", "command")
"""Columns that tell what was compared: the same in any run."""


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """The folder that a short run of all benchmarks, as a real process, has written."""
    pytest.importorskip("sklearn", reason="the benchmarks compare with scikit-learn")
    out = tmp_path_factory.mktemp("benchmarks")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "--out", str(out)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        timeout=350,
    )
    assert done.returncode == 0, done.stderr
    return out, done.stdout


def stored(name, folder=STORED):
    return Result.load(folder / f"{name}.json")


@pytest.mark.parametrize("name", MODULES)
def test_a_stored_result_has_the_form_of_what_runs_now(quick, name):
    now, then = stored(name, quick[0]), stored(name)
    assert (now.name, now.title, now.columns) == (name, then.title, then.columns)
    assert list(now.versions) == list(then.versions)
    for result in (now, then):
        assert all(set(row) >= {column.key for column in result.columns} for row in result.rows)
    for key in {column.key for column in now.columns} & set(LABELS):
        found = ({re.sub(r"[\d,]+", "n", row[key]) for row in r.rows} for r in (now, then))
        assert next(found) == next(found)


@pytest.mark.parametrize("name", MODULES)
def test_a_run_prints_the_table_that_it_stores(quick, name):
    result = stored(name, quick[0])
    assert pages.terminal(result) in quick[1]
    assert result.rows
    for row in result.rows:
        # What was not run says why.
        assert any(isinstance(v, float) for v in row.values()) or "not" in row["note"]


def test_the_readme_shows_the_stored_results():
    text = (PROJECT / "README.md").read_text()
    assert readme(text) == text, "stale: run python -m benchmarks --readme"


def test_the_page_shows_the_stored_results():
    text = (STORED / "README.md").read_text()
    assert pages.page(pages.stored(STORED, MODULES)) == text


@pytest.mark.parametrize("name", MODULES)
def test_every_benchmark_has_a_plot_of_its_own(name):
    plot = STORED / f"{name}.svg"
    assert plot.read_text().lstrip().startswith("<?xml")
    assert plot.stat().st_size < 100_000
    assert f"({name}.svg)" in (STORED / "README.md").read_text()


@pytest.mark.parametrize("name", MODULES)
def test_a_plot_can_be_drawn_from_what_is_stored(name, tmp_path):
    pytest.importorskip("matplotlib", reason="plots need matplotlib, of the extra bench")
    from benchmarks import plots

    result = stored(name)
    plots.save(lambda figure: module(name).plot(result, figure), result.title, tmp_path / "a.svg")
    assert result.title in (tmp_path / "a.svg").read_text()  # as a comment beside its outlines


def test_other_results_make_the_readme_stale(tmp_path):
    text = (PROJECT / "README.md").read_text()
    folder = tmp_path / "stored"
    shutil.copytree(STORED, folder)
    path = folder / "path.json"
    result = json.loads(path.read_text())
    result["rows"][0]["seconds"] *= 3
    path.write_text(json.dumps(result))
    assert readme(text, folder) != text
    path.unlink()
    assert readme(text, folder).count("\n") < text.count("\n")


@pytest.mark.parametrize(
    "text",
    ["", pages.BEGIN, pages.END + pages.BEGIN, (pages.BEGIN + pages.END) * 2],
)
def test_a_readme_without_one_pair_of_markers_is_refused(text):
    with pytest.raises(ValueError, match="once each"):
        pages.between(text, "table")


def test_only_what_is_between_the_markers_is_replaced():
    text = f"before\n{pages.BEGIN}\nold\n{pages.END}\nafter\n"
    assert pages.between(text, "new") == f"before\n{pages.BEGIN}\nnew\n{pages.END}\nafter\n"


def test_stored_results_name_no_path_and_no_host():
    import platform

    for path in STORED.iterdir():
        text = path.read_text()
        assert platform.node() not in text or len(platform.node()) < 4
        assert not re.search(r"(?<![\w.<:/])/(home|work|tmp|root|usr)\b", text)


def test_forms_take_turns():
    order = []
    times, found = frame.in_turns(
        {name: lambda name=name: order.append(name) or len(order) for name in "ab"}, 3
    )
    assert order == list("ababab")
    assert {name: len(each) for name, each in times.items()} == {"a": 3, "b": 3}
    assert found == {"a": 5, "b": 6}


def test_a_ratio_is_the_median_of_the_rounds_ratios():
    times = {"slow": [2.0, 30.0, 4.0], "fast": [1.0, 10.0, 1.0]}
    assert frame.ratio(times, "slow", "fast") == 3.0  # of the medians it would be 4


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0271, "27.1 ms"), (6.419, "6.42 s"), (2067.0, "34 min"), (3e-6, "3 µs"), (134.2, "134 s")],
)
def test_times_are_written_with_a_unit(value, text):
    assert frame.seconds(value) == text


def test_a_table_leaves_a_dash_for_what_there_is_not():
    result = Result(
        "Title", "work", [Column("a", "a"), Column("b", "b, s", ".1f")], [{"a": "x", "b": None}]
    )
    assert pages.terminal(result).endswith("a  b, s\nx     –")


def test_where_two_curves_cross():
    gram = module("gram")
    rows = [
        {"m": 100, "gram": 1.0, "primal": 10.0},
        {"m": 10_000, "gram": 100.0, "primal": 10.0},
    ]
    assert gram._where_they_cross(rows) == "They cross at about m = 1,000."
    assert "do not" in gram._where_they_cross(rows[:1])


def test_the_readme_line_of_the_choice_is_the_worst_one():
    rows = [{"m": m, "excess": e} for m, e in ((50, 1.0), (100, 1.15), (200, 1.02))]
    (line,) = module("gram").summary(Result("", "", [], rows))
    assert line == Line(
        "descent on 50 to 200 images",
        "coordinates chosen",
        "the better of primal and Gram, at worst",
        "0.87",
    )


def small() -> tuple[Array, Array]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(6, 60))
    return X, (X[:1] + rng.normal(size=(1, 60)) > 0).astype(np.float64)


def test_every_solver_looks_for_the_same_cost():
    pytest.importorskip("sklearn", reason="the benchmarks compare with scikit-learn")
    from importlib.util import find_spec

    from benchmarks.solvers import OTHERS
    from benchmarks.training import Problem, _ours

    problem = Problem.of("small", *small(), 0.03)
    lowest = problem.cost(_ours(problem))
    for name, other in OTHERS.items():
        if find_spec(other.package) is None:
            continue
        strictest = other.settings[-1]
        above = problem.cost(other.fit(problem, strictest)) / lowest - 1
        assert -1e-12 < above < (1e-3 if name == "SGDClassifier" else 1e-5), name
    other = Problem.of("small", *small(), 0.031)
    assert other.cost(_ours(problem)) / other.cost(_ours(other)) - 1 > 1e-6


def test_the_paths_costs_are_those_of_the_parameters():
    pytest.importorskip("sklearn", reason="the benchmarks compare with scikit-learn")
    path = module("path")
    X, Y = small()
    folds = np.arange(60) % 5
    C, l2s = np.array([0.5, 2.0]), np.outer(1 / np.array([0.5, 2.0]) / 48, np.ones(5))
    _, lowest = path.cross_validate_path(path.Examples(X.T), Y.astype(int), folds, l2s)
    found = path._theirs("newton-cg", 1e-10, np.ascontiguousarray(X.T), Y[0], folds, C)
    np.testing.assert_allclose(path._costs(found, X, Y.astype(int), folds, l2s), lowest, rtol=1e-9)
    off = path._costs(found, X, Y.astype(int), folds, 1.01 * l2s)
    assert not np.allclose(off, lowest, rtol=1e-9)
