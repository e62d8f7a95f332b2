"""The walk through the lesson: its numbers, on any data; the command; and docs/lesson.md."""

import html
import importlib
import inspect
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from processes import on_a_terminal

from catclf import load_dataset
from catclf.cli import lesson as terminal
from catclf.cli.lesson import ROWS, plot
from catclf.common.chart import Chart, Curve
from catclf.data.dataset import Dataset
from catclf.data.drawn import draw
from catclf.errors import DataError
from catclf.lesson import SECTIONS, chain_rule, graph, loops_and_vectors, loss_and_descent
from catclf.lesson import loops_and_vectors as gradient_check
from catclf.lesson.chain_rule import gradient_graph
from catclf.lesson.graph import Node
from catclf.lesson.loss_and_descent import (
    cost_after,
    misprinted_cost,
    misprinted_error,
    slope,
    squared_cost,
)
from catclf.lesson.material import Material, Table, paragraphs
from catclf.logistic import backward, cost, forward, gradient, sigmoid
from catclf.pictures import lesson_page

ROOT = Path(__file__).resolve().parents[1]


def dataset(images, labels):
    Y = np.array(labels, dtype=np.int64).reshape(1, -1)
    return Dataset(np.ascontiguousarray(images), Y, ("non-cat", "cat"), "test")


def flat(*values):
    """Images of one colour each."""
    return np.array([np.full((64, 64, 3), v, np.uint8) for v in values])


DRAWN, LABELS = draw(5, seed=11)
SMALL = {
    "one of each": dataset(DRAWN[:2], LABELS[:2]),
    "black and white": dataset(flat(0, 255), [0, 1]),
    "more cats, of the same sum": dataset(flat(90, 90, 180), [1, 1, 0]),
}
ALIKE = {
    "no cat": dataset(DRAWN, [0] * 5),
    "a single image": dataset(DRAWN[:1], [1]),
    "twins that disagree": dataset(DRAWN[[0, 0]], [0, 1]),
}


def text_of(blocks):
    """All words and cells of some blocks, a line each."""
    lines = []
    for block in blocks:
        if isinstance(block, str):
            lines.append(" ".join(block.split()))
        elif isinstance(block, Table):
            lines += [" ".join(row) for row in (block.header, *block.rows)]
        else:
            lines.append(f"{block.title} {block.x_label} {block.y_label}")
    return "\n".join(lines)


def first(kind, blocks):
    return next(block for block in blocks if isinstance(block, kind))


@pytest.fixture(scope="module")
def material(drawn):
    return Material(drawn)


@pytest.fixture(scope="module", params=[*SMALL, "drawn", "course"])
def any_material(request):
    if request.param == "course":
        path = request.getfixturevalue("shared") / "datasets/course/train_catvnoncat.h5"
        return Material(load_dataset(path))
    return Material(SMALL.get(request.param) or request.getfixturevalue("drawn"))


@pytest.fixture
def untimed(monkeypatch):
    """Do once what is timed, for times are not what is tested."""
    monkeypatch.setattr(loops_and_vectors, "_microseconds", lambda work, times: [work()] and 1.0)


# The computation graph


