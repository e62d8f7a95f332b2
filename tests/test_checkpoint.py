"""Checkpoints: a run broken off and gone on with is the unbroken run; and the file's own rules."""

import hashlib
import json
import os
import stat
from pathlib import Path

import numpy as np
import pytest

import catclf
from catclf.data.dataset import Dataset
from catclf.errors import CheckpointError, DataError, ModelError
from catclf.model import Model
from catclf.solvers import checkpoint as module
from catclf.solvers.checkpoint import MAGIC, Checkpoint
from catclf.solvers.fit import Journal, State

RUNS = {
    "descent": {"iterations": 250},
    "penalised": {"iterations": 250, "l2": 0.3},
    "primal": {"iterations": 250, "coordinates": "primal", "l2": 0.1},
    "descent on scaled features": {"iterations": 24, "features": "conv", "cv": 2},
    "newton": {"solver": "newton", "l2": 0.01, "cv": 3},
    "newton on scaled features": {"solver": "newton", "l2": 0.3, "features": "conv", "cv": 2},
    "newton, directly": {
        "solver": "newton", "l2": 0.3, "features": "conv", "cv": 2, "coordinates": "primal",
    },
}  # fmt: skip


@pytest.fixture
def few(drawn):
    return Dataset(drawn.images[:16], drawn.Y[:, :16], drawn.classes, "few")


class Power(Checkpoint):
    """Fails before the n-th step from now."""

    steps = 0

    def keep(self, entry: int, state: State) -> None:
        super().keep(entry, state)
        self.steps -= 1
        if self.steps == 0:
            raise KeyboardInterrupt


def broken(data, path: Path, steps: int, **settings: object) -> Model:
    """Train with the power failing after every so many steps."""
    for _ in range(200):
        power = Power(path, resume=True)
        power.steps = steps
        try:
            with power:
                return catclf.train(data, checkpoint=power, **settings)
        except KeyboardInterrupt:
            assert path.is_file()
    pytest.fail("it never came to an end")


@pytest.mark.parametrize("steps", [7, 101])
@pytest.mark.parametrize("run", RUNS)
def test_a_broken_run_ends_where_an_unbroken_one_does(few, tmp_path, run, steps):
    unbroken = catclf.train(few, **RUNS[run])
    if "newton" in run and steps > 100:
        steps = 6  # each run goes through the states of what is done, up to four, and must get on
    model = broken(few, tmp_path / "run.checkpoint", steps, **RUNS[run])
    assert np.abs(model.w - unbroken.w).max() <= 1e-10 * np.abs(unbroken.w).max()
    assert model.b == pytest.approx(unbroken.b, rel=1e-10)
    assert [i for i, _ in model.costs] == [i for i, _ in unbroken.costs]
    np.testing.assert_allclose(model.costs, unbroken.costs, rtol=1e-12)
    assert model.temperature == pytest.approx(unbroken.temperature, rel=1e-9)
    assert model.provenance == unbroken.provenance
    assert list(tmp_path.iterdir()) == []  # done: there is nothing to go on from


def test_the_course_run_broken_off_is_the_famous_run(shared, tmp_path):
    data = catclf.load_dataset(shared / "datasets/course/train_catvnoncat.h5")
    model = broken(data, tmp_path / "run", 777)
    unbroken = catclf.train(data)
    assert np.abs(model.w - unbroken.w).max() <= 1e-10 * np.abs(unbroken.w).max()
    assert model.costs == unbroken.costs
    assert model.provenance == unbroken.provenance


def test_going_on_does_not_begin_anew(few, tmp_path):
    power = Power(tmp_path / "run")
    power.steps = 150
    with pytest.raises(KeyboardInterrupt), power:
        catclf.train(few, iterations=200, checkpoint=power)
    told, seen = [], []
    with Checkpoint(tmp_path / "run", resume=True, note=told.append) as again:
        catclf.train(few, iterations=200, checkpoint=again, callback=lambda i, J: seen.append(i))
    assert seen == list(range(149, 200))
    assert told == [f"going on from {tmp_path}/run at iteration 149"]


def test_the_place_names_the_fold(few, tmp_path):
    power = Power(tmp_path / "run")
    power.steps = 30 + 12
    with pytest.raises(KeyboardInterrupt), power:
        catclf.train(few, iterations=30, features="conv", cv=2, checkpoint=power)
    assert power.place == "iteration 11 of fold 1"


