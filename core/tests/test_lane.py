from __future__ import annotations

import threading
import time

import pytest
from conftest import Inbox, Recorder

from tocsin import Channel
from tocsin._lane import MAX_ABANDONED, MAX_WORKERS, Lane

NOW = time.monotonic()


def lane_of(concurrency=4):
    provider = type("Some", (Recorder,), {"concurrency": concurrency})(Inbox())
    return Lane(Channel("inbox", provider), provider, threading.RLock())


@pytest.fixture
def lane():
    return lane_of()


@pytest.mark.parametrize(
    ("wished", "had"), [(4, 4), (1, 1), (0, 1), (-3, 1), (999, MAX_WORKERS)]
)
def test_concurrency(wished, had):
    """A provider's wish counts, between one and what a process may have."""
    assert lane_of(wished).concurrency == lane_of(wished).free == had


def test_a_claim_goes_through(lane):
    """It waits, is tried, and is gone when its outcome is written down."""
    lane.add("claim")
    assert (lane.load, lane.free) == (1, 3)

    attempt = lane.next(0)
    assert attempt.claim == "claim"
    assert (lane.load, lane.free) == (1, 3)
    assert lane.end(attempt)
    assert lane.load == 1
    lane.close(attempt)
    assert (lane.load, lane.free) == (0, 4)


def test_first_come(lane):
    """Claims are tried in the order in which they came; with none the worker ends."""
    for number in range(3):
        lane.add(number)

    assert [lane.next(0).claim for _ in range(3)] == [0, 1, 2]
    assert lane.next(0) is None


def test_more_than_it_asked_for(lane):
    """It asks for no more while it has too much."""
    for number in range(9):
        lane.add(number)

    assert lane.free == 0


def test_it_hires_as_many_as_it_needs(lane):
    """A worker for each claim that waits or is tried, up to its concurrency."""
    assert not lane.hires()
    for number in range(9):
        lane.add(number)
    hired = sum(lane.hires() for _ in range(9))

    assert hired == lane.workers == 4
    lane.dismiss()
    assert lane.hires()
    lane.clear()
    lane.dismiss()
    assert not lane.hires()


def test_whoever_waits_is_woken(lane):
    """A worker that has nothing to do gets the next claim when it comes."""
    found = []
    worker = threading.Thread(target=lambda: found.append(lane.next(30)))
    worker.start()
    lane.add("claim")
    worker.join(10)

    assert found[0].claim == "claim"


def test_clear(lane):
    """What waits is let go of, what is being tried is not; idle workers end."""
    lane.add("tried")
    attempt = lane.next(0)
    lane.add("waits")

    assert lane.clear() == ["waits"]
    assert lane.load == 1
    lane.close(attempt)
    assert lane.load == 0


def test_who_hangs_is_given_up(lane):
    """Its claim is free, its place too, and when it comes back nobody hears it."""
    lane.add("hangs")
    lane.hires()
    attempt = lane.next(0)

    assert list(lane.abandon(attempt.started - 1)) == []
    assert list(lane.abandon(attempt.started + 1)) == ["hangs"]
    assert (lane.load, lane.workers, lane.abandoned) == (0, 0, 1)
    assert not lane.end(attempt)
    assert lane.abandoned == 0


def test_who_came_back_in_time_does_not_hang(lane):
    """An attempt whose outcome is just being written down is not given up."""
    lane.add("slow")
    attempt = lane.next(0)
    lane.end(attempt)

    assert list(lane.abandon(attempt.started + 1)) == []


def test_too_many_that_hang(lane):
    """With two workers that hang the channel takes no more, until one comes back."""
    attempts = []
    for number in range(MAX_ABANDONED):
        lane.add(number)
        attempts.append(lane.next(0))
    list(lane.abandon(attempts[-1].started + 1))

    assert lane.is_blocked
    assert lane.free == 0
    lane.end(attempts[0])
    assert not lane.is_blocked
    assert lane.free == 4


def test_blocked(lane):
    """A channel that this process cannot use takes nothing until it may be tried again."""
    lane.blocked_until = time.monotonic() + 60
    assert lane.is_blocked
    assert lane.free == 0

    lane.blocked_until = time.monotonic()
    assert lane.free == 4
