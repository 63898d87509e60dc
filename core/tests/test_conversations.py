"""Of messages that belong together the first stands alone, and the others reply to it."""

from __future__ import annotations

import threading

import attrs
import pytest
from conftest import Recorder, eventually
from storing import NOW, claims

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
from tocsin._store import Turn


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
