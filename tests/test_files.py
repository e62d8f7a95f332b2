"""Check that a file is written whole or not at all, also where the writer is killed half-way."""

import fcntl
import importlib.util
import os
import stat
import sys
import time
from pathlib import Path

import pytest

from catclf.common import files
from catclf.common.files import OutputFormat, check_writable, making_folder
from catclf.data.hdf5.writer import HDF5_FILE
from catclf.model_file import MODEL_FILE
from catclf.pictures import report
from catclf.pictures.png import PNG_FILE
from catclf.pictures.svg import SVG_FILE
from catclf.solvers.checkpoint import CHECKPOINT_FILE

replacing = OutputFormat("file", OSError).replacing

OLD, NEW = b"old\n" * 1000, b"new, and longer\n" * 1000
TEMPORARY = ".catclf-0123456789abcdef.tmp"


def write(path: Path | str, content: bytes = NEW) -> None:
    with replacing(path) as file:
        file.write(content)


def tree(folder: Path) -> dict[str, object]:
    """Everything below a folder: permissions, and the content or a link's target."""

    def content(path: Path) -> object:
        if path.is_symlink():
            return os.readlink(path)
        return path.read_bytes() if path.is_file() else None

    return {str(path): (path.lstat().st_mode, content(path)) for path in folder.rglob("*")}


def test_the_bytes_are_on_the_disk_before_the_name(tmp_path, monkeypatch):
    steps: list[str] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor: int) -> None:
        status = os.fstat(descriptor)
        steps.append("folder" if stat.S_ISDIR(status.st_mode) else f"{status.st_size} bytes")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", lambda *names: steps.append("rename") or replace(*names))
    write(tmp_path / "model", b"few enough to stay in a buffer")
    assert steps == ["30 bytes", "rename", "folder"]


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
@pytest.mark.parametrize("old", [None, OLD])
def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path, error, old):
    path = tmp_path / "model"
    if old is not None:
        path.write_bytes(old)
    before = tree(tmp_path)

    with pytest.raises(error), replacing(path) as file:  # noqa: PT012
        file.write(NEW)
        file.flush()
        assert (path.read_bytes() if path.exists() else None) == old
        raise error
    assert tree(tmp_path) == before


def test_a_link_is_kept_and_its_target_replaced(tmp_path):
    for name in ("far", "near"):
        (tmp_path / name).mkdir()
    (tmp_path / "far" / "model").write_bytes(OLD)
    (tmp_path / "near" / "second").symlink_to("../far/model")
    (tmp_path / "near" / "first").symlink_to("second")
    write(tmp_path / "near" / "first")
    assert os.readlink(tmp_path / "near" / "first") == "second"
    assert (tmp_path / "far" / "model").read_bytes() == NEW
    assert len(tree(tmp_path)) == 5


