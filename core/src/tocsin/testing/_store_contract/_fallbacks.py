"""What cannot be delivered to a channel goes to its fallback."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tocsin._alert import Alert
from tocsin._attachment import Attachment
from tocsin._attempt import alert_of
from tocsin._retry import Failed
from tocsin._routing import Route
from tocsin.testing._store_contract._storing import (
    NOW,
    advise,
    claim_one,
    claims,
    deliver,
    status,
    submission,
    submit,
)

if TYPE_CHECKING:
    from tocsin._store import Claim, Settled, Store


AFTER = 600.0


def fail(
    store: Store,
    claim: Claim,
    fallback: str,
    now: float = NOW,
    reason: str = "no such address",
) -> Settled | None:
    return store.settle(claim, Failed(reason=reason), now, fallback=fallback)


def out_of_order(store: Store, channel: str = "a", now: float = NOW) -> Claim:
    """Take one delivery of the channel that finds it out of order."""
    claim = claim_one(store, now, channel)
    ending = Failed(reason="revoked", remedy="make another", is_out_of_order=True)
    store.settle(claim, ending, now)
    return claim


def hand_over(
    store: Store, now: float, *, is_broken: bool = False, after: float = AFTER
) -> int:
    return store.hand_over("a", "b", now, after=after, is_broken=is_broken)


class Fallbacks:
    """What cannot be delivered to a channel goes to its fallback."""

    @advise(
        "settle with a fallback: what ends as failed gets a delivery to that channel, in the same transaction, with a note that says why"
    )
    def test_fallback_what_has_failed_goes_there(self, store: Store) -> None:
        """It is a delivery of its own, and says why it comes; the failed one stays visible."""
        submit(
            store, Alert("t", id="1", attachments=[Attachment("f", b"x")]), plan=["a"]
        )
        fail(store, claim_one(store, channel="a"), "b")

        claim = claim_one(store, channel="b")
        assert claim.delivery_id == "1.b"
        assert claim.note == "It could not be delivered to a: no such address"
        assert claim.progress.attempt == 1
        assert claim.alert.attachments == (Attachment("f", b"x"),)
        deliver(store, claim)
        assert status(store, "1") == {"a": "failed", "b": "delivered"}
        assert len(store.history(limit=9, failed_only=True)) == 1

    @advise("a fallback's delivery is a delivery like any other")
    def test_fallback_a_chain_ends(self, store: Store) -> None:
        """a, b, c: each is tried after the one before it, and all that failed are visible."""
        submit(store, Alert("t", id="1"), plan=["a"])
        for channel, fallback in (("a", "b"), ("b", "c"), ("c", "")):
            fail(
                store,
                claim_one(store, channel=channel),
                fallback,
                reason=f"no {channel}",
            )

        assert status(store, "1") == {"a": "failed", "b": "failed", "c": "failed"}
        reasons = [delivery.reason for delivery in store.deliveries("1")]
        assert reasons == ["no a", "no b", "no c"]
        assert store.pending() == 0

    @advise("add no delivery to a channel that the alert has one for already")
    def test_fallback_no_loop(self, store: Store) -> None:
        """Two channels that stand in for each other try it once each."""
        submit(store, Alert("t", id="1"), plan=["a"])
        fail(store, claim_one(store, channel="a"), "b")
        fail(store, claim_one(store, channel="b"), "a")

        assert status(store, "1") == {"a": "failed", "b": "failed"}
        assert store.pending() == 0

    @pytest.mark.parametrize("fate", ["pending", "delivered", "failed"])
    @advise("add no delivery to a channel that the alert has one for already")
    def test_fallback_not_twice(self, store: Store, fate: str) -> None:
        """A channel that has the alert already, whatever became of it, gets it once."""
        submit(store, Alert("t", id="1"), plan=["a", "b"])
        if fate != "pending":
            other = claim_one(store, channel="b")
            deliver(store, other) if fate == "delivered" else fail(store, other, "")
        fail(store, claim_one(store, channel="a"), "b")

        assert status(store, "1") == {"a": "failed", "b": fate}

    @advise("add no delivery to a channel that the alert has one for already")
    def test_fallback_a_replay_of_either(self, store: Store) -> None:
        """A failed one that is replayed and fails again is not sent there a second time."""
        submit(store, Alert("t", id="1"), plan=["a"])
        fail(store, claim_one(store, channel="a"), "b")
        deliver(store, claim_one(store, channel="b"))
        store.requeue("1.a", NOW)
        fail(store, claim_one(store, channel="a"), "b")

        assert status(store, "1") == {"a": "failed", "b": "delivered"}

    @advise(
        "hand_over fails what has waited so long for the channel, since it began to fail at the earliest, and adds deliveries to the fallback"
    )
    def test_fallback_what_waits_is_handed_over(self, store: Store) -> None:
        """What has waited too long for a channel that fails goes to the other one."""
        for number in range(3):
            submit(store, Alert(f"{number}", id=f"{number}"), plan=["a"])
        out_of_order(store)
        submit(store, Alert("late", id="late"), NOW + 500, plan=["a"])

        assert hand_over(store, NOW + AFTER - 1) == 0
        assert hand_over(store, NOW + AFTER) == 2
        assert status(store, "1") == {"a": "failed", "b": "pending"}
        assert status(store, "late") == {"a": "pending"}
        assert [c.note for c in claims(store, NOW + AFTER, "b")] == [
            "It could not be delivered to a: revoked"
        ] * 2
        delivery, _ = store.deliveries("1")
        assert delivery.reason == "revoked (given to b)"
        assert delivery.remedy == "make another"

    @advise("hand over nothing of a channel whose circuit is CLOSED, unless is_broken")
    def test_fallback_what_waits_for_a_working_channel_is_left(
        self, store: Store
    ) -> None:
        """A channel that works is only behind: nothing is handed over, however old."""
        submit(store, Alert("t", id="1"), plan=["a"])

        assert hand_over(store, NOW + 10 * AFTER) == 0
        assert hand_over(store, NOW + 10 * AFTER, is_broken=True) == 1

    @advise(
        "count the wait from the circuit's since, or from the first attempt of the delivery"
    )
    def test_fallback_the_channel_has_its_time(self, store: Store) -> None:
        """Time counts from when the channel began to fail, not from an age before that."""
        submit(store, Alert("old", id="old"), NOW - 5000, plan=["a"])
        submit(store, Alert("t"), NOW - 5000, plan=["a"])
        out_of_order(store)

        assert hand_over(store, NOW + AFTER - 1) == 0
        assert hand_over(store, NOW + AFTER) == 1

    @advise("leave alone what is claimed and whose lease lasts")
    def test_fallback_what_is_under_way_is_left(self, store: Store) -> None:
        """A delivery in the hands of a worker is not handed over before its lease ends."""
        submit(store, Alert("t", id="1"), plan=["a"])
        claim_one(store, NOW + AFTER, "a")

        assert hand_over(store, NOW + AFTER + 29, is_broken=True, after=10) == 0
        assert hand_over(store, NOW + AFTER + 30, is_broken=True, after=10) == 1

    @advise("count the wait of what its route holds from not_before on")
    def test_fallback_what_is_held_has_its_time_from_then(self, store: Store) -> None:
        """What quiet hours hold waits for the channel from their end on, and then goes."""
        plan = [Route("a", not_before=NOW + 3600, digest=60)]
        for number in "12":
            submit(store, Alert(number, id=number), plan=plan)

        assert hand_over(store, NOW + 3600 + AFTER - 1, is_broken=True) == 0
        assert hand_over(store, NOW + 3600 + AFTER, is_broken=True) == 2
        claim = claim_one(store, NOW + 3600 + AFTER, "b")
        assert len(claim.members) == 2

    @advise("the fallback's delivery is in the same digest as the one that failed")
    def test_fallback_the_whole_of_a_digest(self, store: Store) -> None:
        """Many that go as one message fail as one, and reach the other channel as one."""
        plan = [Route("a", digest=60)]
        for number in range(4):
            submit(store, Alert(f"{number}", id=f"{number}"), NOW + number, plan=plan)
        deliver(store, claim_one(store, NOW + 9, "a"))
        fail(store, claim_one(store, NOW + 60, "a"), "b", NOW + 60)

        claim = claim_one(store, NOW + 60, "b")
        assert [member.alert.title for member in claim.members] == ["1", "2", "3"]
        deliver(store, claim, NOW + 60)
        assert status(store, "2") == {"a": "failed", "b": "delivered"}

    @advise("a resolution that a fallback gets waits for no original")
    def test_fallback_the_resolution_of_what_never_was_there(
        self, store: Store
    ) -> None:
        """That something is over is told by the fallback, though it did not tell the alert."""
        submit(store, Alert("t", id="1"), plan=["a"])
        deliver(store, claim_one(store, channel="a"))
        over = submission(Alert("t", id="2", kind="resolved"), "a")
        store.resolve(over, NOW, timeout=5)
        fail(store, claim_one(store, channel="a"), "b")

        claim = claim_one(store, channel="b")
        assert claim.delivery_id == "2.b"
        assert alert_of(claim).title == "Resolved: t"
