"""The pages in a real browser: Chromium without a window, asked what it made of them."""

import html
import json
import re
import shutil
import subprocess
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from catclf.evaluation import evaluate_dataset
from catclf.lesson.graph import Node, backward
from catclf.lesson.loss_and_descent import one_feature, one_parameter, slope
from catclf.lesson.material import Material, Table
from catclf.logistic import cost
from catclf.pictures import lesson_page, report
from catclf.training import train

pytestmark = pytest.mark.slow

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars", "--enable-logging=stderr",
]  # fmt: skip
SCHEMES = {"dark": 0, "light": 1}  # as Chromium numbers them
GROUNDS = {"light": "rgb(255, 255, 255)", "dark": "rgb(22, 24, 28)"}
WIDTHS = (390, 1280)

MEASURE = """
function channels(colour) { return colour.match(/[\\d.]+/g).map(Number); }
function luminance(colour) {
  const [r, g, b] = channels(colour).slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function ground(element, view) {
  for (let e = element; e; e = e.parentElement) {
    const colour = view.getComputedStyle(e).backgroundColor, parts = channels(colour);
    if (parts.length < 4 || parts[3] === 1) return colour;
    if (parts[3] > 0) return null;  // half transparent: not to be judged so simply
  }
  return null;
}
function measure(frame) {
  const page = frame.contentDocument, view = frame.contentWindow;
  const found = {width: frame.clientWidth, scroll: page.documentElement.scrollWidth,
                 ground: view.getComputedStyle(page.body).backgroundColor,
                 images: [], broken: 0, charts: [], outside: [], colours: [],
                 texts: 0, faint: []};
  for (const image of page.images) {
    if (!image.complete || !image.naturalWidth) found.broken++;
    found.images.push([image.clientWidth, image.clientHeight]);
  }
  for (const chart of page.querySelectorAll("svg.chart")) {
    const {left, right, top, bottom} = chart.getBoundingClientRect();
    found.charts.push([right - left, bottom - top]);
    for (const text of chart.querySelectorAll("text")) {
      const box = text.getBoundingClientRect();
      if (box.left < left || box.right > right || box.top < top || box.bottom > bottom)
        found.outside.push(text.textContent);
    }
    found.colours.push([...chart.querySelectorAll("[class]")].map(
      element => view.getComputedStyle(element).color));
  }
  for (const element of page.body.querySelectorAll("*")) {
    const own = [...element.childNodes].filter(n => n.nodeType === 3 && n.data.trim());
    if (!own.length) continue;
    found.texts++;
    const behind = ground(element, view);
    const [a, b] = [luminance(view.getComputedStyle(element).color), behind && luminance(behind)];
    const contrast = behind ? (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) : 0;
    if (contrast < 4.5) found.faint.push([element.outerHTML.slice(0, 80), contrast]);
  }
  return found;
}
addEventListener("load", () => {
  const found = [...document.querySelectorAll("iframe")].map(measure);
  document.body.replaceChildren(document.createElement("pre"));
  document.body.firstChild.textContent = JSON.stringify(found);
});
"""


@pytest.fixture(scope="module")
def browse(tmp_path_factory):
    """Run Chromium on a page; give what it prints, and its messages."""
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip("no Chromium is installed (Debian: apt-get install chromium)")

    def run(page, *flags, scheme="light"):
        done = subprocess.run(
            [
                program,
                *FLAGS,
                f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
                f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}",
                *flags,
                page.as_uri(),
            ],
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]

    return run


@pytest.fixture(scope="module")
def measured(browse, tmp_path_factory):
    """Measure pages, each in frames of both widths, once for each scheme."""

    @cache
    def run(*texts, scheme="light"):
        frames = (
            f'<iframe style="width:{width}px;height:900px;border:0" srcdoc="{html.escape(text)}">'
            "</iframe>"
            for text in texts
            for width in WIDTHS
        )
        host = tmp_path_factory.mktemp("host") / "host.html"
        host.write_text(
            f"<!doctype html><meta charset=utf-8><script>{MEASURE}</script><body>{''.join(frames)}",
            encoding="utf-8",
        )
        printed, messages = browse(host, "--dump-dom", scheme=scheme)
        found = re.search(r"<body><pre>(.*)</pre>", printed, re.DOTALL)
        frames = json.loads(html.unescape(found[1]))
        return [frames[i : i + len(WIDTHS)] for i in range(0, len(frames), len(WIDTHS))], messages

    return run


