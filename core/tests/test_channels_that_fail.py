"""What the store and the courier do with the deliveries of a channel that fails."""

from __future__ import annotations

import pytest
from conftest import Recorder
from storing import NOW, claim_one, claims, deliver, status, submit

from tocsin import (
    Alert,
    Ambiguous,
    Notifier,
    OutOfOrder,
    RetryLater,
    Settings,
    Status,
    Subscription,
)
from tocsin._circuit import THRESHOLD
from tocsin._retry import MAX_BACKOFF, Failed, outcome
from tocsin._routing import Route

DAY = 86_400.0


def settle(store, claim, result, now=NOW):
    """Write down what the courier would."""
    ending = outcome(
        result, claim.progress, now=now, give_up_after=DAY, random=lambda: 0.5
    )
    return store.settle(claim, ending, now)


def keep(store, count, now=NOW, plan=("inbox",)):
    for number in range(count):
        submit(store, Alert(f"{number}"), now, plan=plan)


def break_down(store, now=NOW):
    """Let as many attempts fail as it takes; as many are kept for them."""
    keep(store, THRESHOLD, now)
    for claim in claims(store, now):
        settle(store, claim, RetryLater("down"), now)


def test_one_at_a_time_over_all_processes(stores):
    """From a channel that fails, one delivery is handed out, whoever asks."""
    one, two = stores
    break_down(one)
    keep(two, 3, NOW + 1)
    now = NOW + 60

    (probe,) = claims(two, now)

    assert probe.progress.is_probe
    assert claims(one, now + 29) == claims(two, now + 29) == []
    settle(two, probe, RetryLater("down"), now + 29)
    assert claims(one, now + 29) == []  # it has its pause
    assert len(claims(one, now + 60)) == 1
    assert len(claims(two, now + 90)) == 1  # the lease of a worker that died ran out


def test_nobody_looks_for_what_cannot_be_had(stores):
    """While the one is under way, nothing is due before its lease runs out."""
    one, two = stores
    break_down(one)
    now = NOW + 60
    (probe,) = claims(one, now)

    assert two.next_due(["inbox"]) == probe.lease_until
    settle(one, probe, RetryLater("down"), now)
    assert now < two.next_due(["inbox"]) <= now + 3


def test_a_lease_of_a_clock_that_was_ahead_blocks_nobody(store):
    """What a process with a wrong clock took and dropped does not stop the next try."""
    break_down(store)
    assert len(claims(store, NOW + 30 * DAY)) == 1

    assert len(claims(store, NOW + 60)) == 1


def test_success_makes_all_due(stores):
    """Once one arrives, whatever waits for its next try may go at once."""
    one, two = stores
    break_down(one)
    probe = claim_one(one, NOW + 60)
    settle(one, probe, Ambiguous("no answer"), NOW + 60)
    submit(one, Alert("held"), NOW + 61, plan=[Route("inbox", not_before=NOW + 900)])

    settled = deliver(two, claim_one(two, NOW + 70), NOW + 70)

    assert (settled.before.is_failing, settled.after.is_failing) == (True, False)
    assert one.circuits() == {}
    assert len(claims(one, NOW + 70)) == THRESHOLD - 1
    assert len(claims(one, NOW + 900)) == 1 + THRESHOLD - 1  # their leases ran out too


def test_a_refusal_closes_too(store):
    """A service that refuses one message works: the others may go."""
    break_down(store)
    probe = claim_one(store, NOW + 60)
    store.settle(probe, Failed(reason="no such address"), NOW + 60)

    assert len(claims(store, NOW + 60)) == THRESHOLD - 1


def test_out_of_order(store):
    """The delivery that finds out has failed; the others wait, and are tried in turn."""
    keep(store, 3)
    first = claim_one(store)
    settle(store, first, OutOfOrder("revoked", remedy="make another"))

    assert claims(store, NOW + MAX_BACKOFF - 1) == []
    probe = claim_one(store, NOW + MAX_BACKOFF)
    settle(store, probe, OutOfOrder("revoked"), NOW + MAX_BACKOFF)
    (circuit,) = store.circuits().values()
    assert circuit.is_out_of_order
    assert circuit.since == NOW
    assert status(store, first.alert.id) == {"inbox": "failed"}
    assert status(store, probe.alert.id) == {"inbox": "pending"}
    assert claims(store, NOW + 2 * MAX_BACKOFF - 1) == []


def test_out_of_order_ends_by_age(store):
    """A delivery that only found it unchanged for a day has failed too."""
    keep(store, 2)
    settle(store, claim_one(store), OutOfOrder("revoked"))
    probe = claim_one(store, NOW + MAX_BACKOFF)
    settle(store, probe, OutOfOrder("revoked"), NOW + MAX_BACKOFF)
    again = claim_one(store, NOW + DAY + MAX_BACKOFF)
    settle(store, again, OutOfOrder("revoked"), NOW + DAY + MAX_BACKOFF)

    assert status(store, again.alert.id) == {"inbox": "failed"}


