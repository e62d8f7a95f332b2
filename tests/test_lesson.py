"""The walk through the lesson: its numbers, on any data; the command; and docs/lesson.md."""

import importlib
import inspect
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from processes import on_a_terminal, started

from catclf.cli.lesson import NUMBER_OF_SECTIONS
from catclf.cli.terminal_plot import ROWS, plot
from catclf.common.chart import Chart, Curve
from catclf.data.dataset import Dataset
from catclf.data.drawn.scenes import draw
from catclf.lesson import gradient_loops, losses, vectors
from catclf.lesson.blocks import Formula, Material, Table, change, places
from catclf.lesson.check import gradient_graph, gradient_lost_minus, gradient_nudged
from catclf.lesson.descent import one_parameter, slope
from catclf.lesson.graphs import backward_graph, central_difference, forward_graph, logistic_graph
from catclf.lesson.sections import SECTIONS
from catclf.logistic import cost

ROOT = Path(__file__).resolve().parents[1]


def dataset(images, labels):
    Y = np.array(labels, dtype=np.int64).reshape(1, -1)
    return Dataset(np.ascontiguousarray(images), Y, ("non-cat", "cat"), "test")


def flat(*values):
    """Images of one colour each."""
    return np.array([np.full((64, 64, 3), v, np.uint8) for v in values])


def odd_data():
    """Small and degenerate data sets that a learner may have."""
    images, labels = draw(5, seed=11)
    return {
        "one of each": dataset(images[:2], labels[:2]),
        "two cats": dataset(images[:2], [1, 1]),
        "no cat": dataset(images[:3], [0, 0, 0]),
        "a single image": dataset(images[:1], [1]),
        "five": dataset(images, labels),
        "twins that disagree": dataset(images[[0, 0]], [0, 1]),
        "all black": dataset(flat(0, 0, 0), [0, 1, 1]),
        "black and white": dataset(flat(0, 255), [0, 1]),
        "one white among black": dataset(flat(*[0] * 30, 255), [0] * 30 + [1]),
    }


ODD = odd_data()


def tell(section, material):
    return list(section(material))


def text_of(blocks):
    """All words and cells of some blocks, a line each."""
    lines = []
    for block in blocks:
        if isinstance(block, str):
            lines.append(block)
        elif isinstance(block, Formula):
            lines.append(block.text)
        elif isinstance(block, Table):
            lines += [" ".join(row) for row in (block.header, *block.rows)]
        else:
            lines.append(f"{block.title} {block.x_label} {block.y_label}")
    return "\n".join(lines)


@pytest.fixture(scope="module")
def material(drawn):
    return Material.of(drawn)


# The numbers of the lesson


def test_shapes_are_the_lessons(material):
    text = text_of(tell(SECTIONS[0].tell, material))
    for shape in ("(64, 64, 3)", "(60, 64, 64, 3)", "(12288, 1)", "(12288, 60)", "(1, 60)"):
        assert shape in text
    image = material.images[0]
    assert f"image[10, 20, 1] is {image[10, 20, 1]}" in text
    assert f"255 · x[1981, 0] is {image[10, 20, 1]}" in text


def test_the_graph_says_33_and_3_3_3_6_9(material):
    assert "v = 11 ─ J = 33" in text_of(tell(forward_graph, material))
    table = next(b for b in tell(backward_graph, material) if isinstance(b, Table))
    assert [row[0] for row in table.rows] == ["dJ/dv", "dJ/du", "dJ/da", "dJ/db", "dJ/dc"]
    assert [row[1] for row in table.rows] == ["3", "3", "3", "6", "9"]
    assert [float(row[2]) for row in table.rows] == [3, 3, 3, 6, 9]


def test_three_ways_give_the_derivatives_of_one_example(material):
    table = next(b for b in tell(logistic_graph, material) if isinstance(b, Table))
    assert [row[0] for row in table.rows] == ["dL/da", "dL/dz", "dL/dw1", "dL/dw2", "dL/db"]
    for row in table.rows:
        assert row[1] == row[2] == row[3]
        assert float(row[1]) != 0


