from __future__ import annotations

import json
from datetime import UTC, datetime

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import alerts, any_word

from tocsin import Alert, Attachment, Ending, Origin, Provider
from tocsin._envelope import (
    VERSION,
    decode,
    decode_whole,
    encode,
    encode_whole,
)
from tocsin._errors import EnvelopeError, EnvelopeTooNew
from tocsin._rendering import Circumstances, render
from tocsin._throttle import throttle_key

NOW = datetime(2027, 1, 15, tzinfo=UTC)

ALERT = Alert(
    "Disk full",
    "90 %",
    "ERROR",
    5,
    kind="crashed",
    key="disk",
    tags=["gpu"],
    fields={"free": 0},
    url="https://example.org",
    origin=Origin(user="ada", team="vision", run="r", job="7", rank=3, group="sweep"),
    id="a",
    created_at=NOW,
    ending=Ending(state="failed", exit_code=3, metrics={"loss": 0.5}),
)

attachments = st.lists(
    st.builds(Attachment, any_word, st.binary(max_size=50), any_word), max_size=3
)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["ERROR", "2027-01-15", "2027-01-15T00:00:00+00:00", "a"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner)
    ),
    max_leaves=5,
)


def parsed(alert):
    return json.loads(encode(alert))


def use(alert):
    """Do with an alert what is done with one that comes out of a store."""
    throttle_key(alert)
    assert decode(encode(alert)).id == alert.id
    return render(Provider, alert, Circumstances(now=NOW))


@settings(deadline=None)
@given(alerts)
def test_round_trip(alert):
    """Any alert comes back as it was, through ASCII."""
    envelope = encode(alert)

    assert envelope.isascii()
    assert decode(envelope) == alert
    assert list(decode(envelope).fields) == list(alert.fields)


@settings(deadline=None)
@given(alerts, attachments)
def test_whole_round_trip(alert, attachments):
    """Any alert comes back with its attachments, through one line of ASCII."""
    alert = attrs.evolve(alert, attachments=attachments)
    line = encode_whole(alert)

    assert line.isascii()
    assert "\n" not in line
    assert decode_whole(line) == (alert, False)


def test_round_trip_of_an_alert_not_raised_yet():
    """An alert that has neither id nor time comes back without them."""
    alert = Alert("Disk full")

    assert decode(encode(alert)) == alert


def test_every_part_travels():
    """No attribute of an alert or its origin is left behind, a new one neither."""
    values = parsed(ALERT)

    assert set(values) == {
        "version",
        *(field.name for field in attrs.fields(Alert) if field.name != "attachments"),
    }
    assert set(values["origin"]) == {field.name for field in attrs.fields(Origin)}


def test_attachments_are_put_back():
    """An envelope has no attachments of its own: they are handed in beside it."""
    item = Attachment("a.txt", b"x")
    alert = attrs.evolve(ALERT, attachments=[item])

    assert decode(encode(alert)).attachments == ()
    assert decode(encode(alert), [item]) == alert


@pytest.mark.parametrize("version", [VERSION + 1, 10**6, VERSION + 0.5])
@pytest.mark.parametrize("rest", [parsed(ALERT), {}, {"alert": "in another form"}])
def test_newer_version(version, rest):
    """A newer version's envelope is told from a damaged one, whatever else is in it."""
    envelope = json.dumps(rest | {"version": version})

    with pytest.raises(EnvelopeTooNew, match="upgrade tocsin"):
        decode(envelope)
    with pytest.raises(EnvelopeTooNew, match="upgrade tocsin"):
        decode_whole(json.dumps({"alert": envelope, "attachments": []}))


DEEP = "[" * 100_000

DAMAGED = {
    "empty": "",
    "no JSON": "{",
    "half": encode(ALERT)[:100],
    "null": "null",
    "list": "[]",
    "string": '"x"',
    "number": "1",
    "object": "{}",
    "deep list": DEEP,
    "deep object": '{"a":' * 100_000,
    "long number": "1" * 5000,
    "NUL": "\0",
    "surrogate": "\ud800",
    "version alone": f'{{"version": {VERSION}}}',
    "no version": json.dumps(
        {k: v for k, v in parsed(ALERT).items() if k != "version"}
    ),
}