def test_a_person_mends_it(store):
    """Whoever says that it works again has all tried at once."""
    out_of_order(store)

    assert store.mend("inbox", NOW + 1)
    assert not store.mend("inbox", NOW + 1)
    assert store.circuits() == {}
    assert len(claims(store, NOW + 1)) == 2


@pytest.mark.parametrize("is_repaired", [True, False])
def test_a_replay_tries_it(store, is_repaired):
    """A replay tries the channel with one delivery; if that fares no better, none is lost."""
    failed = out_of_order(store)

    assert store.requeue(failed.delivery_id, NOW + 1)
    (probe,) = claims(store, NOW + 1)
    if is_repaired:
        deliver(store, probe, NOW + 1)
        assert len(claims(store, NOW + 1)) == 2
    else:
        settle(store, probe, OutOfOrder("revoked"), NOW + 1)
        assert claims(store, NOW + 1) == []
        assert store.pending() == 3


def test_what_is_under_way_is_kept(store):
    """Of several that find the channel out of order at once, one ends as failed."""
    keep(store, 3)
    for claim in claims(store):
        settle(store, claim, OutOfOrder("revoked"))

    assert store.pending() == 2


def out_of_order(store):
    """Let one of three find out; return its claim."""
    keep(store, 3)
    failed = claim_one(store)
    settle(store, failed, OutOfOrder("revoked"))
    return failed


def test_others_flow(store):
    """A channel that is out of order stops no other, nor its namesake elsewhere."""
    keep(store, 3, plan=("inbox", "other"))
    settle(store, claim_one(store), OutOfOrder("revoked"))

    assert claims(store) == []
    assert len(claims(store, channel="other")) == 3


def test_a_hold_outlasts_a_success_that_began_before_it(store):
    """While the service wants time, what was under way succeeds, and the rest waits."""
    keep(store, 3)
    slow, asked = claims(store, most=2)
    settle(store, asked, RetryLater("busy", after=30))
    deliver(store, slow, NOW + 1)

    assert claims(store, NOW + 29) == []
    assert store.next_due(["inbox"]) == NOW + 30
    assert len(claims(store, NOW + 30)) == 2


def test_what_is_kept_of_a_channel(store):
    """Whoever asks is told which channels fail, since when, and why."""
    break_down(store)
    (name,) = store.circuits()
    circuit = store.circuits()[name]

    assert name == "inbox"
    assert (circuit.failures, circuit.since) == (THRESHOLD, NOW)
    assert circuit.reason == "down"


@pytest.fixture
def notifier(inbox, clock):
    """A notifier with two channels: the inbox, and another that always works."""
    settings = Settings(
        user="ada",
        submit_timeout=10.0,
        channels={"inbox": Recorder(inbox), "other": Recorder(type(inbox)())},
        subscriptions=[
            Subscription(channels=["inbox"]),
            Subscription(channels=["other"], min_level="ERROR"),
        ],
        state_dir=":memory:",
    )
    with Notifier(settings, namespace="tests", clock=clock) as notifier:
        yield notifier


def said(caplog):
    return [r.getMessage() for r in caplog.records if r.name == "tocsin.deliveries"]


def revoked():
    raise OutOfOrder("the token was revoked", remedy="make another")


def down():
    raise RetryLater("down")


def test_out_of_order_is_told_once(notifier, inbox, clock, caplog):
    """Through the notifier: told once, tried every five minutes, told when it works."""
    inbox.answers += [revoked] * 3
    first = notifier.notify(Alert("0", level="ERROR"))
    first.wait(10)
    others = [notifier.notify(Alert(f"{n}", level="ERROR")) for n in (1, 2)]
    for _ in range(2):
        notifier.flush(10)
        clock.advance(MAX_BACKOFF)
    notifier.flush(10)

    lines = [line for line in said(caplog) if "out of order" in line]
    assert len(inbox.messages) == 3
    assert len(lines) == 1
    assert "the token was revoked (make another)" in lines[0]
    assert [d.status for d in first.wait(0)] == [Status.FAILED, Status.DELIVERED]
    assert [d.status for d in others[0].wait(0)] == [Status.PENDING, Status.DELIVERED]

    clock.advance(MAX_BACKOFF)
    notifier.flush(10)
    assert {d.status for other in others for d in other.wait(10)} == {Status.DELIVERED}
    assert said(caplog)[-1] == "channel 'inbox' works again"


def test_a_failing_channel_is_told_once(notifier, inbox, clock, caplog):
    """After five failures it is told that the channel fails, and when it works again."""
    inbox.answers += [down] * (THRESHOLD + 2)
    results = [notifier.notify(Alert(f"{n}")) for n in range(THRESHOLD)]
    for _ in range(4):
        notifier.flush(10)
        clock.advance(MAX_BACKOFF)
    notifier.flush(10)

    assert {r.wait(10)[0].status for r in results} == {Status.DELIVERED}
    lines = [line for line in said(caplog) if line.startswith("channel")]
    assert lines == [
        "channel 'inbox' fails, and is tried with one delivery at a time: down",
        "channel 'inbox' works again",
    ]