@given(st.integers(1, 6), st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_it_is_an_independent_oracle_of_the_gradient(n_x, m, seed):
    rng = np.random.default_rng(seed)
    w, b, X = rng.normal(size=(n_x, 1)), float(rng.normal()), rng.normal(size=(n_x, m))
    Y = rng.integers(0, 2, (1, m)).astype(float)
    J, dw, db = gradient_graph(w, b, X, Y)
    expected_J, expected_dw, expected_db = gradient(w, b, X, Y)
    assert pytest.approx(expected_J, rel=1e-10) == J
    np.testing.assert_allclose(dw, expected_dw, rtol=1e-8, atol=1e-12)
    assert db == pytest.approx(expected_db, rel=1e-8, abs=1e-12)


def test_a_deep_graph_takes_no_stack_and_each_of_its_nodes_is_carried_back_once():
    first = node = Node(1.0)
    for _ in range(40):
        node = node + node  # 2⁴⁰ ways lead back
    for _ in range(10_000):
        node = node + 1.0
    graph.backward(node)
    assert (node.value, first.grad) == (2.0**40 + 10_000, 2.0**40)


# The numbers of the lesson


def test_shapes_are_the_lessons(material):
    text = text_of(SECTIONS[0].tell(material))
    for shape in ("(64, 64, 3)", "(60, 64, 64, 3)", "(12288, 1)", "(12288, 60)", "(1, 60)"):
        assert shape in text
    green = material.images[0][10, 20, 1]
    assert f"image[10, 20, 1] is {green}, and 255 · x[1981, 0] is {green}." in text


def test_the_graph_says_33_and_3_3_3_6_9(material):
    assert "v = 11 ─ J = 33" in text_of(chain_rule.forward_graph(material))
    assert first(Table, chain_rule.backward_graph(material)).rows == [
        [f"dJ/d{name}", f"{value}", f"{value}.000000"]
        for name, value in {"v": 3, "u": 3, "a": 3, "b": 6, "c": 9}.items()
    ]


def test_three_ways_give_the_derivatives_of_one_example(material):
    rows = first(Table, chain_rule.logistic_graph(material)).rows
    assert [row[0] for row in rows] == ["dL/da", "dL/dz", "dL/dw1", "dL/dw2", "dL/db"]
    assert all(row[1] == row[2] == row[3] and float(row[1]) != 0 for row in rows)


def test_the_misprints_are_not_the_gradient_and_that_of_the_loss_is_its_own():
    w, X = np.array([[1.0], [2.0]]), np.array([[1.0, -2.0, -1.0], [3.0, 0.5, -3.2]])
    Z, Y = forward(w, 1.5, X), np.array([[1.0, 1.0, 0.0]])
    A = sigmoid(Z)
    for error in (loops_and_vectors.lost_minus, misprinted_error):
        assert not np.allclose(backward(X, error(A, Y) / 3)[0], gradient(w, 1.5, X, Y)[1])
    nudged = [
        chain_rule.central_difference(lambda v, x=x: misprinted_cost(Z + v * x, Y), 0.0) for x in X
    ]
    np.testing.assert_allclose(backward(X, misprinted_error(A, Y) / 3)[0][:, 0], nudged, rtol=1e-6)


def test_eight_examples_have_two_minima_of_squared_error(material):
    text = text_of(loss_and_descent.losses(material))
    assert "from w = 0 ends at w = -0.07, where J is 0.1174, and from w = 1.5 at w = 1.79," in text


def test_the_check_lets_the_gradient_pass_and_not_the_slip(material):
    forms, steps = (b for b in gradient_check.compare_gradients(material) if isinstance(b, Table))
    loops, graph, nudged, slip = (float(row[1]) for row in forms.rows)
    assert max(loops, graph) < 1e-12
    assert nudged < 1e-7
    assert slip > 0.1
    assert min(float(row[1]) for row in steps.rows) < 1e-7


# What is said is so on any data


@pytest.mark.parametrize("name", SMALL)
def test_every_section_is_told_on_any_data(name, untimed):
    material = Material(SMALL[name])
    for section in SECTIONS:
        text = text_of(section.tell(material))
        assert not re.search(r"\bnan\b|\binf\b|-0\.0+\b(?!\d)", text), section


@pytest.mark.parametrize("name", ALIKE)
def test_nothing_is_told_on_classes_that_look_alike(name):
    with pytest.raises(DataError, match="no pixel tells the two classes apart"):
        Material(ALIKE[name])


def test_the_slope_of_one_parameter_is_that_of_its_cost():
    u, Y = np.array([[1.0, -2.0, 0.5]]), np.array([[1.0, 0.0, 0.0]])
    nudged = chain_rule.central_difference(lambda w: cost(w * u, Y), 0.3)
    assert slope(0.3, u, Y) == pytest.approx(nudged, rel=1e-8)


def test_along_the_line_only_the_log_loss_is_convex_and_the_safe_step_goes_down(any_material):
    material = any_material
    square, log, chord = first(Chart, loss_and_descent.losses(material)).curves
    middle = np.argmin(np.abs(square.x - chord.x.mean()))
    assert square.y[middle] > chord.y.mean() + 1e-3
    assert np.diff(square.y, 2).min() < -1e-9
    assert np.diff(log.y, 2).min() > -1e-12
    w, b = material.learned
    for i in (0, 60, 200):
        Z = forward(square.x[i] * w, square.x[i] * b, material.X)
        assert square.y[i] / 8 == pytest.approx(squared_cost(Z, material.Y))
        assert log.y[i] * np.log(2) == pytest.approx(cost(Z, material.Y))
    costs = [cost_after(material, material.safe_step, i) for i in (0, 1, 2, 5, 10, 20)]
    assert costs == sorted(costs, reverse=True)


def headings(text):
    return [int(n) for n in re.findall(r"^(\d+)\. \S.*\n=+$", text, re.MULTILINE)]


def test_a_chart_of_characters_shows_its_curve_where_it_is_and_nothing_beyond_the_axis():
    x = np.linspace(0, 1, 11)
    chart = Chart("t", "x", "y", [Curve(x, 2 * x), Curve(x, 0 * x, dashed=True)], y_range=(0, 1))
    rows = [line.split("│")[1] for line in plot(chart, 60).splitlines() if "│" in line]
    assert len(rows) == ROWS
    assert 0 < rows[0].rfind("*") < 30
    assert rows[-1].startswith("*")
    assert "." in rows[-1]


# The command


def test_piped_it_tells_all_and_nothing_is_too_wide(catclf, catclf_process, class_folder):
    narrow = catclf_process("lesson", env={"COLUMNS": "40"})
    for done, columns in ((narrow, 40), (catclf("lesson", class_folder, "-q"), 80)):
        assert headings(done.stdout) == [*range(1, 11)]
        assert max(map(len, done.stdout.splitlines())) <= columns
        assert "…" not in done.stdout
        assert "\x1b" not in done.stdout
        assert done.stderr == ""
        assert re.findall(r"Slip (\d) of 3", done.stdout) == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--section", 11], 2, "1<=x<=10"),
        (["--all", "--section", 1], 2, "choose one"),
        (["nothing-here"], 3, "error: nothing-here: no such file"),
        (["--pictures", "file"], 3, "error: file/chart.svg: the chart cannot be written"),
        (["--html", "x.html", "--section", 1], 2, "give it alone"),
        (["--html", "x.html", "--pictures", "out"], 2, "give it alone"),
        (["--html", "photos"], 3, "photos: the page cannot be written (pages are HTML files;"),
        (["--html", "taken.html"], 3, "(what is there is no lesson's page; name another file)"),
        (["--html", "file/x.html"], 3, "error: file/x.html: the page cannot be written"),
    ],
)
def test_what_cannot_be_told_ends_before_the_work(catclf, tmp_path, words, code, message):
    (tmp_path / "file").touch()
    (tmp_path / "taken.html").write_text("<!doctype html><p>of somebody else")
    done = catclf("lesson", *words, code=code)
    assert done.stdout == ""
    assert (tmp_path / "taken.html").read_text().endswith("of somebody else")
    assert message in done.stderr
    assert code == 2 or done.stderr.count("\n") == 1


