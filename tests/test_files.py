"""Check that a file is written whole or not at all, also where the writer is killed half-way."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from catclf.files import check_writable, replacing

ROOT = Path(__file__).resolve().parents[1]
OLD, NEW = b"old\n" * 1000, b"new, and longer\n" * 1000


class WritingFailedError(Exception):
    """What the tests raise in the middle of writing."""


def write(path: Path | str, content: bytes = NEW) -> None:
    with replacing(path) as file:
        file.write(content)


def tree(folder: Path) -> dict[str, object]:
    """Everything below a folder: kind, permissions, and content or target."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        content: object = None
        if stat.S_ISLNK(mode):
            content = os.readlink(path)
        elif stat.S_ISREG(mode):
            content = path.read_bytes()
        found[str(path.relative_to(folder))] = (mode, content)
    return found


def test_a_new_file_appears_alone(tmp_path: Path) -> None:
    write(tmp_path / "model")
    assert (tmp_path / "model").read_bytes() == NEW
    assert os.listdir(tmp_path) == ["model"]


def test_a_name_may_be_text_and_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write("model")
    assert (tmp_path / "model").read_bytes() == NEW


def test_the_old_content_stays_until_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(OLD)
    with replacing(path) as file:
        file.write(NEW)
        file.flush()
        assert path.read_bytes() == OLD
        assert len(os.listdir(tmp_path)) == 2
    assert path.read_bytes() == NEW
    assert os.listdir(tmp_path) == ["model"]


def test_the_bytes_are_on_the_disk_before_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor: int) -> None:
        status = os.fstat(descriptor)
        folder = stat.S_ISDIR(status.st_mode)
        steps.append("sync the folder" if folder else f"sync {status.st_size} bytes")
        fsync(descriptor)

    def noted_replace(source: Path, target: Path) -> None:
        steps.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    write(tmp_path / "model", b"few enough to stay in a buffer")
    assert steps == ["sync 30 bytes", "rename", "sync the folder"]


@pytest.mark.parametrize("error", [WritingFailedError, KeyboardInterrupt, SystemExit])
def test_an_exception_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "model"
    path.write_bytes(OLD)
    before = tree(tmp_path)

    def fail_half_way() -> None:
        with replacing(path) as file:
            file.write(NEW)
            file.flush()
            assert tree(tmp_path) != before
            raise error

    with pytest.raises(error):
        fail_half_way()
    assert tree(tmp_path) == before


def test_an_exception_makes_no_new_file(tmp_path: Path) -> None:
    with pytest.raises(WritingFailedError), replacing(tmp_path / "model"):
        raise WritingFailedError
    assert os.listdir(tmp_path) == []


def test_a_failing_rename_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(source: Path, target: Path) -> None:
        raise OSError("no")

    (tmp_path / "model").write_bytes(OLD)
    before = tree(tmp_path)
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no"):
        write(tmp_path / "model")
    assert tree(tmp_path) == before


WRITERS = {
    "replacing": "from catclf.files import replacing; opened = replacing(sys.argv[1])",
    "open": "opened = open(sys.argv[1], 'wb')",
}


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="processes cannot be killed so here")
@pytest.mark.parametrize(("writer", "survives"), [("replacing", True), ("open", False)])
def test_a_writer_killed_half_way_leaves_the_old_file(
    tmp_path: Path, writer: str, survives: bool
) -> None:
    path = tmp_path / "model"
    path.write_bytes(OLD)
    code = (
        f"import sys, time; {WRITERS[writer]}\n"
        "with opened as file:\n"
        "    file.write(b'half'); file.flush(); print('half', flush=True); time.sleep(600)\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    with child:
        assert child.stdout is not None
        said = child.stdout.readline()
        child.kill()
    assert said == b"half\n"
    assert child.returncode == -signal.SIGKILL
    assert (path.read_bytes() == OLD) is survives
    assert b"half" in {file.read_bytes() for file in tmp_path.iterdir()}

    write(path)  # what was left lying does not stand in the way
    assert path.read_bytes() == NEW


def test_a_link_is_kept_and_its_target_replaced(tmp_path: Path) -> None:
    for name in ("far", "near"):
        (tmp_path / name).mkdir()
    (tmp_path / "far" / "model").write_bytes(OLD)
    (tmp_path / "near" / "second").symlink_to("../far/model")
    (tmp_path / "near" / "first").symlink_to("second")
    write(tmp_path / "near" / "first")
    assert os.readlink(tmp_path / "near" / "first") == "second"
    assert os.readlink(tmp_path / "near" / "second") == "../far/model"
    assert (tmp_path / "far" / "model").read_bytes() == NEW
    assert len(tree(tmp_path)) == 5


def test_a_link_to_nothing_gets_its_target(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("new/model")
    write(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "new" / "model").read_bytes() == NEW


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_the_umask_is_honoured(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write(tmp_path / "model")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "model").stat().st_mode) == 0o666 & ~umask


def test_missing_folders_are_made(tmp_path: Path) -> None:
    write(tmp_path / "a" / "b" / "model")
    assert list(tree(tmp_path)) == ["a", "a/b", "a/b/model"]


@pytest.mark.skipif(not Path("/dev/null").is_char_device(), reason="there is no /dev/null here")
def test_a_device_is_refused_and_survives() -> None:
    with pytest.raises(OSError, match="not a regular file"):
        check_writable("/dev/null")
    # Should it not be refused, the exception at least keeps it from being replaced.
    with pytest.raises(OSError, match="not a regular file"), replacing("/dev/null"):
        raise WritingFailedError
    assert Path("/dev/null").is_char_device()


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="permissions do not bind the superuser"
)
def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o555)
    with pytest.raises(OSError, match="not writable"):
        check_writable(folder / "model")
    with pytest.raises(PermissionError):
        write(folder / "model")
    assert os.listdir(folder) == []