PUBLISHED = (
    np.array([[1.0, -2.0, -1.0], [3.0, 0.5, -3.2]]),
    np.array([[1.0, 1.0, 0.0]]),
)


def test_every_form_of_the_gradient_gives_the_published_case():
    X, Y = PUBLISHED
    w = np.array([[1.0], [2.0]])
    J, dw1, dw2, db = vectors.gradient_two_features(1.0, 2.0, 1.5, X, Y)
    assert pytest.approx(0.15900537707692405, rel=1e-14) == J
    assert (dw1, dw2) == pytest.approx((0.25071532, -0.06604096), abs=5e-9)
    assert db == pytest.approx(-0.12500404500439652, rel=1e-12)
    J, dw, db = gradient_graph(w, 1.5, X, Y)
    assert pytest.approx(0.15900537707692405, rel=1e-13) == J
    np.testing.assert_allclose(dw, [[0.25071532], [-0.06604096]], atol=5e-9)
    assert db == pytest.approx(-0.12500404500439652, rel=1e-12)
    dw, db = gradient_nudged(w, 1.5, X, Y)
    np.testing.assert_allclose(dw, [[0.25071532], [-0.06604096]], atol=1e-8)
    assert db == pytest.approx(-0.12500404500439652, rel=1e-8)


def test_the_misprints_are_not_the_gradient():
    X, Y = PUBLISHED
    w = np.array([[1.0], [2.0]])
    _, right, _ = gradient_loops(w, 1.5, X, Y)
    for wrong in (gradient_lost_minus, losses.misprinted_gradient):
        assert np.abs(wrong(w, 1.5, X, Y)[1] - right).max() > 1e-3


def test_the_misprinted_loss_has_the_gradient_that_is_descended():
    X, Y = PUBLISHED
    w = np.array([[1.0], [2.0]])
    J, dw, db = losses.misprinted_gradient(w, 1.5, X, Y)
    a = 1 / (1 + np.exp(-(w.T @ X + 1.5)))
    assert pytest.approx(np.mean(-(Y * np.log(a)) + (1 - Y) * np.log(1 - a))) == J
    for k in range(2):
        step = np.eye(2)[:, k : k + 1]
        nudged = central_difference(
            lambda h, step=step: losses.misprinted_gradient(w + h * step, 1.5, X, Y)[0], 0.0
        )
        assert dw[k, 0] == pytest.approx(nudged, rel=1e-6)
    nudged = central_difference(lambda b: losses.misprinted_gradient(w, b, X, Y)[0], 1.5)
    assert db == pytest.approx(nudged, rel=1e-6)


def test_eight_examples_have_two_minima_of_squared_error_and_one_of_log_loss(material):
    text = text_of(tell(losses.losses, material))
    found = re.search(
        r"Squared error has 2 minima, at w = (\S+) .* and (\S+) .*; log loss has 1 minimum, at w",
        text,
    )
    assert found

    def square(w):
        return losses.squared_cost(w * losses.EIGHT_X, losses.EIGHT_Y)

    first, second = map(float, found.groups())
    for w in (first, second):  # a minimum: the cost is higher a little to either side
        assert square(w) < min(square(w - 0.05), square(w + 0.05))
    assert max(square(w) for w in np.linspace(first, second)) > square(first) + 0.03
    # And descent from 0 stays in the worse.
    end = losses.squared_descent(0.0, losses.EIGHT_X, losses.EIGHT_Y, step=0.1, steps=2000)
    assert end == pytest.approx(first, abs=0.01)
    assert square(first) > square(second)
    assert central_difference(square, end) == pytest.approx(0, abs=1e-8)


# Claims are computed, never asserted: they hold on any data


@pytest.mark.parametrize("name", ODD)
def test_every_section_is_told_on_any_data(name, monkeypatch):
    for module in ("blocks", "vectors"):  # time everything once: times are not what is tested
        monkeypatch.setattr(
            f"catclf.lesson.{module}.seconds", lambda work, most=0: [work()] and 1.0
        )
    material = Material.of(ODD[name])
    for section in SECTIONS:
        text = text_of(tell(section.tell, material))
        assert "nan" not in text
        assert "fault" not in text
        assert not re.search(r"-0\.0+\b(?!\d)", text), section