def interrupted(few, path: Path, **settings: object) -> bytes:
    """Leave a checkpoint at `path`; give its bytes."""
    power = Power(path)
    power.steps = 120
    with pytest.raises(KeyboardInterrupt), power:
        catclf.train(few, **{"iterations": 200, "cv": 2, **settings}, checkpoint=power)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rate": 0.01}, "learning_rate was 0.005, not 0.01"),
        ({"iterations": 201}, "iterations was 200, not 201"),
        ({"l2": 0.5}, "l2 was 0.0, not 0.5"),
        ({"cv": 3}, "cv was 2, not 3"),
        ({"features": "conv"}, "features was pixels, not conv"),
        ({"maximise": "balanced-accuracy"}, "maximise was accuracy, not balanced-accuracy"),
        ({"features": "patches", "dictionary": 9}, "features was pixels, not patches"),
    ],
)
def test_other_settings_are_refused_by_name(few, tmp_path, change, message):
    before = interrupted(few, tmp_path / "run")
    with (
        pytest.raises(CheckpointError, match=message),
        Checkpoint(tmp_path / "run", resume=True) as other,
    ):
        catclf.train(few, **{"iterations": 200, "cv": 2, **change}, checkpoint=other)
    assert (tmp_path / "run").read_bytes() == before


def test_other_data_or_another_version_is_refused(few, tmp_path, monkeypatch):
    interrupted(few, tmp_path / "run")
    images = few.images.copy()
    images[3, 1, 1, 1] ^= 1
    other = Dataset(images, few.Y, few.classes, "few")
    with pytest.raises(CheckpointError, match="its images were others"):
        catclf.train(
            other, iterations=200, cv=2, checkpoint=Checkpoint(tmp_path / "run", resume=True)
        )
    monkeypatch.setattr(module, "__version__", "99")
    with pytest.raises(CheckpointError, match=r"version was .*, not 99"):
        catclf.train(
            few, iterations=200, cv=2, checkpoint=Checkpoint(tmp_path / "run", resume=True)
        )


def test_a_setting_may_be_a_number_of_numpys(few, tmp_path):
    interrupted(few, tmp_path / "run", cv=np.int64(2), learning_rate=np.float64(0.005))
    with Checkpoint(tmp_path / "run", resume=True) as again:
        catclf.train(few, iterations=200, cv=2, checkpoint=again)