def test_a_folder_that_reports_no_right_to_write_is_refused_beforehand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_writable(tmp_path / "new" / "model")
    asked = []

    def deny(folder: Path, rights: int) -> bool:
        asked.append((folder, rights))
        return False

    monkeypatch.setattr(os, "access", deny)
    with pytest.raises(OSError, match="not writable"):
        check_writable(tmp_path / "new" / "model")
    assert asked == [(tmp_path.resolve(), os.W_OK | os.X_OK)]


def new(folder: Path) -> Path:
    return folder / "model"


def existing(folder: Path) -> Path:
    (folder / "model").write_bytes(OLD)
    return folder / "model"


def existing_but_read_only(folder: Path) -> Path:
    (folder / "model").write_bytes(OLD)
    (folder / "model").chmod(0o444)
    return folder / "model"


def in_missing_folders(folder: Path) -> Path:
    return folder / "a" / "b" / "model"


def through_a_link(folder: Path) -> Path:
    (folder / "link").symlink_to(existing(folder))
    return folder / "link"


def through_a_link_to_nothing(folder: Path) -> Path:
    (folder / "link").symlink_to("nothing")
    return folder / "link"


def in_a_linked_folder(folder: Path) -> Path:
    (folder / "folder").mkdir()
    (folder / "link").symlink_to("folder")
    return folder / "link" / "model"


def a_folder(folder: Path) -> Path:
    (folder / "model").mkdir()
    return folder / "model"


def a_link_to_a_folder(folder: Path) -> Path:
    (folder / "link").symlink_to(a_folder(folder))
    return folder / "link"


def a_pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


def below_a_file(folder: Path) -> Path:
    existing(folder).chmod(0o755)  # with every right that a folder needs
    return folder / "model" / "model"


def far_below_a_file(folder: Path) -> Path:
    return existing(folder) / "a" / "b" / "model"


@pytest.mark.parametrize(
    ("place", "writable"),
    [
        (new, True),
        (existing, True),
        (in_missing_folders, True),
        (through_a_link, True),
        (through_a_link_to_nothing, True),
        (in_a_linked_folder, True),
        (existing_but_read_only, False),
        (a_folder, False),
        (a_link_to_a_folder, False),
        (a_pipe, False),
        (below_a_file, False),
        (far_below_a_file, False),
    ],
)
def test_checking_changes_nothing_and_agrees_with_writing(
    tmp_path: Path, place: Callable[[Path], Path], writable: bool
) -> None:
    path = place(tmp_path)
    before = tree(tmp_path)
    if writable:
        check_writable(path)
        assert tree(tmp_path) == before
        write(path)
        assert path.read_bytes() == NEW
        assert tree(tmp_path) != before
    else:
        for refuse in (check_writable, write):
            with pytest.raises(OSError):  # noqa: PT011 (the kinds differ by place)
                refuse(path)
            assert tree(tmp_path) == before


@pytest.mark.parametrize("work", [check_writable, lambda path: replacing(path).__enter__()])
def test_names_that_lead_nowhere_are_refused(work, tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    for path in (tmp_path / "a", f"{tmp_path}/nul\0"):
        with pytest.raises(OSError, match=r"regular file|null"):
            work(path)
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]
