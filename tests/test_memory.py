"""Sizes are read as people write them, and the system is asked only where it matters."""

from math import inf
from pathlib import Path

import pytest

from catclf.common import memory
from catclf.common.memory import available, budget, parse_size
from catclf.errors import ParameterError


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1GB", 10**9),
        ("1.5 gb", 1.5e9),
        ("500MB", 5e8),
        ("500m", 5e8),
        ("2T", 2e12),
        ("1000000", 1e6),
        (None, None),
    ],
)
def test_sizes_are_read_as_people_write_them(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "GB", "1.2.3GB", "-1GB", "1PB", "0", "999kB", "9e9", "1e300GB"]
)
def test_what_is_no_size_is_told(text):
    with pytest.raises(ParameterError, match="such as 500MB or 2GB, not"):
        parse_size(text)


def test_half_of_what_is_available_is_for_data(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 10**9)
    assert budget(None, 10**8) == 5 * 10**8
    assert budget(3e6, 10**8) == 3e6
    assert budget(None, 10**6) == inf  # however little there is


def test_a_containers_limit_counts_and_the_word_max_does_not(monkeypatch, tmp_path):
    everything = available()
    assert 10**7 < everything < 10**15
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "_LIMITS", (str(limit),))
    limit.write_text("max\n")
    assert available() > everything / 2
    limit.write_text("123456\n")
    assert available() == 123456


def test_a_system_that_says_nothing_will_do(monkeypatch):
    def refused(*asked):
        raise OSError

    monkeypatch.setattr(memory.os, "sysconf", refused)
    monkeypatch.setattr(Path, "read_text", refused)
    assert available() == memory.UNKNOWN


def test_the_command_line_takes_a_size(catclf, tmp_path):
    told = catclf("train", "drawn", "--memory", "lots", code=2).stderr
    assert told == "error: memory is a size from 1MB, such as 500MB or 2GB, not 'lots'\n"
    assert not list(tmp_path.iterdir())
