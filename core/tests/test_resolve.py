"""Whoever was told of an alert is told that it is over."""

from __future__ import annotations

import sqlite3
import threading

import pytest
from conftest import Recorder, eventually
from storing import NOW, claim_one, claims, deliver, status, submission, submit

from tocsin import (
    Admitted,
    Alert,
    Attachment,
    Deferred,
    Notifier,
    Origin,
    OutOfOrder,
    Receipt,
    Rejected,
    RetryLater,
    Settings,
    Status,
    Subscription,
    Suppressed,
    Unrouted,
)
from tocsin._alert import new_id
from tocsin._quiet import QuietHours
from tocsin._retry import Failed, Pending
from tocsin._routing import Route
from tocsin._run import Run
from tocsin._store import Granted
from tocsin._store.sqlite import SqliteStore
from tocsin._throttle import Suppression

HOUR = 3600.0


def resolve(store, title="t", now=NOW, *, plan=(), **more):
    made = submission(Alert(title, kind="resolved", **more), *plan)
    return store.resolve(made, now, timeout=5)


def test_whoever_had_it(store):
    """Those channels that had the alert are told, whatever subscriptions say by now."""
    submit(store, Alert("t", "all of it", id="1"), plan=["a", "b", "c"])
    deliver(store, claim_one(store, channel="a"), reference="42")
    store.settle(claim_one(store, channel="c"), Failed(reason="no"), NOW)

    assert resolve(store, id="2", plan=["c", "d"]) == ("a", "b")
    claim = claim_one(store, channel="a")
    assert (claim.delivery_id, claim.alert.kind) == ("2.a", "resolved")
    assert claim.resolves.alert == Alert("t", "all of it", id="1")
    assert claim.resolves.receipt == Receipt(reference="42")
    assert claim.resolves.is_alone


def test_nothing_to_resolve(store):
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


def test_the_same_one_twice(store):
    """A resolution under an id of its own is kept once, and no alert takes its place."""
    submit(store, Alert("t", id="1"))

    assert resolve(store, id="1") == ()
    assert resolve(store, id="2") == ("inbox",)
    submit(store, Alert("t"), NOW + 1)
    assert resolve(store, id="2") == ()
    assert len(store.history(limit=9)) == 3


def test_the_window_closes(store):
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


def test_after_the_alert(store):
    """It waits while the alert is under way, and goes as soon as that is there."""
    submit(store, Alert("t", id="1"))
    original = claim_one(store)
    resolve(store, now=NOW + 1)

    assert claims(store, NOW + 1) == []
    assert claims(store, NOW + 1.9) == []
    deliver(store, original, NOW + 1.9)
    assert claim_one(store, NOW + 1.9).alert.kind == "resolved"


def test_after_the_retry(store):
    """While the alert is tried again it waits, however long that takes."""
    submit(store, Alert("t", id="1"))
    resolve(store)
    store.settle(claim_one(store), Pending(due=NOW + 60, reason="down"), NOW)
    assert claims(store, NOW + 59) == []

    again = claim_one(store, NOW + 60)
    assert again.alert.kind == "scriptable"
    assert claims(store, NOW + 61) == []
    deliver(store, again, NOW + 61)
    assert claim_one(store, NOW + 61).resolves.alert.id == "1"


def test_an_alert_that_fails(store):
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


def test_an_alert_that_goes_to_the_fallback(store):
    """Where the alert went instead, however far, that it is over is told too."""
    submit(store, Alert("t", id="1"), plan=["a"])
    resolve(store, id="2")
    for channel, fallback in (("a", "b"), ("b", "c")):
        failed = Failed(reason=f"no {channel}")
        store.settle(claim_one(store, channel=channel), failed, NOW, fallback=fallback)
        assert claims(store, channel=channel) == []
    deliver(store, claim_one(store, channel="c"), reference="7")

    claim = claim_one(store, channel="c")
    assert claim.delivery_id == "2.c"
    assert claim.resolves.receipt == Receipt(reference="7")
    assert status(store, "2") == {"a": "silenced", "b": "silenced", "c": "pending"}


def test_what_was_in_a_digest(store):
    """Of a message that told of others too it is known where it is, not that it is over."""
    plan = [Route("inbox", digest=60)]
    for title in "abc":
        submit(store, Alert(title), plan=plan)
    deliver(store, claim_one(store))
    deliver(store, claim_one(store, NOW + 60), NOW + 60, reference="many")
    resolve(store, "b", NOW + 61)

    resolved = claim_one(store, NOW + 61).resolves
    assert resolved.alert.title == "b"
    assert resolved.receipt == Receipt(reference="many")
    assert not resolved.is_alone


def test_what_was_forgotten(store):
    """A resolution goes though the history of its alert is gone."""
    submit(store, Alert("t", id="1"))
    deliver(store, claim_one(store))
    resolve(store, now=NOW + 10)
    assert store.prune(NOW + 5) == 1

    assert claim_one(store, NOW + 10).resolves is None


