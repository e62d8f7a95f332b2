"""Several learning rates in one command, and the cost drawn by iteration."""

import json
import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest

import catclf as library
from catclf import load_model
from catclf.errors import ParameterError
from catclf.logistic import cost
from catclf.solvers import Solver
from catclf.training import Settings, train_with

pytestmark = pytest.mark.slow

SHORT = ("drawn", "--iterations", "30", "--cv", "2")


def descents(*rates, iterations=30, l2=0.0):
    return [Solver("descent", rate, iterations, l2) for rate in rates]


@pytest.mark.parametrize("features", ["pixels", "conv"])
def test_each_rate_trains_the_model_that_it_trains_alone(drawn, monkeypatch, features):
    how = {"features": features, "cv": 3}
    alone = {
        rate: library.train(drawn, **how, iterations=120, l2=0.01, learning_rate=rate)
        for rate in (0.01, 0.001)
    }
    calls, kind = [], type(alone[0.01].features)
    transform = kind.transform
    monkeypatch.setattr(kind, "transform", lambda *given: calls.append(1) or transform(*given))
    attempts = train_with(drawn, Settings(**how), descents(*alone, iterations=120, l2=0.01))
    assert calls == ([1] if features == "conv" else [])  # features are computed once
    assert [attempt.learning_rate for attempt in attempts] == list(alone)
    for attempt, model in zip(attempts, alone.values(), strict=True):
        np.testing.assert_array_equal(attempt.model.w, model.w)
        assert attempt.model.provenance == model.provenance
        assert attempt.model.costs == model.costs == attempt.costs[:-1]
        assert attempt.costs[-1] == (120, attempt.cost)
        if features == "pixels":  # the others' weights are penalised as they are when scaled
            J = cost(model.scores(drawn.images), drawn.Y) + 0.01 / 2 * (model.w**2).sum()
            assert attempt.cost == pytest.approx(J, rel=1e-5)
    assert not np.allclose(attempts[0].model.w, attempts[1].model.w)


def test_a_rate_that_diverges_does_not_end_it(drawn):
    seen = []
    attempts = train_with(
        drawn,
        Settings(cv=0),
        descents(1e308, 0.01, 0.1, iterations=7),
        callback=lambda iteration, J: seen.append(iteration),
    )
    assert (attempts[0].costs, attempts[0].cost) == ([], math.inf)
    with pytest.raises(ParameterError, match=r"learning rate 1e\+308"):
        _ = attempts[0].model
    assert attempts[1].model.w.shape == (12288, 1)
    # Iterations are counted on from rate to rate.
    assert [i for i in seen if i >= 7] == list(range(7, 21))
    with pytest.raises(ParameterError, match=r"learning rate 1e\+307"):
        library.train(drawn, learning_rate=1e307, iterations=30, cv=0)


# At the command


def rates_of(*values):
    return [word for value in values for word in ("--learning-rate", str(value))]


def test_the_rate_of_the_lowest_cost_is_kept(catclf, tmp_path):
    done = catclf("train", *SHORT, *rates_of(0.00001, 0.001, 1, 1e308), "--out", "m")
    rows = dict(re.findall(r"^ (\S+(?: \*)?) +(\d\S*|diverged) ", done.stdout, re.MULTILINE))
    assert list(rows)[:4] == ["1e-05", "0.001 *", "1", "1e+308"]
    assert rows["1e+308"] == "diverged"
    costs = [float(rows[name]) for name in ("1e-05", "0.001 *", "1")]
    assert min(costs) == costs[1]
    assert "* the lowest cost in the end: learning rate 0.001 is kept.\n" in done.stdout
    kept = load_model(tmp_path / "m")
    assert kept.provenance.solver["learning_rate"] == 0.001
    narrow = catclf("train", *SHORT, *rates_of(0.00012345, 1e308), env={"COLUMNS": "40"})
    assert max(map(len, narrow.stdout.partition("\n\n")[0].splitlines())) <= 40
    catclf("train", *SHORT, *rates_of(0.001), "--out", "alone")
    assert (tmp_path / "alone").read_bytes() == (tmp_path / "m").read_bytes()


