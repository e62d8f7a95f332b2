"""The report in a real browser: Chromium without a window, asked what it made of the page."""

import html
import json
import re
import shutil
import subprocess
from dataclasses import replace
from functools import cache

import pytest

from catclf.evaluation import evaluate_dataset
from catclf.pictures import report
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