@pytest.fixture(scope="module")
def pages(drawn, tmp_path_factory):
    """Reports on one model and on four, with names that are hard to lay out."""
    folder = tmp_path_factory.mktemp("pages")
    model = train(drawn, iterations=20, cv=0)
    paths = tuple(f"/photos/{'long' * 30}{i} <b>&.png" for i in range(len(drawn)))
    drawn = replace(drawn, paths=paths, name="a name that goes on" * 9)
    one = evaluate_dataset(model, drawn, name="mine", path="mine.npz")
    worse = replace(model, w=-model.w)
    others = [
        evaluate_dataset(worse, drawn, name=f"{k}{'another' * 12}", path="/far/away" * 30)
        for k in "bcd"
    ]
    return [
        report.write(results, folder / f"{len(results)}").read_text(encoding="utf-8")
        for results in ([one], [one, *others])
    ]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_pages_fit_load_and_can_be_read(measured, pages, scheme):
    found, messages = measured(*pages, scheme=scheme)
    assert messages == []
    by_day, _ = measured(*pages)
    for n, text, frames, light in zip((1, 4), pages, found, by_day, strict=True):
        assert [frame["width"] for frame in frames] == list(WIDTHS)
        for frame in frames:
            assert frame["scroll"] <= frame["width"]
            assert frame["broken"] == 0
            assert frame["texts"] > 150
            assert frame["faint"] == []
            assert len(frame["charts"]) == 4 + n
            for width, height in frame["charts"]:
                assert width / height == pytest.approx(1.5, abs=0.02)
                assert width > 0.4 * frame["width"]
            assert frame["outside"] == []
            assert len(frame["images"]) == text.count("<img ") >= 24
            assert all(size == [128, 128] for size in frame["images"])
            assert frame["ground"] == GROUNDS[scheme]
        for day, night in zip(light[0]["colours"], frames[0]["colours"], strict=True):
            assert len(day) == len(night) > 20
            assert all((a != b) == (scheme == "dark") for a, b in zip(day, night, strict=True))


def test_each_fault_would_be_seen(measured, pages):
    faults = {
        "nothing": ("", ""),
        "scroll": ("<main>", '<main><p style="width:1300px">wide'),
        "outside": (">recall<", f">{'recall' * 20}<"),
        "broken": ("data:image/png;base64,iV", "data:image/png;base64,xx"),
        "faint": ("--dim: #595959", "--dim: #787878"),
    }
    found, messages = measured(*(pages[0].replace(*fault) for fault in faults.values()))
    assert messages == []
    for fault, frames in zip(faults, found, strict=True):
        signs = {
            "scroll": any(frame["scroll"] > frame["width"] for frame in frames),
            "outside": any(frame["outside"] for frame in frames),
            "broken": any(frame["broken"] for frame in frames),
            "faint": any(frame["faint"] for frame in frames),
        }
        assert {name for name, seen in signs.items() if seen} == {fault} - {"nothing"}
    scripts = ("console.error('x')", "nothing()")
    spoiled = (pages[0].replace("<main>", f"<main><script>{script}</script>") for script in scripts)
    assert len(measured(*spoiled)[1]) == 2 * len(WIDTHS)


def test_it_prints_on_a_few_pages(browse, pages, tmp_path):
    page, printed = tmp_path / "page.html", tmp_path / "printed.pdf"
    page.write_text(pages[0], encoding="utf-8")
    browse(page, f"--print-to-pdf={printed}", "--no-pdf-header-footer", scheme="dark")
    content = printed.read_bytes()
    assert content.startswith(b"%PDF")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", content)) <= 8


# The lesson's page


@pytest.fixture(scope="module")
def material(drawn):
    return Material(replace(drawn, name="a <b>name</b> that goes on" * 9))


@pytest.fixture(scope="module")
def lesson(material):
    return lesson_page.render(material)


def driven(page, script):
    """Add a script to a page, which uses it once it is there."""
    use = f'<script>addEventListener("load", () => {{{USE}{script}}});</script>'
    return page.replace("</body>", f"{use}</body>")


USE = """
const place = name => document.querySelector(`[data-place=${name}]`);
const set = (name, field, value) => {
  const input = place(name).querySelector(`[name=${field}]`);
  input.value = value;
  input.dispatchEvent(new Event("input", {bubbles: true}));
};
const click = (name, label) =>
  [...place(name).querySelectorAll("button")].find(b => b.textContent === label).click();
const rows = name => [...place(name).querySelectorAll("tbody tr")].map(
  row => [...row.cells].map(cell => cell.textContent.trim()));
"""
FAR = 'for (const f of "abc") set("graph", f, -98765.4321); set("descent", "alpha", 1e300);' + (
    'for (let i = 0; i < 12; i++) click("descent", "Step"); set("pixel", "row", 63);'
)


