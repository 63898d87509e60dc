from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tocsin import (
    Alert,
    Ambiguous,
    Attachment,
    OutOfOrder,
    Receipt,
    Rejected,
    RetryLater,
    Status,
)
from tocsin._retry import Delivered, Failed, Progress
from tocsin._settlement import settlements
from tocsin._store import Claim, Member
from tocsin._throttle import NONE_SUPPRESSED

NOW = 1_800_000_000.0


def raised(title, seconds_ago=2.0, **more):
    at = datetime.fromtimestamp(NOW - seconds_ago, UTC)
    return Alert(title, id=f"id-of-{title}", created_at=at, **more)


def claim(alert, *, ambiguous=0, members=()):
    return Claim(
        delivery_id=f"{alert.id}.dm",
        channel="dm",
        places=((1, 0),),
        token=1,
        lease_until=NOW + 30,
        alert=alert,
        progress=Progress(attempt=3, ambiguous=ambiguous, first_attempt_at=NOW - 9),
        members=members,
    )


def settled(claim, outcome, error=None, now=NOW):
    return list(
        settlements(
            claim,
            outcome,
            provider="post",
            error=error,
            attempt_seconds=0.5,
            now=now,
        )
    )


def test_what_is_delivered():
    alert = raised("x", attachments=[Attachment("plot.png", b"data")])
    (one,) = settled(claim(alert), Delivered(Receipt(reference="7")))

    assert (one.id, one.channel, one.provider) == ("id-of-x.dm", "dm", "post")
    assert (one.status, one.attempts, one.receipt.reference) == (
        *(Status.DELIVERED, 3, "7"),
    )
    assert (one.cause, one.reason, one.error) == ("", "", None)
    assert (one.seconds, one.attempt_seconds) == (2.0, 0.5)
    assert one.at == datetime.fromtimestamp(NOW, UTC)
    assert (one.alert.title, one.alert.attachments) == ("x", ())


@pytest.mark.parametrize(
    ("error", "ambiguous", "cause"),
    [
        (Rejected("no"), 0, "rejected"),
        (OutOfOrder("revoked"), 0, "out_of_order"),
        (RetryLater("busy"), 2, "gave_up"),
        (Ambiguous("no answer"), 1, "gave_up"),
        (Ambiguous("no answer"), 2, "ambiguous"),
    ],
)
def test_why_one_failed(error, ambiguous, cause):
    """The cause is one word of few; the reason is whatever the outcome says."""
    given = claim(raised("x"), ambiguous=ambiguous)
    (one,) = settled(given, Failed(reason="as it was told"), error)

    assert (one.status, one.cause, one.error) == (Status.FAILED, cause, type(error))
    assert (one.reason, one.receipt) == ("as it was told", None)


def test_each_of_a_digest():
    """Several alerts that went as one message are several deliveries."""
    alerts = [raised("a", 60.0), raised("b", 5.0)]
    members = tuple(Member(alert=a, suppressed=NONE_SUPPRESSED) for a in alerts)
    found = settled(claim(alerts[0], members=members), Delivered(Receipt()))

    assert [(one.id, one.seconds) for one in found] == [
        ("id-of-a.dm", 60.0),
        ("id-of-b.dm", 5.0),
    ]


def test_a_clock_that_was_set_back():
    (one,) = settled(claim(raised("x")), Delivered(Receipt()), now=NOW - 3600)
    assert one.seconds == 0
