"""Whatever file operation fails: an orderly end, and every file the old one or the new one."""

import builtins
import errno
import fcntl
import io
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from PIL import Image

from catclf import load_dataset
from catclf.cli import main, output
from catclf.common import files, interruption
from catclf.data.convert import draw_to_hdf5
from catclf.data.drawn import draw
from catclf.data.hdf5 import writer as hdf5_write
from catclf.model import load_model

pytestmark = pytest.mark.slow

WELL, DATA, MODEL = 0, 3, 4

BY_PATH = (
    "open", "stat", "lstat", "readlink", "access", "scandir", "listdir",
    "mkdir", "replace", "rename", "unlink", "remove", "rmdir",
)  # fmt: skip
BY_DESCRIPTOR = ("fstat", "write", "fsync", "ftruncate")


class Faults:
    """The file operations below a folder: counted, and one of them made to fail.

    `log` says what each was. Files are opened so that each read, write and close of the operating
    system's counts. What h5py reads, through a library in C, does not.
    """

    def __init__(self, folder: Path, k: int = 0, code: int = 0) -> None:
        self.folder, self.k, self.code = os.path.realpath(folder), k, code
        self.log: list[str] = []
        self._inside, self._readlink = os.path.abspath, os.readlink  # before they are replaced
        self._lock = threading.Lock()

    def step(self, what: str, path: object = "") -> None:
        with self._lock:
            self.log.append(f"{what} {path}".strip())
            fails = len(self.log) == self.k
        if fails:
            raise OSError(self.code, os.strerror(self.code), str(path))

    def watches(self, path: Any) -> bool:
        if not isinstance(path, str | os.PathLike):
            return False
        name = self._inside(os.fspath(path))
        return name == self.folder or name.startswith(self.folder + os.sep)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Watch what happens within the block."""
        with mock.patch.multiple(
            os,
            **{name: self._by_path(name) for name in BY_PATH},
            **{name: self._by_descriptor(os, name) for name in BY_DESCRIPTOR},
        ):
            flock = self._by_descriptor(fcntl, "flock")
            opened = self._open(builtins.open)
            with (
                mock.patch.object(fcntl, "flock", flock),
                mock.patch.object(builtins, "open", opened),
                mock.patch.object(io, "open", opened),
                mock.patch.object(os, "sync"),  # slow; it cannot fail
            ):
                yield

    def _by_path(self, name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def operation(path: Any = ".", *rest: Any, **settings: Any) -> Any:
            if self.watches(path):
                self.step(name, path)
            return real(path, *rest, **settings)

        return operation

    def _by_descriptor(self, module: Any, name: str) -> Callable[..., Any]:
        real = getattr(module, name)

        def operation(descriptor: int, *rest: Any) -> Any:
            self.step(name, self._name_of(descriptor))
            if name != "fsync":  # slow, and whether it was called is all that shows
                return real(descriptor, *rest)

        return operation

    def _name_of(self, descriptor: int) -> str:
        with suppress(OSError):  # not on Linux
            return self._readlink(f"/proc/self/fd/{descriptor}")
        return ""

    def _open(self, real: Callable[..., Any]) -> Callable[..., Any]:
        faults = self

        class Raw(io.FileIO):
            """A file whose every system call counts."""

            def write(self, data: Any) -> Any:
                faults.step("write", self.name)
                return super().write(data)

            def readinto(self, buffer: Any) -> Any:
                faults.step("read", self.name)
                return super().readinto(buffer)

            def readall(self) -> Any:
                faults.step("read", self.name)
                return super().readall()

            def close(self) -> None:
                was_open = not self.closed
                super().close()
                if was_open:
                    faults.step("close", self.name)

        def opened(path: Any, mode: str = "r", buffering: int = -1, *rest: Any, **more: Any) -> Any:
            if not faults.watches(path):
                return real(path, mode, buffering, *rest, **more)
            faults.step(f"open {mode}", path)
            raw = Raw(path, mode.replace("b", "").replace("t", ""))
            if buffering == 0:
                return raw
            kind = io.BufferedReader if mode.strip("bt") == "r" else io.BufferedWriter
            file = (io.BufferedRandom if "+" in mode else kind)(raw)
            return file if "b" in mode else io.TextIOWrapper(file, *rest, **more)

        return opened


@pytest.fixture
def catclf(monkeypatch, capsys):
    """Run the command in this process; give its exit code, stdout and stderr."""
    monkeypatch.setattr(interruption, "listen", lambda: None)
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
    draw_to_hdf5(8, tmp_path / "data.h5", seed=4)
    Path("photos").mkdir()
    for i, image in enumerate(draw(2)[0]):
        Image.fromarray(image).save(f"photos/{i}.png")
    return tmp_path


Tree = dict[str, bytes | None]


def tree(folder: Path) -> Tree:
    """Give every file's content, and None for folders."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def put_back(folder: Path, before: Tree) -> None:
    found = tree(folder)
    for name in sorted(set(found) - set(before), reverse=True):  # what is in a folder first
        path = folder / name
        path.rmdir() if found[name] is None else path.unlink()
    for name, content in before.items():
        if content is not None and found.get(name) != content:
            (folder / name).write_bytes(content)


