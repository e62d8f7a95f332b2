"""What the tests share."""

import os
import signal
import subprocess
import uuid
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the command does

import numpy as np
import processes
import pytest

from catclf.data.dataset import Dataset
from catclf.data.drawn import draw

Run = Callable[..., subprocess.CompletedProcess[str]]
RUN_MARK = "CATCLF_TEST_RUN"
"""What the tests start has this in its environment, and so can be told from other processes."""


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # the workers inherit it
        os.environ[RUN_MARK] = uuid.uuid4().hex


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as quick each test that is not marked slow and runs no command as a process."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if item.get_closest_marker("slow") is None and "catclf_process" not in fixtures:
            item.add_marker("quick")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail if a process that the tests started outlives them, and end it."""
    if hasattr(session.config, "workerinput"):
        return
    for number, command in processes.left(os.environ[RUN_MARK]).items():
        print(f"\nerror: the tests left a process behind: {number} {command}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data: $CATCLF_SHARED, else ../shared beside the project."""
    beside = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("CATCLF_SHARED", beside))
    if not (folder / "datasets").is_dir():
        pytest.skip(f"real data is not there: {folder} (set CATCLF_SHARED)")
    return folder


@pytest.fixture(scope="session")
def drawn() -> Dataset:
    """Sixty drawings."""
    images, labels = draw(60, seed=7)
    return Dataset(images, labels.reshape(1, -1), ("non-cat", "cat"), "drawn")


@pytest.fixture
def catclf(tmp_path: Path) -> Run:
    """Run the command in this process, in an empty folder; see `processes.catclf_here`."""
    return partial(processes.catclf_here, cwd=tmp_path)


@pytest.fixture
def catclf_process(tmp_path: Path) -> Run:
    """Run the command as a process of its own, in an empty folder."""
    return partial(processes.catclf_process, cwd=tmp_path)


@pytest.fixture
def class_folder(tmp_path: Path) -> Path:
    """A folder with twelve drawings as PNG files: Cats/ and dogs/."""
    from PIL import Image

    images, labels = draw(12, seed=3)
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        sub = tmp_path / "photos" / ("Cats" if label else "dogs")
        sub.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.ascontiguousarray(image)).save(sub / f"{i:02}.png")
    return tmp_path / "photos"
