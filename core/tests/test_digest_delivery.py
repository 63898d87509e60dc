"""Alerts that are gathered for a while, and go as one message."""

from __future__ import annotations

import pytest
from conftest import Recorder
from storing import NOW, claim_one, claims, deliver, status, submit

from tocsin import (
    Admitted,
    Alert,
    Channel,
    Notifier,
    Rejected,
    RetryLater,
    Settings,
    Status,
    Subscription,
)
from tocsin._quiet import QuietHours
from tocsin._routing import Route
from tocsin._store._claims import _MEMBERS

WAIT = 60.0
PLAN = [Route("inbox", digest=WAIT)]


def keep(store, titles, now=NOW, plan=PLAN, **more):
    """Submit an alert of each title, a second apart."""
    for seconds, title in enumerate(titles):
        submit(store, Alert(title, id=title, **more), now + seconds, plan=plan)


def gathered(store, titles="abcd"):
    """Let the first go at once; return the claim of the others, when their time comes."""
    keep(store, titles)
    deliver(store, claim_one(store, NOW + 9))
    return claim_one(store, NOW + WAIT)


def titles(claim):
    return [member.alert.title for member in claim.members] or [claim.alert.title]


def fates(store, titles="abcd"):
    return [status(store, title)["inbox"] for title in titles]


def test_more_than_fit(store):
    """Very many go as several messages, and none is left behind."""
    count = _MEMBERS + 20
    for number in range(count + 1):
        submit(store, Alert(f"{number}"), NOW + number / 100, plan=PLAN)
    store.pending()  # their deliveries are made
    deliver(store, claim_one(store, NOW + 9))

    found = claims(store, NOW + 99)
    found += claims(store, NOW + 99)
    assert sorted(len(claim.members) for claim in found) == [20, _MEMBERS]
    assert len({place for claim in found for place in claim.places}) == count


@pytest.fixture
def boxes(inbox):
    return {"inbox": inbox, "other": type(inbox)()}


@pytest.fixture
def start(boxes, clock):
    """Return what starts a notifier that gathers for a minute."""
    running = []

    def start(**wish):
        settings = Settings(
            user="ada",
            submit_timeout=10.0,
            channels={
                "inbox": Channel("inbox", Recorder(boxes["inbox"]), fallback="other"),
                "other": Recorder(boxes["other"]),
            },
            subscriptions=[Subscription(channels=["inbox"], digest=WAIT, **wish)],
            state_dir=":memory:",
        )
        running.append(Notifier(settings, namespace="tests", clock=clock))
        return running[-1]

    yield start
    for notifier in running:
        notifier.close()


def raise_all(notifier, clock, titles):
    results = []
    for title in titles:
        results.append(notifier.notify(Alert(title, f"text of {title}")))
        if len(results) == 1:
            results[0].wait(10)  # it goes at once, and not beside what comes later
        clock.advance(1)
    return results


def test_one_message_lists_them(start, boxes, clock):
    """The first comes as it is; then comes one message with a line for each of the rest."""
    notifier = start()
    results = raise_all(notifier, clock, ["a", "b", "c"])
    notifier.notify(Alert("c"))
    assert notifier.flush(10)
    assert boxes["inbox"].titles == ["a"]
    clock.advance(WAIT)
    assert notifier.flush(10)

    assert all(isinstance(result, Admitted) for result in results)
    _, digest = boxes["inbox"].messages
    assert digest.alert.kind == "digest"
    assert digest.title == "2 alerts: b, c"
    assert digest.alert.text.splitlines() == [
        "INFO 2027-01-15 08:00:01 UTC · b: text of b",
        "INFO 2027-01-15 08:00:02 UTC · c: text of c",
    ]
    deliveries = [result.wait(10)[0] for result in results[1:]]
    assert {d.receipt.reference for d in deliveries} == {"2"}
    assert [d.id for d in boxes["inbox"].deliveries] == [
        f"{results[0].alert_id}.inbox",
        f"{results[1].alert_id}.inbox",
    ]


def test_what_was_suppressed_is_in_its_line(start, boxes, clock):
    """How many were suppressed before a member is told in its line, not of the whole."""
    notifier = start()
    raise_all(notifier, clock, ["a", "b"])
    notifier.flush(10)
    for _ in range(3):
        notifier.notify(Alert("c", wait_duration=5))
    clock.advance(6)
    notifier.notify(Alert("c", wait_duration=5))
    clock.advance(WAIT)
    notifier.flush(10)

    digest = boxes["inbox"].messages[-1]
    assert digest.alert.text.splitlines()[-1].endswith("(+2 suppressed)")
    assert not any("suppressed" in note for note in digest.notes)


def test_one_message_fails_for_all(start, boxes, clock, caplog):
    """Refused, it goes to the fallback as one message that says why."""

    def refuse():
        raise Rejected("no")

    notifier = start()
    results = raise_all(notifier, clock, ["a", "b", "c"])
    notifier.flush(10)
    boxes["inbox"].answers.append(refuse)
    clock.advance(WAIT)
    notifier.flush(10)

    fates = [{d.channel: d.status for d in r.wait(10)} for r in results[1:]]
    assert fates == [{"inbox": Status.FAILED, "other": Status.DELIVERED}] * 2
    (message,) = boxes["other"].messages
    assert message.title == "2 alerts: b, c"
    assert message.notes == ("It could not be delivered to inbox: no",)
    assert caplog.text.count("not delivered to channel") == 1


def test_one_message_is_tried_again(start, boxes, clock):
    """The same id and the same lines at each attempt."""

    def busy():
        raise RetryLater("busy", after=30)

    notifier = start()
    raise_all(notifier, clock, ["a", "b", "c"])
    notifier.flush(10)
    boxes["inbox"].answers.append(busy)
    clock.advance(WAIT)
    notifier.flush(10)
    raise_all(notifier, clock, ["d", "e"])
    clock.advance(30)
    notifier.flush(10)

    _, first, second = boxes["inbox"].messages
    assert first.alert.text == second.alert.text
    _, one, two = boxes["inbox"].deliveries
    assert (one.id, one.attempt, two.attempt) == (two.id, 1, 2)


def test_the_morning_after(start, boxes, clock):
    """Quiet hours and a digest: one message when they end."""
    clock.now = NOW - 10 * 3600  # ten in the evening
    night = QuietHours(["22:00-07:00"], time_zone="UTC")
    notifier = start(quiet_hours=night)
    results = raise_all(notifier, clock, ["a", "b", "c"])
    assert notifier.flush(10)
    clock.now = NOW - 3600
    assert notifier.flush(10)

    assert boxes["inbox"].titles == ["3 alerts: a, b and 1 more title"]
    assert {r.wait(10)[0].status for r in results} == {Status.DELIVERED}
