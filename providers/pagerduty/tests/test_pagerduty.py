import json

import pytest
import requests

from tocsin import (
    Alert,
    AlertLevel,
    Attachment,
    Delivery,
    Earlier,
    Message,
    Notifier,
    Origin,
    OutOfOrder,
    Receipt,
    Rejected,
    Secret,
    Settings,
    Subscription,
)
from tocsin.testing import ProviderSuite, Reply, attempt
from tocsin_pagerduty import PagerDuty
from tocsin_pagerduty.testing import PagerDutyDouble

KEY = "c0ffee7f3a9c51e2d84b06c0ffee7f3a"


class TestPagerDuty(ProviderSuite):
    provider = PagerDuty
    secret = KEY
    golden = "pagerduty.json"
    broadcasts = ()  # an escalation policy says who is called

    def table(self):
        return {"routing_key": self.secret, "url": self.double.url}

    def new_double(self):
        return PagerDutyDouble(routing_key=self.secret)

    def parts(self, request):
        payload = request.json()["payload"]
        return {
            "title": payload["summary"],
            "text": payload["custom_details"]["message"],
        }


@pytest.fixture
def pagerduty():
    with PagerDutyDouble(routing_key=KEY) as pagerduty:
        yield pagerduty


def service(pagerduty, **settings):
    return PagerDuty(routing_key=Secret(KEY), url=pagerduty.url, **settings)


def the_payload(pagerduty):
    return pagerduty.incidents[-1].triggers[-1]["payload"]


@pytest.mark.parametrize(
    ("level", "settings", "severity"),
    [
        (AlertLevel.INFO, {}, "info"),
        (AlertLevel.WARN, {}, "warning"),
        (AlertLevel.ERROR, {}, "error"),
        (AlertLevel.ERROR, {"error_severity": "critical"}, "critical"),
        (AlertLevel.WARN, {"error_severity": "critical"}, "warning"),
    ],
)
def test_the_level_is_a_severity(pagerduty, level, settings, severity):
    attempt(service(pagerduty, **settings), Alert("Disk", level=level))

    assert the_payload(pagerduty)["severity"] == severity


def test_an_alert_that_is_repeated_joins_the_incident(pagerduty):
    origin = Origin(user="ada", project="mnist", run="r1")
    for text in ("at step 1", "at step 2"):
        attempt(service(pagerduty), Alert("Loss is NaN", text, origin=origin))

    (incident,) = pagerduty.incidents
    assert len(incident.triggers) == 2


@pytest.mark.parametrize(
    "other",
    [
        Alert("Validation fell"),
        Alert("Loss is NaN", key="loss"),
        Alert("Loss is NaN", origin=Origin(user="grace")),
        Alert("Loss is NaN", origin=Origin(project="mnist")),
        Alert("Loss is NaN", origin=Origin(run="r2")),
        Alert("Loss is NaN", origin=Origin(job="j1", run="r2")),
    ],
)
def test_another_alert_is_another_incident(pagerduty, other):
    for alert in (Alert("Loss is NaN"), other):
        attempt(service(pagerduty), alert)

    assert len(pagerduty.open) == 2


def test_a_key_is_short_whatever_the_title(pagerduty):
    receipt = attempt(service(pagerduty), Alert("é" * 5000, key="ü" * 5000))

    assert len(receipt.reference) == 39


@pytest.mark.parametrize("key", ["", "loss"])
def test_a_resolution_resolves_the_incident_after_a_restart(pagerduty, tmp_path, key):
    """What it takes is in the store: the process that triggered it may be gone."""
    origin = Origin(user="ada", project="mnist", run="r1")
    settings = Settings(
        user="ada",
        channels={"oncall": service(pagerduty)},
        subscriptions=[Subscription(channels=["oncall"])],
        state_dir=str(tmp_path),
        submit_timeout=10.0,
    )
    alert = Alert("Loss  is\nNaN", level="ERROR", key=key, origin=origin)
    over = Alert(key or alert.title, kind="resolved", origin=origin)
    for one in (alert, over):
        with Notifier(settings, namespace="tests") as notifier:
            (record,) = notifier.notify(one).wait(20)

    (incident,) = pagerduty.incidents
    assert (incident.summary, incident.is_open) == ("Loss is NaN", False)
    assert record.receipt.reference == incident.dedup_key
    assert record.receipt.note == ""


def test_a_resolution_of_one_of_many_leaves_the_others_open(pagerduty):
    """A digest is an incident of its own: nothing says that all of it is over."""
    attempt(service(pagerduty), Alert("2 alerts: a, b", kind="digest", id="a1"))

    receipt = attempt(service(pagerduty), Alert("Resolved: a", kind="resolved"))

    assert len(pagerduty.open) == 1
    assert "stays open" in receipt.note


