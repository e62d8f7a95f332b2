"""What each command loads, for that is what its start takes; and how a process ends."""

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from catclf.data.drawn import draw

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
LARGE = {"numpy", "PIL", "h5py", "rich"}
COMMANDS = ["train", "predict", "eval", "show", "lesson", "data"]


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
    """Twenty drawings as an HDF5 file and as JPEGs, and a model."""
    path = tmp_path_factory.mktemp("startup")
    images, labels = draw(20)
    with h5py.File(path / "data.h5", "w") as file:
        file["train_set_x"], file["train_set_y"] = images, labels
    (path / "photos").mkdir()
    for i, image in enumerate(images):
        Image.fromarray(np.ascontiguousarray(image)).save(path / "photos" / f"{i:02}.jpg")
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


def test_a_run_loads_its_own_command_alone(folder):
    found = loaded(folder, "show", "photos", "--json")
    commands = {f"catclf.cli.{name}" for name in COMMANDS}
    assert found & commands == {"catclf.cli.show"}


@pytest.mark.parametrize("what", ["one.jpg", "photos"])
def test_predict_loads_what_a_jpeg_needs(folder, what):
    found = loaded(folder, "predict", what)
    assert {"numpy", "PIL.JpegImagePlugin"} <= found
    for name in ("h5py", "rich", "numpy.ma", "catclf.solvers"):
        assert name not in found
    assert ("concurrent.futures" in found) == (what == "photos")
    readers = {name for name in found if name.endswith("ImagePlugin") and name.startswith("PIL.")}
    assert readers == {"PIL.JpegImagePlugin"}


def test_training_from_hdf5_loads_no_pillow(folder):
    found = loaded(folder, "train", "data.h5", "--cv", 0, "--iterations", 10, "--out", "m.npz")
    assert {"numpy", "h5py"} <= found
    for name in ("PIL", "rich", "numpy.ma", "catclf.tuning", "catclf.lesson"):
        assert name not in found


def test_training_from_a_folder_loads_no_h5py(class_folder, tmp_path):
    found = loaded(tmp_path, "train", class_folder, "--cv", 0, "--iterations", 10)
    assert "PIL" in found
    assert found & {"h5py", "rich", "numpy.ma"} == set()


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
