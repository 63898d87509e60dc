"""Through the notifier: what is raised in quiet hours is sent when they end."""

from __future__ import annotations

import pytest
from conftest import Recorder
from hypothesis import given, settings
from hypothesis import strategies as st
from storing import NOW, claims, submit

from tocsin import (
    Admitted,
    Alert,
    AlertLevel,
    Notifier,
    Settings,
    Status,
    Subscription,
    Suppressed,
)
from tocsin._quiet import QuietHours
from tocsin._retry import HORIZON
from tocsin._routing import routes
from tocsin._store.sqlite import SqliteStore

HOUR = 3600.0
MIDNIGHT = NOW - 8 * HOUR  # NOW is eight o'clock in the morning
EVENING, MORNING = MIDNIGHT + 22 * HOUR, MIDNIGHT + 31 * HOUR
NIGHT = QuietHours(["22:00-07:00"], time_zone="UTC")


@pytest.fixture
def start(inbox, clock):
    """Return what starts a notifier with such a subscription."""
    running = []

    def start(**wish):
        made = Settings(
            user="ada",
            submit_timeout=10.0,
            channels={"inbox": Recorder(inbox)},
            subscriptions=[Subscription(channels=["inbox"], **wish)],
            state_dir=":memory:",
        )
        running.append(Notifier(made, namespace="tests", clock=clock))
        return running[-1]

    yield start
    for notifier in running:
        notifier.close()


def test_held_until_they_end(start, inbox, clock):
    """It is admitted like any other, kept for the night, and then says that it is late."""
    notifier = start(quiet_hours=NIGHT)
    clock.now = EVENING + HOUR
    result = notifier.notify(Alert("Loss"))

    assert isinstance(result, Admitted)
    assert result.channels == ("inbox",)
    assert notifier.flush(10)
    clock.now = MORNING - 1
    assert notifier.flush(10)
    (delivery,) = result.wait(0)
    assert (delivery.status, delivery.attempts) == (Status.PENDING, 0)
    assert delivery.due_at.timestamp() == MORNING
    assert notifier.pending() == 1

    clock.now = MORNING
    assert notifier.flush(10)
    assert result.wait(10)[0].status is Status.DELIVERED
    assert inbox.messages[0].notes == (
        "Delivered late: it happened at 2027-01-15 23:00:00 UTC.",
    )


@pytest.mark.parametrize(
    ("seconds", "is_held"),
    [(-1, False), (0, True), (2 * HOUR, True), (9 * HOUR - 1, True), (9 * HOUR, False)],
)
def test_from_the_evening_to_the_morning(start, inbox, clock, seconds, is_held):
    """They hold from their start, over midnight, to their end."""
    notifier = start(quiet_hours=NIGHT)
    clock.now = EVENING + seconds
    notifier.notify(Alert("Loss"))
    notifier.flush(10)

    assert (inbox.messages == []) is is_held
    clock.now = MORNING
    notifier.flush(10)
    assert len(inbox.messages) == 1


@pytest.mark.parametrize("highest", AlertLevel)
def test_what_is_worse_goes_at_once(start, inbox, clock, highest):
    """By default an ERROR wakes people, and what is held otherwise is up to them."""
    wish = {} if highest is AlertLevel.WARN else {"quiet_max_level": highest}
    notifier = start(quiet_hours=NIGHT, **wish)
    clock.now = EVENING
    for level in AlertLevel:
        notifier.notify(Alert("Loss", level=level))
    notifier.flush(10)

    levels = [message.alert.level for message in inbox.messages]
    assert levels == [level for level in AlertLevel if level > highest]


def test_the_throttle_holds(start, inbox, clock):
    """Alerts of the night are throttled as by day; the next one tells how many."""
    notifier = start(quiet_hours=NIGHT)
    clock.now = EVENING
    first = notifier.notify(Alert("Loss", wait_duration=HOUR))
    again = notifier.notify(Alert("Loss", wait_duration=HOUR))
    clock.now = EVENING + HOUR
    notifier.notify(Alert("Loss", wait_duration=HOUR))
    clock.now = MORNING
    notifier.flush(10)

    assert isinstance(first, Admitted)
    assert isinstance(again, Suppressed)
    assert len(inbox.messages) == 2
    assert any("1 more like it" in message.text for message in inbox.messages)


@settings(deadline=None)
@given(
    raised=st.floats(0, 24 * HOUR),
    steps=st.lists(
        st.tuples(st.floats(0, 6 * HOUR), st.sampled_from([-HOUR, 0.0, HOUR])),
        max_size=9,
    ),
)
def test_a_clock_that_jumps_an_hour(raised, steps):
    """However it jumps, all is sent as soon as it shows the end of the night.

    What is not held may go sooner, where only a clock that was ahead can have put it so far.
    """
    wish = Subscription(channels=["inbox"], quiet_hours=NIGHT)
    store, now = SqliteStore(":memory:", "tests"), MIDNIGHT + raised
    (route,) = routes([wish], AlertLevel.INFO, now)
    submit(store, Alert("t"), now, plan=[route])
    end = route.not_before or now
    assert end <= now + 9 * HOUR
    for passed, jump in steps:
        now += passed + jump
        if claims(store, now):
            assert now >= end or (not route.not_before and end > now + HORIZON)
            break
        assert now < end
    else:
        assert len(claims(store, max(now, end))) == 1
    store.close()