@pytest.mark.parametrize("name", [*ODD, "drawn", "course", "photos"])
def test_the_chord_that_is_named_lies_below_the_curve(name, drawn, request):
    if name in ("course", "photos"):
        shared = request.getfixturevalue("shared")
        from catclf import load_dataset

        places_of = {"course": "datasets/course/train_catvnoncat.h5", "photos": "photos"}
        data = load_dataset(shared / places_of[name])
    else:
        data = drawn if name == "drawn" else ODD[name]
    material = Material.of(data)
    blocks = tell(losses.losses, material)
    chart = next(b for b in blocks if isinstance(b, Chart))
    square, log, chord = chart.curves
    middle = np.flatnonzero(np.isclose(square.x, chord.x.mean()))
    assert square.y[middle][0] > chord.y.mean() + 1e-5
    assert np.diff(square.y, 2).min() < -1e-9
    assert np.diff(log.y, 2).min() > -1e-12
    assert "So the squared error is not convex" in text_of(blocks)
    assert "The log loss is convex here" in text_of(blocks)


def test_the_costs_along_the_line_are_those_of_the_parameters(material):
    chart = next(b for b in tell(losses.losses, material) if isinstance(b, Chart))
    w, b = material.learned
    for i in (0, 60, 200):
        t = chart.curves[0].x[i]
        Z = (t * w).T @ material.X + t * b
        A = 1 / (1 + np.exp(-Z))
        square = np.mean((A - material.Y) ** 2) / 2
        assert chart.curves[0].y[i] * 0.125 == pytest.approx(square)
        log = -np.mean(material.Y * np.log(A) + (1 - material.Y) * np.log(1 - A))
        assert chart.curves[1].y[i] * np.log(2) == pytest.approx(log)


def test_descent_on_one_weight_goes_to_the_minimum_and_a_long_step_does_not(material):
    blocks = tell(one_parameter, material)
    good, bad = [b for b in blocks if isinstance(b, Table)]
    costs = [float(row[2]) for row in good.rows]
    assert costs == sorted(costs, reverse=True)
    assert float(bad.rows[-1][2]) > float(bad.rows[0][2])
    text = text_of(blocks)
    minimum = float(re.search(r"zero at w = (-?[\d.]+);", text)[1])
    assert abs(float(good.rows[-1][1]) - minimum) < 0.1
    u = np.array([[1.0, -2.0, 0.5]])
    Y = np.array([[1.0, 0.0, 0.0]])
    nudged = central_difference(lambda w: cost(w * u, Y), 0.3)
    assert slope(0.3, u, Y) == pytest.approx(nudged, rel=1e-8)


@pytest.mark.parametrize("name", [*ODD, "drawn"])
def test_the_safe_step_is_safe(name, drawn):
    from catclf.lesson.blocks import descend

    material = Material.of(drawn if name == "drawn" else ODD[name])
    costs = descend(material, material.safe_step, 20)
    assert np.diff(costs).max() <= 1e-15
    assert costs[0] == pytest.approx(np.log(2))


def test_a_wrong_sentence_would_show():
    assert change(1.0, 2.0) == "rises from 1.0000 to 2.0000"
    assert change(1.0, 0.5) == "falls from 1.0000 to 0.5000"
    assert change(1.0, 1.00001) == "stays at 1.0000"
    assert places(-1e-9, 4) == "0.0000"


def test_a_large_set_is_thinned_evenly_and_the_lesson_says_so():
    images, _ = draw(2, seed=1)
    many = dataset(np.tile(images, (700, 1, 1, 1)), np.repeat([0, 1], 700))
    material = Material.of(many)
    assert (material.m, int(material.Y.sum())) == (600, 300)
    assert "Of the 1,400 images of test, 600 are taken" in text_of(tell(SECTIONS[0].tell, material))


# Drawing with characters


