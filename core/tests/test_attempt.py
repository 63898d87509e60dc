from __future__ import annotations

from datetime import UTC, datetime

import attrs
import pytest
from conftest import Inbox, Recorder
from storing import NOW

from tocsin import (
    Alert,
    Ambiguous,
    Attachment,
    Delivery,
    Limits,
    Origin,
    Provider,
    Receipt,
    Rejected,
    RetryLater,
    Secret,
    SecretUnavailable,
    Settings,
)
from tocsin._attempt import Session, alert_of, key_of, message_for
from tocsin._retry import Progress
from tocsin._store import Claim, Member, Resolved
from tocsin._throttle import Suppression
from tocsin.testing import rendered

SETTINGS = Settings(timeout=7)
RAISED = datetime.fromtimestamp(NOW, UTC)


def claim_of(*alerts, progress=None, **more):
    """Return a claim of one alert, or of several that go as one message."""
    made = [
        attrs.evolve(alert, id=f"{n}", created_at=RAISED)
        for n, alert in enumerate(alerts, 1)
    ]
    members = [
        Member(alert=alert, suppressed=Suppression(n)) for n, alert in enumerate(made)
    ]
    known = {"attempt": 2, "ambiguous": 0, "first_attempt_at": NOW} | (progress or {})
    return Claim(
        delivery_id="1.inbox",
        channel="inbox",
        places=((1, 0),),
        token=1,
        lease_until=NOW + 30,
        alert=made[0],
        progress=Progress(**known),
        members=tuple(members) if len(members) > 1 else (),
        **more,
    )


def attempt(inbox, answer=None, claim=None, thread=None):
    """Return what came of an attempt at which the service answers so."""
    if answer is not None:
        inbox.answers.append(answer)
    claim = claim or claim_of(Alert("t"))
    return Session(Guarded(inbox, Secret("xoxb-canary")), SETTINGS).attempt(
        claim, NOW, thread
    )


def raising(error):
    def answer():
        raise error

    return answer


@attrs.frozen
class Guarded(Recorder):
    """A recorder with a secret."""

    token: Secret

    name = "guarded"


def test_what_a_provider_is_told(inbox):
    """The delivery's id and channel, which attempt it is, its time, and its state."""
    claim = claim_of(Alert("t"), progress={"state": {"owed": ["x"]}})
    result = attempt(inbox, claim=claim)

    assert result == Receipt(reference="1")
    (delivery,) = inbox.deliveries
    assert (delivery.id, delivery.channel, delivery.attempt) == ("1.inbox", "inbox", 2)
    assert (delivery.timeout, delivery.state) == (7, {"owed": ["x"]})
    assert delivery.thread is delivery.resolves is None


class Narrow:
    """A sender that has found out how much the service takes."""

    limits = Limits(text=40)

    def __init__(self):
        self.messages = []

    def deliver(self, message, delivery):
        self.messages += [message, delivery.resolves.message]
        return Receipt()

    def close(self):
        pass


@attrs.frozen
class Wide(Provider):
    """Its class states no limits."""

    sender: Narrow

    name = "wide"

    def open(self):
        return self.sender


def test_a_senders_own_limits():
    """They hold instead of the provider's, for what is over as well."""
    over = Alert("disk", "x" * 100, kind="resolved")
    sender = Narrow()
    claim = claim_of(over, resolves=resolved(alert=Alert("disk", "x" * 100)))
    Session(Wide(sender), SETTINGS).attempt(claim, NOW)

    assert [len(message.text) <= 40 for message in sender.messages] == [True, True]


@pytest.mark.parametrize(
    "error",
    [Rejected("no"), RetryLater("down", after=3), SecretUnavailable("no token")],
    ids=repr,
)
def test_what_a_provider_says(inbox, error):
    """Its own errors are what came of it."""
    assert attempt(inbox, raising(error)) is error


@pytest.mark.parametrize(
    "error", [ValueError("boom"), SystemExit(3), KeyboardInterrupt()], ids=repr
)
def test_what_a_provider_must_not_do(inbox, error):
    """Anything else may have come after the message had gone: it is told which."""
    result = attempt(inbox, raising(error))

    assert isinstance(result, Ambiguous)
    assert result.reason.startswith(f"the provider raised {type(error).__name__}")