def test_the_umask_is_honoured(tmp_path):
    (tmp_path / "old").write_bytes(OLD)
    (tmp_path / "old").chmod(0o600)
    before = os.umask(0o027)
    try:
        for name in ("new", "old"):
            write(tmp_path / name)
    finally:
        os.umask(before)
    for name in ("new", "old"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o640


def test_checking_changes_nothing_and_agrees_with_writing(tmp_path):
    for name in ("old", "closed", "plain"):
        (tmp_path / name).write_bytes(OLD)
    (tmp_path / "closed").chmod(0o444)
    (tmp_path / "plain").chmod(0o755)  # with every right that a folder needs
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name, target in (
        *(("to the old", "old"), ("to nothing", "below/nothing"), ("to the folder", "folder")),
        *(("to the other", "to this"), ("to this", "to the other")),
    ):
        (tmp_path / name).symlink_to(target)
    writable = ["new", "old", "a/b/model", "to the old", "to nothing", "to the folder/model"]
    before = tree(tmp_path)
    for name in writable:
        check_writable(tmp_path / name)
    for name in (
        *("closed", "folder", "to the folder", "pipe", "plain/model", "plain/a/b/model"),
        *("to this", "nul\0", "new/"),
    ):
        for refuse in (check_writable, write):
            with pytest.raises(OSError):  # noqa: PT011 (the kinds differ by place)
                refuse(f"{tmp_path}/{name}")
    assert tree(tmp_path) == before
    for name in writable:
        write(tmp_path / name)
        assert (tmp_path / name).read_bytes() == NEW


# Each kind of file replaces its own


HEADS = {
    MODEL_FILE: b"PK\3\4" + b"." * 26 + b"w.npy",
    CHECKPOINT_FILE: b"PK\3\4" + b"." * 26 + b"state_0.npy",
    PNG_FILE: b"\x89PNG\r\n",
    SVG_FILE: b"<svg xmlns=",
    HDF5_FILE: b"\x89HDF\r\n\x1a\n",
    report._FILES[report.DATA]: b'{"catclf_report": 1',
    report._FILES[report.PAGE]: b'<!doctype html><meta name="generator" content="catclf 1">',
}


@pytest.mark.parametrize("kind", HEADS, ids=lambda kind: kind.refusal)
def test_a_file_of_another_kind_is_not_replaced(tmp_path, kind):
    path = tmp_path / "file"
    for head in (*HEADS.values(), b"hello", b"P", b"\n"):
        path.write_bytes(head)
        if head == HEADS[kind]:
            assert kind.check(path)
            continue
        message = rf"{path}: the .* cannot be written \(what is there is no "
        with pytest.raises(kind.error, match=message):
            kind.check(path)
        with pytest.raises(kind.error, match=message), kind.replacing(path):
            pass
        assert path.read_bytes() == head
    path.write_bytes(b"")
    assert kind.check(path)
    with kind.replacing(path) as file:
        file.write(HEADS[kind])
    assert path.read_bytes() == HEADS[kind]
    assert not kind.check(tmp_path / "none")


# What dead processes leave


def test_a_dead_processs_temporary_is_swept_and_a_living_ones_is_not(tmp_path):
    dead = tmp_path / TEMPORARY
    (dead / "cat").mkdir(parents=True)
    (dead / "cat" / "1.png").write_bytes(b"half")
    with making_folder(tmp_path / "f") as living, replacing(tmp_path / "one") as first:
        (living / "cat").mkdir()
        first.write(NEW)
        first.flush()
        for _ in range(2):  # another writer in the same folder sweeps, and leaves these alone
            write(tmp_path / "two")
        assert sum(name.endswith(".tmp") for name in os.listdir(tmp_path)) == 2
        assert not (tmp_path / "f").exists()
    assert sorted(os.listdir(tmp_path)) == ["f", "one", "two"]
    assert (tmp_path / "one").read_bytes() == NEW
    assert os.listdir(tmp_path / "f") == ["cat"]


def test_only_what_bears_such_a_name_and_is_a_folder_is_swept(tmp_path):
    kept = [".catclf-0123.tmp", "a.catclf-0123456789abcdef.tmp", ".catclf-0123456789abcdef.tmp2"]
    for name in kept:
        (tmp_path / name).mkdir()
    (tmp_path / TEMPORARY).write_bytes(b"mine")
    os.mkfifo(tmp_path / ".catclf-000000000000000b.tmp")
    (tmp_path / ".catclf-000000000000000c.tmp").symlink_to(kept[0])
    before = tree(tmp_path)
    write(tmp_path / "model")
    (tmp_path / "model").unlink()
    assert tree(tmp_path) == before


@pytest.mark.parametrize("make", [replacing, making_folder])
def test_what_was_swept_before_it_was_locked_is_made_again(tmp_path, monkeypatch, make):
    flock = fcntl.flock
    swept: list[Path] = []

    def sweep_first(descriptor: int, operation: int) -> None:
        if not swept:
            swept.extend(tmp_path.glob(".catclf-*"))
            swept[0].rmdir()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", sweep_first)
    with make(tmp_path / "new"):
        pass
    assert len(swept) == 1
    assert os.listdir(tmp_path) == ["new"]


def test_without_locks_and_folders_that_sync_age_decides(tmp_path, monkeypatch):
    # As on Windows.
    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.delattr(os, "O_DIRECTORY")
    spec = importlib.util.spec_from_file_location("files_elsewhere", files.__file__)
    elsewhere = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "files_elsewhere", elsewhere)
    spec.loader.exec_module(elsewhere)
    young, old = tmp_path / TEMPORARY, tmp_path / TEMPORARY.replace("0", "f")
    for path in (young, old):
        path.mkdir()
        (path / "new").write_bytes(b"half")
    os.utime(old, (time.time() - 2 * elsewhere.STALE_SECONDS,) * 2)
    with elsewhere.OutputFormat("file", OSError).replacing(tmp_path / "model") as file:
        file.write(NEW)
    with elsewhere.making_folder(tmp_path / "f"):
        pass
    assert (tmp_path / "model").read_bytes() == NEW
    assert sorted(os.listdir(tmp_path)) == [TEMPORARY, "f", "model"]


# Disks that are full, folders that are closed


HOW = ("--iterations", 2, "--cv", 0, "--coordinates", "gram", "-q")
TRAIN = ("train", "photos", *HOW, "--out")


def test_a_disk_that_fills_up_leaves_the_old_model(
    catclf_process, class_folder: Path, tmp_path: Path
) -> None:
    catclf_process(*TRAIN, "m.npz")
    before = (tmp_path / "m.npz").read_bytes()
    assert len(before) > 50_000
    done = catclf_process(*TRAIN, "m.npz", "--l2", "0.1", code=4, largest=50_000)
    assert done.stderr == "error: m.npz: the model cannot be written (File too large)\n"
    assert (tmp_path / "m.npz").read_bytes() == before
    # What was trained is small enough to be kept.
    assert sorted(os.listdir(tmp_path)) == ["m.npz", "m.npz.checkpoint", "photos"]
    catclf_process(*TRAIN, "m.npz", "--l2", "0.1", "--resume")
    assert sorted(os.listdir(tmp_path)) == ["m.npz", "photos"]
    assert (tmp_path / "m.npz").read_bytes() != before


def test_a_closed_folder_is_told(tmp_path, monkeypatch):
    """The superuser may write everywhere, so that it is the system's answer that is replaced."""
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    for name in ("new", "below/new"):
        with pytest.raises(OSError, match="is not writable"):
            check_writable(tmp_path / name)
