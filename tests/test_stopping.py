"""Being told to stop: exit codes, what is said, what is left; and how one goes on."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from processes import started, told_to_stop

from catclf.common import interruption
from catclf.solvers import State
from catclf.solvers.checkpoint import Checkpoint

pytestmark = pytest.mark.slow

SIGNALS = [
    ("SIGINT", 130, "interrupted"),
    ("SIGTERM", 143, "terminated"),
    ("SIGHUP", 129, "terminated"),
]
LONG = ["train", "photos", "--iterations", "100000000", "--cv", "0", "--out", "m.npz"]
COMMAND = """
import sys
sys.argv = ["catclf", *sys.argv[1:]]
BEFORE
from catclf.cli import run
run()
"""


def stopped(words, cwd, name, begun, before="", **options):
    """Send a command a signal once it has made a file; give its exit code and stderr.

    `before` is a program that goes before the command, in the same process.
    """
    command = ["-c", COMMAND.replace("BEFORE", before), *words]
    with started(*command, cwd=cwd, **options) as process:
        ready = (cwd / begun).exists
        _, stderr = told_to_stop(process, getattr(signal, name), ready)
    return process.returncode, stderr


@pytest.mark.parametrize(("name", "code", "word"), SIGNALS)
def test_a_run_that_is_stopped_says_how_to_go_on(class_folder, tmp_path, name, code, word):
    # Without --checkpoint-every there is a checkpoint too: that of the end.
    every = [] if name == "SIGHUP" else ["--checkpoint-every", "0.01"]
    words = [*LONG, "-q", *every]
    ended, stderr = stopped(words, tmp_path, name, "begun", before=MARK.replace("FILE", "begun"))
    assert ended == code
    said = re.fullmatch(
        rf"error: {word} at iteration (\d+); go on with: catclf (train --resume .*)\n", stderr
    )
    assert said, stderr
    again = shlex.split(said[2])
    assert again == ["train", "--resume", *words[1:]]
    assert sorted(os.listdir(tmp_path)) == ["begun", "m.npz.checkpoint", "photos"]
    # What it says works, and says the same again.
    kept = Checkpoint(tmp_path / "m.npz.checkpoint", resume=True).states[-1].iteration
    ended, stderr = stopped(again, tmp_path, name, "going", before=MARK.replace("FILE", "going"))
    assert ended == code
    assert f"go on with: catclf {said[2]}" in stderr
    assert int(re.search(r"iteration (\d+)", stderr)[1]) >= kept


MARK = """
from catclf.solvers.checkpoint import Checkpoint
keep = Checkpoint.keep
def marked(*arguments):
    keep(*arguments)
    open("FILE", "w").close()
Checkpoint.keep = marked
"""


# One call, of many minutes, during which Python's main thread would hear nothing.
INSTRUCTION = """
import hashlib
import catclf.training
def train_with(*_, **__):
    open("begun", "w").close()
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
catclf.training.train_with = train_with
"""


def test_a_signal_is_heard_in_the_midst_of_a_long_instruction(class_folder, tmp_path):
    told = stopped([*LONG, "-q"], tmp_path, "SIGINT", "begun", before=INSTRUCTION)
    assert told == (130, "error: interrupted\n")


READING = """
import catclf.cli.predict as predict
stdin = predict._read_stdin
def _read_stdin(max_bytes):
    open("begun", "w").close()
    return stdin(max_bytes)
