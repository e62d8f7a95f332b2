"""The report in a real browser: Chromium without a window, asked what it made of the page."""

import html
import json
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from catclf.evaluation import measure
from catclf.pictures import report
from catclf.training import train

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--enable-logging=stderr",
)
SCHEMES = {"dark": 0, "light": 1}  # as Chromium numbers them
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
    """Measure a page in frames of both widths."""

    def run(text, scheme):
        source = html.escape(text)
        frames = (
            f'<iframe style="width:{width}px;height:900px;border:0" srcdoc="{source}"></iframe>'
            for width in WIDTHS
        )
        host = tmp_path_factory.mktemp("host") / "host.html"
        host.write_text(
            f"<!doctype html><meta charset=utf-8><script>{MEASURE}</script><body>{''.join(frames)}",
            encoding="utf-8",
        )
        printed, messages = browse(host, "--dump-dom", scheme=scheme)
        found = re.search(r"<body><pre>(.*)</pre>", printed, re.DOTALL)
        return json.loads(html.unescape(found[1])), messages

    return run


@pytest.fixture(scope="module")
def pages(drawn, tmp_path_factory):
    """Reports on one model and on four, with names that are hard to lay out."""
    folder = tmp_path_factory.mktemp("pages")
    model = train(drawn, iterations=20, cv=0)
    paths = tuple(f"/photos/{'long' * 30}{i} <b>&.png" for i in range(len(drawn)))
    drawn = replace(drawn, paths=paths, name="a name that goes on" * 9)
    one = measure(model, drawn, name="mine", path="mine.npz")
    worse = replace(model, w=-model.w)
    others = [
        measure(worse, drawn, name=f"{k}{'another' * 12}", path="/far/away" * 30) for k in "bcd"
    ]
    return {
        n: report.write(found, folder / str(n)) for n, found in ((1, [one]), (4, [one, *others]))
    }


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("n", [1, 4])
def test_the_page_fits_loads_and_can_be_read(measured, pages, n, scheme):
    text = pages[n].read_text(encoding="utf-8")
    found, messages = measured(text, scheme)
    assert messages == []
    assert [frame["width"] for frame in found] == list(WIDTHS)
    for frame in found:
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
    grounds = {frame["ground"] for frame in found}
    assert grounds == {"rgb(22, 24, 28)" if scheme == "dark" else "rgb(255, 255, 255)"}


def test_a_dark_page_gets_dark_charts(measured, pages):
    text = pages[1].read_text(encoding="utf-8")
    light, dark = (measured(text, scheme)[0][0]["colours"] for scheme in ("light", "dark"))
    assert len(light) == len(dark) == 5
    for day, night in zip(light, dark, strict=True):
        assert len(day) == len(night) > 20
        assert all(a != b for a, b in zip(day, night, strict=True))


@pytest.mark.parametrize(
    ("spoiled", "sign"),
    [
        (lambda t: t.replace("<main>", '<main><p style="width:1300px">wide'), "scroll"),
        (lambda t: t.replace(">recall<", f">{'recall' * 20}<"), "outside"),
        (lambda t: t.replace("data:image/png;base64,iV", "data:image/png;base64,xx", 4), "broken"),
        (lambda t: t.replace("--dim: #595959", "--dim: #787878"), "faint"),
        (lambda t: t.replace("<main>", "<main><script>console.error('x')</script>"), "messages"),
        (lambda t: t.replace("<main>", "<main><script>nothing()</script>"), "messages"),
        (lambda t: t, "nothing"),
    ],
)
def test_each_fault_would_be_seen(measured, pages, spoiled, sign):
    found, messages = measured(spoiled(pages[1].read_text(encoding="utf-8")), "light")
    signs = {
        "scroll": any(frame["scroll"] > frame["width"] for frame in found),
        "outside": any(frame["outside"] for frame in found),
        "broken": any(frame["broken"] for frame in found),
        "faint": any(frame["faint"] for frame in found),
        "messages": messages != [],
    }
    assert {name for name, seen in signs.items() if seen} == {sign} - {"nothing"}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_screenshot_shows_the_page(browse, pages, tmp_path, scheme):
    shot = tmp_path / "shot.png"
    browse(pages[1], "--window-size=1280,2400", f"--screenshot={shot}", scheme=scheme)
    with Image.open(shot) as image:
        assert image.size == (1280, 2400)
        pixels = np.asarray(image.convert("RGB")).astype(int)
    ground = np.array([22, 24, 28] if scheme == "dark" else [255, 255, 255])
    share = np.mean(np.abs(pixels - ground).max(axis=2) > 40)
    assert 0.01 < share < 0.5  # words and pictures, on a ground of the right colour


@pytest.mark.parametrize("scheme", SCHEMES)
def test_it_prints_on_a_few_pages(browse, pages, tmp_path, scheme):
    printed = tmp_path / "printed.pdf"
    browse(pages[1], f"--print-to-pdf={printed}", "--no-pdf-header-footer", scheme=scheme)
    content = printed.read_bytes()
    assert content.startswith(b"%PDF")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", content)) <= 8
