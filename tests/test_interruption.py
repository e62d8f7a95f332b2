"""Being told to stop, as a real process: exit codes, what is said, what is left."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from processes import started, told_to_stop

from catclf import load_model
from catclf.cli import interruption, main
from catclf.errors import CheckpointError
from catclf.solvers.checkpoint import Checkpoint
from catclf.solvers.fit import State

SIGNALS = [
    ("SIGINT", 130, "interrupted"),
    ("SIGTERM", 143, "terminated"),
    ("SIGHUP", 129, "terminated"),
]


def stopped(words, cwd, name, ready):
    """Start a command or a program, send it a signal once it is ready; give its code and stderr."""
    command = ["-c", words] if isinstance(words, str) else ["-m", "catclf", *words]
    with started(*command, cwd=cwd) as process:
        _, stderr = told_to_stop(process, getattr(signal, name), lambda: ready(process))
    return process.returncode, stderr


def checkpoint_there(cwd, name="m.npz.checkpoint"):
    return lambda process: (cwd / name).exists()


LONG = ["train", "photos", "--iterations", "100000000", "--cv", "0", "--out", "m.npz"]


@pytest.mark.parametrize(("name", "code", "word"), SIGNALS)
def test_a_run_that_is_stopped_says_how_to_go_on(class_folder, tmp_path, name, code, word):
    words = [*LONG, "-q", "--checkpoint-every", "0.01"]
    ended, stderr = stopped(words, tmp_path, name, checkpoint_there(tmp_path))
    assert ended == code
    found = re.fullmatch(
        rf"error: {word} at iteration (\d+); go on with: catclf (train --resume .*)\n", stderr
    )
    assert found, stderr
    again = shlex.split(found[2])
    assert again == ["train", "--resume", *words[1:]]
    assert sorted(os.listdir(tmp_path)) == ["m.npz.checkpoint", "photos"]
    # What it says works, and says the same again.
    ended, stderr = stopped(again, tmp_path, name, lambda process: time.sleep(1.5) or True)
    assert ended == code
    assert f"go on with: catclf {found[2]}" in stderr
    assert int(re.search(r"iteration (\d+)", stderr)[1]) >= int(found[1])


def test_without_the_option_a_checkpoint_is_written_too(class_folder, tmp_path):
    def trains(process):
        status = Path(f"/proc/{process.pid}/stat")
        if not status.exists():
            pytest.skip("how long a process has been at work cannot be seen here")
        ticks = status.read_text().rsplit(")", 1)[1].split()[11:13]
        return sum(map(int, ticks)) > 4 * os.sysconf("SC_CLK_TCK")

    ended, stderr = stopped(LONG, tmp_path, "SIGINT", trains)
    assert ended == 130
    assert "go on with: catclf train --resume photos" in stderr
    assert (tmp_path / "m.npz.checkpoint").is_file()


def test_a_signal_is_heard_in_the_midst_of_a_long_instruction(tmp_path):
    code = (
        "import hashlib\n"
        "from catclf.cli.interruption import on_a_thread, resumable\n"
        "with resumable(None):\n"
        "    open('begun', 'w').close()\n"
        # One call, of many minutes, during which Python's main thread would hear nothing.
        "    on_a_thread(lambda: hashlib.pbkdf2_hmac('sha256', b'', b'', 2**31 - 1))\n"
    )
    ready = checkpoint_there(tmp_path, "begun")
    assert stopped(code, tmp_path, "SIGINT", ready) == (130, "error: interrupted\n")


def test_signals_that_are_ignored_stay_so(tmp_path):
    code = (
        "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN);"
        "from catclf.cli.interruption import install; install();"
        "print(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN,"
        "callable(signal.getsignal(signal.SIGTERM)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True True\n"


def test_a_resumed_command_ends_as_the_unbroken_one(catclf, class_folder, tmp_path):
    words = ["train", "photos", "--iterations", 50_000, "--cv", 2, "--json"]
    unbroken = json.loads(catclf(*words, "--out", "a.npz").stdout)
    quick = [*map(str, words), "--out", "b.npz", "--checkpoint-every", "0.01"]
    ended, _ = stopped(quick, tmp_path, "SIGKILL", checkpoint_there(tmp_path, "b.npz.checkpoint"))
    assert ended == -signal.SIGKILL
    done = catclf(*quick, "--resume")
    assert "going on from b.npz.checkpoint at iteration" in done.stderr
    found = json.loads(done.stdout)
    for key in ("cost", "train_accuracy", "cv_accuracy", "m", "n_x"):
        assert found[key] == unbroken[key]
    a, b = (load_model(tmp_path / name) for name in ("a.npz", "b.npz"))
    assert np.abs(a.w - b.w).max() <= 1e-10 * np.abs(a.w).max()
    assert not (tmp_path / "b.npz.checkpoint").exists()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--auto", "--resume"], 2, "one learning rate, and without --auto"),
        (["--auto", "--checkpoint-every", "5"], 2, "one learning rate, and without --auto"),
        (["--learning-rate", "1", "--learning-rate", "2", "--resume"], 2, "one learning rate"),
        (["--checkpoint-every", "0"], 2, "some seconds, not 0"),
        (["--checkpoint-every", "-1"], 2, "some seconds, not -1"),
        (["--checkpoint-every", "nan"], 2, "some seconds, not nan"),
        (["--checkpoint-every", "inf"], 2, "some seconds, not inf"),
    ],
)
def test_checkpoints_that_make_no_sense_are_refused(catclf, class_folder, words, code, message):
    assert message in catclf("train", "photos", *words, code=code).stderr


def test_a_checkpoint_that_is_none_is_one_line(catclf, class_folder, tmp_path):
    (tmp_path / "m.npz.checkpoint").write_bytes(b"a photo")
    done = catclf("train", "photos", "--out", "m.npz", code=3)
    assert done.stderr.count("\n") == 1
    assert "name another --out" in done.stderr
    (tmp_path / "m.npz.checkpoint").write_bytes(b"catclf checkpoint 1\nand no more")
    done = catclf("train", "photos", "--out", "m.npz", "--resume", code=3)
    assert done.stderr.count("\n") == 1
    assert "an older catclf; delete it, or begin anew without --resume" in done.stderr


def test_several_rates_keep_no_checkpoint(catclf, class_folder, tmp_path):
    rates = ["--learning-rate", "0.001", "--learning-rate", "0.002"]
    catclf("train", "photos", *rates, "--iterations", 5, "--out", "m.npz")
    assert sorted(os.listdir(tmp_path)) == ["m.npz", "photos"]


# In this process


class LeftError(Exception):
    """Stands for the end of the process."""


@pytest.fixture
def left(monkeypatch):
    """How the process would have ended."""
    codes = []

    def leave(code):
        codes.append(code)
        raise LeftError

    monkeypatch.setattr(interruption, "leave", leave)
    return codes


@pytest.mark.parametrize(
    ("stop", "code", "words"),
    [(KeyboardInterrupt(), 130, "interrupted"), (SystemExit(143), 143, "terminated")],
)
def test_what_is_interrupted_before_it_begins_has_nothing_to_go_on_with(
    tmp_path, capsys, left, stop, code, words
):
    for checkpoint in (None, Checkpoint(tmp_path / "run")):
        with pytest.raises(LeftError), interruption.resumable(checkpoint):
            raise stop
    assert left == [code, code]
    assert capsys.readouterr().err == 2 * f"error: {words}\n"


def test_why_nothing_was_kept_is_said_instead(tmp_path, capsys, left, monkeypatch):
    checkpoint = Checkpoint(tmp_path / "run")
    checkpoint.begin({})
    checkpoint.keep(0, State(7, np.ones((1, 1)), 0.0, []))
    (tmp_path / "run").mkdir()
    with pytest.raises(LeftError), interruption.resumable(checkpoint):
        raise KeyboardInterrupt
    said = capsys.readouterr().err
    assert said.startswith("error: interrupted at iteration 7; ")
    assert "cannot be written (it is not a regular file)" in said
    assert left == [130]


def test_another_interruption_while_it_is_told_ends_it_all_the_same(left, monkeypatch):
    def again(text):
        raise KeyboardInterrupt

    monkeypatch.setattr(interruption.output, "error", again)
    with pytest.raises(LeftError), interruption.resumable(None):
        raise KeyboardInterrupt
    assert left == [130]


def test_other_errors_pass(tmp_path, left):
    with pytest.raises(CheckpointError), interruption.resumable(Checkpoint(tmp_path / "run")):
        raise CheckpointError("no")
    with interruption.resumable(None):
        pass
    assert left == []


def test_work_on_a_thread_gives_its_result_or_its_error():
    assert interruption.on_a_thread(lambda: threading.current_thread().daemon)
    slow = interruption.on_a_thread(lambda: time.sleep(0.6) or "done")  # longer than it waits
    assert slow == "done"
    with pytest.raises(ZeroDivisionError):
        interruption.on_a_thread(lambda: 1 / 0)


def test_leaving_writes_out_what_was_said_and_asks_nobody():
    code = (
        "import sys, threading, time\n"
        "from catclf.cli.interruption import leave\n"
        "threading.Thread(target=lambda: time.sleep(600)).start()\n"  # one that would be waited for
        "print('said'); sys.stderr.write('this too'); leave(130)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "said\n", "this too")


def test_a_signal_ends_with_its_code():
    stop = interruption._Stop()
    with pytest.raises(SystemExit) as end:
        stop(signal.SIGTERM, None)
    assert end.value.code == 143
    stop(signal.SIGINT, None)  # together with the other
    stop.last -= 1
    with pytest.raises(KeyboardInterrupt):
        stop(signal.SIGINT, None)


@pytest.mark.parametrize("others", [("SIGINT", "SIGTERM"), ("SIGHUP", "SIGTERM", "SIGINT")])
def test_signals_that_come_together_are_one(class_folder, tmp_path, others):
    ready = checkpoint_there(tmp_path)

    def send(number, first):
        for name in others:
            os.kill(number, getattr(signal, name))

    with started("-m", "catclf", *LONG, "--checkpoint-every", "0.01", cwd=tmp_path) as process:
        _, stderr = told_to_stop(process, 0, lambda: ready(process), send)
    assert process.returncode in (129, 130, 143)
    assert re.search(r"^error: (interrupted|terminated) at iteration \d+; go on with", stderr, re.M)
    assert ready(process)


SPOILT = """
import os, signal, sys, time
import numpy as np
from catclf.cli import main
def savez(*_, **__):
    try:
        os.kill(os.getpid(), signal.SIGNAL)
        time.sleep(60)
    finally:  # as zipfile does where a signal comes at the wrong moment
        raise ValueError("Can't close the ZIP file")
