"""Of messages that belong together the first stands alone, and the others reply to it."""

from __future__ import annotations

import threading

import attrs
import pytest
from conftest import Recorder, eventually
from storing import NOW, claims, deliver, submit

from tocsin import (
    Alert,
    Notifier,
    Provider,
    Receipt,
    Rejected,
    RetryLater,
    SecretUnavailable,
    Settings,
    Status,
    Subscription,
)
from tocsin._retry import Failed, Pending
from tocsin._store import Turn
from tocsin._store.sqlite import SqliteStore

RUN = "run-7"


def keep(store, count=3, now=NOW):
    for number in range(count):
        submit(store, Alert(f"{number}", id=f"{number}"), now)


def test_exactly_one_is_first(stores):
    """Whoever asks first begins; the others, wherever they are, wait for its receipt."""
    one, two = stores
    keep(one)
    first, *others = claims(one)

    assert one.join(first, RUN, NOW) is Turn.BEGIN
    assert one.join(first, RUN, NOW) is Turn.BEGIN
    assert {two.join(other, RUN, NOW) for other in others} == {Turn.WAIT}
    assert claims(one, NOW + 0.4) == []
    deliver(one, first, NOW + 0.4, reference="42")
    again = claims(two, NOW + 0.4)
    assert [claim.progress.attempt for claim in again] == [1, 1]
    receipts = {two.join(claim, RUN, NOW + 0.4) for claim in again}
    assert receipts == {Receipt(reference="42")}


def test_whoever_waits_looks_again(stores):
    """Its turn is asked for twice a second, in case that nobody calls it."""
    one, two = stores
    keep(one, 2)
    first, second = claims(one)
    one.join(first, RUN, NOW)
    two.join(second, RUN, NOW)

    assert claims(two, NOW + 0.4) == []
    (again,) = claims(two, NOW + 0.5)
    assert two.join(again, RUN, NOW + 0.5) is Turn.WAIT


@pytest.mark.parametrize(
    "outcome",
    [Failed(reason="no"), Pending(due=NOW + 60, reason="down")],
    ids=["failed", "tried again"],
)
def test_when_the_first_does_not_arrive(store, outcome):
    """Another begins at once; the one that is tried again replies to it."""
    keep(store)
    first, second, third = claims(store)
    store.join(first, RUN, NOW)
    store.join(second, RUN, NOW)
    store.release([second], NOW, delay=0.5)
    store.settle(first, outcome, NOW + 0.1)

    assert store.join(third, RUN, NOW + 0.1) is Turn.BEGIN
    (again,) = claims(store, NOW + 0.1)
    assert again.delivery_id == second.delivery_id
    assert store.join(again, RUN, NOW + 0.1) is Turn.WAIT


def test_when_the_first_is_given_back(store):
    """A claim that is released without an attempt holds nobody up."""
    keep(store, 2)
    first, second = claims(store)
    store.join(first, RUN, NOW)
    store.release([first], NOW, delay=60)

    assert store.join(second, RUN, NOW) is Turn.BEGIN


def test_when_the_first_dies(store):
    """Another begins when the lease of the first has run out."""
    keep(store, 2)
    first, _ = claims(store)
    store.join(first, RUN, NOW)
    _, second = claims(store, NOW + 30)

    assert store.join(second, RUN, NOW + 29) is Turn.WAIT
    assert store.join(second, RUN, NOW + 30) is Turn.BEGIN


def test_a_clock_that_was_ahead(store):
    """What a process with a wrong clock began and dropped holds nobody up."""
    keep(store, 1, NOW + 400 * 86_400)
    (ahead,) = claims(store, NOW + 400 * 86_400)
    store.join(ahead, RUN, NOW + 400 * 86_400)
    keep(store, 1)
    second, *_ = claims(store)

    assert store.join(second, RUN, NOW) is Turn.BEGIN


def test_apart(tmp_path):
    """Conversations of other names, channels and namespaces are others."""
    path = str(tmp_path / "tocsin.db")
    one, two = (SqliteStore(path, name) for name in ("one", "two"))
    for store in (one, two):
        submit(store, Alert("t"), plan=["inbox", "other"])
    (first,), (other,), (theirs,) = claims(one), claims(one, NOW, "other"), claims(two)

    assert one.join(first, RUN, NOW) is Turn.BEGIN
    assert one.join(other, RUN, NOW) is Turn.BEGIN
    assert two.join(theirs, RUN, NOW) is Turn.BEGIN
    assert one.join(first, "another", NOW) is Turn.BEGIN
    two.prune(NOW + 9999)
    deliver(one, first, reference="1")
    assert one.join(other, RUN, NOW) is Turn.BEGIN
    one.close()
    two.close()


