"""The report: a page that is whole, safe and needs nothing from elsewhere, and its figures."""

import base64
import io
import json
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from catclf.common.text import printable
from catclf.data.dataset import Dataset
from catclf.errors import OutputError
from catclf.evaluation import Result, evaluate_dataset, figures_as_json
from catclf.features.pixels import Pixels
from catclf.metrics import evaluate_scores
from catclf.model import Model, Provenance
from catclf.pictures import report
from catclf.pictures.report import disagreements
from catclf.training import train

HOSTILE = [
    "<img src=x onerror=alert(1)>.png",
    "\"'&.png",
    "</style><script>alert(1)</script>",
    "bytes\udcff.png",
    "bidi\u202egnp.png",
    "new\nline.png",
    "ünïcode 猫.png",
]
KNOWN = """
    html head meta title style body main header section footer h1 h2 p strong b small span div br a
    table caption thead tbody tr th td figure figcaption img ul li bdi dl dt dd svg rect path text g
"""


class Page(HTMLParser):
    """A page's tags, attributes and text; fails where tags are not closed in order."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text, self.css = [], [], "", ""
        self._open = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, key, value) for key, value in attrs]
        if tag not in ("meta", "br", "img"):
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open[-1:] == ["style"]:
            self.css += data
        else:
            self.text += data

    def values(self, *keys):
        return [value for _, key, value in self.attributes if key in keys]


@pytest.fixture(scope="module")
def models(drawn):
    return [train(drawn, iterations=n, cv=3) for n in (40, 3)]


@pytest.fixture(scope="module")
def results(drawn, models):
    return [
        evaluate_dataset(model, drawn, name=name, path=f"models/{name}.npz")
        for model, name in zip(models, ("first", "second"), strict=True)
    ]


def written(results, folder):
    path = report.write(results, folder)
    assert path == folder / "index.html"
    assert sorted(p.name for p in folder.iterdir()) == ["index.html", "report.json"]
    text = (folder / "report.json").read_text(encoding="ascii")
    return path.read_text(encoding="utf-8"), json.loads(text, parse_constant=pytest.fail)


def safe(page):
    """Say that a page holds nothing but what the report writes, and needs nothing else."""
    assert set(page.tags) <= set(KNOWN.split())
    assert page.values("href") == ["report.json"]
    assert page.values("srcset", "data", "action", "poster", "background", "style") == []
    assert not any(key.startswith("on") for _, key, _ in page.attributes)
    for trace in ("http:", "https:", "url(", "@import", "//", "javascript:"):
        assert trace not in page.css


# The page


@pytest.mark.parametrize("n", [1, 2])
def test_the_page_is_whole_and_needs_nothing_from_elsewhere(results, tmp_path, n):
    text, _ = written(results[:n], tmp_path / "a" / "report")
    page = Page(text)
    safe(page)
    images = page.values("src")
    assert len(images) == page.tags.count("img") == page.tags.count("li") > 24
    for value in images:
        start, _, data = value.partition(",")
        assert start == "data:image/png;base64"
        image = Image.open(io.BytesIO(base64.b64decode(data, validate=True)))
        assert image.size == (64, 64)
        assert np.ptp(np.asarray(image)) > 0
    charts = [value for tag, key, value in page.attributes if (tag, key) == ("svg", "aria-label")]
    assert len(charts) == 4 + n
    for result in results[:n]:
        assert all(result.name in words for words in charts if not words.startswith("P("))
        assert f"{result.name} has area {result.figures.roc_auc:.4f}" in charts[0]
    assert all(page.values("alt"))
    for heading in ("Figures", "Curves", "Worst mistakes", "Least sure", "Data", "Model first"):
        assert heading in page.text
    assert ("Comparison" in page.text) == ("Where the models differ" in page.text) == (n == 2)


def test_the_headline_says_whether_the_baseline_is_beaten(results, tmp_path):
    def verdict(right):
        """A result on sixty drawings, thirty of each class, with so many right."""
        Y = results[0].dataset.Y
        Z = np.where(Y == 1, 2.0, -2.0)
        Z[0, right:] *= -1
        changed = replace(results[0], Z=Z, A=1 / (1 + np.exp(-Z)), figures=evaluate_scores(Y, Z))
        return Page(written([changed], tmp_path / f"{right}")[0]).text

    baseline = results[0].figures.majority
    assert "It beats always answering" in verdict(60)
    assert "the baseline lies within the model's interval" in verdict(baseline.correct + 1)
    assert "it does worse" in verdict(3)


def test_names_from_outside_stay_text(results, tmp_path):
    data = results[0].dataset
    paths = tuple(f"/photos/{i:02} {HOSTILE[i % len(HOSTILE)]}" for i in range(len(data)))
    classes = (HOSTILE[0], "cat" + HOSTILE[1])
    hostile = Dataset(data.images, data.Y, classes, HOSTILE[2], paths, notes=(HOSTILE[0],))
    changed = [
        replace(r, dataset=hostile, name=f"{i}{HOSTILE[2]}", path=HOSTILE[0])
        for i, r in enumerate(results)
    ]
    past = {"data": {"name": HOSTILE[2], "counts": {HOSTILE[0]: 1}}, "solver": {HOSTILE[0]: 2}}
    changed[0] = replace(changed[0], model=replace(changed[0].model, provenance=Provenance(past)))
    text, found = written(changed, tmp_path / "report")
    page = Page(text)
    safe(page)
    for name in (*classes, hostile.name, *{p["path"][8:] for p in found["models"][0]["worst"]}):
        assert printable(name) in page.text
    assert {p["path"] for p in found["models"][0]["least_sure"]} <= set(paths)
    assert found["data"]["counts"] == {classes[0]: 30, classes[1]: 30}


def test_with_one_class_the_page_says_what_is_undefined(results, tmp_path):
    data = results[0].dataset
    cats = data.images[data.Y[0] == 1]
    images = np.concatenate([cats, cats[:5, :, ::-1]])
    only = Dataset(images, np.ones((1, len(images)), int), data.classes, "cats")
    one = evaluate_dataset(results[0].model, only, name="m", path="m.npz")
    text, found = written([one, replace(one, name="n")], tmp_path / "report")
    assert "hold no non-cat: there is no ROC curve" in text
    assert not any(words.startswith("ROC") for words in Page(text).values("aria-label"))
    assert found["models"][0]["curves"]["ranking"] is None
    assert found["models"][0]["roc_auc"] is None
    assert found["data"]["near_copies"] == 5


@pytest.mark.parametrize(
    "past",
    [
        {},
        {"training": {"correct": 3, "n": 0}, "cross_validation": {"n": "4"}, "x": float("nan")},
        {"training": {"correct": True, "n": 2}, "data": {"counts": 7, "sha256": ["y"]}},
    ],
)
def test_a_model_file_may_say_anything_of_its_past(results, tmp_path, past):
    changed = replace(results[0], model=replace(results[0].model, provenance=Provenance(past)))
    text, found = written([changed], tmp_path / "report")
    assert "Model first" in Page(text).text
    m = len(results[0].dataset)
    assert f"first was trained on {m} of these {m} images, or on near-identical ones" in text
    assert found["models"][0]["trained_on_these_images"] == m


# report.json


def test_the_json_holds_the_figures_and_the_curves(results, tmp_path):
    page, found = written(results, tmp_path / "report")
    assert written(results, tmp_path / "again") == (page, found)
    assert [m["model"] for m in found["models"]] == ["first", "second"]
    assert (found["data"]["n"], found["data"]["near_copies"]) == (60, 0)
    for one, result in zip(found["models"], results, strict=True):
        figures = json.loads(json.dumps(figures_as_json(result)))
        assert {key: one[key] for key in figures} == figures
        ranked = one["curves"]["ranking"]
        x, y = [0, *ranked["false_positive_rate"]], [0, *ranked["recall"]]
        assert np.trapezoid(y, x) == pytest.approx(figures["roc_auc"])
        assert ranked["probability"] == sorted(result.A[0], reverse=True)
        Y, A, label = result.dataset.Y[0], result.A[0], result.dataset.label
        wrong = [i for i in range(len(Y)) if (A[i] > 0.5) != Y[i]]
        surest = sorted(wrong, key=lambda i: -abs(A[i] - Y[i]))[:24]
        assert [w["path"] for w in one["worst"]] == [label(i) for i in surest]
        nearest = sorted(range(len(Y)), key=lambda i: abs(A[i] - 0.5))[:24]
        assert [w["path"] for w in one["least_sure"]] == [label(i) for i in nearest]
        bins = one["curves"]["reliability"]
        gaps = np.array(bins["n"]) * np.abs(np.subtract(bins["probability"], bins["share"]))
        assert gaps.sum() / figures["n"] == pytest.approx(figures["ece"])
        assert one["curves"]["coverage"]["accuracy"][-1] == pytest.approx(figures["accuracy"])
        counts = one["curves"]["histogram"]["counts"]
        assert {name: sum(c) for name, c in counts.items()} == result.dataset.counts
    (test,) = found["comparison"]
    right = [r.right[0] for r in results]
    assert test["only_model_right"] == np.sum(right[1] & ~right[0])
    assert test["only_against_right"] == np.sum(right[0] & ~right[1])
    assert (test["model"], test["against"]) == ("second", "first")
    apart = disagreements(results, 1000)
    spread = [abs(results[0].A[0, i] - results[1].A[0, i]) for i in apart]
    assert spread == sorted(spread, reverse=True)
    assert sorted(apart) == np.flatnonzero(right[0] != right[1]).tolist()


def test_many_images_make_no_larger_report(tmp_path):
    m = 10_001
    rng = np.random.default_rng(0)
    Y = rng.integers(0, 2, (1, m))
    Z = rng.normal(Y * 2.0 - 1, 1)
    images = np.broadcast_to(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8), (m, 64, 64, 3))
    data = Dataset(images, Y, ("non-cat", "cat"), "many")
    model = Model(np.zeros((12288, 1)), 0.0, data.classes, Pixels())
    result = Result("m", "m.npz", model, data, evaluate_scores(Y, Z), Z, 1 / (1 + np.exp(-Z)))
    text, found = written([result], tmp_path / "report")
    assert len(text) < 2_000_000
    assert found["data"]["near_copies"] is None
    curves = found["models"][0]["curves"]
    for points in (*curves["ranking"].values(), *curves["coverage"].values()):
        assert len(points) == 500
    assert Page(text).tags.count("li") == 48


# Where it is written


def test_a_report_is_replaced_and_nothing_else(results, tmp_path):
    folder = tmp_path / "report"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    (folder / "index.html").touch()
    report.write(results, folder)
    before = (folder / "index.html").read_text()
    report.write(results[:1], folder)
    assert (folder / "index.html").read_text() != before
    assert (folder / "notes.txt").read_text() == "mine"
    assert len(list(folder.iterdir())) == 3
    for name in ("index.html", "report.json"):
        kept = (folder / name).read_bytes()
        (folder / name).write_text("<!doctype html><title>mine</title>")
        with pytest.raises(OutputError, match=rf"{name}: .*what is there is no report"):
            report.write(results, folder)
        assert (folder / name).read_text() == "<!doctype html><title>mine</title>"
        (folder / name).write_bytes(kept)
    report.check_target(folder)
    for place in ("notes.txt", "notes.txt/below", "nul\0"):
        with pytest.raises(OutputError, match="the report cannot be written") as caught:
            report.write(results, folder / place)
        assert "\n" not in str(caught.value)
