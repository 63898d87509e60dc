import json

import pytest

from tocsin import Attachment, Earlier, Origin, Receipt
from tocsin_file._record import line_of


def record(message, delivery):
    line = line_of(message, delivery)
    assert line.count(b"\n") == 1
    return json.loads(line)


def test_all_that_is_told(message, delivery):
    """The keys are documented: a change of them breaks whoever reads the file."""
    told = message(
        "Loss is NaN",
        "at step 300",
        "ERROR",
        suppressed=3,
        kind="metric",
        id="a1",
        tags=["gpu"],
        fields={"lr": 0.1},
        url="https://example.org/run",
        attachments=Attachment("loss.png", b"123"),
        origin=Origin(user="ada", project="mnist", run="r1", rank=2),
    )

    assert record(told, delivery()) == {
        "id": "d1",
        "channel": "file",
        "resolves": "",
        "alert_id": "a1",
        "title": "Loss is NaN",
        "text": "at step 300",
        "level": "ERROR",
        "kind": "metric",
        "key": "Loss is NaN",
        "created_at": "2026-05-01T12:00:00+00:00",
        "origin": {
            "user": "ada",
            "team": "",
            "project": "mnist",
            "run": "r1",
            "run_name": "",
            "job": "",
            "group": "",
            "host": "",
            "rank": 2,
        },
        "fields": {"lr": "0.1"},
        "tags": ["gpu"],
        "url": "https://example.org/run",
        "notes": ["3 more like it suppressed."],
        "attachments": [{"name": "loss.png", "content_type": "image/png", "bytes": 3}],
    }


def test_what_is_over_is_named_by_its_id(message, delivery):
    """The id of a line is its receipt, which the line that says it is over refers to."""
    earlier = Earlier(message=message(), receipt=Receipt(reference="d0"))

    told = record(message(kind="resolved"), delivery(resolves=earlier))

    assert told["resolves"] == "d0"


@pytest.mark.parametrize("text", ["\u2028a\nb\r\nc\x00", "\U0001f525 \ud83d", '"\\n"'])
def test_a_line_is_one_line_of_utf8(message, delivery, text):
    told = message(text, text, kind=text, tags=[text], fields={text: text})

    assert record(told, delivery())["text"] == told.alert.text
