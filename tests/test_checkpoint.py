"""Checkpoints: a run broken off and gone on with is the unbroken run; and the file's own rules."""

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest

import catclf
from catclf.common.npz import write_npz
from catclf.data.dataset import Dataset
from catclf.errors import CheckpointError, DataError, ModelError
from catclf.model import Model
from catclf.solvers import State
from catclf.solvers import checkpoint as module
from catclf.solvers.checkpoint import Checkpoint

NEWTON = {"solver": "newton", "l2": 0.3, "features": "conv", "cv": 2}
RUNS = {  # with the steps after which each is broken off
    "descent": (101, {"iterations": 250, "l2": 0.3}),
    "primal": (97, {"iterations": 250, "coordinates": "primal"}),
    "descent, step by step": (2, {"iterations": 12, "cv": 2}),
    "descent on scaled features": (7, {"iterations": 24, "features": "conv", "cv": 2}),
    "newton on scaled features": (6, NEWTON),
    "newton, directly": (6, {**NEWTON, "coordinates": "primal"}),
}


@pytest.fixture
def few(drawn):
    return Dataset(drawn.images[:16], drawn.Y[:, :16], drawn.classes, "few")


class Power(Checkpoint):
    """Fails before the n-th step from now."""

    def __init__(self, path: Path, steps: int = 0, **how: object) -> None:
        super().__init__(path, **how)
        self.steps = steps

    def keep(self, entry: int, state: State) -> None:
        super().keep(entry, state)
        self.steps -= 1
        if self.steps == 0:
            raise KeyboardInterrupt


def broken(data, path: Path, steps: int, **settings: object) -> Model:
    """Train with the power failing after every so many steps."""
    for _ in range(200):
        try:
            with Power(path, steps, resume=True) as power:
                return catclf.train(data, checkpoint=power, **settings)
        except KeyboardInterrupt:
            assert path.is_file()
    pytest.fail("it never came to an end")


@pytest.mark.parametrize("run", RUNS)
def test_a_broken_run_ends_where_an_unbroken_one_does(few, tmp_path, run):
    steps, settings = RUNS[run]
    unbroken = catclf.train(few, **settings)
    model = broken(few, tmp_path / "run.checkpoint", steps, **settings)
    assert np.abs(model.w - unbroken.w).max() <= 1e-10 * np.abs(unbroken.w).max()
    assert model.b == pytest.approx(unbroken.b, rel=1e-10)
    assert [i for i, _ in model.costs] == [i for i, _ in unbroken.costs]
    np.testing.assert_allclose(model.costs, unbroken.costs, rtol=1e-12)
    assert model.temperature == pytest.approx(unbroken.temperature, rel=1e-9)
    assert model.provenance == unbroken.provenance
    assert list(tmp_path.iterdir()) == []  # done: there is nothing to go on from


def interrupted(few, path: Path, **settings: object) -> bytes:
    """Leave a checkpoint at `path` before the 120th step; give its bytes."""
    with pytest.raises(KeyboardInterrupt), Power(path, 120) as power:
        catclf.train(few, **{"iterations": 200, "cv": 2, **settings}, checkpoint=power)
    return path.read_bytes()


def trained(data, path: Path, resume: bool = True, **settings: object):
    """Train with a checkpoint; give the lines that were told, and the iterations."""
    told, seen = [], []
    settings = {"iterations": 200, "cv": 2, **settings}
    with Checkpoint(path, resume=resume, note=told.append) as run:
        catclf.train(data, **settings, checkpoint=run, callback=lambda i, J: seen.append(i))
    return told, seen


def test_what_a_person_should_know_is_told(few, tmp_path):
    path = tmp_path / "run"
    assert trained(few, path) == ([f"no {path}: beginning anew"], [*range(200)])
    before = interrupted(few, path)
    told = trained(few, path, resume=False, iterations=2)[0]
    assert told == [f"{path} is of an interrupted run; --resume would go on with that"]
    assert path.read_bytes() == before
    assert trained(few, path) == ([f"going on from {path} at iteration 119"], [*range(119, 200)])
    with pytest.raises(KeyboardInterrupt), Power(path, 30 + 12) as power:
        catclf.train(few, iterations=30, features="conv", cv=2, checkpoint=power)
    assert power.place == "iteration 11 of fold 1"


def test_other_settings_or_data_or_another_version_are_refused_by_name(few, tmp_path, monkeypatch):
    path = tmp_path / "run"
    before = interrupted(few, path)
    for change, message in (
        ({"learning_rate": 0.01}, "learning_rate was 0.005, not 0.01"),
        ({"maximise": "balanced-accuracy"}, "maximise was accuracy, not balanced-accuracy"),
        ({"features": "patches", "dictionary": 9}, "features was pixels, not patches"),
    ):
        with pytest.raises(CheckpointError, match=message):
            trained(few, path, **change)
    images = few.images.copy()
    images[3, 1, 1, 1] ^= 1
    with pytest.raises(CheckpointError, match="its images were others"):
        trained(Dataset(images, few.Y, few.classes, "few"), path)
    monkeypatch.setattr(module, "__version__", "99")
    with pytest.raises(CheckpointError, match=r"version was .*, not 99"):
        trained(few, path)
    assert path.read_bytes() == before


