"""Work in threads: the order of the items, how many are under way, how it ends."""

import threading
import time
from itertools import count, islice

import pytest

from catclf.common import threads
from catclf.common.threads import AHEAD, LARGEST_BATCH, batches, on_a_thread, ordered


def test_batches_begin_small_and_lose_nothing():
    rest = iter(range(100))
    dealt = batches(rest)
    assert next(dealt) == [0]
    assert next(rest) == 1  # no more was asked for than is given
    later = list(dealt)
    assert [len(batch) for batch in later] == [2, 4, 8, *[LARGEST_BATCH] * 5, 4]
    assert [i for batch in later for i in batch] == list(range(2, 100))
    assert list(batches([])) == []


@pytest.mark.parametrize("n", [1, 2, 3, 8])
def test_results_come_in_the_order_of_the_items(n):
    def late(i):
        time.sleep(0.002 * (7 - i % 8))  # the first of every eight ends last
        return -i

    assert list(ordered(late, range(64), n)) == [-i for i in range(64)]


def test_two_threads_are_at_work_at_once():
    meeting = threading.Barrier(2, timeout=30)
    assert list(ordered(lambda i: meeting.wait() >= 0, range(10), 2)) == [True] * 10


@pytest.mark.parametrize("n", [0, 1])
def test_a_single_item_needs_no_thread(n):
    before = threading.active_count()
    found = list(ordered(lambda i: (threading.current_thread(), threading.active_count()), [0] * n))
    assert found == [(threading.current_thread(), before)] * n


@pytest.mark.parametrize("n", [2, 5])
def test_few_items_are_under_way(n):
    """What has been asked for and not yet handed on is bounded, however many items there are."""
    asked, most = [], 0
    items = (asked.append(i) or i for i in count())
    for done, i in enumerate(islice(ordered(lambda i: i, items, n), 500)):
        assert i == done
        most = max(most, len(asked) - done)
    assert most == AHEAD * n


def test_an_exception_comes_in_its_turn():
    results = ordered(lambda i: 1 // (5 - i), range(10), 3)
    assert [next(results) for _ in range(5)] == [0, 0, 0, 0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_what_fails_in_the_items_is_raised_too():
    items = (i if i < 5 else 1 // 0 for i in range(9))
    with pytest.raises(ZeroDivisionError):
        list(ordered(lambda i: i, items, 2))


@pytest.mark.parametrize("early", [True, False])
def test_threads_end_with_the_iteration_and_begin_nothing_more(early):
    before, begun = threading.active_count(), []
    gate = threading.Event()

    def work(i):
        begun.append(i)
        if i > 1:
            gate.wait(10)
        return i

    found = ordered(work, range(100), 2)
    assert [next(found), next(found)] == [0, 1]
    threading.Timer(0.1, gate.set).start()
    if early:
        found.close()
        assert len(begun) <= 4  # two that were done, and one in each thread
    else:
        assert list(found) == list(range(2, 100))
    deadline = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before


def test_a_thread_that_hangs_is_not_waited_for():
    never = threading.Event()
    found = ordered(lambda i: i == 0 or never.wait(60), range(9), 3)
    assert next(found) is True
    start = time.monotonic()
    found.close()
    waited = time.monotonic() - start
    never.set()
    assert waited < 30


def test_work_on_a_thread_gives_its_result_or_its_error():
    here = threading.current_thread()
    assert on_a_thread(lambda: threading.current_thread() is not here)
    assert on_a_thread(lambda: time.sleep(0.6) or "done") == "done"  # longer than a wait
    with pytest.raises(TimeoutError, match="its own"):
        on_a_thread(lambda: (_ for _ in ()).throw(TimeoutError("its own")))


def test_processors_are_those_that_may_be_used(monkeypatch):
    monkeypatch.setattr(threads.os, "sched_getaffinity", lambda pid: {1, 5, 6}, raising=False)
    assert threads.count() == 3
    monkeypatch.delattr(threads.os, "sched_getaffinity")
    monkeypatch.setattr(threads.os, "cpu_count", lambda: None)
    assert threads.count() == 1