@pytest.fixture(scope="module")
def use(browse, tmp_path_factory):
    """Use a page by a script that puts what it finds into `found`; give that."""

    def run(page, script):
        file = tmp_path_factory.mktemp("used") / "lesson.html"
        script = f"const found = {{}}; {script} const pre = document.createElement('pre');"
        ending = "pre.textContent = JSON.stringify(found); document.body.replaceChildren(pre);"
        file.write_text(driven(page, script + ending), encoding="utf-8")
        printed, messages = browse(file, "--dump-dom")
        assert messages == []
        return json.loads(html.unescape(re.search(r"<pre>(\{.*\})</pre>", printed)[1]))

    return run


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_lesson_fits_loads_and_can_be_read(measured, lesson, scheme):
    found, messages = measured(lesson, driven(lesson, FAR), scheme=scheme)
    assert messages == []
    for frame in (frame for frames in found for frame in frames):
        assert frame["scroll"] <= frame["width"]
        assert frame["texts"] > 300
        assert frame["faint"] == []
        assert len(frame["charts"]) == 5
        assert all(width > 0.38 * frame["width"] for width, _ in frame["charts"])
        assert frame["outside"] == []
        assert frame["ground"] == GROUNDS[scheme]


def test_each_fault_of_the_lesson_would_be_seen(measured, lesson):
    faults = [("pre {", "pre { width: 1300px;"), ("--dim: #595959", "--dim: #787878")]
    (wide, faint), messages = measured(*(lesson.replace(*fault) for fault in faults))
    assert messages == []
    assert all(frame["scroll"] > frame["width"] for frame in wide)
    assert all(frame["faint"] for frame in faint)
    spoiled = (("const PLACES", "PLACES"), ("</main>", '<img src="https://localhost/x.png">'))
    _, messages = measured(*(lesson.replace(*fault) for fault in spoiled))
    for sign in ("PLACES is not defined", "Content Security Policy"):
        assert sum(sign in message for message in messages) == len(WIDTHS)


def test_the_contents_stay_in_view_with_the_source_beside_the_text_or_folded_below(
    browse, lesson, tmp_path
):
    script = """addEventListener("load", () => {
      document.body.firstChild.textContent = JSON.stringify([...document.querySelectorAll("iframe")]
        .map(frame => {
          const page = frame.contentDocument, box = e => e.getBoundingClientRect();
          const formulas = [...page.querySelectorAll(".formula:has(details)")].map(formula =>
            [...formula.children].map(box));
          page.getElementById("s9").scrollIntoView();
          return {top: box(page.querySelector("nav")).top,
            heading: box(page.querySelector("#s9 h2")).top,
            links: [...page.querySelectorAll("nav a")].map(a => page.querySelector(a.hash).id),
            open: page.querySelectorAll("details[open]").length,
            beside: formulas.every(([aside, pre]) => aside.left > pre.right),
            below: formulas.every(([aside, pre]) => aside.top > pre.bottom - 1)};
        }));
    });"""
    frames = (
        f'<iframe style="width:{width}px;height:900px" srcdoc="{html.escape(lesson)}"></iframe>'
        for width in WIDTHS
    )
    host = tmp_path / "host.html"
    text = f"<!doctype html><script>{script}</script><body><pre></pre>{''.join(frames)}"
    host.write_text(text, encoding="utf-8")
    printed, messages = browse(host, "--dump-dom")
    assert messages == []
    narrow, wide = json.loads(re.search(r"<pre>(.*?)</pre>", printed)[1])
    for frame in (narrow, wide):
        assert frame["top"] == 0
        assert frame["links"] == [f"s{n}" for n in range(1, 11)]
    assert narrow["heading"] > 40  # below the bar
    assert (narrow["open"], narrow["below"]) == (0, True)
    assert (wide["open"], wide["beside"]) == (len(lesson_page.COMPUTES), True)


def test_the_computation_graph_follows_a_b_and_c(use, lesson):
    cases = [(5, 3, 2), (5, 3, 2.001), (-1.5, 0, 7), (1e5, -0.25, 3)]
    script = "".join(
        f"""for (const [name, value] of Object.entries({dict(zip("abc", case, strict=True))}))
              set("graph", name, value);
            found[{i}] = Object.fromEntries([...place("graph").querySelectorAll("output")].map(
              output => [output.name, Number(output.value)]));"""
        for i, case in enumerate(cases)
    )
    found = use(lesson, script + 'set("graph", "a", ""); found.J = place("graph").innerText;')
    for i, case in enumerate(cases):
        a, b, c = map(Node, case)
        u = b * c
        v = a + u
        nodes = {"a": a, "b": b, "c": c, "u": u, "v": v, "J": 3 * v}
        backward(nodes["J"])
        expected = {f"d{name}": float(node.grad) for name, node in nodes.items()}
        expected |= {name: float(nodes[name].value) for name in "uvJ"}
        assert found[str(i)] == pytest.approx(expected, rel=1e-6)
    assert "?" in found["J"]