def test_every_so_often_it_is_written_while_training_goes_on(few, tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    written = []

    def tick(iteration, J):
        clock[0] += 1.0
        if (tmp_path / "run").exists():
            written.append((iteration, module._load(f"{tmp_path}/run")[1][0].iteration))

    with Checkpoint(tmp_path / "run", every=10.0) as kept:
        catclf.train(few, iterations=25, cv=0, callback=tick, checkpoint=kept)
    assert written == [(i, 10 if i < 20 else 20) for i in range(10, 25)]
    assert list(tmp_path.iterdir()) == []


def test_once_it_is_saved_it_is_not_written_by_itself(tmp_path):
    checkpoint = Checkpoint(tmp_path / "run", every=1e-9)
    checkpoint.keep(0, State(3, np.ones((1, 1)), np.zeros((1, 1)), []))
    checkpoint.save()  # because there is a stop
    (tmp_path / "run").unlink()
    # By the thread that still trains.
    checkpoint.keep(0, State(4, np.ones((1, 1)), np.zeros((1, 1)), []))
    assert list(tmp_path.iterdir()) == []


def test_what_is_interrupted_before_it_begins_leaves_what_was_there(few, tmp_path):
    before = interrupted(few, tmp_path / "run")
    again = Checkpoint(tmp_path / "run", resume=True)
    with pytest.raises(SystemExit), again:
        raise SystemExit(143)
    assert not again.settings
    assert (tmp_path / "run").read_bytes() == before


def test_a_model_that_cannot_be_saved_does_not_lose_the_training(few, tmp_path):
    told = []
    kept = Checkpoint(tmp_path / "run", note=told.append)
    catclf.train(few, iterations=20, cv=0, checkpoint=kept)
    with pytest.raises(ModelError), kept:
        raise ModelError("no room")
    assert told == [f"what was trained is in {tmp_path}/run: --resume goes on from it"]
    assert trained(few, tmp_path / "run", iterations=20, cv=0)[1] == [19]


# The file


ENTRY = {"iteration": 2, "costs": [[0, 0.5]]}
THREE = np.ones((3, 1))
GOOD = {"settings": {}, "states": [ENTRY]}


def signed(meta: dict[str, object], *arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    write_npz(file, meta, {f"state_{i}": array for i, array in enumerate(arrays)})
    return file.getvalue()


def test_the_format_of_older_versions_is_told_with_the_remedy(few, tmp_path):
    path = tmp_path / "run"
    path.write_bytes(b"catclf checkpoint 1\n" + b"0" * 64 + b"\n{}\n")
    told = []
    Checkpoint(path, note=told.append)
    assert told == [f"{path} is of an interrupted run; this catclf cannot go on with that"]
    with pytest.raises(CheckpointError, match="format of an older catclf; delete it, or begin"):
        Checkpoint(path, resume=True)
    interrupted(few, path)  # replaces it
    assert Checkpoint(path, resume=True).states


def test_what_another_run_was_is_told_in_a_line_however_long_it_is(few, tmp_path):
    path = tmp_path / "run"
    long = "x" * 100_000
    for settings in ({"solver": long}, {long: 1}, {"solver": [long] * 9}):
        path.write_bytes(signed({"settings": settings, "states": [ENTRY]}, THREE))
        with pytest.raises(CheckpointError, match="of another run") as told:
            Checkpoint(path, resume=True).begin({"solver": "descent"})
        assert len(str(told.value)) < 500 + len(str(path))


def saying(text: str) -> bytes:
    """A checkpoint that says something else in place of its JSON."""
    file = io.BytesIO()
    np.savez(file, state_0=THREE, meta=np.array(text))
    return file.getvalue()


DEEP = json.loads("[" * 600 + "]" * 600)
BAD = [
    *(signed(GOOD, THREE)[:length] for length in (0, 50, -1)),
    *(saying(text) for text in ("not JSON", "[" * 100_000, "[]", '{"settings": Infinity}')),
    saying(json.dumps({**GOOD, "sha256": "0" * 64})),
    signed({"states": [ENTRY]}, THREE),
    signed({"settings": {}, "states": []}),
    *(signed({**GOOD, "settings": settings}, THREE) for settings in ([], {"data": DEEP})),
    *(signed({**GOOD, "states": states}, THREE) for states in ([], 5, [7], [{"iteration": 1}])),
    signed({**GOOD, "more": 1}, THREE),
    *(
        signed({**GOOD, "states": [{**ENTRY, **change}]}, THREE)
        for change in (
            *({"iteration": -1}, {"iteration": 1.0}),
            *({"costs": 5}, {"costs": [[0]]}, {"costs": [[0, "much"]]}),
        )
    ),
    *(
        signed(GOOD, *arrays)
        for arrays in (
            *([], [THREE, THREE], [THREE.astype(np.float32)], [np.array([[1], [np.nan], [1]])]),
            *([np.ones(3)], [np.ones((1, 3))]),
        )
    ),
]


@pytest.mark.parametrize("data", BAD, ids=range(len(BAD)))
def test_anything_else_is_refused_in_one_line(tmp_path, data):
    path = tmp_path / "run"
    path.write_bytes(signed(GOOD, THREE))
    assert Checkpoint(path, resume=True).states[0].iteration == 2
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"damaged|no checkpoint") as told:
        Checkpoint(path, resume=True)
    assert "\n" not in str(told.value)


def test_what_is_no_file_or_too_large_or_cannot_be_read_is_refused(tmp_path, monkeypatch):
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(CheckpointError, match="cannot be read"):
            module._load(os.fspath(path))
    (tmp_path / "run").write_bytes(signed(GOOD, THREE))
    monkeypatch.setattr(module, "MAX_FILE_BYTES", 100)
    with pytest.raises(CheckpointError, match="too large"):
        Checkpoint(tmp_path / "run", resume=True)


def test_a_checkpoint_of_another_shape_is_refused(few, tmp_path):
    interrupted(few, tmp_path / "run")
    found = Checkpoint(tmp_path / "run", resume=True)
    state = found.states[0]
    found.states[0] = state._replace(v=state.v[:-1])
    with pytest.raises(DataError, match="another run"):
        catclf.train(few, iterations=200, cv=2, checkpoint=found)
