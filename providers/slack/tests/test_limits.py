import pytest

from tocsin_slack.testing import live_markup, violations


def section(text="x", **more):
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}, **more}


def field(text="x"):
    return {"type": "mrkdwn", "text": text}


def button(**more):
    label = {"type": "plain_text", "text": "Open"}
    return {"type": "actions", "elements": [{"type": "button", "text": label, **more}]}


def header(text):
    return {"type": "header", "text": {"type": "plain_text", "text": text}}


@pytest.mark.parametrize(
    "payload",
    [
        {"text": "x"},
        {"text": "x" * 40_000},
        {"blocks": [section("x" * 3000)]},
        {"blocks": [section("😀" * 1500)]},
        {"blocks": [{"type": "section", "fields": [field("x" * 1000)] * 10}]},
        {"blocks": [header("x" * 150)]},
        {"blocks": [{"type": "divider"}] * 50},
        {"blocks": [{"type": "context", "elements": [field()] * 10}]},
        {"blocks": [button(url="https://example.com")]},
        {"attachments": [{"color": "#fff", "blocks": [section()]}]},
        {"attachments": [{"text": "as of old"}]},
        {"text": "x", "thread_ts": "1700000001.000001", "reply_broadcast": True},
        {"text": "x" * 4000, "ts": "1700000001.000001"},
        {"text": "x", "blocks": [], "attachments": [], "ts": "1700000001.000001"},
    ],
)
def test_what_slack_takes(payload):
    assert violations(payload) == []


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({}, "no_text"),
        ({"text": ""}, "no_text"),
        ({"text": 7}, "invalid_arguments"),
        ({"text": "x" * 40_001}, "msg_too_long"),
        ({"text": "\ud83d"}, "invalid_json"),
        ({"blocks": [section("x" * 3001)]}, "invalid_blocks"),
        ({"blocks": [section("😀" * 1501)]}, "invalid_blocks"),
        ({"blocks": [section("")]}, "invalid_blocks"),
        ({"blocks": [{"type": "section"}]}, "invalid_blocks"),
        ({"blocks": [{"type": "section", "fields": []}]}, "invalid_blocks"),
        ({"blocks": [section(fields=[field()] * 11)]}, "invalid_blocks"),
        ({"blocks": [section(fields=[field("x" * 2001)])]}, "invalid_blocks"),
        ({"blocks": [header("x" * 151)]}, "invalid_blocks"),
        ({"blocks": [{"type": "header", "text": field()}]}, "invalid_blocks"),
        ({"blocks": [{"type": "divider"}] * 51}, "invalid_blocks"),
        ({"blocks": [{"type": "context", "elements": []}]}, "invalid_blocks"),
        ({"blocks": [{"type": "image"}]}, "invalid_blocks"),
        ({"blocks": [{"type": "marquee"}]}, "invalid_blocks"),
        ({"blocks": "section"}, "invalid_blocks"),
        ({"blocks": [button(url="javascript:alert(1)")]}, "invalid_blocks"),
        ({"blocks": [button(url="https://x/" + "x" * 3000)]}, "invalid_blocks"),
        ({"blocks": [section("x" * 3000)] * 5}, "msg_blocks_too_long"),
        ({"attachments": [{"blocks": []}]}, "invalid_attachments"),
        ({"attachments": [{"blocks": [section("")]}]}, "invalid_attachments"),
        (
            {"attachments": [{"blocks": [section()], "text": "x"}]},
            "invalid_attachments",
        ),
        ({"attachments": [{"color": "#fff"}]}, "invalid_attachments"),
        ({"attachments": [{"text": "x"}] * 101}, "too_many_attachments"),
        ({"text": "x", "thread_ts": 1700000001.000001}, "invalid_arguments"),
        ({"text": "x", "thread_ts": "soon"}, "invalid_arguments"),
        ({"text": "x", "reply_broadcast": True}, "invalid_arguments"),
        ({"text": "x" * 4001, "ts": "1.2"}, "msg_too_long"),
        ({"text": "", "blocks": [], "ts": "1.2"}, "no_text"),
        ({"blocks": [section("")], "ts": "1.2"}, "invalid_blocks"),
        ({"text": "x", "ts": "1.2", "thread_ts": "1.2"}, "invalid_arguments"),
        (
            {"text": "x", "ts": "1.2", "reply_broadcast": True},
            "no_dual_broadcast_content_update",
        ),
    ],
)
def test_what_slack_refuses(payload, code):
    assert code in {violation.code for violation in violations(payload)}


def test_live_markup_is_whatever_is_not_shown_as_written():
    payload = {
        "text": "<!here> &amp; &lt;b&gt;",
        "blocks": [section("<@U1> & <https://a|b> >"), header("<plain>")],
        "attachments": [{"blocks": [section("x < y")]}],
    }

    assert live_markup(payload) == [
        "<!here>",
        "<@U1>",
        "&",
        "<https://a|b>",
        ">",
        "< y",
    ]