def test_a_chart_of_characters_shows_its_curve_where_it_is():
    x = np.linspace(0, 1, 11)
    line = Chart("t", "x", "y", [Curve(x, x, "up"), Curve(x, 0 * x, "flat", dashed=True)])
    drawn = plot(line, 60).splitlines()
    rows = [row.split("│")[1] for row in drawn if "│" in row]
    assert len(rows) == ROWS
    assert rows[0].rstrip().endswith("*")
    assert rows[0].count("*") < 6
    assert rows[-1].startswith("*")
    assert "." in rows[-1]
    assert max(map(len, drawn)) <= 60
    assert "* up" in drawn[-2]
    assert max(map(len, plot(line, 40).splitlines())) <= 40


def test_what_is_beyond_the_axis_is_left_out():
    x = np.linspace(0, 1, 11)
    text = plot(Chart("t", "x", "y", [Curve(x, 10 * x)], y_range=(0.0, 1.0)), 60)
    rows = [row.split("│")[1] for row in text.splitlines() if "│" in row]
    assert all(row.rfind("*") < 7 for row in rows)


# The command


def headings(text):
    return re.findall(r"^(\d+)\. \S.*\n=+$", text, re.MULTILINE)


def widest(text):
    return max(map(len, text.splitlines()))


@pytest.mark.parametrize(("data", "columns"), [("drawn", 80), ("folder", 40)])
def test_piped_it_tells_all_and_nothing_is_too_wide(catclf, class_folder, data, columns):
    words = ["-q", class_folder] if data == "folder" else []
    done = catclf("lesson", *words, env={"COLUMNS": str(columns)})
    assert headings(done.stdout) == [str(n) for n in range(1, 11)]
    assert widest(done.stdout) <= columns
    assert "…" not in done.stdout
    assert "\x1b" not in done.stdout
    assert done.stderr == ""
    assert len(re.findall(r"Slip \d of 3", done.stdout)) == 3


def test_one_section_alone(catclf, class_folder):
    done = catclf("lesson", class_folder, "--section", 1)
    assert headings(done.stdout) == ["1"]
    assert "The data, photos: m = 12 images, 6 labelled 1 (cat)" in " ".join(done.stdout.split())
    assert "cat: Cats (6)" in done.stderr


@pytest.mark.parametrize("n", [0, 11])
def test_a_section_that_is_not_there_is_a_usage_error(catclf, n):
    assert "1<=x<=10" in catclf("lesson", "--section", n, code=2).stderr


def test_all_and_section_do_not_go_together(catclf):
    assert "choose one" in catclf("lesson", "--all", "--section", 1, code=2).stderr


def test_no_data_is_a_data_error(catclf):
    assert "nothing-here: no such file" in catclf("lesson", "nothing-here", code=3).stderr


def test_charts_become_pictures(catclf, class_folder, tmp_path):
    done = catclf("lesson", class_folder, "--section", 3, "--pictures", tmp_path / "out")
    written = sorted(os.listdir(tmp_path / "out"))
    assert written == [
        "03-squared-error-and-log-loss-along-a-line.svg",
        "03-squared-error-of-eight-examples-by-one-weight.svg",
    ]
    for name in written:
        assert name in "".join(done.stdout.split())
        chart = ElementTree.parse(tmp_path / "out" / name).getroot()
        assert [e for e in chart.iter() if e.get("class") == "line c0" and e.get("d")]


def test_pictures_that_cannot_be_written_end_it_before_the_work(catclf, tmp_path):
    (tmp_path / "file").write_text("")
    done = catclf("lesson", "--pictures", tmp_path / "file", code=3)
    assert "cannot be written" in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_the_help_has_the_titles_and_fits(catclf):
    text = catclf("lesson", "--help").stdout
    assert widest(text) <= 80
    assert len(text.splitlines()) <= 40
    assert len(SECTIONS) == NUMBER_OF_SECTIONS
    for n, section in enumerate(SECTIONS, 1):
        assert re.search(rf"^ *{n}  {section.title}\b.*{re.escape(section.lesson)}", text, re.M)