def test_two_digests_are_two_incidents(pagerduty):
    for name in ("a1", "a2"):
        attempt(service(pagerduty), Alert("2 alerts: a, b", kind="digest", id=name))

    assert len(pagerduty.open) == 2


def test_what_another_service_delivered_is_resolved_by_its_own_key(pagerduty):
    alert = Alert("Loss is NaN")
    message = Message(alert=alert, title=alert.title, body="", text="")
    earlier = Earlier(message=message, receipt=Receipt(reference="1700000001.000001"))
    over = Delivery(id="d-2", channel="oncall", resolves=earlier)

    receipt = attempt(service(pagerduty), Alert("x", kind="resolved"), over)

    assert receipt.reference.startswith("tocsin-")


def test_what_is_known_is_in_its_place(pagerduty):
    origin = Origin(host="node7", project="mnist", team="vision")
    alert = Alert(
        "Loss is NaN",
        "at step 300",
        fields={"lr": "3e-4"},
        url="https://example.com/owl",
        attachments=Attachment("loss.csv", b"1"),
        origin=origin,
    )

    attempt(service(pagerduty), alert)

    payload = the_payload(pagerduty)
    details = payload.pop("custom_details")
    assert payload == {
        "summary": "Loss is NaN",
        "severity": "info",
        "source": "node7",
        "timestamp": "2026-05-01T12:00:00+00:00",
        "component": "mnist",
        "group": "vision",
        "class": "scriptable",
    }
    assert details["fields"] == {"lr": "3e-4"}
    assert "at step 300" in details["message"]
    links = pagerduty.incidents[0].triggers[0]["links"]
    assert links == [{"href": "https://example.com/owl", "text": "Read on"}]
    assert "Not attached: loss.csv." in details["message"]


def test_no_link_that_is_none(pagerduty):
    attempt(service(pagerduty), Alert("Disk", url="javascript:alert(1)"))

    assert "links" not in pagerduty.incidents[0].triggers[0]


@pytest.mark.parametrize("character", ["\U0001f6a8", '"', "\\"])
def test_an_event_is_within_what_pagerduty_takes(pagerduty, character):
    long = character * 300_000

    attempt(service(pagerduty), Alert("Disk", long, fields={"a": long, "b": long}))

    assert len(pagerduty.requests[0].body) < 512 * 1024
    assert "fields" not in the_payload(pagerduty)["custom_details"]


def test_a_key_that_pagerduty_does_not_know(pagerduty):
    stranger = PagerDuty(routing_key=Secret("0" * 32), url=pagerduty.url)

    with pytest.raises(OutOfOrder) as caught:
        attempt(stranger, Alert("Disk"))

    assert "integration key" in caught.value.remedy


def test_a_key_that_is_none(pagerduty):
    stranger = PagerDuty(routing_key=Secret("e+23rschqsESqk9Q6_-g"), url=pagerduty.url)

    with pytest.raises(OutOfOrder, match="Length of 'routing_key' is incorrect"):
        attempt(stranger, Alert("Disk"))


def test_an_event_that_is_refused(pagerduty):
    errors = ["'payload.severity' is invalid"]
    pagerduty.fail_next(Reply(400, json={"status": "invalid event", "errors": errors}))

    with pytest.raises(Rejected, match="severity") as caught:
        attempt(service(pagerduty), Alert("Disk"))

    assert type(caught.value) is Rejected


def test_a_check_sends_no_event(pagerduty):
    assert service(pagerduty).check(5.0).startswith("127.0.0.1 answers")
    assert pagerduty.requests == []


GOOD = {
    "routing_key": KEY,
    "event_action": "trigger",
    "payload": {"summary": "s", "source": "h", "severity": "info"},
}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"routing_key": "x"}, "Length of 'routing_key'"),
        ({"event_action": "open"}, "event_action"),
        ({"dedup_key": "x" * 256}, "dedup_key"),
        ({"payload": None}, "payload"),
        ({"payload": {**GOOD["payload"], "summary": "x" * 1025}}, "summary"),
        ({"payload": {**GOOD["payload"], "severity": "Info"}}, "severity"),
        ({"payload": {**GOOD["payload"], "source": ""}}, "source"),
    ],
)
def test_the_double_refuses_as_pagerduty_does(pagerduty, change, words):
    answer = requests.post(
        f"{pagerduty.url}/v2/enqueue", json={**GOOD, **change}, timeout=5
    )

    assert answer.status_code == 400
    assert words in json.dumps(answer.json()["errors"])
    assert pagerduty.incidents == []