def test_charts_become_pictures(catclf, class_folder, tmp_path):
    done = catclf("lesson", class_folder, "--section", 3, "--pictures", tmp_path / "out")
    paths = sorted((tmp_path / "out").iterdir())
    assert [path.name for path in paths] == [
        "03-squared-error-and-log-loss-along-a-line.svg",
        "03-squared-error-of-eight-examples-by-one-weight.svg",
    ]
    for path in paths:
        assert f"Picture: {path}\n" in done.stdout
        chart = ElementTree.parse(path).getroot()
        assert [e for e in chart.iter() if e.get("class") == "line c0" and e.get("d")]


@pytest.mark.parametrize(
    ("keys", "words", "ended", "told"),
    [
        ([b"q\n"], [], 0, [1]),
        ([b"\n", b"\x04"], [], 0, [1, 2]),  # Ctrl-D
        ([b"\n", b"\x03"], [], 130, [1, 2]),  # Ctrl-C
        ([], ["--all"], 0, [*range(1, 11)]),
    ],
)
def test_a_terminal_is_asked_after_each_section(class_folder, tmp_path, keys, words, ended, told):
    code, text = on_a_terminal("lesson", class_folder, "-q", *words, cwd=tmp_path, keys=keys)
    assert (code, headings(text)) == (ended, told)
    assert "Traceback" not in text


def test_a_section_longer_than_the_screen_waits_too(class_folder, tmp_path):
    keys = [b"\n", b"\n", b"\n", b"q\n"]
    _, text = on_a_terminal("lesson", class_folder, "-q", cwd=tmp_path, keys=keys, LINES=24)
    assert headings(text) in ([1], [1, 2])
    assert all(screen.count("\n") <= 24 for screen in text.split("q: leave "))


# The page

SCRIPT = "<script>alert(1)</script>[red]x[/red]"


def without(page, *tags):
    for name in tags:
        page = re.sub(rf"<{name}\b.*?</{name}>", " ", page, flags=re.DOTALL)
    return page


def words_of(page):
    """All words of a page's text, in their order."""
    return html.unescape(re.sub(r"<[^>]*>", " ", page)).split()