@pytest.mark.parametrize("answer", [None, "ok", True])
def test_no_receipt(inbox, answer):
    """What is no receipt says nothing."""
    result = attempt(inbox, lambda: answer)

    assert isinstance(result, Ambiguous)
    assert "not a Receipt" in result.reason


def test_no_secret_is_shown(inbox):
    """Neither a reason, a remedy nor a receipt shows what a secret holds."""
    error = Rejected("bad xoxb-canary", remedy="replace xoxb-canary")
    refused = attempt(inbox, raising(error))
    receipt = attempt(
        inbox, lambda: Receipt(reference="xoxb-canary", note="by xoxb-canary")
    )

    assert (refused.reason, refused.remedy) == ("bad …", "replace …")
    assert (receipt.reference, receipt.note) == ("…", "by …")


def test_a_reason_is_clean(inbox):
    """A service's words are kept without control characters."""
    assert attempt(inbox, raising(Rejected("no\x1b[31m"))).reason == "no\ufffd[31m"


@pytest.mark.parametrize("state", [{"at": datetime(2027, 1, 1)}, {1j: 2}])  # noqa: DTZ001 - any object
def test_a_state_that_cannot_be_kept(inbox, state):
    """A state that is no JSON is as good as none, and the reason says so."""
    result = attempt(inbox, raising(RetryLater("down", state=state)))

    assert isinstance(result, Ambiguous)
    assert result.reason == "down (and the provider's state is no JSON)"


@attrs.frozen
class Opening(Provider):
    """A provider whose senders are counted; what it is to raise is raised at once."""

    opened: list[str]
    errors: list[BaseException]

    name = "opening"

    def open(self):
        self.opened.append("opened")
        if self.errors and isinstance(self.errors[0], OSError):
            raise self.errors.pop()
        return self.Sender(self)

    @attrs.frozen
    class Sender:
        provider: Opening

        def deliver(self, message, delivery):
            if self.provider.errors:
                raise self.provider.errors.pop()
            return Receipt()

        def close(self):
            self.provider.opened.append("closed")
            raise RuntimeError("even closing fails")


@pytest.mark.parametrize(
    ("error", "opened"),
    [
        (None, ["opened"]),
        (Rejected("no"), ["opened"]),
        (ValueError("boom"), ["opened", "closed", "opened"]),
    ],
    ids=["works", "refused", "raised"],
)
def test_a_sender_is_kept(error, opened):
    """A connection serves many attempts; one that went wrong is not used again."""
    provider = Opening([], [error] if error else [])
    session = Session(provider, SETTINGS)
    for _ in range(2):
        session.attempt(claim_of(Alert("t")), NOW)

    assert provider.opened == opened
    session.close()
    session.close()
    assert provider.opened == [*opened, "closed"]


def test_a_connection_that_is_not_made():
    """It surely has not arrived: it is tried again, with a new connection."""
    provider = Opening([], [ConnectionError("refused")])
    session = Session(provider, SETTINGS)
    result = session.attempt(claim_of(Alert("t")), NOW)

    assert isinstance(result, RetryLater)
    assert result.reason == "the provider could not start: ConnectionError: refused"
    assert session.attempt(claim_of(Alert("t")), NOW) == Receipt()


def test_a_conversation_that_is_none(inbox):
    """A provider that fails to say what a message belongs to says nothing."""

    class Confused(Recorder):
        def conversation(self, alert):
            raise KeyError(alert.title)

    assert Session(Confused(inbox), SETTINGS).conversation(claim_of(Alert("t"))) == ""


def resolved(**more):
    original = Alert("Disk full", "90 %", id="0", created_at=RAISED)
    values = {"alert": original, "receipt": Receipt(reference="7"), "is_alone": True}
    return Resolved(**values | more)


def test_a_resolution(inbox):
    """It names the alert that is over, and has the message that told of it."""
    over = Alert("disk", "60 %", kind="resolved")
    attempt(inbox, claim=claim_of(over, resolves=resolved()))

    (message,), (delivery,) = inbox.messages, inbox.deliveries
    assert message.title == "Resolved: Disk full"
    assert message.alert.text == "60 %"
    assert delivery.resolves.message.title == "Disk full"
    assert delivery.resolves.receipt == Receipt(reference="7")
    assert delivery.thread is None