@pytest.mark.parametrize(
    ("keys", "code", "told"),
    [
        ([b"q\n"], 0, ["1"]),
        ([b"\n", b"Q\n"], 0, ["1", "2"]),
        ([b"\n"] * 9, 0, [str(n) for n in range(1, 11)]),
        ([b"\n", b"\x04"], 0, ["1", "2"]),  # the end of input
        ([b"\x03"], 130, ["1"]),  # Ctrl-C
    ],
)
def test_a_terminal_is_asked_after_each_section(class_folder, tmp_path, keys, code, told):
    found, text = on_a_terminal("lesson", class_folder, "-q", cwd=tmp_path, keys=keys)
    assert found == code
    assert headings(text) == told
    assert text.count("q: leave") == len(keys)
    assert "Traceback" not in text
    assert "error" not in text.replace("squared error", "").replace("Squared error", "")


def test_a_section_longer_than_the_screen_waits_too(class_folder, tmp_path):
    keys = [b"\n"] * 3 + [b"q\n"]
    code, text = on_a_terminal("lesson", class_folder, "-q", cwd=tmp_path, keys=keys, LINES=24)
    assert code == 0
    assert headings(text) == ["1"] or headings(text) == ["1", "2"]
    screens = text.split("q: leave ")[:-1]
    assert len(screens) == 4
    assert all(screen.strip("\n").count("\n") <= 24 for screen in screens)


def test_a_terminal_is_not_asked_with_all(class_folder, tmp_path):
    code, text = on_a_terminal("lesson", class_folder, "-q", "--all", cwd=tmp_path, COLUMNS=40)
    assert code == 0
    assert headings(text) == [str(n) for n in range(1, 11)]
    assert "q: leave" not in text
    assert widest(re.sub(r"\x1b\[[\d;]*m", "", text)) <= 40


def test_a_reader_that_leaves_is_no_error(class_folder, tmp_path):
    with started("-m", "catclf", "lesson", class_folder, cwd=tmp_path) as process:
        process.stdout.readline()
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()
        assert process.wait() in (0, -signal.SIGPIPE)


def test_the_forms_load_numpy_and_the_formulas_only():
    code = (
        "import sys, catclf.lesson; print(sorted(m for m in sys.modules if m.startswith("
        "('catclf', 'PIL', 'h5py', 'typer', 'rich'))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == (
        "['catclf', 'catclf.lesson', 'catclf.lesson.gradients', 'catclf.logistic']"
    )


# docs/lesson.md

PAGE = (ROOT / "docs" / "lesson.md").read_text()


def named(path, name):
    """Find what a page names, as in `Pixels.transform`, in the file that it links to."""
    found = importlib.import_module(path.removesuffix(".py").replace("/", "."))
    for part in name.split("."):
        found = getattr(found, part)
    return found


def rows_of(page):
    """The formulas' rows: (line, name, path)."""
    return re.findall(r"^\|.*\| `(.+)` \| \[`([\w.]+)`\]\(\.\./(\S+)\) \|$", page, re.MULTILINE)


def stale(page):
    return [
        line
        for line, name, path in rows_of(page)
        if line not in map(str.strip, inspect.getsource(named(path, name)).splitlines())
    ]


def test_each_formulas_line_stands_in_the_function_that_is_named():
    assert len(rows_of(PAGE)) == 17
    assert stale(PAGE) == []


def test_a_stale_line_would_be_noticed():
    assert stale(PAGE.replace("`dZ = A - Y`", "`dZ = A * Y`")) == ["dZ = A * Y"]
    with pytest.raises(AttributeError):
        stale(PAGE.replace("`squared_cost`", "`square_cost`"))


def test_the_page_lists_the_sections():
    found = re.findall(r"^\| (\d+) \| (\S+) \| \[`(\w+)`\]\(\.\./(\S+)\) \|$", PAGE, re.MULTILINE)
    assert len(found) == len(SECTIONS)
    for section, (n, lesson, name, path) in zip(SECTIONS, found, strict=True):
        assert SECTIONS[int(n) - 1] is section
        assert lesson == (section.lesson or "–")
        assert named(path, name) is section.tell
