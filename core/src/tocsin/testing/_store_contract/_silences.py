"""What a silence does to alerts: they are kept, not sent, and can be replayed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tocsin._alert import Alert, AlertLevel, Origin
from tocsin._attachment import Attachment
from tocsin._retry import Pending
from tocsin._silence import Silence
from tocsin._store import Granted, Status, Withheld
from tocsin.testing._store_contract._storing import (
    NOW,
    advise,
    claim_one,
    claims,
    deliver,
    status,
    submit,
)

if TYPE_CHECKING:
    from typing import Any

    from tocsin._store import Store


def silence(
    store: Store, *, seconds: float = 100.0, starts: float = NOW, **more: Any
) -> Silence:
    values: dict[str, Any] = {"id": "s1", "title": "Loss*", "starts_at": starts} | more
    made = Silence(ends_at=starts + seconds, **values)
    store.silence(made)
    return made


def fates(store: Store) -> dict[str, str]:
    return {
        record.alert.title: record.deliveries[0].status.value
        for record in store.history(limit=99)
    }


class Silences:
    """What a silence does to alerts: they are kept, not sent, and can be replayed."""

    @advise(
        'in claim, look for a silence that matches(); end the delivery as silenced, with f"silenced: {silence.description}"'
    )
    def test_silence_it_is_kept_with_its_reason(self, store: Store) -> None:
        """It is not sent, and whoever looks is told why; it has not failed."""
        silence(store, reason="known", author="ada")
        submit(store, Alert("Loss is NaN", id="1"))
        submit(store, Alert("Disk full"))

        assert [claim.alert.title for claim in claims(store)] == ["Disk full"]
        (delivery,) = store.deliveries("1")
        assert delivery.status is Status.SILENCED
        assert delivery.reason == (
            "silenced: title 'Loss*', until 2027-01-15 08:01:40 UTC: known (ada)"
        )
        assert delivery.settled_at is not None
        assert store.pending() == 1
        assert store.history(limit=9, failed_only=True) == []

    @advise("look at silences when you hand out, not when you admit")
    def test_silence_pending_ones_too(self, store: Store) -> None:
        """A silence holds for what was raised before it, and for what is tried again."""
        submit(store, Alert("Loss is NaN", id="1"))
        submit(store, Alert("Loss is high", id="2"))
        pending = Pending(due=NOW + 2, reason="no answer", ambiguous=True)
        store.settle(claim_one(store), pending, NOW)
        silence(store, starts=NOW + 1)

        assert claims(store, NOW + 2) == []
        assert status(store, "1") == status(store, "2") == {"inbox": "silenced"}

    @advise("ask Silence.matches() with the time of the claim")
    def test_silence_before_it_starts_and_after_it_ends(self, store: Store) -> None:
        """It begins at its start, and its end is not silenced any more."""
        silence(store, starts=NOW + 10)
        for seconds in (9, 10, 109, 110):
            submit(store, Alert(f"Loss {seconds}"), NOW + seconds)
            for claim in claims(store, NOW + seconds):
                deliver(store, claim, NOW + seconds)

        assert fates(store) == {
            "Loss 9": "delivered",
            "Loss 10": "silenced",
            "Loss 109": "silenced",
            "Loss 110": "delivered",
        }

    @advise("ask Silence.matches(): it knows the level")
    def test_silence_what_is_worse_passes(self, store: Store) -> None:
        """An alert above its level is sent, in the same window too."""
        silence(store, max_level="WARN")
        for level in AlertLevel:
            assert isinstance(submit(store, Alert("Loss", level=level)), Granted)
            claims(store)

        fates = [record.deliveries[0].status for record in store.history(limit=9)]
        assert fates == [Status.SILENCED, Status.SILENCED, Status.PENDING]

    @advise("look at silences for every delivery")
    def test_silence_all_of_its_channels(self, store: Store) -> None:
        """It is the alert that is silenced, wherever it was to go."""
        silence(store)
        submit(store, Alert("Loss", id="1"), plan=["inbox", "other"])
        claims(store)
        claims(store, channel="other")

        assert status(store, "1") == {"inbox": "silenced", "other": "silenced"}

    @advise("ask Silence.matches(): it knows the patterns")
    def test_silence_patterns(self, store: Store) -> None:
        """Title, project and team must all match."""
        silence(store, title="*", project="mnist-*", team="vision")
        there = Origin(project="mnist-2", team="vision")
        submit(store, Alert("there", origin=there))
        submit(store, Alert("elsewhere", origin=Origin(project="mnist-2")))
        claims(store)

        assert fates(store) == {"there": "silenced", "elsewhere": "pending"}

    @advise("keep attachments of what is silenced: it can be replayed")
    def test_silence_replay(self, store: Store) -> None:
        """What was silenced can be sent when the silence is over, attachments and all."""
        silence(store)
        files = [Attachment("loss.png", b"PNG")]
        submit(store, Alert("Loss", id="1", attachments=files))
        claims(store)

        assert store.requeue("1.inbox", NOW + 50)
        assert claims(store, NOW + 50) == []
        assert status(store, "1") == {"inbox": "silenced"}  # it is still to be quiet
        assert store.requeue("1.inbox", NOW + 100)
        claim = claim_one(store, NOW + 100)
        assert claim.alert.attachments == tuple(files)
        deliver(store, claim)
        assert status(store, "1") == {"inbox": "delivered"}

    @advise(
        "when you silence an alert, let its key's window close at the silence's end"
    )
    def test_silence_the_window_ends_with_it(self, store: Store) -> None:
        """The first alert after the silence is heard, however long its wait."""
        made = silence(store)
        alert = Alert("Loss", wait_duration=3600)
        submit(store, alert)
        claims(store)
        during = submit(store, alert, NOW + 99)
        after = submit(store, alert, NOW + 100)

        assert isinstance(during, Withheld)
        assert during.until == made.ends_at
        assert isinstance(after, Granted)
        assert after.suppressed.count == 1
        assert claim_one(store, NOW + 100).suppressed.count == 1
        assert isinstance(
            submit(store, alert, NOW + 200), Withheld
        )  # it has its wait again

    @advise("expire sets the end to now, and that of windows which close later, too")
    def test_silence_expire(self, store: Store) -> None:
        """A silence that is ended silences nothing from then on, and its windows end."""
        silence(store)
        alert = Alert("Loss", wait_duration=3600)
        submit(store, alert)
        claims(store)

        assert not store.expire("another", NOW + 10)
        assert store.expire("s1", NOW + 10)
        assert not store.expire("s1", NOW + 11)
        assert store.silences(NOW + 11) == []
        assert isinstance(submit(store, alert, NOW + 10), Granted)
        assert claim_one(store, NOW + 10).alert.title == "Loss"

    @advise("leave out silences that end before they start")
    def test_silence_a_silence_that_is_ended_before_it_begins(
        self, store: Store
    ) -> None:
        """It silences nothing, nor does it stop whoever's clock is a little behind."""
        silence(store, starts=NOW + 10)
        assert store.expire("s1", NOW + 5)
        submit(store, Alert("Loss"))

        assert store.silences(NOW) == []
        assert len(claims(store)) == 1

    @advise(
        "return silences by their ends; one of the same id takes the place of the other"
    )
    def test_silence_which_there_are(self, store: Store) -> None:
        """Those that are not over are told, the one that ends first before the others."""
        late = silence(store, id="late", seconds=200)
        soon = silence(store, id="soon", seconds=50)
        future = silence(store, id="future", starts=NOW + 75)

        assert store.silences(NOW) == [soon, future, late]
        assert store.silences(NOW + 50) == [future, late]
        changed = silence(store, id="late", seconds=10)
        assert store.silences(NOW)[0] == changed

    @advise("have the namespace in a silence's key")
    def test_silence_of_its_namespace(self, apart: tuple[Store, Store]) -> None:
        """A silence is its namespace's own: another's alerts are heard, and cannot end it."""
        one, two = apart
        silence(one)
        for store in (one, two):
            submit(store, Alert("Loss"))

        assert claims(one) == []
        assert len(claims(two)) == 1
        assert two.silences(NOW) == []
        assert not two.expire("s1", NOW)
        assert len(one.silences(NOW)) == 1
        two.prune(NOW + 9999)
        assert len(one.silences(NOW)) == 1
