"""What each command loads, for that is what its start takes; and how a process ends."""

import json
import re
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from catclf.data.drawn import draw

pytestmark = pytest.mark.slow

LOADED = """
import json, sys
sys.argv = ["catclf", *sys.argv[1:]]
from catclf.cli import main
code = 0
try:
    main()
except SystemExit as end:
    code = end.code
sys.stdout.flush()
print("\\n" + json.dumps([code, sorted(sys.modules)]))
"""
LARGE = {"numpy", "PIL", "h5py", "onnx", "rich"}
COMMANDS = ["train", "predict", "eval", "show", "export", "lesson", "data"]


def loaded(folder, *words):
    """Run a command, and name all modules that it loads."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *map(str, words)],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
    )
    code, names = json.loads(done.stdout.splitlines()[-1])
    assert code in (0, None), done.stderr
    return set(names)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twenty drawings as an HDF5 file, as JPEGs and as JPEGs by class."""
    path = tmp_path_factory.mktemp("startup")
    images, labels = draw(20)
    with h5py.File(path / "data.h5", "w") as file:
        file["train_set_x"], file["train_set_y"] = images, labels
    for name in ("photos", "classes/cat", "classes/other"):
        (path / name).mkdir(parents=True)
    for i, image in enumerate(images):
        for name in ("photos", "classes/cat" if labels[i] else "classes/other"):
            Image.fromarray(np.ascontiguousarray(image)).save(path / name / f"{i:02}.jpg")
    (path / "one.jpg").write_bytes((path / "photos" / "00.jpg").read_bytes())
    return path


@pytest.mark.parametrize(
    "words", [["--version"], ["--help"], *([name, "--help"] for name in COMMANDS)], ids=" ".join
)
def test_help_loads_no_more_than_typer_does(tmp_path, words):
    code = "import json, sys, typer; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    typer = set(json.loads(done.stdout))
    assert "typer" in typer
    assert (loaded(tmp_path, *words) - typer) & LARGE == set()


TRAIN = ("train", "--cv", "0", "--iterations", "10", "--out", "m.npz")


@pytest.mark.parametrize(
    ("words", "needed", "not_needed"),
    [
        (["predict", "one.jpg"], "numpy PIL", "h5py rich numpy.ma concurrent.futures"),
        (
            ["predict", "photos"],
            "concurrent.futures",
            "h5py rich numpy.ma catclf.solvers",
        ),
        ([*TRAIN, "data.h5"], "numpy h5py", "PIL rich numpy.ma catclf.tuning catclf.lesson"),
        ([*TRAIN, "classes"], "numpy PIL", "h5py rich numpy.ma catclf.tuning"),
        (["show", "photos", "--json"], "numpy", "rich"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_run_loads_what_it_needs(folder, words, needed, not_needed):
    names = loaded(folder, *words)
    assert names >= set(needed.split())
    assert names & {"onnx", "onnxruntime", "distributed", *not_needed.split()} == set()
    assert names & {f"catclf.cli.{name}" for name in COMMANDS} == {f"catclf.cli.{words[0]}"}
    if words[0] == "predict":  # of Pillow's readers the one that JPEGs need
        readers = {name for name in names if re.fullmatch(r"PIL\..*ImagePlugin", name)}
        assert readers == {"PIL.JpegImagePlugin"}


def test_a_command_that_is_none_is_told_with_the_nearest(catclf):
    assert "Did you mean 'predict'?" in catclf("predit", code=2).stderr
    assert "No such command 'output'" in catclf("output", code=2).stderr  # a module of catclf.cli


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full here")
@pytest.mark.parametrize("words", [["--version"], ["--help"], ["show", "photos"]], ids=" ".join)
def test_a_full_disk_is_told_whatever_is_printed(tmp_path, words):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "catclf", *words],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            cwd=tmp_path,
        )
    assert done.returncode == 3
    assert done.stderr.startswith("error: the output cannot be written")
    assert done.stderr.count("\n") == 1