predict._read_stdin = _read_stdin
"""


def test_a_signal_is_heard_while_stdin_gives_nothing(tmp_path):
    words = ["predict", "-q", "-"]
    silent = {"stdin": subprocess.PIPE}
    told = stopped(words, tmp_path, "SIGTERM", "begun", before=READING, **silent)
    assert told == (143, "error: terminated\n")


def test_a_signal_is_heard_while_nobody_reads_what_is_written(class_folder, tmp_path):
    images = [
        os.path.join("photos", sub, name)
        for sub in os.listdir(class_folder)
        for name in os.listdir(class_folder / sub)
    ]
    command = ["-m", "catclf", "predict", "-q", *images * 400]
    with started(*command, cwd=tmp_path) as process:
        assert process.stdout.readline().startswith("photos")
        time.sleep(2)  # the pipe is full long before
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 143
        assert process.stderr.read() == "error: terminated\n"


def test_signals_that_are_ignored_stay_so(tmp_path):
    code = (
        "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN);"
        "from catclf.common.interruption import listen; listen();"
        "print(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN,"
        "callable(signal.getsignal(signal.SIGTERM)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True True\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--auto", "--resume"], "one learning rate, and without --auto"),
        (["--learning-rate", "1", "--learning-rate", "2", "--resume"], "one learning rate"),
        (["--checkpoint-every", "0"], "some seconds, not 0"),
        (["--checkpoint-every", "inf"], "some seconds, not inf"),
    ],
)
def test_checkpoints_that_make_no_sense_are_refused(catclf, class_folder, words, message):
    assert message in catclf("train", "photos", *words, code=2).stderr


def test_signals_that_come_together_are_one(class_folder, tmp_path):
    def send(number, first):
        for name, _, _ in SIGNALS:
            os.kill(number, getattr(signal, name))

    kept = tmp_path / "m.npz.checkpoint"
    with started("-m", "catclf", *LONG, "--checkpoint-every", "0.01", cwd=tmp_path) as process:
        _, stderr = told_to_stop(process, 0, kept.exists, send)
    assert process.returncode in (129, 130, 143)
    assert re.search(r"^error: (interrupted|terminated) at iteration \d+; go on with", stderr, re.M)
    assert kept.exists()


SPOILT = """
import os, signal, time
import numpy as np
def savez(*_, **__):
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    finally:  # as zipfile does where a signal comes at the wrong moment
        raise ValueError("Can't close the ZIP file")
np.savez = savez
"""
SHORT = ["train", "photos", "-q", "--iterations", "1", "--cv", "0", "--out", "m.npz"]


def test_what_fails_as_a_stop_is_tidied_up_is_no_fault(class_folder, tmp_path):
    with started("-c", COMMAND.replace("BEFORE", SPOILT), *SHORT, cwd=tmp_path) as process:
        _, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (143, "error: terminated\n")
    assert os.listdir(tmp_path) == ["photos"]


DROPPED = """
import signal, sys
from catclf.common import interruption
interruption.listen()
class Doomed:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)
        for _ in range(1000):
            pass
doomed = Doomed()
del doomed
try:
    interruption.check()
except KeyboardInterrupt:
    sys.exit(130)
"""


def test_what_a_signal_raises_in_a_callback_is_not_lost():
    with started("-c", DROPPED) as process:
        _, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (130, "")


# In this process


@pytest.fixture
def stop(monkeypatch):
    """The handler of the signals, which has heard of none."""
    monkeypatch.setattr(interruption._stop, "noted", None)
    monkeypatch.setattr(interruption._stop, "last", float("-inf"))
    return interruption._stop


def test_a_stop_is_raised_until_it_is_heeded(stop):
    interruption.check()
    with pytest.raises(SystemExit) as end:
        stop(signal.SIGTERM, None)
    assert end.value.code == 143
    stop(signal.SIGINT, None)  # together with the other
    with pytest.raises(SystemExit):
        interruption.check()
    stop.last -= 1
    with pytest.raises(KeyboardInterrupt):
        stop(signal.SIGINT, None)
    interruption.heed()
    interruption.check()


def test_why_there_is_nothing_to_go_on_with_is_said_instead(tmp_path):
    checkpoint = Checkpoint(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt) as end, checkpoint:
        raise KeyboardInterrupt
    assert not hasattr(end.value, "__notes__")  # nothing had begun
    checkpoint.begin({})
    checkpoint.keep(0, State(7, np.ones((1, 1)), np.zeros((1, 1)), []))
    (tmp_path / "run").mkdir()
    with pytest.raises(KeyboardInterrupt) as end, checkpoint:
        raise KeyboardInterrupt
    (said,) = end.value.__notes__
    assert said.startswith("at iteration 7; ")
    assert "cannot be written (it is not a regular file)" in said
