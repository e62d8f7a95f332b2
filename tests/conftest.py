"""What the tests share."""

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from processes import unmeasured

from catclf.data.dataset import Dataset
from catclf.data.drawn.scenes import draw

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
    """Run the command as a real process in an empty folder; no traceback may reach stderr.

    Where a `largest` file is given, in bytes, the disk is full for what goes beyond.
    """

    def run(
        *words: object,
        code: int = 0,
        cwd: Path = tmp_path,
        largest: int | None = None,
        **options: object,
    ) -> object:
        environment = {**os.environ, "COLUMNS": "80", **options.pop("env", {})}  # type: ignore[dict-item]
        if largest is not None:
            limit = resource.RLIMIT_FSIZE, (largest, largest)
            options["preexec_fn"] = partial(resource.setrlimit, *limit)
            environment = unmeasured()
        if not isinstance(options.get("input"), bytes):
            options.setdefault("text", True)
        done = subprocess.run(
            [sys.executable, "-m", "catclf", *map(str, words)],
            cwd=cwd,
            env=environment,
            capture_output=True,
            check=False,
            timeout=120,
            **options,  # type: ignore[call-overload]
        )
        assert done.returncode == code, (done.stdout, done.stderr)
        assert "Traceback" not in str(done.stderr)
        return done

    return run  # type: ignore[return-value]


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