@pytest.mark.parametrize("envelope", DAMAGED.values(), ids=DAMAGED.keys())
def test_damaged(envelope):
    """What is no envelope is an EnvelopeError."""
    with pytest.raises(EnvelopeError):
        decode(envelope)
    with pytest.raises(EnvelopeError):
        decode_whole(envelope)
    with pytest.raises(EnvelopeError):
        decode_whole(json.dumps({"alert": envelope, "attachments": []}))


@pytest.mark.parametrize(
    "changes",
    [
        {"title": 5},
        {"text": None},
        {"level": "FATAL"},
        {"wait_duration": "60"},
        {"wait_duration": -1},
        {"wait_duration": float("nan")},
        {"kind": []},
        {"key": {}},
        {"tags": 5},
        {"tags": [["gpu"]]},
        {"fields": ["a"]},
        {"fields": {"a": {}}},
        {"url": 1},
        {"id": "../../a"},
        {"id": 5},
        {"created_at": "yesterday"},
        {"created_at": "2027-01-15T00:00:00"},
        {"created_at": 1_800_000_000},
        {"created_at": []},
        {"origin": None},
        {"origin": {"user": 5}},
        {"origin": {"host": ["a"]}},
        {"origin": {"job": None}},
        {"origin": {"rank": "0"}},
        {"origin": {"rank": [1]}},
        {"origin": {"planet": "earth"}},
        {"attachments": []},
        {"version": "1"},
        {"version": None},
        {"version": [1]},
        {"more": 1},
    ],
    ids=str,
)
def test_value_of_a_wrong_type(changes):
    """A value that no alert can have makes the envelope damaged, or harmless."""
    envelope = json.dumps(parsed(ALERT) | changes)

    try:
        alert = decode(envelope)
    except EnvelopeError:
        return
    assert use(alert)


@settings(deadline=None, max_examples=150)
@given(st.dictionaries(st.sampled_from(list(parsed(ALERT))), json_values, max_size=3))
def test_damaged_values(changes):
    """With whatever JSON in place of its values, it is damaged or can be used."""
    envelope = json.dumps(parsed(ALERT) | changes)

    try:
        alert = decode(envelope)
    except EnvelopeError:
        return
    assert use(alert)


@settings(deadline=None, max_examples=150)
@given(
    st.dictionaries(
        st.sampled_from([field.name for field in attrs.fields(Origin)]), json_values
    )
)
def test_damaged_origin(changes):
    """So it is with the values of the origin."""
    values = parsed(ALERT)
    values["origin"] |= changes

    try:
        alert = decode(json.dumps(values))
    except EnvelopeError:
        return
    assert use(alert)


@settings(deadline=None)
@given(json_values, st.text())
def test_damaged_beyond_recognition(value, text):
    """Any JSON, or any text at all, is damaged and nothing else."""
    for envelope in (json.dumps(value), text):
        with pytest.raises(EnvelopeError):
            decode(envelope)
        with pytest.raises(EnvelopeError):
            decode_whole(envelope)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["name", "content", "content_type", "more"]),
        json_values | st.just("eA=="),
    )
    | json_values
)
def test_damaged_attachments(item):
    """An attachment that is none makes the line damaged; one that is, is whole."""
    line = json.dumps({"alert": encode(ALERT), "attachments": [item]})

    try:
        (attachment,) = decode_whole(line)[0].attachments
    except EnvelopeError:
        return
    assert isinstance(attachment.name, str)
    assert isinstance(attachment.content, bytes)
    assert isinstance(attachment.content_type, str)


def test_damage_tells_nothing_of_the_text():
    """The error of a damaged envelope says what is wrong, not what it was about."""
    envelope = json.dumps(parsed(Alert("Disk full", "canary")) | {"level": "FATAL"})

    with pytest.raises(EnvelopeError, match="level") as caught:
        decode(envelope)
    assert "canary" not in str(caught.value)
