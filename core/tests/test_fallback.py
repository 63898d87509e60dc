"""What cannot be delivered to a channel goes to its fallback."""

from __future__ import annotations

import pytest
from conftest import Inbox, Recorder
from storing import NOW, claim_one, claims, deliver, status, submission, submit

from tocsin import (
    Alert,
    Attachment,
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
from tocsin._attempt import alert_of
from tocsin._retry import Failed
from tocsin._routing import Route

AFTER = 600.0


def fail(store, claim, fallback, now=NOW, reason="no such address"):
    return store.settle(claim, Failed(reason=reason), now, fallback=fallback)


def out_of_order(store, channel="a", now=NOW):
    """Take one delivery of the channel that finds it out of order."""
    claim = claim_one(store, now, channel)
    ending = Failed(reason="revoked", remedy="make another", is_out_of_order=True)
    store.settle(claim, ending, now)
    return claim


def hand_over(store, now, *, is_broken=False, after=AFTER):
    return store.hand_over("a", "b", now, after=after, is_broken=is_broken)


def test_what_has_failed_goes_there(store):
    """It is a delivery of its own, and says why it comes; the failed one stays visible."""
    submit(store, Alert("t", id="1", attachments=[Attachment("f", b"x")]), plan=["a"])
    fail(store, claim_one(store, channel="a"), "b")

    claim = claim_one(store, channel="b")
    assert claim.delivery_id == "1.b"
    assert claim.note == "It could not be delivered to a: no such address"
    assert claim.progress.attempt == 1
    assert claim.alert.attachments == (Attachment("f", b"x"),)
    deliver(store, claim)
    assert status(store, "1") == {"a": "failed", "b": "delivered"}
    assert len(store.history(limit=9, failed_only=True)) == 1


def test_a_chain_ends(store):
    """a, b, c: each is tried after the one before it, and all that failed are visible."""
    submit(store, Alert("t", id="1"), plan=["a"])
    for channel, fallback in (("a", "b"), ("b", "c"), ("c", "")):
        fail(store, claim_one(store, channel=channel), fallback, reason=f"no {channel}")

    assert status(store, "1") == {"a": "failed", "b": "failed", "c": "failed"}
    reasons = [delivery.reason for delivery in store.deliveries("1")]
    assert reasons == ["no a", "no b", "no c"]
    assert store.pending() == 0


def test_no_loop(store):
    """Two channels that stand in for each other try it once each."""
    submit(store, Alert("t", id="1"), plan=["a"])
    fail(store, claim_one(store, channel="a"), "b")
    fail(store, claim_one(store, channel="b"), "a")

    assert status(store, "1") == {"a": "failed", "b": "failed"}
    assert store.pending() == 0


@pytest.mark.parametrize("fate", ["pending", "delivered", "failed"])
def test_not_twice(store, fate):
    """A channel that has the alert already, whatever became of it, gets it once."""
    submit(store, Alert("t", id="1"), plan=["a", "b"])
    if fate != "pending":
        other = claim_one(store, channel="b")
        deliver(store, other) if fate == "delivered" else fail(store, other, "")
    fail(store, claim_one(store, channel="a"), "b")

    assert status(store, "1") == {"a": "failed", "b": fate}


def test_a_replay_of_either(store):
    """A failed one that is replayed and fails again is not sent there a second time."""
    submit(store, Alert("t", id="1"), plan=["a"])
    fail(store, claim_one(store, channel="a"), "b")
    deliver(store, claim_one(store, channel="b"))
    store.requeue("1.a", NOW)
    fail(store, claim_one(store, channel="a"), "b")

    assert status(store, "1") == {"a": "failed", "b": "delivered"}


def test_what_waits_is_handed_over(store):
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


def test_what_waits_for_a_working_channel_is_left(store):
    """A channel that works is only behind: nothing is handed over, however old."""
    submit(store, Alert("t", id="1"), plan=["a"])

    assert hand_over(store, NOW + 10 * AFTER) == 0
    assert hand_over(store, NOW + 10 * AFTER, is_broken=True) == 1


def test_the_channel_has_its_time(store):
    """Time counts from when the channel began to fail, not from an age before that."""
    submit(store, Alert("old", id="old"), NOW - 5000, plan=["a"])
    submit(store, Alert("t"), NOW - 5000, plan=["a"])
    out_of_order(store)

    assert hand_over(store, NOW + AFTER - 1) == 0
    assert hand_over(store, NOW + AFTER) == 1


def test_what_is_under_way_is_left(store):
    """A delivery in the hands of a worker is not handed over before its lease ends."""
    submit(store, Alert("t", id="1"), plan=["a"])
    claim_one(store, NOW + AFTER, "a")

    assert hand_over(store, NOW + AFTER + 29, is_broken=True, after=10) == 0
    assert hand_over(store, NOW + AFTER + 30, is_broken=True, after=10) == 1


def test_what_is_held_has_its_time_from_then(store):
    """What quiet hours hold waits for the channel from their end on, and then goes."""
    plan = [Route("a", not_before=NOW + 3600, digest=60)]
    for number in "12":
        submit(store, Alert(number, id=number), plan=plan)

    assert hand_over(store, NOW + 3600 + AFTER - 1, is_broken=True) == 0
    assert hand_over(store, NOW + 3600 + AFTER, is_broken=True) == 2
    claim = claim_one(store, NOW + 3600 + AFTER, "b")
    assert len(claim.members) == 2


def test_the_whole_of_a_digest(store):
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


def test_the_resolution_of_what_never_was_there(store):
    """That something is over is told by the fallback, though it did not tell the alert."""
    submit(store, Alert("t", id="1"), plan=["a"])
    deliver(store, claim_one(store, channel="a"))
    over = submission(Alert("t", id="2", kind="resolved"), "a")
    store.resolve(over, NOW, timeout=5)
    fail(store, claim_one(store, channel="a"), "b")

    claim = claim_one(store, channel="b")
    assert claim.delivery_id == "2.b"
    assert alert_of(claim).title == "Resolved: t"


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