def test_every_so_often_it_is_written_while_training_goes_on(few, tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    written = []

    def tick(iteration, J):
        clock[0] += 1.0
        path = tmp_path / "run"
        if path.exists():
            written.append((iteration, module._load(os.fspath(path))[1][0].iteration))

    with Checkpoint(tmp_path / "run", every=10.0) as kept:
        catclf.train(few, iterations=25, cv=0, callback=tick, checkpoint=kept)
    expected = [(i, 10 if i < 20 else 20) for i in range(10, 25)]
    assert written == expected
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_that_cannot_be_written_does_not_end_the_run(few, tmp_path, monkeypatch):
    told = []
    kept = Checkpoint(tmp_path / "run", every=1e-9, note=told.append)
    (tmp_path / "run").mkdir()
    with kept:
        catclf.train(few, iterations=2, cv=0, checkpoint=kept)
    assert len(told) == 2
    assert "run: the checkpoint cannot be written (it is not a regular file)" in told[0]
    assert "training goes on" in told[0]


def test_after_an_interruption_it_is_not_written_by_itself(few, tmp_path):
    kept = Checkpoint(tmp_path / "run", every=1e-9)
    kept.keep(0, State(3, np.ones((1, 1)), 0.0, []))
    kept.save()
    (tmp_path / "run").unlink()
    kept.keep(0, State(4, np.ones((1, 1)), 0.0, []))
    kept._write_in_time()  # as training does that was just waiting for its turn
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_tells_why_nothing_was_kept(few, tmp_path):
    power = Power(tmp_path / "run")
    power.steps = 5
    (tmp_path / "run").mkdir()
    with pytest.raises(KeyboardInterrupt), power:
        catclf.train(few, iterations=20, cv=0, checkpoint=power)
    assert "run: the checkpoint cannot be written" in power.failure


def test_weights_that_are_not_finite_are_not_kept(tmp_path):
    kept = Checkpoint(tmp_path / "run")
    kept.keep(0, State(3, np.array([[np.inf]]), 0.0, []))
    with pytest.raises(CheckpointError, match="not finite"):
        kept.save()
    assert list(tmp_path.iterdir()) == []


def test_what_is_interrupted_before_it_begins_leaves_what_was_there(few, tmp_path):
    with pytest.raises(KeyboardInterrupt), Checkpoint(tmp_path / "new"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    before = interrupted(few, tmp_path / "run")
    again = Checkpoint(tmp_path / "run", resume=True)
    with pytest.raises(SystemExit), again:
        raise SystemExit(143)
    assert not again.begun
    assert (tmp_path / "run").read_bytes() == before


def test_a_model_that_cannot_be_saved_does_not_lose_the_training(few, tmp_path):
    told = []
    kept = Checkpoint(tmp_path / "run", note=told.append)
    catclf.train(few, iterations=20, cv=0, checkpoint=kept)
    with pytest.raises(ModelError), kept:
        raise ModelError("no room")
    assert told == [f"what was trained is in {tmp_path}/run: --resume goes on from it"]
    seen = []
    with Checkpoint(tmp_path / "run", resume=True) as again:
        catclf.train(
            few, iterations=20, cv=0, checkpoint=again, callback=lambda i, J: seen.append(i)
        )
    assert seen == [19]


def test_nothing_to_go_on_from_is_told_and_no_error(few, tmp_path):
    told = []
    with Checkpoint(tmp_path / "run", resume=True, note=told.append) as kept:
        catclf.train(few, iterations=2, cv=0, checkpoint=kept)
    assert told == [f"no {tmp_path}/run: beginning anew"]


def test_an_older_runs_checkpoint_is_told_of_and_stays(few, tmp_path):
    before = interrupted(few, tmp_path / "run")
    told = []
    with Checkpoint(tmp_path / "run", note=told.append) as kept:
        catclf.train(few, iterations=2, cv=0, checkpoint=kept)
    assert told == [f"{tmp_path}/run is of an interrupted run; --resume would go on with that"]
    assert (tmp_path / "run").read_bytes() == before


def test_another_file_is_not_replaced(tmp_path):
    path = tmp_path / "run"
    path.write_bytes(b"a photo")
    with pytest.raises(CheckpointError, match="no checkpoint; name another --out"):
        Checkpoint(path)
    assert path.read_bytes() == b"a photo"
    path.write_bytes(b"")
    Checkpoint(path)
    with pytest.raises(CheckpointError, match="not a folder"):
        Checkpoint(path / "below")


# The file


def test_the_layout_is_as_documented(few, tmp_path):
    data = interrupted(few, tmp_path / "run", l2=0.1)
    first, digest, rest = data.split(b"\n", 2)
    assert first == b"catclf checkpoint 1"
    assert hashlib.sha256(rest).hexdigest().encode() == digest
    line, numbers = rest.split(b"\n", 1)
    meta = json.loads(line)
    assert meta["settings"]["data"] == few.sha256
    assert meta["settings"]["learning_rate"] == 0.005
    (entry,) = meta["states"]
    assert entry["iteration"] == 119
    assert [i for i, _ in entry["costs"]] == [0, 100]
    size, K = entry["shape"]
    assert (size, K) == (16, 3)
    assert len(numbers) == 8 * (size * K + K)
    fit = np.frombuffer(numbers, "<f8")[: size * K].reshape(size, K)
    state = module._load(os.fspath(tmp_path / "run"))[1][0]
    np.testing.assert_array_equal(state.v, fit)
    model = catclf.train(few, iterations=119, cv=2, l2=0.1)
    X = few.images.reshape(len(few), -1).T / 255.0
    np.testing.assert_allclose(X @ state.v[:, :1], model.w, rtol=1e-9, atol=1e-14)


def test_any_flipped_bit_is_refused(few, tmp_path):
    path = tmp_path / "run"
    data = bytearray(interrupted(few, path))
    chance = np.random.default_rng(0)
    head = len(MAGIC) + 65 + 400  # every byte of what has a structure
    places = [*range(head), *chance.integers(head, len(data), 200)]
    for at in places:
        bit = 1 << int(chance.integers(8))
        data[at] ^= bit
        path.write_bytes(data)
        with pytest.raises(CheckpointError):
            Checkpoint(path, resume=True)
        data[at] ^= bit
    path.write_bytes(data)
    Checkpoint(path, resume=True)  # all was put back


@pytest.mark.parametrize("kept", [0, 10, 20, 50, 85, 86, 300, -1])
def test_a_file_cut_short_or_drawn_out_is_refused(few, tmp_path, kept):
    path = tmp_path / "run"
    data = interrupted(few, path)
    for changed in (data[:kept], data + b"\0" * 8):
        path.write_bytes(changed)
        with pytest.raises(CheckpointError, match=r"damaged|is no checkpoint"):
            Checkpoint(path, resume=True)


def signed(meta: object, numbers: bytes) -> bytes:
    body = (meta if isinstance(meta, bytes) else json.dumps(meta).encode()) + b"\n" + numbers
    return MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


ENTRY = {"iteration": 2, "shape": [2, 1], "costs": [[0, 0.5]]}
THREE = np.ones(3).tobytes()


def with_entry(**change: object) -> dict[str, object]:
    return {"settings": {}, "states": [{**ENTRY, **change}]}


def test_what_another_run_was_is_told_in_a_line_however_long_it_is(few, tmp_path):
    path = tmp_path / "run"
    long = "x" * 100_000
    for settings in ({"solver": long}, {long: 1}, {"solver": [long] * 9}):
        path.write_bytes(signed({"settings": settings, "states": [ENTRY]}, THREE))
        with pytest.raises(CheckpointError, match="of another run") as told:
            Checkpoint(path, resume=True).begin({"solver": "descent"} if len(settings) else {})
        assert len(str(told.value)) < 500 + len(str(path))


@pytest.mark.parametrize(
    ("meta", "numbers"),
    [
        (b"not JSON", THREE),
        (b"[" * 100_000, THREE),
        ([], THREE),
        (5, THREE),
        (b'{"settings": {"data": %s1%s}, "states": []}' % (b"[" * 600, b"]" * 600), THREE),
        ({"states": [ENTRY]}, THREE),
        ({"settings": {}, "states": [ENTRY], "more": 1}, THREE),
        ({"settings": [], "states": [ENTRY]}, THREE),
        ({"settings": {}, "states": []}, b""),
        ({"settings": {}, "states": [7]}, THREE),
        ({"settings": {}, "states": [{"iteration": 1}]}, THREE),
        ({"settings": {}, "states": [ENTRY]}, THREE + THREE),
        ({"settings": {}, "states": [ENTRY]}, THREE[:-8]),
        ({"settings": {}, "states": [ENTRY]}, THREE[:-1]),
        ({"settings": {}, "states": [ENTRY]}, np.array([1, np.nan, 1]).tobytes()),
        (with_entry(iteration=-1), THREE),
        (with_entry(iteration=1.0), THREE),
        (with_entry(iteration=True), THREE),
        (with_entry(shape=[2, 1, 1]), THREE),
        (with_entry(shape=[-2, 1]), THREE),
        (with_entry(shape=[0, 3]), THREE),
        (with_entry(shape=[10**30, 1]), THREE),
        (with_entry(shape="21"), THREE),
        (with_entry(costs=5), THREE),
        (with_entry(costs=[[0]]), THREE),
        (with_entry(costs=[["0", 0.5]]), THREE),
        (with_entry(costs=[[0, "much"]]), THREE),
        (with_entry(costs=[[0, float("inf")]]), THREE),
    ],
)
def test_contents_that_make_no_sense_are_refused(tmp_path, meta, numbers):
    path = tmp_path / "run"
    path.write_bytes(signed({"settings": {}, "states": [ENTRY]}, THREE))
    assert Checkpoint(path, resume=True).states[0].iteration == 2
    path.write_bytes(signed(meta, numbers))
    with pytest.raises(CheckpointError, match="damaged") as told:
        Checkpoint(path, resume=True)
    assert "\n" not in str(told.value)


def test_what_is_no_file_or_too_large_or_cannot_be_read_is_refused(few, tmp_path, monkeypatch):
    with pytest.raises(CheckpointError, match="cannot be read"):
        module._load(os.fspath(tmp_path / "none"))
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        module._load(os.fspath(tmp_path))
    interrupted(few, tmp_path / "run")
    monkeypatch.setattr(module, "MAX_FILE_BYTES", 100)
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        module._load(os.fspath(tmp_path / "run"))


def test_a_checkpoint_of_another_shape_is_refused(few, tmp_path):
    interrupted(few, tmp_path / "run")
    found = Checkpoint(tmp_path / "run", resume=True)
    state = found.states[0]
    found.states[0] = state._replace(v=state.v[:-1])
    with pytest.raises(DataError, match="another run"):
        catclf.train(few, iterations=200, cv=2, checkpoint=found)


def test_a_journal_keeps_an_entry_for_each_regression():
    journal = Journal()
    assert journal.start(0, 2, 1) is None
    first, second, later = (State(i, np.zeros((2, 1)), 0.0, []) for i in (1, 2, 3))
    journal.keeper(0)(first)
    journal.keeper(1)(second)
    journal.keeper(1)(later)
    assert [state.iteration for state in journal.states] == [1, 3]
    assert journal.start(1, 2, 1) is later


def test_its_permissions_are_those_of_any_new_file(few, tmp_path):
    before = os.umask(0o027)
    try:
        interrupted(few, tmp_path / "run")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o640
