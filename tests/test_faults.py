"""Whatever file operation fails: an orderly end, and every file the old one or the new one."""

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest
from faults import Faults
from PIL import Image

from catclf import files
from catclf.cli import interruption, main, output
from catclf.drawings import draw
from catclf.model import load_model

CODES = [errno.ENOSPC, errno.EIO, errno.EACCES]
WELL, DATA, MODEL = 0, 3, 4


@pytest.fixture
def catclf(monkeypatch, capsys):
    """Run the command in this process; give its exit code, stdout and stderr."""
    monkeypatch.setattr(interruption, "install", lambda: None)
    monkeypatch.setattr(output, "abandon_stdout", lambda: None)  # pytest holds it

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["catclf", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        return end.value.code or 0, said.out, said.err

    return run


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a small data set and two photos, to work in."""
    monkeypatch.chdir(tmp_path)
    images, labels = draw(8, seed=4)
    with h5py.File("data.h5", "w") as file:
        file["train_set_x"], file["train_set_y"] = images, labels
    Path("photos").mkdir()
    for i in range(2):
        Image.fromarray(np.ascontiguousarray(images[i])).save(f"photos/{i}.png")
    return tmp_path


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def put_back(folder: Path, before: dict[str, bytes]) -> None:
    for name in set(tree(folder)) - set(before):
        (folder / name).unlink()
    for name, content in before.items():
        (folder / name).write_bytes(content)


def fail_every_operation(catclf, place: Path, words: list[object], code: int) -> int:
    """Run a command again and again, the k-th file operation failing; give how often it went well.

    Each run ends with a code that is documented, and says in one line why if it is not 0. What it
    writes is afterwards as it was, or as a run without a fault leaves it; a temporary file is left
    only where removing it is what failed, and goes with the next run.
    """
    before = tree(place)
    assert catclf(*words)[0] == WELL
    after = tree(place)
    assert after != before or "predict" in words
    well = 0
    for k in range(1, 1000):
        put_back(place, before)
        faults = Faults(place, k, code)
        with faults.at_work():
            ended, _, stderr = catclf(*words)
        if len(faults.log) < k:
            break
        failed = faults.log[k - 1]
        told = (k, failed, ended, stderr)
        assert ended in (WELL, DATA, MODEL), told
        errors = [line for line in stderr.splitlines() if line.startswith("error: ")]
        assert len(errors) == (ended != WELL), told
        assert errors == stderr.splitlines(), told
        found = tree(place)
        left = {name for name in found if Path(name).name.startswith(".catclf-")}
        assert not left or failed.startswith("unlink"), told
        kept = {name for name in found if name.endswith(".checkpoint")}
        assert not kept or ended == MODEL or failed.startswith("unlink"), told
        whole = {name: found[name] for name in set(found) - left - kept}
        assert whole == (after if ended == WELL else before), told
        well += ended == WELL
        if left or kept:
            assert catclf(*words, *["--resume"] * bool(kept))[0] == WELL
            assert tree(place) == after, told
    assert k > 5, "nothing was counted"
    return well


TRAIN = ["train", "data.h5", "--quiet", "--iterations", 3, "--cv", 2, "--out", "m.npz"]


@pytest.mark.parametrize("code", CODES)
def test_train_over_an_old_model(catclf, place, code):
    assert catclf(*TRAIN, "--l2", 0.1)[0] == WELL
    assert load_model("m.npz").provenance["solver"]["l2"] == 0.1
    fail_every_operation(catclf, place, TRAIN, code)


def test_train_in_a_folder_that_is_to_be_made(catclf, place):
    fail_every_operation(catclf, place, [*TRAIN[:-1], "a/b/m.npz"], errno.ENOSPC)


def test_train_with_checkpoints_does_not_fail_for_them(catclf, place):
    well = fail_every_operation(catclf, place, [*TRAIN, "--checkpoint-every", 1e-9], errno.ENOSPC)
    assert well >= 3 * 5  # each of three is made, locked, written, synced and renamed


@pytest.mark.parametrize("code", CODES)
def test_predict(catclf, place, code):
    catclf(*TRAIN)
    fail_every_operation(catclf, place, ["predict", "-q", "-m", "m.npz", "photos"], code)


@contextmanager
def bare(path: Path | str) -> Iterator[object]:
    with open(path, "wb") as file:
        yield file


def test_a_bare_save_would_be_noticed(catclf, place, monkeypatch):
    catclf(*TRAIN, "--l2", 0.1)
    monkeypatch.setattr(files, "replacing", bare)
    with pytest.raises(AssertionError, match=r"m\.npz"):
        fail_every_operation(catclf, place, TRAIN, errno.ENOSPC)
