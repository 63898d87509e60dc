"""Whoever was told of an alert is told that it is over."""

from __future__ import annotations

import sqlite3
import threading

import pytest
from conftest import Recorder, eventually
from storing import NOW, submission

from tocsin import (
    Admitted,
    Alert,
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
from tocsin._quiet import QuietHours
from tocsin._run import Run

HOUR = 3600.0


def resolve(store, title="t", now=NOW, *, plan=(), **more):
    made = submission(Alert(title, kind="resolved", **more), *plan)
    return store.resolve(made, now, timeout=5)


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
