"""The background: how often it looks, what it holds, and what it leaves to others."""

from __future__ import annotations

import math
import threading
import time

import attrs
import pytest
from conftest import Inbox, Recorder, eventually
from storing import submit

from tocsin import (
    Alert,
    Notifier,
    Provider,
    Receipt,
    SecretUnavailable,
    Settings,
    Status,
    Subscription,
)
from tocsin._courier import ASK_AGAIN, GRACE, LINGER
from tocsin._lane import MAX_ABANDONED, MAX_WORKERS


@attrs.frozen
class Gate:
    """Answers of a service that come when they are let through."""

    opened: threading.Event = attrs.field(factory=threading.Event)

    def __call__(self):
        self.opened.wait(30)
        return Receipt(reference="slow")


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.opened.set()


@pytest.fixture
def start(clock, gate):
    """Return what starts a notifier with such channels, all of which get everything."""
    running = []

    def start(**channels):
        options = channels.pop("options", {})
        names = channels.pop("to", [*channels])
        settings = Settings(
            user="ada",
            submit_timeout=10.0,
            channels={
                name: channel if isinstance(channel, Provider) else Recorder(channel)
                for name, channel in channels.items()
            },
            subscriptions=[Subscription(channels=names)],
            **options,
        )
        notifier = Notifier(settings, namespace="tests", clock=clock)
        notifier.start()
        running.append(notifier)
        return notifier

    yield start
    gate.opened.set()
    for notifier in running:
        notifier.close()


@pytest.fixture
def looks(monkeypatch):
    """Every look of a courier at what is due, in this process."""
    from tocsin._store.sqlite import SqliteStore

    made, next_due = [], SqliteStore.next_due

    def counted(*arguments, **options):
        made.append(time.monotonic())
        return next_due(*arguments, **options)

    monkeypatch.setattr(SqliteStore, "next_due", counted)
    return made


def most_looks(began, pause):
    """Return how many looks there may be since, each of which asks twice at most."""
    rounds = (time.monotonic() - began) / pause
    return 2 * math.ceil(rounds + 5)


def keep_busy(inbox, gate, count=4):
    inbox.answers += [gate] * count


def test_a_burst_costs_few_looks(start, inbox, gate, looks):
    """Many alerts in a moment are looked at together, and their caller is not disturbed."""
    keep_busy(inbox, gate)
    notifier = start(inbox=inbox, idle=Inbox(), to=["inbox"])
    for number in range(4):
        notifier.notify(Alert(f"busy {number}"))
    inbox.wait_for(4)
    looks.clear()
    began = time.monotonic()
    for number in range(400):
        notifier.notify(Alert(f"{number}"))
    most = most_looks(began, LINGER)

    assert len(looks) <= most
    assert len(inbox.messages) == 4


def test_a_look_is_put_off_once(inbox):
    """The first of a burst says when to look; those behind it do not put it off."""
    settings = Settings(channels={"inbox": Recorder(inbox)})
    courier = Notifier(settings, namespace="tests")._courier
    courier._next_look = time.monotonic() + 5
    courier.wake()
    planned = courier._next_look
    courier.wake()

    assert planned <= time.monotonic() + LINGER
    assert courier._next_look == planned
    courier.wake(0)
    assert courier._next_look < planned + LINGER


def test_a_flush_looks_now_and_then(start, inbox, gate, looks):
    """While something is under way it asks twenty times a second, not without a pause."""
    keep_busy(inbox, gate)
    notifier = start(inbox=inbox)
    notifier.notify(Alert("slow"))
    inbox.wait_for(1)
    looks.clear()
    began = time.monotonic()

    assert not notifier.flush(0.4)
    assert len(looks) <= most_looks(began, ASK_AGAIN)


def test_no_desk_is_free(start, gate, looks):
    """With all that a process may have under way, nobody looks for more."""
    busy = {f"c{number}": Inbox() for number in range(MAX_WORKERS // 4)}
    for inbox in busy.values():
        keep_busy(inbox, gate)
    late = Inbox()
    notifier = start(**busy, late=late, to=[*busy])
    for number in range(4):
        notifier.notify(Alert(f"{number}"))
    for inbox in busy.values():
        inbox.wait_for(4, 30)
    submit(notifier.store(), Alert("late"), plan=["late"])
    looks.clear()
    began = time.monotonic()

    assert not notifier.flush(0.4)
    assert len(looks) <= most_looks(began, ASK_AGAIN)
    gate.opened.set()
    assert notifier.flush(30)
    assert late.titles == ["late"]


def locked():
    raise SecretUnavailable("TOKEN is not set")


def test_a_channel_that_only_others_can_use(start, inbox, caplog):
    """Without its secret this process leaves a channel alone; another one delivers."""
    inbox.answers += [locked] * 9
    other = Inbox()
    here = start(inbox=inbox)
    results = [here.notify(Alert(f"{number}")) for number in range(3)]
    inbox.wait_for(1)

    assert not here.flush(0.3)  # there is something due, and it is not being sent
    deliveries = [result.wait(0)[0] for result in results]
    assert {d.status for d in deliveries} == {Status.PENDING}
    assert {d.attempts for d in deliveries} == {0}
    assert caplog.text.count("is out of order: TOKEN is not set") == 1
    there = start(inbox=other)
    assert there.flush(10)
    assert sorted(other.titles) == ["0", "1", "2"]
    assert here.flush(10)


def test_others_are_not_blocked(start, inbox):
    """A channel without its secret stops no other."""
    inbox.answers.append(locked)
    fine = Inbox()
    notifier = start(inbox=inbox, fine=fine)
    for number in range(3):
        notifier.notify(Alert(f"{number}"))
    fine.wait_for(3)

    assert not notifier.flush(0.2)
    assert sorted(fine.titles) == ["0", "1", "2"]


def test_a_channel_whose_workers_hang(start, inbox, gate):
    """With two workers that hang the channel waits; it goes on when one comes back."""
    keep_busy(inbox, gate, MAX_ABANDONED)
    notifier = start(inbox=inbox, options={"timeout": 0.1})
    results = [notifier.notify(Alert(f"{n}")) for n in range(MAX_ABANDONED)]
    inbox.wait_for(MAX_ABANDONED)
    eventually(lambda: all(r.wait(0)[0].reason for r in results), 10 + GRACE)
    waiting = notifier.notify(Alert("waits"))

    assert not notifier.flush(0.3)
    assert waiting.wait(0)[0].attempts == 0
    gate.opened.set()
    assert waiting.wait(10)[0].status is Status.DELIVERED
    assert {r.wait(0)[0].status for r in results} == {Status.PENDING}


@attrs.frozen
class OneByOne(Recorder):
    name = "one by one"
    concurrency = 1


def test_what_is_left_at_the_end(start, inbox, gate):
    """What no worker came to is given back: it was no attempt, and is due at once."""
    keep_busy(inbox, gate, 1)
    notifier = start(inbox=OneByOne(inbox))
    results = [notifier.notify(Alert(f"{number}")) for number in range(3)]
    inbox.wait_for(1)
    notifier.close(0.05)

    deliveries = [result.wait(0)[0] for result in results]
    assert [d.attempts for d in deliveries] == [1, 0, 0]
    assert start(inbox=OneByOne(inbox)).flush(10)
    assert inbox.titles == ["0", "1", "2"]


def test_a_flush_with_nothing_to_do(start, inbox):
    """It ends at once, and says that all is done."""
    began = time.monotonic()

    assert start(inbox=inbox).flush(30)
    assert time.monotonic() - began < 20