def test_json_lists_the_rates(catclf):
    found = json.loads(catclf("train", *SHORT, *rates_of(0.00001, 0.001, 1e308), "--json").stdout)
    first, second, diverged = found["learning_rates"]
    undefined = dict.fromkeys(["cost", "train_accuracy", "cv_accuracy"])
    assert diverged == {"learning_rate": 1e308, "diverged": True, **undefined}
    assert list(second) == list(diverged)
    assert second["cost"] < first["cost"] < math.log(2)
    assert all(second[key] == found[key] for key in ("train_accuracy", "cv_accuracy"))
    one = json.loads(catclf("train", *SHORT, *rates_of(0.001, 0.001), "--json").stdout)
    assert "learning_rates" not in one
    assert one["cost"] == found["cost"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--solver", "newton", "--l2", "1", *rates_of(0.1, 0.2)], "descent alone"),
        (["--auto", *rates_of(0.1, 0.2)], "--auto sets the solver itself"),
        (rates_of(0.1, 0), "must be a positive number, not 0"),
        (rates_of(1e307, 1e308), "learning rate 1e+307"),
    ],
)
def test_rates_that_make_no_sense_end_with_2(catclf, tmp_path, words, message):
    done = catclf("train", "drawn", "--cv", 0, *words, "--plot", "c.svg", code=2)
    assert message in " ".join(done.stderr.split())
    assert list(tmp_path.iterdir()) == []


# --plot


@pytest.mark.parametrize(
    ("words", "curves", "steps"),
    [
        (("--iterations", 150), [""], "iteration"),
        (("--iterations", 150, *rates_of(0.001, 0.0001)), ["0.001", "0.0001"], "iteration"),
        (("--iterations", 3, *rates_of(0.001, 1e9)), ["0.001", "1e+09"], "iteration"),
        (("--features", "conv", "--auto", "--l2", "1"), [""], "step of Newton's method"),
    ],
)
def test_the_cost_is_drawn(catclf, class_folder, tmp_path, words, curves, steps):
    command = ("train", class_folder, "--cv", 2, *words)
    done = catclf(*command, "--plot", "cost.svg")
    assert done.stderr.endswith("wrote cost.svg\n")
    plain = catclf(*command).stdout
    assert re.sub(r"\d\S* s;", "", done.stdout) == re.sub(r"\d\S* s;", "", plain)
    chart = ElementTree.parse(tmp_path / "cost.svg").getroot()
    words = [e.text for e in chart.iter() if e.tag.endswith("text")]
    assert {steps, "cost (nats, log scale)"} <= set(words)
    title = next(word for word in words if word.startswith("Training cost, "))
    assert title.endswith(" nats in the end") == (curves == [""])
    assert [name in " ".join(words) for name in curves] == [True] * len(curves)
    assert [e for e in chart.iter() if e.get("class") == "line c0" and e.get("d")]


def test_a_plot_goes_over_nothing_else(catclf, tmp_path):
    (tmp_path / "notes.svg").write_text("kept")
    for target, reason in (
        ("notes.svg", "is no SVG file"),
        ("curve.png", "charts are SVG files; name it curve.svg"),
    ):
        done = catclf("train", *SHORT, "--plot", target, code=3)
        assert (done.stderr.count("\n"), done.stdout) == (1, "")
        assert reason in done.stderr
    done = catclf("train", *SHORT, "--out", "m", "--plot", "./m", code=2)
    assert "--plot and --out name the same file" in done.stderr
    assert (tmp_path / "notes.svg").read_text() == "kept"
    assert [path.name for path in tmp_path.iterdir()] == ["notes.svg"]