REMOVING = re.compile(r"(open|fstat|lstat|scandir|rmdir) .*/\.catclf-\w+\.tmp|unlink .*")
"""The steps of removing a temporary folder, or a checkpoint."""


def fail_every_operation(
    catclf,
    place: Path,
    words: list[object],
    code: int,
    excused: Callable[[str], bool] = lambda failed: False,
) -> int:
    """Run a command again and again, the k-th file operation failing; give how often it went well.

    Each run ends with a code that is documented, and says in one line why if it is not 0. What it
    writes is afterwards as it was, or as a run without a fault leaves it; a temporary folder stays
    only where removing it is what failed, and goes with the next run. How far it came may be kept,
    to go on from. `excused` says of a failed operation whether what is there is right all the same.
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
        left = {name for name in found if "/.catclf-" in f"/{name}"}
        removing = REMOVING.fullmatch(failed) is not None
        assert not left or removing, told
        kept = {name for name in found if name.endswith(".checkpoint")}
        assert not kept or ended in (MODEL, DATA) or removing, told
        whole = {name: found[name] for name in set(found) - left - kept}
        if ended != WELL:  # a folder that was made for the file stays
            whole = {name: x for name, x in whole.items() if x is not None or name in before}
        assert whole == (after if ended == WELL else before) or excused(failed), told
        well += ended == WELL
        if left or kept:
            around = {str(folder) for name in left | kept for folder in Path(name).parents}
            stays = {name: found[name] for name in found if name in left | kept | around}
            put_back(place, before | stays)
            assert catclf(*words, *["--resume"] * bool(kept))[0] == WELL
            assert tree(place) == after, told
    assert k > 5, "nothing was counted"
    return well


TRAIN = ["train", "data.h5", "--quiet", "--iterations", 2, "--cv", 2, "--out", "m.npz"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES])
def test_train_over_an_old_model(catclf, place, code):
    assert catclf(*TRAIN, "--l2", 0.1)[0] == WELL
    assert load_model("m.npz").provenance.solver["l2"] == 0.1
    fail_every_operation(catclf, place, TRAIN, code)


def test_train_in_a_folder_that_is_to_be_made(catclf, place):
    fail_every_operation(catclf, place, [*TRAIN[:-1], "a/b/m.npz"], errno.ENOSPC)


def test_train_with_checkpoints_does_not_fail_for_them(catclf, place):
    well = fail_every_operation(catclf, place, [*TRAIN, "--checkpoint-every", 1e-9], errno.ENOSPC)
    assert well >= 2 * 5  # each of two is made, locked, written, synced and renamed


@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES])
def test_predict(catclf, place, code):
    catclf(*TRAIN)
    fail_every_operation(catclf, place, ["predict", "-q", "-m", "m.npz", "photos"], code)


def without_one_photo(failed: str) -> bool:
    """Tell whether it was a photo that could not be read, and only that one is left out."""
    photo = Path(failed.rsplit(maxsplit=1)[-1])
    if photo.suffix != ".png":
        return False
    images, lost = load_dataset("out.h5").images, np.asarray(Image.open(photo))
    return len(images) == 7 and not (images == lost).all((1, 2, 3)).any()


@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES])
def test_convert_a_folder_over_an_old_file(catclf, place, monkeypatch, code):
    monkeypatch.setattr(hdf5_write, "CHUNK", 2)
    assert catclf("data", "convert", "-q", "data.h5", "many")[0] == WELL
    assert catclf("data", "draw", 2, "out.h5", "-q")[0] == WELL
    words = ["data", "convert", "-q", "many", "out.h5"]
    well = fail_every_operation(catclf, place, words, code, without_one_photo)
    assert well >= 8  # a photo that cannot be read is left out


def test_convert_a_file_to_a_folder(catclf, place):
    fail_every_operation(catclf, place, ["data", "convert", "-q", "data.h5", "out"], errno.EIO)


def test_draw(catclf, place):
    fail_every_operation(catclf, place, ["data", "draw", 4, "a.h5", "-q"], errno.ENOSPC)


def test_a_bare_save_would_be_noticed(catclf, place, monkeypatch):
    catclf(*TRAIN, "--l2", 0.1)
    monkeypatch.setattr(
        files.OutputFormat,
        "replacing",
        lambda self, path: open(path, "wb"),  # noqa: SIM115
    )
    with pytest.raises(AssertionError, match=r"m\.npz"):
        fail_every_operation(catclf, place, TRAIN, errno.ENOSPC)
