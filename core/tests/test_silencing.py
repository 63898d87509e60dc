"""What a silence does to alerts: they are kept, not sent, and can be replayed."""

from __future__ import annotations

import pytest
from storing import NOW, claim_one, claims, deliver, status, submit

from tocsin import (
    Admitted,
    Alert,
    AlertLevel,
    Attachment,
    Origin,
    Receipt,
    Status,
    Suppressed,
)
from tocsin._gate import MEMORY
from tocsin._retry import Pending
from tocsin._silence import Silence
from tocsin._store import Granted, Withheld
from tocsin._store.sqlite import SqliteStore


def silence(store, *, seconds=100.0, starts=NOW, **more):
    values = {"id": "s1", "title": "Loss*", "starts_at": starts} | more
    made = Silence(ends_at=starts + seconds, **values)
    store.silence(made)
    return made


def fates(store):
    return {
        record.alert.title: record.deliveries[0].status.value
        for record in store.history(limit=99)
    }


def test_it_is_kept_with_its_reason(store):
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


def test_pending_ones_too(store):
    """A silence holds for what was raised before it, and for what is tried again."""
    submit(store, Alert("Loss is NaN", id="1"))
    submit(store, Alert("Loss is high", id="2"))
    pending = Pending(due=NOW + 2, reason="no answer", ambiguous=True)
    store.settle(claim_one(store), pending, NOW)
    silence(store, starts=NOW + 1)

    assert claims(store, NOW + 2) == []
    assert status(store, "1") == status(store, "2") == {"inbox": "silenced"}


def test_before_it_starts_and_after_it_ends(store):
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


def test_what_is_worse_passes(store):
    """An alert above its level is sent, in the same window too."""
    silence(store, max_level="WARN")
    for level in AlertLevel:
        assert isinstance(submit(store, Alert("Loss", level=level)), Granted)
        claims(store)

    fates = [record.deliveries[0].status for record in store.history(limit=9)]
    assert fates == [Status.SILENCED, Status.SILENCED, Status.PENDING]


def test_all_of_its_channels(store):
    """It is the alert that is silenced, wherever it was to go."""
    silence(store)
    submit(store, Alert("Loss", id="1"), plan=["inbox", "other"])
    claims(store)
    claims(store, channel="other")

    assert status(store, "1") == {"inbox": "silenced", "other": "silenced"}


def test_patterns(store):
    """Title, project and team must all match."""
    silence(store, title="*", project="mnist-*", team="vision")
    there = Origin(project="mnist-2", team="vision")
    submit(store, Alert("there", origin=there))
    submit(store, Alert("elsewhere", origin=Origin(project="mnist-2")))
    claims(store)

    assert fates(store) == {"there": "silenced", "elsewhere": "pending"}


def test_replay(store):
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


def test_the_window_ends_with_it(store):
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


def test_expire(store):
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


def test_a_silence_that_is_ended_before_it_begins(store):
    """It silences nothing, nor does it stop whoever's clock is a little behind."""
    silence(store, starts=NOW + 10)
    assert store.expire("s1", NOW + 5)
    submit(store, Alert("Loss"))

    assert store.silences(NOW) == []
    assert len(claims(store)) == 1


def test_which_there_are(store):
    """Those that are not over are told, the one that ends first before the others."""
    late = silence(store, id="late", seconds=200)
    soon = silence(store, id="soon", seconds=50)
    future = silence(store, id="future", starts=NOW + 75)

    assert store.silences(NOW) == [soon, future, late]
    assert store.silences(NOW + 50) == [future, late]
    changed = silence(store, id="late", seconds=10)
    assert store.silences(NOW)[0] == changed


def test_of_its_namespace(tmp_path):
    """A silence is its namespace's own: another's alerts are heard, and cannot end it."""
    path = str(tmp_path / "tocsin.db")
    one, two = (SqliteStore(path, name) for name in ("one", "two"))
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
    one.close()
    two.close()


@pytest.fixture
def silenced(notifier, inbox):
    """A notifier whose alert, with a wait of an hour, is silenced for 100 seconds."""
    silence(notifier.store())
    result = notifier.notify(Alert("Loss", wait_duration=3600))
    assert [d.status for d in result.wait(10)] == [Status.SILENCED]
    return notifier


def test_a_silence_is_no_wait(silenced, inbox, clock):
    """While it lasts alerts are counted; the first after it is sent and tells of them."""
    alert = Alert("Loss", wait_duration=3600)
    results = []
    for _ in range(9):
        clock.advance(11)
        results.append(silenced.notify(alert))
    assert {type(result) for result in results} == {Suppressed}
    clock.advance(2)
    result = silenced.notify(alert)

    assert isinstance(result, Admitted)
    assert result.wait(10)[0].status is Status.DELIVERED
    assert result.suppressed == 9
    assert inbox.titles == ["Loss"]


def test_the_gate_hears_of_its_end_a_little_later(silenced, inbox, clock):
    """A silence that somebody ends is known here after ten seconds at the latest."""
    alert = Alert("Loss", wait_duration=3600)
    assert silenced.store().expire("s1", clock())

    assert isinstance(silenced.notify(alert), Suppressed)
    clock.advance(MEMORY + 1)
    result = silenced.notify(alert)
    assert result.wait(10)[0].receipt == Receipt(reference="1")


def test_the_gate_knows_the_end_that_it_was_told(silenced, clock):
    """What the store said of the silence holds here too, to the second."""
    alert = Alert("Loss", wait_duration=3600)
    clock.advance(95)
    told = silenced.notify(alert)
    clock.advance(4)
    known = silenced.notify(alert)
    clock.advance(1)

    assert told.until == known.until
    assert told.until.timestamp() == NOW + 100
    assert isinstance(silenced.notify(alert), Admitted)
