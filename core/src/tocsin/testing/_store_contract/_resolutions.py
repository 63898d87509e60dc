"""Whoever was told of an alert is told that it is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tocsin._alert import Alert, new_id
from tocsin._attachment import Attachment
from tocsin._provider import Receipt
from tocsin._retry import Failed, Pending
from tocsin._routing import Route
from tocsin._store import Granted, Status
from tocsin._throttle import Suppression
from tocsin.testing._store_contract._storing import (
    HOUR,
    NOW,
    advise,
    claim_one,
    claims,
    deliver,
    resolved_by,
    status,
    submission,
    submit,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tocsin._store import Store


def resolve(
    store: Store,
    title: str = "t",
    now: float = NOW,
    *,
    plan: Iterable[Route | str] = (),
    id: str = "",
    attachments: Iterable[Attachment] = (),
) -> tuple[str, ...]:
    over = Alert(title, kind="resolved", id=id, attachments=tuple(attachments))
    return store.resolve(submission(over, *plan), now, timeout=5)


class Resolutions:
    """Whoever was told of an alert is told that it is over."""

    @advise(
        "resolve plans a delivery to each channel whose delivery of the window's alert is pending or delivered; its claim has that alert and its receipt"
    )
    def test_resolution_whoever_had_it(self, store: Store) -> None:
        """Those channels that had the alert are told, whatever subscriptions say by now."""
        submit(store, Alert("t", "all of it", id="1"), plan=["a", "b", "c"])
        deliver(store, claim_one(store, channel="a"), reference="42")
        store.settle(claim_one(store, channel="c"), Failed(reason="no"), NOW)

        assert resolve(store, id="2", plan=["c", "d"]) == ("a", "b")
        claim = claim_one(store, channel="a")
        assert (claim.delivery_id, claim.alert.kind) == ("2.a", "resolved")
        assert resolved_by(claim).alert == Alert("t", "all of it", id="1")
        assert resolved_by(claim).receipt == Receipt(reference="42")
        assert resolved_by(claim).is_alone

    @advise("without a window, keep nothing and return ()")
    def test_resolution_nothing_to_resolve(self, store: Store) -> None:
        """Of what is unknown, over already, or reached nobody, nothing is kept."""
        assert resolve(store) == ()
        submit(store, Alert("t"))
        store.settle(claim_one(store), Failed(reason="no"), NOW)
        assert resolve(store) == ()
        submit(store, Alert("u"))
        assert resolve(store, "u") == ("inbox",)
        assert resolve(store, "u") == ()

        assert len(store.history(limit=9)) == 3
        assert store.pending() == 2

    @advise("look for the id before you resolve")
    def test_resolution_the_same_one_twice(self, store: Store) -> None:
        """A resolution under an id of its own is kept once, and no alert takes its place."""
        submit(store, Alert("t", id="1"))

        assert resolve(store, id="1") == ()
        assert resolve(store, id="2") == ("inbox",)
        submit(store, Alert("t"), NOW + 1)
        assert resolve(store, id="2") == ()
        assert len(store.history(limit=9)) == 3

    @advise("resolve forgets the window, and its counts go with the resolution")
    def test_resolution_the_window_closes(self, store: Store) -> None:
        """The next alert like it is admitted, and what was suppressed is told of here."""
        submit(store, Alert("t", wait_duration=HOUR))
        for seconds in (1, 2):
            submit(store, Alert("t", wait_duration=HOUR), NOW + seconds)
        deliver(store, claim_one(store))
        resolve(store, now=NOW + 3)

        assert claim_one(store, NOW + 3).suppressed == Suppression(2, NOW + 1)
        verdict = submit(store, Alert("t", wait_duration=HOUR), NOW + 4)
        assert isinstance(verdict, Granted)
        assert verdict.suppressed == Suppression()

    @advise(
        "while the original is pending put the resolution off by a second behind it; when that is settled let it be due"
    )
    def test_resolution_after_the_alert(self, store: Store) -> None:
        """It waits while the alert is under way, and goes as soon as that is there."""
        submit(store, Alert("t", id="1"))
        original = claim_one(store)
        resolve(store, now=NOW + 1)

        assert claims(store, NOW + 1) == []
        assert claims(store, NOW + 1.9) == []
        deliver(store, original, NOW + 1.9)
        assert claim_one(store, NOW + 1.9).alert.kind == "resolved"

    @advise(
        "while the original is pending put the resolution off by a second behind it"
    )
    def test_resolution_after_the_retry(self, store: Store) -> None:
        """While the alert is tried again it waits, however long that takes."""
        submit(store, Alert("t", id="1"))
        resolve(store)
        store.settle(claim_one(store), Pending(due=NOW + 60, reason="down"), NOW)
        assert claims(store, NOW + 59) == []

        again = claim_one(store, NOW + 60)
        assert again.alert.kind == "scriptable"
        assert claims(store, NOW + 61) == []
        deliver(store, again, NOW + 61)
        assert resolved_by(claim_one(store, NOW + 61)).alert.id == "1"

    @advise("if the original is not delivered, silence the resolution, with a reason")
    def test_resolution_an_alert_that_fails(self, store: Store) -> None:
        """What nobody was told of need not be told to be over; it says so, and can be replayed."""
        submit(store, Alert("t", id="1"))
        resolve(store, id="2")
        original = claim_one(store)
        assert claims(store) == []
        store.settle(original, Failed(reason="no"), NOW)

        assert claims(store) == []
        (delivery,) = store.deliveries("2")
        assert delivery.status is Status.SILENCED
        assert delivery.reason == "the alert that is over was not delivered here"
        store.requeue("1.inbox", NOW + 1)
        deliver(store, claim_one(store, NOW + 1), NOW + 1)
        store.requeue("2.inbox", NOW + 1)
        assert claim_one(store, NOW + 1).delivery_id == "2.inbox"

    @advise(
        "if the original went to a fallback, add a delivery of the resolution there"
    )
    def test_resolution_an_alert_that_goes_to_the_fallback(self, store: Store) -> None:
        """Where the alert went instead, however far, that it is over is told too."""
        submit(store, Alert("t", id="1"), plan=["a"])
        resolve(store, id="2")
        for channel, fallback in (("a", "b"), ("b", "c")):
            failed = Failed(reason=f"no {channel}")
            store.settle(
                claim_one(store, channel=channel), failed, NOW, fallback=fallback
            )
            assert claims(store, channel=channel) == []
        deliver(store, claim_one(store, channel="c"), reference="7")

        claim = claim_one(store, channel="c")
        assert claim.delivery_id == "2.c"
        assert resolved_by(claim).receipt == Receipt(reference="7")
        assert status(store, "2") == {"a": "silenced", "b": "silenced", "c": "pending"}

    @advise("Resolved.is_alone says whether the original's delivery was in no digest")
    def test_resolution_what_was_in_a_digest(self, store: Store) -> None:
        """Of a message that told of others too it is known where it is, not that it is over."""
        plan = [Route("inbox", digest=60)]
        for title in "abc":
            submit(store, Alert(title), plan=plan)
        deliver(store, claim_one(store))
        deliver(store, claim_one(store, NOW + 60), NOW + 60, reference="many")
        resolve(store, "b", NOW + 61)

        resolved = resolved_by(claim_one(store, NOW + 61))
        assert resolved.alert.title == "b"
        assert resolved.receipt == Receipt(reference="many")
        assert not resolved.is_alone

    @advise("a resolution whose original is pruned goes without it")
    def test_resolution_what_was_forgotten(self, store: Store) -> None:
        """A resolution goes though the history of its alert is gone."""
        submit(store, Alert("t", id="1"))
        deliver(store, claim_one(store))
        resolve(store, now=NOW + 10)
        assert store.prune(NOW + 5) == 1

        assert claim_one(store, NOW + 10).resolves is None

    @advise("take not_before from the plan's route of the same channel")
    def test_resolution_quiet_hours_hold_it(self, store: Store) -> None:
        """It is told when the channel may be told; the alert was."""
        submit(store, Alert("t"))
        deliver(store, claim_one(store))
        resolve(store, plan=[Route("inbox", not_before=NOW + HOUR)])

        assert claims(store, NOW + HOUR - 1) == []
        assert len(claims(store, NOW + HOUR)) == 1

    @advise("put a resolution off by HORIZON at the most")
    def test_resolution_an_alert_of_a_clock_that_was_ahead(self, store: Store) -> None:
        """It does not wait for the time that such a clock gave to the alert's next try."""
        ahead = NOW + 400 * 86_400
        submit(store, Alert("t"), ahead)
        pending = Pending(due=ahead + 60, reason="down")
        store.settle(claim_one(store, ahead), pending, ahead)
        resolve(store)
        (original,) = claims(store)  # both were looked at

        deliver(store, original)
        assert len(claims(store, NOW + 3 * HOUR)) == 1

    @advise("windows are for all stores of the namespace")
    def test_resolution_from_another_process(self, stores: tuple[Store, Store]) -> None:
        """Who raised it and who says that it is over need not be the same."""
        one, two = stores
        submit(one, Alert("t", id="1"))

        assert resolve(two) == ("inbox",)
        deliver(two, claim_one(two), reference="42")
        assert resolved_by(claim_one(one)).receipt == Receipt(reference="42")

    @advise("have the namespace in every key and every look-up")
    def test_resolution_namespaces_are_apart(self, apart: tuple[Store, Store]) -> None:
        """Nobody resolves what is another namespace's."""
        one, two = apart
        submit(one, Alert("t"))

        assert resolve(two) == ()
        assert resolve(one) == ("inbox",)

    @advise("look for the id, and note that it is adopted, before you resolve")
    def test_resolution_adopted_twice(self, store: Store) -> None:
        """A spill file that is read again after a crash resolves once."""
        submit(store, Alert("t"))
        deliver(store, claim_one(store))
        spilled = submission(
            Alert("t", kind="resolved", id=new_id()), "inbox", is_adopted=True
        )

        assert store.resolve(spilled, NOW, timeout=5) == ("inbox",)
        submit(store, Alert("t"), NOW + 1)
        assert store.resolve(spilled, NOW + 2, timeout=5) == ()
        assert len(store.history(limit=9)) == 3

    @advise("keep a resolution's attachments, as any alert's")
    def test_resolution_attachments_go_along(self, store: Store) -> None:
        """What is attached to the resolution is sent with it."""
        submit(store, Alert("t"))
        deliver(store, claim_one(store))
        files = [Attachment("f", b"x")]
        resolve(store, id="2", attachments=files)

        assert claim_one(store).alert.attachments == tuple(files)
        assert status(store, "2") == {"inbox": "pending"}