np.savez = savez
sys.argv = ["catclf", *"train drawn -q --iterations 1 --cv 0 --out m.npz".split()]
main()
"""


@pytest.mark.parametrize(("name", "code", "word"), SIGNALS)
def test_what_fails_as_a_stop_is_tidied_up_is_no_fault(tmp_path, name, code, word):
    with started("-c", SPOILT.replace("SIGNAL", name), cwd=tmp_path) as process:
        _, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (code, f"error: {word}\n")
    assert list(tmp_path.iterdir()) == []


DROPPED = """
import signal, sys, time
from catclf.cli.interruption import install
install()
class Doomed:
    def __del__(self):
        signal.raise_signal(getattr(signal, sys.argv[1]))
        for _ in range(1000):
            pass
doomed = Doomed()
try:
    del doomed
    time.sleep(600)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize(("name", "code", "word"), SIGNALS)
def test_what_a_signal_raises_in_a_callback_is_not_lost(name, code, word):
    with started("-c", DROPPED, name) as process:
        _, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (code, "")


def test_other_errors_in_a_callback_are_shown_as_ever(capsys):
    class Doomed:
        def __del__(self):
            raise ValueError("mine")

    before = sys.unraisablehook
    sys.unraisablehook = interruption._not_dropped
    try:
        Doomed()
    finally:
        sys.unraisablehook = before
    assert "ValueError: mine" in capsys.readouterr().err


def test_being_terminated_outside_training_is_told(monkeypatch, capsys):
    from catclf import model

    def terminated(path):
        raise SystemExit(143)

    monkeypatch.setattr(interruption, "install", lambda: None)
    monkeypatch.setattr(model, "load_model", terminated)
    monkeypatch.setattr(sys, "argv", ["catclf", "predict", "x.jpg"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 143
    assert capsys.readouterr().err == "error: terminated\n"
