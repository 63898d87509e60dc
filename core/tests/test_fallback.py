"""What cannot be delivered to a channel goes to its fallback."""

from __future__ import annotations

import pytest
from conftest import Inbox, Recorder

from tocsin import (
    Alert,
    Channel,
    ConfigError,
    Notifier,
    OutOfOrder,
    Rejected,
    RetryLater,
    SecretUnavailable,
    Settings,
    Status,
    Subscription,
)


@pytest.fixture
def boxes():
    return {name: Inbox() for name in "abc"}


@pytest.fixture
def start(boxes, clock):
    """Return what starts a notifier whose first channel goes over to the others."""
    running = []

    def start(first=None, **channels):
        known = {name: Channel(name, Recorder(box)) for name, box in boxes.items()}
        known["a"] = first or Channel("a", Recorder(boxes["a"]), fallback="b")
        settings = Settings(
            user="ada",
            submit_timeout=10.0,
            channels=known | channels,
            subscriptions=[Subscription(channels=["a"])],
            state_dir=":memory:",
        )
        notifier = Notifier(settings, namespace="tests", clock=clock)
        running.append(notifier)
        return notifier

    yield start
    for notifier in running:
        notifier.close()


def statuses(result):
    return {d.channel: d.status for d in result.wait(10)}


def raising(error):
    def answer():
        raise error

    return answer


def test_it_is_told(start, boxes, caplog):
    """The message says why it comes; the log says where it goes; `wait` waits for it."""
    boxes["a"].answers.append(raising(Rejected("no such channel")))
    result = start().notify(Alert("t"))

    assert statuses(result) == {"a": Status.FAILED, "b": Status.DELIVERED}
    (message,) = boxes["b"].messages
    assert message.notes == ("It could not be delivered to a: no such channel",)
    assert message.notes[0] in message.text
    assert "it goes to 'b' instead" in caplog.text


def test_both_fail(start, boxes, caplog):
    """When nobody takes it, both are failed, and both are told."""
    for name in "ab":
        boxes[name].answers.append(raising(Rejected(f"not {name}")))
    result = start().notify(Alert("t"))

    assert statuses(result) == {"a": Status.FAILED, "b": Status.FAILED}
    assert "'a': not a" in caplog.text
    assert "'b': not b" in caplog.text


def test_a_chain(start, boxes):
    """The fallback of the fallback is told by the one before it."""
    for name in "ab":
        boxes[name].answers.append(raising(Rejected(f"not {name}")))
    notifier = start(b=Channel("b", Recorder(boxes["b"]), fallback="c"))
    result = notifier.notify(Alert("t"))

    assert statuses(result)["c"] is Status.DELIVERED
    assert boxes["c"].messages[0].notes == ("It could not be delivered to b: not b",)


def test_a_circle(start, boxes):
    """Two channels that stand in for each other end."""
    for name in "ab":
        boxes[name].answers += [raising(Rejected(f"not {name}"))] * 9
    notifier = start(b=Channel("b", Recorder(boxes["b"]), fallback="a"))
    result = notifier.notify(Alert("t"))

    assert statuses(result) == {"a": Status.FAILED, "b": Status.FAILED}
    assert (len(boxes["a"].messages), len(boxes["b"].messages)) == (1, 1)


def test_a_delivery_is_tried_for_so_long(start, boxes, clock):
    """What is tried again and again goes over when its time is up, not after a day."""
    boxes["a"].answers += [raising(RetryLater("down"))] * 99
    notifier = start(
        Channel("a", Recorder(boxes["a"]), fallback="b", fallback_after=120)
    )
    result = notifier.notify(Alert("t"))
    for _ in range(30):
        notifier.flush(10)
        clock.advance(10)
    notifier.flush(10)

    failed, fine = result.wait(10)
    assert failed.reason in {"down (given up after 120 s)", "down (given to b)"}
    assert fine.status is Status.DELIVERED
    assert 1 < len(boxes["a"].messages) < 99


def test_what_waits_for_a_channel_out_of_order(start, boxes, clock):
    """The first says it, and goes over; those behind it follow when they waited enough."""
    boxes["a"].answers += [raising(OutOfOrder("revoked"))] * 99
    notifier = start()
    first = notifier.notify(Alert("first"))
    first.wait(10)
    second = notifier.notify(Alert("second"))
    notifier.flush(10)

    assert boxes["b"].titles == ["first"]
    clock.advance(700)
    notifier.flush(10)
    assert statuses(second) == {"a": Status.FAILED, "b": Status.DELIVERED}


def test_a_broken_plugin(start, boxes, clock):
    """What waits for a channel whose plugin is broken goes over, however it waits."""
    notifier = start(Channel("a", None, "cannot be imported", fallback="b"))
    result = notifier.notify(Alert("t"))
    notifier.flush(10)
    assert boxes["b"].messages == []

    clock.advance(600)
    notifier.flush(10)
    assert statuses(result) == {"a": Status.FAILED, "b": Status.DELIVERED}
    assert boxes["b"].messages[0].notes[-1] == (
        "It could not be delivered to a: the channel is out of order"
    )


def test_a_secret_that_is_missing(start, boxes, clock):
    """What waits for a channel that this process cannot use goes over in its time."""
    boxes["a"].answers.append(raising(SecretUnavailable("TOKEN is not set")))
    notifier = start()
    result = notifier.notify(Alert("t"))
    boxes["a"].wait_for(1)
    notifier.flush(0.2)

    clock.advance(600)
    notifier.flush(10)
    assert statuses(result) == {"a": Status.FAILED, "b": Status.DELIVERED}
    assert boxes["b"].messages[0].notes[-1] == (
        "It could not be delivered to a: TOKEN is not set"
    )


@pytest.mark.parametrize(
    ("fallback", "message"),
    [
        ("a", "a channel is not its own fallback"),
        ("bb", "no channel 'bb': did you mean 'b'?"),
    ],
)
def test_a_mistake_in_the_configuration(boxes, fallback, message):
    """A fallback must be another channel that is there."""
    with pytest.raises(ConfigError) as caught:
        Settings(
            channels=[
                Channel("a", Recorder(boxes["a"]), fallback=fallback),
                Channel("b", Recorder(boxes["b"])),
            ]
        )

    (problem,) = caught.value.problems
    assert (problem.key, problem.message) == ("channels.a.fallback", message)
