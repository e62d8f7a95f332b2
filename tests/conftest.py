"""What the tests share."""

import os
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the command does

import numpy as np
import processes
import pytest

from catclf.data.dataset import Dataset
from catclf.data.drawn import draw

Run = Callable[..., subprocess.CompletedProcess[str]]


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