def test_prune_forgets(store):
    """After as long as the history is kept a conversation begins anew."""
    keep(store, 2)
    first, second = claims(store)
    store.join(first, RUN, NOW)
    deliver(store, first, NOW, reference="42")
    store.prune(NOW)
    assert store.join(second, RUN, NOW) == Receipt(reference="42")
    store.prune(NOW + 1)

    assert store.join(second, RUN, NOW + 1) is Turn.BEGIN


@attrs.frozen
class Talker(Recorder):
    """A recorder whose messages belong together when their alerts' tags are alike."""

    name = "talker"

    def conversation(self, alert):
        if "broken" in alert.tags:
            raise ValueError("no idea")
        return ",".join(alert.tags)


@pytest.fixture
def talk(inbox, clock):
    settings = Settings(
        user="ada",
        submit_timeout=10.0,
        channels={"inbox": Talker(inbox)},
        subscriptions=[Subscription(channels=["inbox"])],
        state_dir=":memory:",
    )
    with Notifier(settings, namespace="tests", clock=clock) as notifier:
        yield notifier


def threads(inbox):
    return [d.thread.reference if d.thread else "" for d in inbox.deliveries]


def waiting(results):
    """Return how many wait for the first of their conversation."""
    deliveries = [delivery for result in results for delivery in result.wait(0)]
    return sum(
        d.due_at is not None and d.due_at.timestamp() == NOW + 0.5 for d in deliveries
    )


def test_many_at_once(talk, inbox):
    """Of many that are raised together one is first; all others reply to it, in one flush."""
    slow = threading.Event()
    inbox.answers.append(lambda: slow.wait(10) and Receipt(reference="first"))
    results = [talk.notify(Alert(f"{n}", tags=["run"])) for n in range(12)]
    inbox.wait_for(1)
    eventually(lambda: waiting(results) >= 3)
    slow.set()

    assert talk.flush(10)
    assert {r.wait(10)[0].status for r in results} == {Status.DELIVERED}
    assert threads(inbox) == ["", *["first"] * 11]
    assert {d.attempt for d in inbox.deliveries} == {1}


@pytest.mark.parametrize(
    "error", [Rejected("no"), RetryLater("down")], ids=["refused", "tried again"]
)
def test_the_first_does_not_arrive(talk, inbox, clock, error):
    """Another is first then, at once, and the rest reply to that."""
    slow = threading.Event()

    def refuse():
        slow.wait(10)
        raise error

    inbox.answers.append(refuse)
    results = [talk.notify(Alert(f"{n}", tags=["run"])) for n in range(4)]
    inbox.wait_for(1)
    eventually(lambda: waiting(results) == 3)
    slow.set()
    assert talk.flush(10)

    assert threads(inbox)[:2] == ["", ""]
    clock.advance(300)
    talk.flush(10)
    assert threads(inbox)[2:] == ["2"] * (len(inbox.messages) - 2)
    assert sorted({d.id for d in inbox.deliveries}) == sorted(
        result.wait(10)[0].id for result in results
    )


def test_a_secret_that_is_missing(talk, inbox):
    """A first one that could not be tried holds nobody up in another process."""

    def locked():
        raise SecretUnavailable("TOKEN is not set")

    inbox.answers.append(locked)
    talk.notify(Alert("0", tags=["run"]))
    inbox.wait_for(1)
    talk.flush(0.2)
    (claim,) = claims(talk.store(), talk.now())

    assert talk.store().join(claim, "run", talk.now()) is Turn.BEGIN


@pytest.mark.parametrize("tags", [[], ["broken"]], ids=["none", "broken"])
def test_what_stands_alone(talk, inbox, tags):
    """Messages without a conversation, or whose provider fails to say, reply to nothing."""
    for number in range(3):
        talk.notify(Alert(f"{number}", tags=tags))
    talk.flush(10)

    assert threads(inbox) == ["", "", ""]


def test_another_process_goes_on(inbox, clock):
    """A conversation outlives the process that began it."""
    settings = Settings(
        user="ada",
        submit_timeout=10.0,
        channels={"inbox": Talker(inbox)},
        subscriptions=[Subscription(channels=["inbox"])],
    )
    for title in ("a", "b"):
        with Notifier(settings, namespace="tests", clock=clock) as notifier:
            notifier.notify(Alert(title, tags=["run"])).wait(10)

    assert threads(inbox) == ["", "1"]


def test_by_default_there_is_none():
    """A provider that says nothing has no conversations."""
    assert Provider().conversation(Alert("t")) == ""
