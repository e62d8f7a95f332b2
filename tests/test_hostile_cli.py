"""Hostile files and names through the command: one line each, and the rest go on."""

import csv
import io
import json
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
from PIL import Image

from catclf.cli import output
from catclf.data.drawn import draw

FORMULAS = ["=1+1.png", "+1.png", "-1.png", "@sum.png", "\tx.png", "\rx.png"]
NAMES = [*FORMULAS, "a=1.png", "a\nb.png", "b\udcff.png"]


@pytest.fixture
def zoo(tmp_path):
    """A folder of every kind of bad entry, and two good images, the first and the last of it."""
    folder = tmp_path / "zoo"
    folder.mkdir()
    good = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(good, "PNG")
    data = good.getvalue()
    for name in ("a.png", "z.png"):
        (folder / name).write_bytes(data)
    jpeg = io.BytesIO()
    Image.fromarray(draw(1)[0][0]).save(jpeg, "JPEG")
    (folder / "cut.jpg").write_bytes(jpeg.getvalue()[:-300])
    (folder / "cut.png").write_bytes(data[:-30])
    (folder / "empty.jpg").touch()
    (folder / "eps.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    (folder / "text.jpg").write_text("hello")
    (folder / "link.png").symlink_to("a.png")
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "nowhere.png").symlink_to("missing")
    (folder / "etc").symlink_to("/etc")
    os.mkfifo(folder / "fifo.png")
    os.truncate(os.open(folder / "large.png", os.O_CREAT | os.O_WRONLY), 2**27)
    (folder / ".hidden.png").write_bytes(data)
    (folder / "[red]\x1b[31m.png").write_bytes(data[:-30])
    return folder


def test_a_folder_of_bad_files_costs_none_of_the_good_ones(catclf, zoo):
    done = catclf("predict", "--json", zoo, code=3)
    found = {os.path.basename(p["path"]): p for p in map(json.loads, done.stdout.splitlines())}
    assert {name for name, p in found.items() if "label" in p} == {"a.png", "z.png", "link.png"}
    bad = {name for name, p in found.items() if "error" in p}
    named_as_images = {"empty.jpg", "text.jpg", "eps.jpg", "loop.png", "nowhere.png", "fifo.png"}
    assert bad == {"cut.jpg", "cut.png", "large.png", "[red]\x1b[31m.png"} | named_as_images
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == len(bad) == len(done.stderr.splitlines()) - 2  # the model's name, the sum
    assert done.stderr.endswith(": 0 cat, 3 non-cat, 0 unsure, 10 unreadable\n")
    assert "\x1b" not in done.stderr

    # Each named by itself gets its line.
    names = sorted(os.listdir(zoo))
    devices = ["/dev/null", "/dev/zero"]
    done = catclf("predict", "-q", *(zoo / name for name in names), *devices, code=3)
    refused = set(names) - {"a.png", "z.png", "link.png", ".hidden.png", "etc"}
    lines = done.stderr.splitlines()
    assert [line for line in lines if not line.startswith("error: ")] == []
    for name in refused | set(devices):
        assert sum(f"{output.printable(name)}: " in line for line in lines) == 1, name


def test_a_photo_of_a_class_that_cannot_be_read_is_named(catclf, class_folder):
    (class_folder / "Cats" / "phone.heic").write_text("no image")
    (class_folder / "Cats" / "gone.jpg").symlink_to("nowhere")
    done = catclf("eval", class_folder, "--model", "photos")
    assert "phone.heic" in done.stderr
    assert "gone.jpg: no such file" in done.stderr


def test_stdin_without_end_is_not_read_to_its_end(catclf_process):
    with open("/dev/zero", "rb") as endless:
        done = catclf_process("predict", "-q", "--max-file-size", "0.5", "-", code=3, stdin=endless)
    assert done.stderr == "error: -: more than 0.5 MiB; see --max-file-size\n"


def test_the_largest_file_is_a_size_and_holds_for_folders_of_classes(catclf, class_folder):
    for size in ("0", "nan", "1e9"):
        for words in (["predict", "x.png"], ["eval", "drawn"], ["train", "drawn"]):
            assert "--max-file-size" in catclf(*words, "--max-file-size", size, code=2).stderr
    done = catclf("eval", class_folder, "--max-file-size", "0.000001", code=3)
    assert "no image that can be read" in done.stderr
    catclf("eval", class_folder, "--max-file-size", "1")


def test_csv_and_json_are_sound_whatever_the_names(catclf, tmp_path):
    folder = tmp_path / "names"
    folder.mkdir()
    for name in NAMES:
        Image.new("RGB", (64, 64)).save(folder / "x.png")
        (folder / "x.png").rename(folder / name)
    done = catclf("predict", "-q", "--csv", "--", *sorted(NAMES), cwd=folder)
    rows = list(csv.reader(io.StringIO(done.stdout, newline="")))
    assert rows[0] == ["path", "label", "probability"]
    cells = [row[0] for row in rows[1:]]
    assert len(cells) == len(NAMES)
    assert {len(row) for row in rows} == {3}
    assert not any(cell.startswith(tuple("=+-@\t\r")) for cell in cells)
    assert {*cells} == {
        ("'" if name in FORMULAS else "") + output.printable(name) for name in NAMES
    }
    done = catclf("predict", "-q", "--json", folder)
    for line in done.stdout.splitlines():
        json.loads(line, parse_constant=pytest.fail)


def test_json_has_no_numbers_that_json_does_not_know():
    nan, inf = float("nan"), float("inf")
    text = output.to_json({"a": nan, "b": [1.5, inf, {"c": (-inf, "NaN")}], "d": None, "e": 1})
    found = json.loads(text, parse_constant=pytest.fail)
    assert found == {"a": None, "b": [1.5, None, {"c": [None, "NaN"]}], "d": None, "e": 1}


def test_an_hdf5_bomb_is_trusted_on_request(catclf, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        x = np.zeros((400, 64, 64, 3), np.uint8)
        file.create_dataset("test_set_x", data=x, compression=9, chunks=x.shape)
        file["test_set_y"] = np.arange(400, dtype=np.uint8) % 2
    assert "--trust" in catclf("eval", "a.h5", code=3).stderr
    assert "--trust" in catclf("train", "a.h5", code=3).stderr
    catclf("eval", "a.h5", "--trust")


WATCH = """
import os, sys
seen = []
def watch(event, arguments):
    if event == "open" and arguments[0] is not None:
        seen.append(os.fsdecode(arguments[0]) if not isinstance(arguments[0], int) else "")
    elif event.split(".")[0] in ("subprocess", "socket") or event in (
        "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system"
    ):
        print("EVENT", event, arguments)
import catclf.cli.app
sys.addaudithook(watch)
try:
    catclf.cli.main()
finally:
    for name in seen:
        if name.startswith(sys.argv[-1]) or name.startswith(("/etc", "/proc", "/dev")):
            print("OPENED", name)
"""


def test_no_process_is_started_and_no_other_file_read(zoo, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["train_set_x"], file["train_set_y"] = draw(6, seed=5)
    for words in (["predict", zoo], ["eval", "-q", tmp_path / "a.h5"]):
        done = subprocess.run(
            [sys.executable, "-c", WATCH, *map(str, words)],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            cwd=tmp_path,
        )
        assert "EVENT" not in done.stdout
        opened = {line.split(" ", 1)[1] for line in done.stdout.splitlines() if "OPENED" in line}
        assert opened
        assert all(os.path.realpath(name).startswith(str(tmp_path)) for name in opened), opened
        assert not [name for name in opened if "fifo" in name or ".hidden" in name]