def test_quiet_hours_hold_it(store):
    """It is told when the channel may be told; the alert was."""
    submit(store, Alert("t"))
    deliver(store, claim_one(store))
    resolve(store, plan=[Route("inbox", not_before=NOW + HOUR)])

    assert claims(store, NOW + HOUR - 1) == []
    assert len(claims(store, NOW + HOUR)) == 1


def test_an_alert_of_a_clock_that_was_ahead(store):
    """It does not wait for the time that such a clock gave to the alert's next try."""
    ahead = NOW + 400 * 86_400
    submit(store, Alert("t"), ahead)
    pending = Pending(due=ahead + 60, reason="down")
    store.settle(claim_one(store, ahead), pending, ahead)
    resolve(store)
    (original,) = claims(store)  # both were looked at

    deliver(store, original)
    assert len(claims(store, NOW + 3 * HOUR)) == 1


def test_from_another_process(stores):
    """Who raised it and who says that it is over need not be the same."""
    one, two = stores
    submit(one, Alert("t", id="1"))

    assert resolve(two) == ("inbox",)
    deliver(two, claim_one(two), reference="42")
    assert claim_one(one).resolves.receipt == Receipt(reference="42")


def test_namespaces_are_apart(tmp_path):
    """Nobody resolves what is another namespace's."""
    path = str(tmp_path / "tocsin.db")
    one, two = (SqliteStore(path, name) for name in ("one", "two"))
    submit(one, Alert("t"))

    assert resolve(two) == ()
    assert resolve(one) == ("inbox",)
    one.close()
    two.close()


ORIGIN = Origin(user="ada", run="r1", run_name="wise-owl")


@pytest.fixture
def run(notifier):
    return Run(notifier, ORIGIN, ())


def test_a_run_says_so(run, inbox, clock):
    """By its title; the message names it, replies to the alert, and tells when that was."""
    first = run.alert("Disk full", "90 %", fields={"disk": "/"}, attachments=[b"x"])
    first.wait(10)
    clock.advance(90)
    result = run.resolve("Disk full", "60 % again")

    assert isinstance(result, Admitted)
    assert result.channels == ("inbox",)
    assert result.wait(10)[0].status is Status.DELIVERED
    message, delivery = inbox.messages[1], inbox.deliveries[1]
    assert message.title == "Resolved: Disk full"
    assert message.alert.text == "60 % again"
    assert message.notes == ("It was raised at 2027-01-15 08:00:00 UTC.",)
    assert delivery.resolves.receipt == Receipt(reference="1")
    assert delivery.resolves.message.title == "Disk full"
    assert delivery.resolves.message.text.startswith("[INFO] Disk full\n\n90 %")
    assert delivery.resolves.message.attachments == ()
    assert delivery.thread is None


def test_by_key(run, inbox):
    """An alert with a key of its own is resolved by that, and named by its title."""
    run.alert("Disk full: 91 %", key="disk").wait(10)
    assert isinstance(run.resolve("Disk full: 91 %"), Unrouted)
    run.resolve("disk").wait(10)

    assert inbox.titles == ["Disk full: 91 %", "Resolved: Disk full: 91 %"]


def test_the_next_one_is_heard(run, inbox, clock):
    """After it the same alert is admitted at once; what was suppressed is told here."""
    run.alert("Disk full", wait_duration=HOUR).wait(10)
    clock.advance(1)
    assert isinstance(run.alert("Disk full", wait_duration=HOUR), Suppressed)
    run.resolve("Disk full").wait(10)
    again = run.alert("Disk full", wait_duration=HOUR)
    again.wait(10)

    assert isinstance(again, Admitted)
    assert again.suppressed == 0
    assert inbox.messages[1].notes[0].startswith("1 more like it suppressed since")
    assert inbox.messages[2].notes == ()


def test_nothing_happened(run, inbox, notifier):
    """What nobody was told of is not told to be over, and leaves nothing behind."""
    result = run.resolve("Disk full")

    assert isinstance(result, Unrouted)
    assert notifier.flush(10)
    assert inbox.messages == []
    assert notifier.store().history(limit=9) == []


def test_another_run_has_its_own(notifier, run):
    """A run resolves what it raised itself, not another's of the same title."""
    run.alert("Disk full").wait(10)
    other = Run(notifier, Origin(user="ada", run="r2"), ())

    assert isinstance(other.resolve("Disk full"), Unrouted)
    assert isinstance(run.resolve("Disk full"), Admitted)


