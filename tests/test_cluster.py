"""A Dask cluster: the same result as one process, whatever happens to a worker; nothing is left."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import h5py
import numpy as np
import pytest
from processes import left, started, told_to_stop, unmeasured
from threadpoolctl import threadpool_limits

from catclf import load_dataset
from catclf import training as pipeline
from catclf.cluster import Cluster, remote_blocks
from catclf.data.dataset import join
from catclf.data.drawn import draw
from catclf.errors import ClusterError, DataError, ParameterError
from catclf.solvers.checkpoint import Checkpoint

distributed = pytest.importorskip("distributed", reason="the extra dask is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default::ResourceWarning")]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two files of drawings, 90 in all."""
    folder = tmp_path_factory.mktemp("parts")
    for i, (n, seed) in enumerate([(50, 5), (40, 6)]):
        images, labels = draw(n, seed=seed)
        with h5py.File(folder / f"part-{i}.h5", "w") as file:
            file["train_set_x"], file["train_set_y"] = images, labels
            file["list_classes"] = np.array([b"non-cat", b"cat"])
    return sorted(map(str, folder.glob("part-*.h5")))


@pytest.fixture(scope="module")
def cluster():
    """Two workers, processes of their own, of which a task may outlive none."""
    import dask

    probe = pytest.MonkeyPatch()
    probe.setattr("catclf.cluster.DEATHS", 0)
    probe.setattr("catclf.cluster.CONNECT_SECONDS", 60)
    from catclf.cluster import _import

    _import()
    assert dask.config.get("distributed.scheduler.allowed-failures") == 0
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=60
        ) as there,
        Cluster(there.scheduler_address) as connected,
    ):
        yield connected
    probe.undo()


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Six blocks, one of them from both files, of four that one process has."""
    monkeypatch.setattr("catclf.common.blocks.MOST_ROWS", 4)


def pids(cluster):
    return sorted(cluster._client.run(os.getpid).values())


def here(files):
    return join([load_dataset(file) for file in files])


NEWTON = {"solver": "newton", "l2": 0.3, "cv": 2, "coordinates": "primal"}
SETTINGS = {
    "descent": {"iterations": 30, "l2": 0.1},
    "descent in Gram coordinates": {"iterations": 30, "coordinates": "gram"},
    "newton in Gram coordinates, scaled": {**NEWTON, "features": "conv", "coordinates": "auto"},
    "newton by conjugate gradients": {**NEWTON, "l2": 1, "cv": 0},
    "newton by a system": {**NEWTON, "features": "conv"},
    "descent on scaled features": {"iterations": 30, "features": "conv", "cv": 0},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_the_model_is_that_of_one_process(cluster, files, name):
    settings = SETTINGS[name]
    _, dataset = remote_blocks.load(cluster, files, "train")
    with threadpool_limits(1):  # as in the commands and on the workers; two round otherwise
        found = pipeline.train(dataset, **settings)
        expected = pipeline.train(here(files), **{"coordinates": "primal", **settings})
    assert found.w.tobytes() == expected.w.tobytes()
    assert (found.b, found.temperature) == (expected.b, expected.temperature)
    assert found.seen.tolist() == expected.seen.tolist()
    for key in ("data", "training", "cross_validation"):
        assert found.provenance.as_json[key] == expected.provenance.as_json[key]


def test_a_worker_killed_in_the_middle_costs_time_alone(cluster, files):
    _, dataset = remote_blocks.load(cluster, files, "train")
    settings = {"iterations": 40, "cv": 0}
    unbroken = pipeline.train(dataset, **settings)
    _, dataset = remote_blocks.load(cluster, files, "train")
    before = pids(cluster)

    def kill(iteration, cost):
        if iteration == 15:
            os.kill(before[0], signal.SIGKILL)

    found = pipeline.train(dataset, callback=kill, **settings)
    assert found.w.tobytes() == unbroken.w.tobytes()
    assert before[0] not in pids(cluster)


def dies(item):
    marker = Path(item)
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


def always_dies(item):
    os.kill(os.getpid(), signal.SIGKILL)


def fails(item):
    raise RuntimeError("broken\nin two lines")


def test_work_that_the_cluster_gives_up_is_begun_anew(cluster, tmp_path):
    (found,) = cluster.ordered(dies, [str(tmp_path / "died")])
    assert found in pids(cluster)


def test_a_scheduler_that_is_gone_is_told_and_what_was_trained_is_kept(files, tmp_path, capfd):
    told = tmp_path / "scheduler.json"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    where = ["--scheduler-file", str(told), "--no-dashboard"]
    path = tmp_path / "m.npz.checkpoint"

    def kill(iteration, cost):
        if iteration == 5:
            scheduler.kill()
            scheduler.wait()
            while there._client.status == "running":  # what is asked for after that is lost
                time.sleep(0.01)

    with (
        started("-m", "dask", "scheduler", "--port", "0", *where, **quiet) as scheduler,
        started("-m", "dask", "worker", "--no-nanny", *where, **quiet),
    ):
        while not (told.exists() and told.stat().st_size):
            assert scheduler.poll() is None
            time.sleep(0.05)
        address = json.loads(told.read_text())["address"]
        with Cluster(address) as there:
            _, dataset = remote_blocks.load(there, files, "train")
            settings = {"iterations": 9999, "cv": 0, "callback": kill}
            with pytest.raises(ClusterError) as error, Checkpoint(path) as checkpoint:
                pipeline.train(dataset, checkpoint=checkpoint, **settings)
    assert str(error.value) == f"{address}: the scheduler is gone; start one with: dask scheduler"
    assert path.exists()
    assert capfd.readouterr() == ("", "")


def test_work_that_never_succeeds_ends_in_a_line(cluster):
    with pytest.raises(ClusterError, match=r"^tcp://\S+: the work failed there \(.+\); see"):
        list(cluster.ordered(always_dies, [1]))
    with pytest.raises(ClusterError, match=r"\(RuntimeError: broken in two lines\)"):
        list(cluster.ordered(fails, [1]))


def test_a_stream_keeps_its_order_and_is_taken_a_few_items_ahead(cluster):
    taken = []

    def items():
        for i in range(50):
            taken.append(i)
            yield i

    results = cluster.ordered(abs, items())
    assert next(results) == 0
    assert len(taken) <= 10
    assert list(results) == list(range(1, 50))


def test_blocks_grow_so_that_there_are_few_and_one_will_do(cluster, files, monkeypatch):
    monkeypatch.setattr(remote_blocks, "MOST_BLOCKS", 1)
    _, dataset = remote_blocks.load(cluster, files, "train")
    assert [(part.start, part.stop) for part in dataset.images.slices] == [(0, 90)]
    found = pipeline.train(dataset, iterations=3, cv=0)
    expected = pipeline.train(here(files), coordinates="primal", iterations=3, cv=0)
    np.testing.assert_allclose(found.w, expected.w, rtol=1e-10)
    np.testing.assert_array_equal(dataset.images[57], here(files).images[57])


def test_a_file_must_be_there_and_the_same(cluster, files, tmp_path, monkeypatch):
    moved = tmp_path / "moved.h5"
    moved.write_bytes(Path(files[0]).read_bytes())
    _, dataset = remote_blocks.load(cluster, [str(moved)], "train")
    moved.unlink()
    there = r"moved.h5: No such file.* DATA must be at this path on all machines, \S+ too$"
    with pytest.raises(DataError, match=there):
        pipeline.train(dataset, iterations=1, cv=0)
    monkeypatch.setattr(remote_blocks, "_digest", lambda Y: b"of another file")
    _, dataset = remote_blocks.load(cluster, files, "train")
    with pytest.raises(DataError, match=r"part-\d.h5: another file than where the command was"):
        pipeline.train(dataset, iterations=1, cv=0)


def test_passes_and_workers_are_told(cluster, files):
    _, dataset = remote_blocks.load(cluster, files, "train")
    cluster.passes = 0
    told = []
    cluster.callback = lambda: told.append(str(cluster))
    try:
        pipeline.train(dataset, iterations=5, cv=0)
    finally:
        cluster.callback = None
    # A pass that takes long is told of again; a worker that was killed need not be back yet.
    fifth = {line for line in told if line.startswith("pass 5,")}
    assert set() < fifth <= {"pass 5, 1 worker", "pass 5, 2 workers"}


def test_workers_that_are_all_gone_are_not_waited_for_for_ever(monkeypatch):
    monkeypatch.setattr("catclf.cluster.PATIENCE_SECONDS", 1)
    settings = {"processes": False, "dashboard_address": "127.0.0.1:0", "silence_logs": 60}
    with (
        distributed.LocalCluster(n_workers=1, **settings) as there,
        Cluster(there.scheduler_address) as connected,
    ):
        there.scale(0)
        while connected._client.nthreads():
            time.sleep(0.01)
        with pytest.raises(ClusterError, match=r": no worker for 1 s; start some with: dask w"):
            connected.results(lambda: connected.map(abs, [1]))


def test_a_model_remembers_a_share_of_very_many_images(drawn, monkeypatch):
    every = pipeline.train(drawn, iterations=1, cv=0).seen
    monkeypatch.setattr(pipeline, "MOST_SEEN", 25)
    some = pipeline.train(drawn, iterations=1, cv=0).seen
    assert 12 < len(some) <= 25 < len(every)
    assert np.isin(some, every).all()


def test_an_address_where_no_scheduler_answers(monkeypatch):
    monkeypatch.setattr("catclf.cluster.CONNECT_SECONDS", 0.5)
    with pytest.raises(ClusterError, match=r"^tcp://127.0.0.1:9: no Dask scheduler answers"):
        Cluster("tcp://127.0.0.1:9")
    for address in ("locl", ""):
        with pytest.raises(ParameterError, match=r"^scheduler is an address such as tcp:"):
            Cluster(address)


def test_without_the_extra_there_is_a_line_with_the_remedy(monkeypatch, catclf):
    monkeypatch.setitem(sys.modules, "distributed", None)
    remedy = "needs dask.distributed; install it with: pip install 'catclf[dask]'\n"
    done = catclf("train", "--scheduler", "local", code=2)
    assert (done.stdout, done.stderr) == ("", f"error: --scheduler {remedy}")


@pytest.mark.parametrize("word", ["drawn", "."])
def test_what_is_no_file_is_refused_with_the_remedy(cluster, word):
    with pytest.raises(DataError, match=r": workers read HDF5 files; .* catclf data convert$"):
        remote_blocks.load(cluster, [word], "train")


# The command itself, with workers of its own.


@pytest.fixture
def marked(tmp_path):
    """An environment that can be told again, and a folder for temporary files."""
    if not Path("/proc/self/environ").exists():
        pytest.skip("other processes cannot be seen here")
    mark, folder = uuid.uuid4().hex, tmp_path / "tmp"
    folder.mkdir()
    yield {"TMPDIR": str(folder), "CATCLF_TEST": mark}
    assert left(mark) == {}
    assert list(folder.iterdir()) == []


def test_commands_say_what_they_say_without_a_cluster(catclf, cluster, files):
    pattern = str(Path(files[0]).parent / "part-*.h5")
    there = ("--scheduler", cluster.scheduler)
    words = ["train", pattern, "--iterations", 30, "--out", "there.npz", "--json"]
    remote = catclf(*words, *there)
    assert (remote.stderr, json.loads(remote.stdout)["m"]) == ("", 90)
    words = ["eval", pattern, "--model", "there.npz", "--json"]
    assert catclf(*words, *there).stdout == catclf(*words).stdout


def test_workers_of_its_own_predict_the_same_and_are_gone_in_the_end(
    catclf_process, catclf, class_folder, marked
):
    (class_folder / "broken.jpg").write_bytes(b"no image")
    words = ["predict", "photos", "missing.png", "--model", "photos"]
    there = catclf_process(*words, "--scheduler", "local", env=marked, code=3)
    plain = catclf(*words, code=3)
    told = [re.sub(r"in \d+\.\d s", "in no time", done.stderr) for done in (there, plain)]
    assert (there.stdout, told[0]) == (plain.stdout, told[1])
    assert there.stdout.count("\n") == 12


def test_ctrl_c_leaves_nothing(files, tmp_path, marked):
    words = ["--iterations", "100000", "--cv", "0", "--checkpoint-every", "0.01", "-o", "m.npz"]
    command = ["-m", "catclf", "train", *files, *words, "--scheduler", "local"]
    ready = (tmp_path / "m.npz.checkpoint").exists
    with started(*command, cwd=tmp_path, env={**unmeasured(), **marked}) as process:
        # As a terminal does: to the workers too.
        _, stderr = told_to_stop(process, signal.SIGINT, ready, os.killpg)
    assert process.returncode == 130
    assert re.fullmatch(r"error: interrupted at iteration \d+; go on with: .*\n", stderr), stderr
