"""The command: its output, its exit codes as a real process, and what reaches a terminal."""

import csv
import io
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from processes import catclf_here, on_a_terminal, started, unmeasured

from catclf import load_dataset, load_model
from catclf.cli.output import printable, table
from catclf.common.version import __version__

pytestmark = pytest.mark.slow

DATA_COMMANDS = ("info", "check", "convert", "draw", "fetch")
QUICK = ("--iterations", "20", "--cv", "0")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with models/catclf.npz, twelve photos, and data.h5 of 60 other drawings."""
    folder = tmp_path_factory.mktemp("trained")
    catclf_here("data", "draw", 200, "train.h5", cwd=folder)
    catclf_here("train", "train.h5", "--cv", "0", "--iterations", 500, cwd=folder)
    catclf_here("data", "draw", 60, "data.h5", "--seed", 1, cwd=folder)
    catclf_here("data", "draw", 12, "photos.h5", "--seed", 3, cwd=folder)
    catclf_here("data", "convert", "photos.h5", "photos", cwd=folder)
    return folder


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, ["predict", "--quiet", "photos"]),
        (1, ["eval", "drawn", "--model", "photos", "--fail-under", 1]),
        (2, ["predict", "--threshold", 2, "photos"]),
        (3, ["predict", "missing.png"]),
        (4, ["predict", "photos", "--model", "missing.npz"]),
    ],
)
def test_the_exit_code_is_that_of_the_process(catclf_process, class_folder, code, words):
    stderr = catclf_process(*words, code=code).stderr
    assert ("rror: " in stderr) == (code > 0)


def test_a_fault_of_its_own_is_one_line(tmp_path):
    code = (
        "import sys; sys.argv = ['catclf', 'train', 'drawn'];"
        "import catclf.data.load as d; d.load_dataset = lambda *a, **k: 1 / 0;"
        "from catclf.cli import run; run()"
    )
    with started("-c", code, cwd=tmp_path) as process:
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 70
    assert re.fullmatch(r"error: a fault in catclf itself \(ZeroDivisionError.*\n", stderr)
    with started("-c", code, cwd=tmp_path, env={**unmeasured(), "CATCLF_DEBUG": "1"}) as process:
        assert "Traceback" in process.communicate(timeout=60)[1]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["train", "none.h5"], 3, "no such file"),
        (["train", "."], 3, "holds no folders"),
        (["train", "--learning-rate", "0"], 2, "learning rate"),
        (["train", "--iterations", "many"], 2, "many"),
        (["train", "--out", "/dev/null/x"], 4, "not a folder"),
        (["train", "--out", "folder/"], 4, "names a folder"),
        (["train", ""], 3, "DATA is empty"),
        (["train", "--solver", "newton"], 2, "l2"),
        (["train", "--pool", "2"], 2, "patches"),
        (["train", "--group-by", "folder"], 2, "--auto"),
        (["train", "--auto", "--solver", "newton"], 2, "--auto sets the solver itself"),
        (["train", "drawn", "--learning-rate", "1e308", "--cv", "0"], 2, "learning rate 1e+308"),
        (["predict"], 2, "IMAGES"),
        (["predict", "--model", "m", "x.jpg"], 4, "make one with: catclf train"),
        (["predict", "--json", "--csv", "x.jpg"], 2, "one of"),
        (["eval", "--fail-under", "nan"], 2, "nan"),
        (["eval", "--model", "text.npz"], 4, "error: text.npz: text, not a catclf model"),
        (["unknown"], 2, "unknown"),
    ],
)
def test_errors_end_with_their_code_and_write_nothing(catclf, tmp_path, words, code, message):
    (tmp_path / "text.npz").write_text("not a model")
    done = catclf(*words, code=code)
    assert message in done.stderr
    assert done.stdout == ""
    assert os.listdir(tmp_path) == ["text.npz"]


def test_version_and_help(catclf):
    assert catclf("--version").stdout == f"catclf {__version__}\n"
    data = [["data"], *(["data", name] for name in DATA_COMMANDS)]
    for words in ([], ["train"], ["predict"], ["eval"], ["show"], ["export"], *data):
        text = catclf(*words, "-h").stdout
        assert text == catclf(*words, "--help").stdout
        assert len(text.splitlines()) <= 40
        assert max(map(len, text.splitlines())) <= 80
        assert "catclf" in text


# The famous run


def test_the_famous_run_through_the_command(catclf, shared, tmp_path):
    course = shared / "datasets/course"
    found = json.loads(catclf("train", course / "train_catvnoncat.h5", "--json").stdout)
    published = (
        "0.693147 0.584508 0.466949 0.376007 0.331463 0.303273 0.279880 0.260042 0.242941 0.228004 "
        "0.214820 0.203078 0.192544 0.183033 0.174399 0.166521 0.159305 0.152667 0.146542 0.140872"
    )
    assert [f"{J:.6f}" for _, J in found["cost"]] == published.split()
    assert (found["m"], found["n_x"]) == (209, 12288)
    assert found["train_accuracy"] == pytest.approx(0.9904306220095694, abs=1e-15)
    assert 0.55 < found["cv_accuracy"] < found["majority"] == 137 / 209
    figures = json.loads(catclf("eval", course / "test_catvnoncat.h5", "--json").stdout)
    assert figures["accuracy"] == 0.7
    assert figures["majority"] == 0.66
    text = catclf("train", course / "train_catvnoncat.h5").stdout
    assert all(J in text for J in [*published.split(), "99.04%"])
    assert 'Do not trust this model with photos: no better than always "non-cat".' in text
    assert f"Next: catclf train {course}/train_catvnoncat.h5 --auto\n" in text
    assert "already: catclf predict --model photos img.jpg\n" in text
    assert "smaller --learning-rate" not in text


# train


def test_train_says_what_it_did_and_what_to_type_next(catclf, tmp_path):
    first = catclf("train", "--learning-rate", 5, "--iterations", 150, "--cv", 0)
    assert "no datasets/train_catvnoncat.h5: using 600 drawings" in first.stderr
    assert f"wrote {tmp_path}/models/drawn.npz" in first.stdout
    assert "Next: catclf eval\n" in first.stdout
    assert "replaced" not in first.stderr
    assert "with a smaller --learning-rate" in first.stdout


def test_the_out_name_is_taken_as_given_and_no_file_but_a_model_is_replaced(
    catclf, class_folder, tmp_path
):
    words = ("train", "photos", *QUICK, "--out", "my model")
    done = catclf(*words)
    assert "Next: catclf train photos --out 'my model' --auto" in done.stdout
    before = (tmp_path / "my model").read_bytes()
    assert "replaced the model that was at my model" in catclf(*words).stderr
    assert (tmp_path / "my model").read_bytes() == before  # the same command, the same bytes
    assert sorted(os.listdir(tmp_path)) == ["my model", "photos"]
    photo = next((class_folder / "dogs").iterdir())
    done = catclf("train", "photos", *QUICK, "--out", photo, code=4)
    assert "is no model; name another file" in done.stderr


def test_training_on_a_folder_names_its_classes(catclf, class_folder):
    (class_folder / "dogs" / "bad.jpg").write_bytes(b"\xff\xd8\xff\xe0 short")
    done = catclf("train", class_folder, "--iterations", 20, "--cv", 7)
    assert "cat: Cats (6)" in done.stderr
    assert "non-cat: dogs (6)" in done.stderr
    assert f"skipped {class_folder}/dogs/bad.jpg" in done.stderr
    assert "6 folds, not 7" in done.stdout
    assert "6-fold CV" in done.stdout


def test_quiet_leaves_stderr_empty(catclf, trained):
    assert catclf("train", "photos", "-q", *QUICK, "--out", "m.npz", cwd=trained).stderr == ""
    assert catclf("eval", "photos", "--quiet", cwd=trained).stderr == ""
    assert catclf("predict", "-q", "photos", cwd=trained).stderr == ""


def test_several_data_sets_are_joined_and_few_images_told_of(catclf, trained, class_folder):
    done = catclf("train", class_folder, trained / "train.h5", *QUICK, "--json")
    assert json.loads(done.stdout)["m"] == 212
    for photo in sorted((class_folder / "Cats").iterdir())[1:]:
        photo.unlink()
    assert "No cross-validation" in catclf("train", class_folder, "--iterations", 5).stdout
    assert "two examples" in catclf("train", class_folder, "--auto", code=3).stderr


def test_auto_prints_what_it_tried_and_names_the_winner(catclf, class_folder):
    done = catclf("train", class_folder, "--auto", "--cv", 3)
    assert "* the lowest log loss on left-out folds: " in done.stdout
    assert done.stdout.count(" conv, l2 ") == 11
    for name in ("pixels", "patches"):
        left_out = done.stdout.count(f" {name}, l2 ") == 1
        assert left_out == bool(re.search(rf" {name}, l2 \S+, left out ", done.stdout))
    assert re.search(r"about \d+ s to go", done.stderr)


# eval


def test_eval_prints_every_figure(catclf, trained):
    done = catclf("eval", "data.h5", "--json", "--errors", 2, cwd=trained)
    found = json.loads(done.stdout)
    (tn, fp), (fn, tp) = found["confusion"]
    assert found["n"] == tn + fp + fn + tp == 60
    assert found["accuracy"] == (tn + tp) / 60
    first, second = (abs(error["probability"] - 0.5) for error in found["errors"])
    assert first >= second
    text = catclf("eval", "data.h5", "--errors", 2, cwd=trained).stdout
    for word in ("accuracy", "ROC-AUC", "called cat", "worst mistakes", "95% interval"):
        assert word in text
    catclf("eval", "data.h5", "--fail-under", found["accuracy"], cwd=trained)
    gate = found["accuracy"] + 0.001
    assert "is below" in catclf("eval", "data.h5", "--fail-under", gate, cwd=trained, code=1).stderr


# predict


def test_a_pipe_gets_a_tab_separated_line_an_image(catclf, trained):
    done = catclf("predict", "photos", cwd=trained)
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert len(rows) == 12
    assert all((trained / path).is_file() for path, _, _ in rows)
    model, doubt, counts = done.stderr.splitlines()
    assert model == "model: models/catclf.npz"
    assert doubt == "do not trust it with photos: no cross-validation; try --model photos"
    cats = sum(label == "cat" for _, label, _ in rows)
    assert re.fullmatch(
        rf"12 images in \d+\.\d s: {cats} cat, {12 - cats} non-cat, 0 unsure, 0 unreadable", counts
    )


def test_json_csv_and_python_say_the_same(catclf, trained):
    lines = catclf("predict", "--json", "photos", cwd=trained).stdout.splitlines()
    objects = [json.loads(line) for line in lines]
    assert all(list(found) == ["path", "label", "probability", "trusted"] for found in objects)
    assert not any(found.pop("trusted") for found in objects)
    text = catclf("predict", "--csv", "photos", cwd=trained).stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [{**row, "probability": float(row["probability"])} for row in rows] == objects
    model = load_model(trained / "models" / "catclf.npz")
    A = model.probabilities(load_dataset(trained / "photos").images)[0]
    np.testing.assert_allclose([found["probability"] for found in objects], A, rtol=1e-9)


def test_stdin_is_read_as_an_image(catclf, trained):
    good = next((trained / "photos").rglob("*.png"))
    named = catclf("predict", good, cwd=trained).stdout.split("\t")[1:]
    piped = catclf("predict", "-", cwd=trained, input=good.read_bytes()).stdout.decode()
    assert piped.split("\t") == ["-", *named]


def test_patterns_in_quotes_are_expanded_by_every_command(catclf, trained, tmp_path):
    done = catclf("predict", "photos/cat/*.png", "none/*", "http://a/?b", cwd=trained, code=3)
    assert done.stdout == catclf("predict", "photos/cat", cwd=trained).stdout
    lines = done.stderr.splitlines()[2:]
    assert lines[0] == "error: none/*: no file matches"
    assert lines[2].startswith("6 images in ")
    assert lines[1].startswith(
        "error: http://a/?b: nothing is fetched; for an image: curl -s -L 'http"
    )
    catclf(
        "predict", "photos/cat/*[02468].png", "--explain", tmp_path / "a.png", cwd=trained, code=2
    )
    one = next((trained / "photos" / "cat").iterdir()).stem
    catclf("predict", f"photos/cat/{one}*", "--explain", tmp_path / "a.png", cwd=trained)
    for words in (
        ["train", *QUICK, "--out", tmp_path / "m.npz"],
        ["eval"],
        ["data", "info"],
        ["data", "check"],
        ["lesson", "--section", 1],
    ):
        assert "cat: cat (" in catclf(*words, "phot*s", cwd=trained).stderr
        for word, message in (("none*", "no file matches"), ("https://a/b.h5", "curl -LO https:")):
            assert message in catclf(*words, word, cwd=trained, code=3).stderr
    catclf("data", "convert", "phot*s", tmp_path / "a.h5", cwd=trained)
    done = catclf("data", "convert", "photos/*", tmp_path / "a.h5", cwd=trained, code=2)
    assert "2 files match FROM" in done.stderr


def test_several_classes_are_cats_for_every_command(catclf, class_folder, trained):
    (class_folder / "Cats").rename(class_folder / "tabby")
    (class_folder / "siamese").mkdir()
    next((class_folder / "tabby").iterdir()).rename(class_folder / "siamese" / "1.png")
    option = ("--cat-class", "tabby", "--cat-class", "siamese")
    model = ("--model", trained / "models" / "catclf.npz")
    for words in (
        ["train", *QUICK],
        ["eval", *model],
        ["data", "info"],
        ["data", "check"],
        ["lesson", "--section", 1],
    ):
        done = catclf(*words, class_folder, *option)
        assert "cat: siamese (1)\ncat: tabby (5)\nnon-cat: dogs (6)\n" in done.stderr
        assert (
            "'lynx'" in catclf(*words, class_folder, *option, "--cat-class", "lynx", code=3).stderr
        )
    catclf("data", "convert", class_folder, "a.h5", *option)
    assert json.loads(catclf("data", "info", "a.h5", "--json").stdout)["counts"]["cat"] == 6


def test_the_threshold_and_the_band_move_the_label(catclf, trained):
    done = catclf("predict", "--threshold", 0, "photos", cwd=trained)
    assert done.stdout.count("\tcat\t") == 12
    lines = catclf("predict", "--unsure", 0.9, "photos", cwd=trained).stdout.splitlines()
    rows = [line.split("\t") for line in lines]
    for _, label, p in rows:
        expected = "unsure" if 0.1 <= float(p) <= 0.9 else "cat" if float(p) > 0.5 else "non-cat"
        assert label == expected
    assert len({label for _, label, _ in rows}) > 1


# Streams that are closed or full, readers that leave


def shell(command, folder, code):
    """Run a shell command in which catclf stands for the command itself."""
    command = command.replace("catclf", f"{sys.executable} -m catclf")
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done
    assert "Traceback" not in done.stderr
    return done


def test_a_reader_that_leaves_ends_it_quietly_but_does_not_open_the_gate(trained):
    many = " ".join(["photos"] * 200)
    done = shell(f"catclf predict -q {many} | head -1; exit ${{PIPESTATUS[0]}}", trained, 0)
    assert (done.stderr, done.stdout.count("\n")) == ("", 1)
    gate = "catclf eval data.h5 --errors 500 --fail-under 0.99"
    shell(f"{gate} | head -1; exit ${{PIPESTATUS[0]}}", trained, 1)
    shell(f"{gate} --json | true; exit ${{PIPESTATUS[0]}}", trained, 1)
    shell("catclf predict none.jpg | true; exit ${PIPESTATUS[0]}", trained, 3)
    shell("catclf show photos | true; exit ${PIPESTATUS[0]}", trained, 0)


def test_closed_and_full_streams(trained):
    assert shell("catclf predict photos 2>&-", trained, 0).stdout.count("\n") == 12
    shell("catclf predict none.jpg 2>/dev/full", trained, 3)
    shell("catclf predict photos >&-", trained, 0)
    assert "stdin is closed" in shell("catclf predict - <&-", trained, 3).stderr
    done = shell("catclf predict photos >/dev/full", trained, 3)
    assert "the output cannot be written (No space left on device)" in done.stderr


# What reaches a terminal

HOSTILE = [
    "[red]x[/red].png",
    "[/red].png",
    "\x1b[31mred\x1b[0m.png",
    "new\nline.png",
    "tab\tbed.png",
    "bidi\u202egnp.png",
    "c1\x9bx.png",
    "bytes\udcff.png",
    "=1+1.png",
    "ünïcode 猫.png",
]


def test_hostile_names_are_printed_as_text(catclf, trained, tmp_path):
    image = next((trained / "photos").rglob("*.png")).read_bytes()
    folder = tmp_path / "hostile"
    for name in HOSTILE:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(image)
    lines = catclf("predict", folder, cwd=trained).stdout.splitlines()
    assert len(lines) == len(HOSTILE)
    assert all(line.count("\t") == 2 for line in lines)
    names = {line.split("\t")[0].removeprefix(f"{folder}/") for line in lines}
    assert names == {printable(name) for name in HOSTILE}
    assert names > {"[red]x[/red].png", "=1+1.png", "ünïcode 猫.png", r"\x1b[31mred\x1b[0m.png"}
    lines = catclf("predict", "--json", folder, cwd=trained).stdout.splitlines()
    assert {json.loads(line)["path"].removeprefix(f"{folder}/") for line in lines} == set(HOSTILE)

    code, text = on_a_terminal("predict", folder, cwd=trained, COLUMNS=200, NO_COLOR=1)
    assert code == 0
    assert all(printable(name) in text for name in HOSTILE)
    assert not any(code in text for code in ("\x1b[31m", "\u202e", "\x9b"))


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (
            "train train.h5 --features conv --iterations 30000 --cv 0 --out conv.npz",
            r"training.*photos \d+/s.*cost 0\.\d+ \d+/s",
        ),
        ("predict many --csv", r"predicting .*photos \d+/s +(\d\d:\d\d|--:--)"),
        ("eval many --model photos", r"reading .*photos \d+/s"),
    ],
)
def test_a_terminal_gets_a_bar_while_results_go_to_a_file(trained, tmp_path, words, shown):
    many = trained / "many"
    for photo in (trained / "photos").rglob("*.png") if not many.exists() else ():
        for i in range(30):
            copy = many / photo.parent.name / f"{i}-{photo.name}"
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.hardlink_to(photo)
    results = tmp_path / "results"
    code, text = on_a_terminal(*words.split(), cwd=trained, bars=True, stdout=results, NO_COLOR=1)
    assert code == 0
    assert re.search(shown, text, re.DOTALL)
    assert results.read_text()
    assert "\x1b" not in results.read_text()
    code, text = on_a_terminal(*words.split(), "-q", cwd=trained, bars=True, stdout=results)
    assert (code, text) == (0, "")


def test_what_takes_less_than_two_seconds_has_no_bar(trained, tmp_path):
    code, text = on_a_terminal("predict", "photos", cwd=trained, stdout=tmp_path / "results")
    assert code == 0
    assert "\x1b" not in text
    assert re.search(r"^12 images in .* 0 unreadable$", text, re.MULTILINE)


@pytest.mark.parametrize("columns", [40, 80])
def test_no_colour_where_none_is_wanted_and_nothing_too_wide(trained, columns):
    words = ("eval", "data.h5", "-q")
    code, text = on_a_terminal(*words, cwd=trained, COLUMNS=columns, NO_COLOR=1)
    assert code == 0
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", text)
    assert max(len(line) for line in re.sub(r"\x1b\[[0-9;?]*\w", "", text).splitlines()) <= columns


def test_names_outside_the_encoding_are_escaped(catclf_process, trained, tmp_path):
    image = next((trained / "photos").rglob("*.png"))
    (tmp_path / "猫.png").write_bytes(image.read_bytes())
    env = {"PYTHONIOENCODING": "ascii"}
    done = catclf_process("predict", tmp_path / "猫.png", cwd=trained, env=env)
    assert r"\u732b.png" in done.stdout
    catclf_process("eval", "data.h5", cwd=trained, env=env)


OWN_CHARACTERS = [
    ("data", "check", "data.h5"),
    ("data", "info", "data.h5"),
    ("eval", "data.h5"),
    ("show",),
    ("lesson", "data.h5", "--all"),
    ("data", "convert", "--help"),
    ("eval", "--help"),
    ("predict", "nothing.jpg"),
]


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437", "C"])
def test_catclfs_own_characters_are_plain_where_the_encoding_lacks_them(
    catclf_process, trained, encoding
):
    """Rules, arrows, signs and Greek letters: none is escaped, and no line grows too wide."""
    env = {"PYTHONIOENCODING": encoding, "COLUMNS": "80"}
    if encoding == "C":
        env = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "COLUMNS": "80"}
    for words in OWN_CHARACTERS:
        expected = 3 if "nothing.jpg" in words else 0
        done = catclf_process(*words, cwd=trained, env=env, code=expected, input=b"")
        text = (done.stdout + done.stderr).decode("ascii" if encoding == "C" else encoding)
        assert not re.search(r"\\[ux][0-9a-f]{2}", text), words
        if "lesson" in words:
            assert ("yhat" in text, "sigma" in text) == (True, encoding != "cp437")
            assert max(map(len, text.splitlines())) <= 80
        if "eval" in words and "--help" not in words:
            assert ("-" * 20 in text) is (encoding != "cp437")


def test_a_terminal_gets_each_line_as_it_comes(trained, class_folder):
    code, text = on_a_terminal("predict", "-q", class_folder, cwd=trained, COLUMNS=40)
    head, rule, *lines = text.splitlines()
    assert (code, head) == (0, " label     P(cat)   image")
    assert rule == "─" * (len(head) + 1)
    found = [re.fullmatch(r" (cat|non-cat) +(0\.\d{4})   (.*\.png)", line) for line in lines]
    assert len(found) == 12
    assert [match[3] for match in found] == sorted(match[3] for match in found)
    (class_folder / "dogs" / "zz.png").write_bytes(b"\x89PNG")
    code, text = on_a_terminal("predict", "-q", class_folder / "dogs" / "zz.png", cwd=trained)
    assert (code, text.count("\n")) == (3, 1)  # no head over nothing


TABLES = [
    (["on 209 images", "accuracy"], [["training", "99.04%"], ['always "non-cat"', "65.55%"]]),
    (["photo", "is"], [["a/path/that/goes/" + "on/and/" * 20 + "on.jpg", "cat"], ["b", "non-cat"]]),
    (["photo", "is"], [["猫" * 45 + ".jpg", "cat"], ["e\u0301.jpg", "cat"]]),
    (["several words in its head", ""], [["some words, " * 9 + "x" * 99 + " and more", "1"]]),
    (["none", "at all"], []),
]


@pytest.mark.parametrize("columns", [40, 80, 200])
@pytest.mark.parametrize("content", TABLES, ids=lambda content: content[0][0] or "no name")
def test_a_table_is_as_rich_draws_it(content, columns, monkeypatch):
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, show_edge=False)
    for i, column in enumerate(content[0]):
        how = {"justify": "right", "no_wrap": True} if i else {"overflow": "fold"}
        drawn.add_column(Text(column), **how)
    for row in content[1]:
        drawn.add_row(*map(Text, row))
    file = io.StringIO()
    Console(file=file, width=columns).print(drawn)
    monkeypatch.setenv("COLUMNS", str(columns))
    assert table(*content) + "\n" == file.getvalue()