def test_right_behind_it(run, inbox, notifier):
    """Said while the alert is being sent, it goes behind it, before the run is over."""
    slow = threading.Event()
    inbox.answers.append(lambda: slow.wait(10) and Receipt(reference="slow"))
    run.alert("Disk full")
    inbox.wait_for(1)
    result = run.resolve("Disk full")
    eventually(lambda: result.wait(0)[0].due_at.timestamp() > notifier.now())
    slow.set()

    assert notifier.flush(10)
    assert result.wait(10)[0].status is Status.DELIVERED
    assert inbox.titles == ["Disk full", "Resolved: Disk full"]
    assert inbox.deliveries[1].resolves.receipt == Receipt(reference="slow")


def test_both_wait_for_the_channel(run, inbox, notifier, clock):
    """Of a channel that was down people hear both, in their order."""

    def down():
        raise RetryLater("down", after=30)

    inbox.answers.append(down)
    run.alert("Disk full")
    notifier.flush(10)
    run.resolve("Disk full")
    notifier.flush(10)
    clock.advance(60)
    notifier.flush(10)
    clock.advance(2)
    notifier.flush(10)

    assert inbox.titles == ["Disk full", "Disk full", "Resolved: Disk full"]


@pytest.mark.parametrize("error", [Rejected, OutOfOrder])
def test_what_nobody_heard_of(run, inbox, notifier, clock, error):
    """When the alert failed, that it is over is told to nobody."""

    def refuse():
        slow.wait(10)
        raise error("no")

    slow = threading.Event()
    inbox.answers.append(refuse)
    run.alert("Disk full")
    inbox.wait_for(1)
    result = run.resolve("Disk full")
    slow.set()
    notifier.flush(10)
    clock.advance(301)
    notifier.flush(10)

    assert result.wait(10)[0].status is Status.SILENCED
    assert len(inbox.messages) == 1


@pytest.fixture
def config(inbox):
    """Return what makes settings of ada's with a file, and such a subscription."""

    def config(**wish):
        return Settings(
            user="ada",
            submit_timeout=wish.pop("submit_timeout", 10.0),
            channels={"inbox": Recorder(inbox)},
            subscriptions=[Subscription(channels=["inbox"], **wish)],
        )

    return config


def test_out_of_a_digest(config, inbox, clock):
    """It replies to the message that told of many, and does not mark that as over."""
    with Notifier(config(digest=60), namespace="tests", clock=clock) as notifier:
        run = Run(notifier, ORIGIN, ())
        for title in "abc":
            run.alert(title)
        notifier.flush(10)
        clock.advance(60)
        notifier.flush(10)
        run.resolve("b").wait(10)

    *_, digest, over = inbox.messages
    assert digest.title == "2 alerts: b, c"
    assert over.title == "Resolved: b"
    assert inbox.deliveries[-1].resolves is None
    assert inbox.deliveries[-1].thread == Receipt(reference="2")


def test_in_quiet_hours(config, inbox, clock):
    """An alert that woke people is told to be over when the night is."""
    clock.now = NOW - 4 * HOUR  # four in the morning
    night = QuietHours(["22:00-07:00"], time_zone="UTC")
    with Notifier(
        config(quiet_hours=night), namespace="tests", clock=clock
    ) as notifier:
        run = Run(notifier, ORIGIN, ())
        run.alert("Disk full", level="ERROR").wait(10)
        run.resolve("Disk full")
        notifier.flush(10)
        assert len(inbox.messages) == 1
        clock.now = NOW - HOUR
        notifier.flush(10)

    assert inbox.titles == ["Disk full", "Resolved: Disk full"]


def test_after_a_restart(config, inbox):
    """A run that is resumed resolves what it raised before."""
    for step in ("alert", "resolve"):
        with Notifier(config(), namespace="tests") as notifier:
            getattr(Run(notifier, ORIGIN, ()), step)("Disk full").wait(10)

    assert inbox.titles == ["Disk full", "Resolved: Disk full"]


def test_a_store_that_is_busy(config, inbox, tmp_path):
    """It is put aside, and told once; so is what the count says."""
    settings = config(submit_timeout=0.05)
    with Notifier(settings, namespace="tests") as notifier:
        run = Run(notifier, ORIGIN, ())
        run.alert("Disk full").wait(10)
        notifier.flush(10)
        other = sqlite3.connect(tmp_path / "state" / "tocsin.db", isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        result = run.resolve("Disk full")
        nothing = run.resolve("another")
        other.execute("ROLLBACK")
        other.close()

        assert isinstance(result, Deferred)
        assert isinstance(nothing, Deferred)
        assert result.wait(10)[0].status is Status.DELIVERED
        assert nothing.wait(10) == ()
    assert inbox.titles == ["Disk full", "Resolved: Disk full"]


def test_adopted_twice(store):
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


def test_attachments_go_along(store):
    """What is attached to the resolution is sent with it."""
    submit(store, Alert("t"))
    deliver(store, claim_one(store))
    files = [Attachment("f", b"x")]
    resolve(store, id="2", attachments=files)

    assert claim_one(store).alert.attachments == tuple(files)
    assert status(store, "2") == {"inbox": "pending"}