def test_the_page_has_the_terminals_words_and_figures_in_their_order(untimed, monkeypatch, drawn):
    name, plots = f"{SCRIPT} © \u202e", []
    material = Material(replace(drawn, name=name, classes=("<i>dog</i>", "cat & co")))
    monkeypatch.setattr(terminal, "plot", lambda chart, width: plots.append(chart) or "")
    monkeypatch.setenv("COLUMNS", "200")
    texts = [text for n in range(1, 11) for text in terminal._section_texts(n, material, None)]
    rules = re.compile(r"={4,}|─{9,}")
    page = lesson_page.render(material)
    sections = "".join(re.findall(r"<section.*?</section>", page, re.DOTALL))
    told = without(re.sub(r'<div class="place".*?(?=</section>)', "", sections), "aside", "figure")
    assert words_of(told) == [w for w in " ".join(texts).split() if not rules.fullmatch(w)]
    drawn_charts = re.findall(r"<figure>.*?</figure>", sections, re.DOTALL)
    assert len(drawn_charts) == len(plots) == 4
    for chart, svg in zip(plots, drawn_charts, strict=True):
        labels = [html.unescape(text) for text in re.findall(r"<text[^>]*>(.*?)</text>", svg)]
        names = (chart.title, chart.x_label, chart.y_label, *(c.name for c in chart.curves))
        assert set(filter(None, names)) <= set(labels)
    contents = words_of(re.search(r"<nav.*?</nav>", page, re.DOTALL)[0])
    assert contents == " ".join(f"{n}. {s.title}" for n, s in enumerate(SECTIONS, 1)).split()


def test_the_page_needs_nothing_from_elsewhere_and_runs_no_script_of_the_data(untimed, drawn):
    page = lesson_page.render(Material(replace(drawn, name=SCRIPT)))
    assert page.count("<script") == 1
    assert page.count(html.escape(SCRIPT)) == 3  # the page's title, its head, section 1
    assert not re.search(r"\bsrc=|@import|url\(|<link|fetch\(|import ", without(page, "pre"))
    assert set(re.findall(r"https?://[^\s\"']+", page)) == {"http://www.w3.org/2000/svg"}


def test_each_formula_has_the_source_of_its_function_beside_it(untimed, material):
    page = lesson_page.render(material)
    formulas = re.findall(
        r'<div class="formula"><aside>(.*?)</aside><pre.*?>(.*?)</pre>', page, re.S
    )
    shown = [
        paragraph
        for section in SECTIONS
        for block in section.tell(material)
        if isinstance(block, str)
        for paragraph, is_formula in paragraphs(block)
        if is_formula
    ]
    assert [html.unescape(formula) for _, formula in formulas] == shown
    assert [formula.split()[:2] for aside, formula in formulas if not aside] == [["x1,", "w1"]]
    sources = [
        (html.unescape(re.sub("<[^>]*>", "", source)), is_open)
        for aside, _ in formulas
        for is_open, source in re.findall(
            r"<details( open=\"\")?>.*?<pre[^>]*>(.*?)</pre>", aside, re.S
        )
    ]
    for function, starts in lesson_page.COMPUTES.items():
        source = inspect.cleandoc("\n" + inspect.getsource(function))
        assert [bool(is_open) for text, is_open in sources if text == source].count(True) == 1
        for start in starts:
            assert sum(re.search(f"^{re.escape(start)}", f, re.M) is not None for f in shown) == 1


def test_the_command_writes_the_page_whole_or_not_at_all(
    catclf, class_folder, tmp_path, monkeypatch
):
    path = tmp_path / "new" / "lesson.html"
    for _ in range(2):  # the second replaces the first
        done = catclf("lesson", class_folder, "--html", path)
        assert done.stdout == ""
        assert done.stderr.splitlines()[-1] == f"wrote {path}"
    first = path.read_text(encoding="utf-8")
    assert first.endswith("</html>\n")
    monkeypatch.setattr(lesson_page, "render", lambda material: first[:99] + "\ud800")
    catclf("lesson", class_folder, "--html", path, code=70)
    assert path.read_text(encoding="utf-8") == first
    assert [entry.name for entry in path.parent.iterdir()] == ["lesson.html"]


# docs/lesson.md

PAGE = (ROOT / "docs" / "lesson.md").read_text()


def named(path, name):
    """Find what a page names, as in `Pixels.transform`, in the file that it links to."""
    part = importlib.import_module(path.removesuffix(".py").replace("/", "."))
    for word in name.split("."):
        part = getattr(part, word)
    return part


def test_each_formulas_line_stands_in_the_function_that_is_named():
    rows = re.findall(r"^\|.*\| `(.+)` \| \[`([\w.]+)`\]\(\.\./(\S+)\) \|$", PAGE, re.MULTILINE)
    assert len(rows) == 17
    for line, name, path in rows:
        assert line in map(str.strip, inspect.getsource(named(path, name)).splitlines())
