"""What the store and the courier do with the deliveries of a channel that fails."""

from __future__ import annotations

import pytest
from conftest import Recorder

from tocsin import (
    Alert,
    Notifier,
    OutOfOrder,
    RetryLater,
    Settings,
    Status,
    Subscription,
)
from tocsin._circuit import THRESHOLD
from tocsin._retry import MAX_BACKOFF


@pytest.fixture
def notifier(inbox, clock):
    """A notifier with two channels: the inbox, and another that always works."""
    settings = Settings(
        user="ada",
        submit_timeout=10.0,
        channels={"inbox": Recorder(inbox), "other": Recorder(type(inbox)())},
        subscriptions=[
            Subscription(channels=["inbox"]),
            Subscription(channels=["other"], min_level="ERROR"),
        ],
        state_dir=":memory:",
    )
    with Notifier(settings, namespace="tests", clock=clock) as notifier:
        yield notifier


def said(caplog):
    return [r.getMessage() for r in caplog.records if r.name == "tocsin.deliveries"]


def revoked():
    raise OutOfOrder("the token was revoked", remedy="make another")


def down():
    raise RetryLater("down")


def test_out_of_order_is_told_once(notifier, inbox, clock, caplog):
    """Through the notifier: told once, tried every five minutes, told when it works."""
    inbox.answers += [revoked] * 3
    first = notifier.notify(Alert("0", level="ERROR"))
    first.wait(10)
    others = [notifier.notify(Alert(f"{n}", level="ERROR")) for n in (1, 2)]
    for _ in range(2):
        notifier.flush(10)
        clock.advance(MAX_BACKOFF)
    notifier.flush(10)

    lines = [line for line in said(caplog) if "out of order" in line]
    assert len(inbox.messages) == 3
    assert len(lines) == 1
    assert "the token was revoked (make another)" in lines[0]
    assert [d.status for d in first.wait(0)] == [Status.FAILED, Status.DELIVERED]
    assert [d.status for d in others[0].wait(0)] == [Status.PENDING, Status.DELIVERED]

    clock.advance(MAX_BACKOFF)
    notifier.flush(10)
    assert {d.status for other in others for d in other.wait(10)} == {Status.DELIVERED}
    assert said(caplog)[-1] == "channel 'inbox' works again"


def test_a_failing_channel_is_told_once(notifier, inbox, clock, caplog):
    """After five failures it is told that the channel fails, and when it works again."""
    inbox.answers += [down] * (THRESHOLD + 2)
    results = [notifier.notify(Alert(f"{n}")) for n in range(THRESHOLD)]
    for _ in range(4):
        notifier.flush(10)
        clock.advance(MAX_BACKOFF)
    notifier.flush(10)

    assert {r.wait(10)[0].status for r in results} == {Status.DELIVERED}
    lines = [line for line in said(caplog) if line.startswith("channel")]
    assert lines == [
        "channel 'inbox' fails, and is tried with one delivery at a time: down",
        "channel 'inbox' works again",
    ]