def test_a_resolution_of_one_among_many(inbox):
    """A message that told of others too is replied to, not marked."""
    over = Alert("disk", kind="resolved")
    attempt(inbox, claim=claim_of(over, resolves=resolved(is_alone=False)))

    assert inbox.deliveries[0].resolves is None
    assert inbox.deliveries[0].thread == Receipt(reference="7")


def test_a_reply(inbox):
    """What belongs to a conversation replies to its first message, before all else."""
    first = Receipt(reference="1")
    over = Alert("disk", kind="resolved")
    attempt(inbox, thread=first)
    attempt(
        inbox, claim=claim_of(over, resolves=resolved(is_alone=False)), thread=first
    )

    assert [delivery.thread for delivery in inbox.deliveries] == [first, first]


def test_a_digest():
    """Of several alerts the message is one that lists them, each with its own count."""
    claim = claim_of(Alert("a"), Alert("b"), suppressed=Suppression(9, NOW))
    message = message_for(Recorder, claim, SETTINGS, NOW)

    assert alert_of(claim).kind == "digest"
    assert message.title == "2 alerts: a, b"
    assert "(+1 suppressed)" in message.alert.text
    assert message.notes == ()


def test_notes():
    """What was suppressed, why it comes here, and that it is late, are said beside it."""
    claim = claim_of(
        Alert("t"),
        suppressed=Suppression(2, NOW),
        note="It could not be delivered to dm",
    )
    message = message_for(Recorder, claim, SETTINGS, NOW + 3600)

    assert message.notes == (
        "2 more like it suppressed since 2027-01-15 08:00:00 UTC.",
        "Delivered late: it happened at 2027-01-15 08:00:00 UTC.",
        "It could not be delivered to dm",
    )


def test_attachments_of_a_provider_that_sends_none():
    """They are named in the message, so that whoever reads it knows of them."""

    @attrs.frozen
    class Plain(Provider):
        name = "plain"
        attaches = False

    files = [Attachment(f"{n}.csv", b"1") for n in range(7)]

    message = rendered(Plain(), Alert("Disk full", attachments=files))

    assert message.attachments == ()
    assert "Not attached: 0.csv, 1.csv, 2.csv, 3.csv, 4.csv and 2 more." in message.text


def test_a_key_is_that_of_the_throttle():
    """It is the same for what repeats an alert, and resolves it; of no other."""
    origin = Origin(user="ada", project="owls", run="r1")
    alert = Alert("Loss is NaN", origin=origin)
    same = [Alert("Loss is NaN", "again", "ERROR", origin=origin)]
    same += [Alert("Loss is NaN", kind="resolved", origin=origin)]
    others = [
        Alert("Validation fell", origin=origin),
        Alert("Loss is NaN", key="loss", origin=origin),
        Alert("Loss is NaN", origin=attrs.evolve(origin, user="grace")),
        Alert("Loss is NaN", origin=attrs.evolve(origin, run="r2")),
        Alert("Loss is NaN", kind="digest", id="a1", origin=origin),
        Alert("Loss is NaN", kind="digest", id="a2", origin=origin),
    ]

    assert {key_of(one) for one in same} == {key_of(alert)}
    assert len({key_of(one) for one in [alert, *others]}) == 7


@pytest.mark.parametrize(
    ("url", "link"),
    [
        ("https://example.com/a?b=1#c", "https://example.com/a?b=1#c"),
        ("http://[::1]/", "http://[::1]/"),
        ("javascript:alert(1)", ""),
        ("data:text/html,x", ""),
        ("HTTPS://example.com", ""),
        ("https://example.com/a b", ""),
        ('https://example.com/"onclick=', ""),
        ("//example.com", ""),
        ("https://[", ""),
        ("https://", ""),
        ("", ""),
    ],
)
def test_a_link_is_a_web_address(url, link):
    assert rendered(Recorder(Inbox()), Alert("Disk full", url=url)).link == link


def test_a_failure_carries_what_was_done():
    """And what the failure itself says wins."""
    delivery, state = Delivery(id="d", channel="c"), {}

    def attempt(failure):
        with delivery.keeping(state):
            state["text"] = "sent"
            state["files"] = 1
            raise failure

    with pytest.raises(RetryLater) as caught:
        attempt(RetryLater("no", state={"files": 2}))

    assert caught.value.state == {"text": "sent", "files": 2}
    with pytest.raises(Rejected):
        attempt(Rejected("no"))