def test_the_descent_takes_the_lessons_steps_whatever_the_step_and_the_start(use, lesson, material):
    _, u, start = one_feature(material)
    cases = [(2, start), (0.02, 3), (16, start), (64, -1.25)]
    script = "".join(
        f"""set("descent", "alpha", {alpha}); click("descent", "Step");
        set("descent", "start", {w}); for (let i = 0; i < 8; i++) click("descent", "Step");
        found[{k}] = {{rows: rows("descent"), said: place("descent").querySelector("p").textContent,
          marks: chart.querySelector(".area.c0").getAttribute("d").match(/M[^m]+/g)}};
        click("descent", "Start again"); found[{k}].again = rows("descent");"""
        for k, (alpha, w) in enumerate(cases)
    )
    found = use(
        lesson,
        f"""const chart = place("descent").querySelector("svg svg"); {script}
        found.frame = ["x", "y", "width", "height"].map(name => +chart.getAttribute(name));""",
    )
    left, top, width, height = found["frame"]
    most = max(cost(v * u, material.Y) for v in (-8.0, 8.0))
    for k, (alpha, first) in enumerate(cases):
        w = first
        seen, rows, costs, points = found[f"{k}"], [], [], []
        for i in range(9):
            J, dw = cost(w * u, material.Y), slope(w, u, material.Y)
            rows.append([f"{i}", f"{w:z.4f}", f"{J:z.6f}", f"{dw:z.6f}"])
            points.append(left + 2 + (w + 8) / 16 * (width - 4))
            points.append(top + 2 + (1 - J / most) * (height - 4))
            costs.append(J)
            w = w - alpha * dw
        assert seen["rows"] == rows
        assert seen["again"] == rows[:1]
        marks = [float(v) for mark in seen["marks"] for v in mark[1:].split()]
        assert marks == pytest.approx(points)
        assert seen["said"].startswith("J rose by" if costs[-1] > costs[-2] else "J fell by")
        if k == 0:  # as the lesson begins
            blocks = one_parameter(material)
            assert rows == next(block for block in blocks if isinstance(block, Table)).rows


def test_a_pixel_shows_its_numbers_and_their_places_in_x(use, lesson, material):
    script = """
      const canvases = place("pixel").querySelectorAll("canvas");
      found.pixels = [...canvases].map(canvas =>
        [...canvas.getContext("2d").getImageData(0, 0, 64, 64).data]);
      set("pixel", "row", 63); set("pixel", "column", 5); found.set = rows("pixel");
      canvases.forEach((canvas, k) => {
        const box = canvas.getBoundingClientRect(), at = v => (v + 0.5) / 64;
        canvas.dispatchEvent(new PointerEvent("pointerdown", {pointerType: "touch", bubbles: true,
          clientX: box.left + at(40 + k) * box.width, clientY: box.top + at(7) * box.height}));
        found[k] = rows("pixel");
      });"""
    found = use(lesson, script)
    image, X = material.images[0], material.X
    places = {"set": (63, 5), **{f"{k}": (7, 40 + k) for k in range(4)}}
    for name, (i, j) in places.items():
        k = i * 64 * 3 + j * 3
        assert found[name] == [
            [c, f"image[{i}, {j}, {n}] = {image[i, j, n]}", f"x[{k + n}, 0] = {X[k + n, 0]:.3f}"]
            for n, c in enumerate(("red", "green", "blue"))
        ]
    for which, data in enumerate(found["pixels"]):
        shown = np.array(data).reshape(64, 64, 4)
        seen = image if which == 0 else image * (np.arange(3) == which - 1)
        np.testing.assert_array_equal(shown, np.dstack([seen, np.full((64, 64), 255)]))


def test_without_its_script_the_lesson_shows_no_place(use, lesson):
    bare = re.sub(r'<script type="module">.*?</script>', "", lesson, flags=re.DOTALL)
    script = "found.seen = ['pixel', 'descent', 'graph'].map(name => place(name).offsetHeight);"
    assert use(bare, script)["seen"] == [0, 0, 0]
    assert min(use(lesson, script)["seen"]) > 150


def test_the_lesson_prints(browse, lesson, tmp_path):
    page, printed = tmp_path / "page.html", tmp_path / "printed.pdf"
    page.write_text(lesson, encoding="utf-8")
    browse(page, f"--print-to-pdf={printed}", "--no-pdf-header-footer", scheme="dark")
    content = printed.read_bytes()
    assert content.startswith(b"%PDF")
    assert 8 <= len(re.findall(rb"/Type\s*/Page\b", content)) <= 20
