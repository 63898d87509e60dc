"""The double answers as Slack does."""

import json
import threading
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from tocsin_slack.testing import SlackDouble


def client(slack, token="xoxb-double"):
    return WebClient(token, base_url=slack.base_url, retry_handlers=[])


def post(url, body):
    request = Request(url, data=json.dumps(body).encode(), method="POST")
    request.add_header("Content-Type", "application/json")
    try:
        with urlopen(request, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def refusal(call, **arguments):
    with pytest.raises(SlackApiError) as raised:
        call(**arguments)
    return raised.value.response["error"]


def test_a_message_is_kept_as_it_came(slack):
    answer = client(slack).chat_postMessage(channel="#alerts", text="hi", blocks=[])

    [kept] = slack.messages
    assert (kept.channel, kept.text, kept.via) == ("C0ALERTS", "hi", "chat.postMessage")
    assert answer["ts"] == kept.ts
    assert answer["channel"] == "C0ALERTS"


def test_each_message_has_a_ts_of_its_own_and_may_answer_another(slack):
    first = client(slack).chat_postMessage(channel="C0ALERTS", text="a")
    client(slack).chat_postMessage(channel="C0ALERTS", text="b", thread_ts=first["ts"])

    assert slack.messages[1].thread == slack.messages[0].ts != slack.messages[1].ts


def test_a_reply_stands_in_the_thread_and_may_be_shown_to_the_channel(slack):
    post = client(slack).chat_postMessage
    first = post(channel="C0ALERTS", text="a")["ts"]
    quiet = post(channel="C0ALERTS", text="b", thread_ts=first)
    post(channel="C0ALERTS", text="c", thread_ts=first, reply_broadcast=True)

    replies = slack.replies(first)

    assert [reply.text for reply in replies] == ["b", "c"]
    assert [reply.is_broadcast for reply in replies] == [False, True]
    assert quiet["message"]["thread_ts"] == first


def test_a_reply_to_nothing_stands_alone(slack):
    answer = client(slack).chat_postMessage(
        channel="C0ALERTS", text="x", thread_ts="1.000001"
    )

    assert "thread_ts" not in answer["message"]
    assert slack.messages[0].thread == ""


def test_a_reply_has_no_replies(slack):
    post = client(slack).chat_postMessage
    first = post(channel="C0ALERTS", text="a")["ts"]
    reply = post(channel="C0ALERTS", text="b", thread_ts=first)["ts"]

    assert (
        refusal(post, channel="C0ALERTS", text="c", thread_ts=reply)
        == "cannot_reply_to_message"
    )


def test_an_edit_changes_the_message_and_is_kept(slack):
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": "old"}}]
    ts = client(slack).chat_postMessage(channel="#alerts", text="old", blocks=blocks)[
        "ts"
    ]

    answer = client(slack).chat_update(channel="C0ALERTS", ts=ts, text="new")

    [post] = slack.messages
    assert (post.text, post.ts, answer["text"]) == ("new", ts, "new")
    assert post.blocks == []
    assert [edit["text"] for edit in post.edits] == ["new"]


def test_an_edit_keeps_what_it_does_not_give(slack):
    old = [{"text": "old"}]
    ts = client(slack).chat_postMessage(
        channel="C0ALERTS", text="a", attachments=old, parse="none"
    )["ts"]

    client(slack).chat_update(channel="C0ALERTS", ts=ts, text="b")

    [post] = slack.messages
    assert post.attachments == old
    assert "parse" not in post.payload


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"channel": "alerts"}, "channel_not_found"),
        ({"channel": "#alerts"}, "channel_not_found"),
        ({"channel": "U0ADA"}, "channel_not_found"),
        ({"channel": "C0NONE"}, "channel_not_found"),
        ({"channel": "D0ADA"}, "message_not_found"),
        ({"channel": ""}, "invalid_arguments"),
        ({"ts": ""}, "invalid_arguments"),
        ({"ts": "1.000001"}, "message_not_found"),
        ({"text": "x" * 4001}, "msg_too_long"),
        ({"text": ""}, "no_text"),
        ({"blocks": [{"type": "section"}]}, "invalid_blocks"),
        ({"reply_broadcast": True}, "no_dual_broadcast_content_update"),
        ({"thread_ts": "1.000001"}, "invalid_arguments"),
    ],
)
@pytest.mark.filterwarnings("ignore:The top-level `text`")
def test_an_edit_is_looked_at(slack, change, code):
    ts = client(slack).chat_postMessage(channel="C0ALERTS", text="old")["ts"]
    edit = {"channel": "C0ALERTS", "ts": ts, "text": "new"} | change

    assert refusal(client(slack).chat_update, **edit) == code
    assert slack.messages[0].edits == ()


def test_a_webhooks_message_is_not_the_bots_to_edit(slack):
    post(slack.webhook_url(), {"text": "x"})
    edit = {"channel": "C0ALERTS", "ts": slack.messages[0].ts, "text": "y"}

    assert refusal(client(slack).chat_update, **edit) == "cant_update_message"


def test_nothing_is_edited_in_an_archived_channel():
    with SlackDouble(archived=["C0ALERTS"]) as slack:
        edit = {"channel": "C0ALERTS", "ts": "1.000001", "text": "x"}

        assert refusal(client(slack).chat_update, **edit) == "is_inactive"


@pytest.mark.parametrize(("token", "code"), [("", "not_authed"), ("x", "invalid_auth")])
def test_a_token_is_looked_at(slack, token, code):
    assert refusal(client(slack, token).auth_test) == code


def test_a_token_can_be_revoked_and_rotated(slack):
    slack.revoke()
    revoked = refusal(client(slack).auth_test)
    slack.rotate("xoxb-2")

    assert revoked == "token_revoked"
    assert client(slack, "xoxb-2").auth_test()["team"] == "Double"
    assert refusal(client(slack).auth_test) == "invalid_auth"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"channel": "C0NONE", "text": "x"}, "channel_not_found"),
        ({"channel": "C0FOREIGN", "text": "x"}, "not_in_channel"),
        ({"channel": "C0OLD", "text": "x"}, "is_archived"),
        ({"channel": "C0ALERTS", "text": ""}, "no_text"),
        (
            {"channel": "C0ALERTS", "text": "x", "blocks": [{"type": "section"}]},
            "invalid_blocks",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:The top-level `text`")
def test_a_message_is_looked_at(arguments, code):
    channels = {"C0ALERTS": "alerts", "C0FOREIGN": "foreign", "C0OLD": "old"}
    with SlackDouble(
        channels=channels, absent_from=["C0FOREIGN"], archived=["C0OLD"]
    ) as slack:
        assert refusal(client(slack).chat_postMessage, **arguments) == code
        assert slack.messages == []


def test_scopes_are_looked_at():
    with SlackDouble(scopes=[]) as slack:
        call = client(slack).chat_postMessage

        assert refusal(call, channel="C0ALERTS", text="x") == "missing_scope"


def test_a_method_that_it_does_not_have_is_unknown(slack):
    assert refusal(client(slack).api_call, api_method="users.info") == "unknown_method"


def test_the_sdks_own_upload_works(slack):
    answer = client(slack).chat_postMessage(channel="U0ADA", text="x")
    client(slack).files_upload_v2(
        channel=answer["channel"],
        thread_ts=answer["ts"],
        filename="a.txt",
        content="text",
    )

    [file] = slack.messages[0].files
    assert (file.name, file.title, file.content) == ("a.txt", "a.txt", b"text")


@pytest.mark.parametrize(
    ("place", "code"),
    [
        ({"channel": "U0ADA"}, "channel_not_found"),
        ({"channel": "C0ALERTS", "thread_ts": "1.0"}, "invalid_thread_ts"),
    ],
)
def test_an_upload_needs_a_real_place(slack, place, code):
    upload = client(slack).files_upload_v2

    assert refusal(upload, filename="a.txt", content="x", **place) == code


def test_an_upload_cannot_be_completed_before_its_bytes_came(slack):
    ticket = client(slack).files_getUploadURLExternal(filename="a", length=3)
    complete = client(slack).files_completeUploadExternal

    assert post(ticket["upload_url"], "wrong length")[0] == 400
    assert (
        refusal(complete, files=[{"id": ticket["file_id"]}], channel_id="C0ALERTS")
        == "file_not_found"
    )


def test_a_webhook_answers_ok(slack):
    assert post(slack.webhook_url("alerts"), {"text": "hi"}) == (200, "ok")
    assert slack.messages[0].channel == "C0ALERTS"


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({}, (400, "invalid_payload")),
        ([], (400, "invalid_payload")),
        ({"x": 1}, (400, "no_text")),
        ({"blocks": [{}]}, (400, "invalid_blocks")),
    ],
)
def test_a_webhook_looks_at_the_message(slack, body, answer):
    assert post(slack.webhook_url(), body) == answer


def test_a_webhook_that_does_not_exist(slack):
    assert post(f"{slack.origin}/services/T/B/x", {"text": "x"}) == (404, "no_service")


def test_every_request_is_kept_whatever_was_answered(slack):
    post(f"{slack.origin}/api/x?y", {"a": 1})
    refusal(client(slack, "wrong").auth_test)

    first, second = slack.requests
    assert (first.verb, first.path, first.arguments) == ("POST", "/api/x?y", {"a": 1})
    assert second.headers["authorization"] == "Bearer wrong"
    assert slack.calls("auth.test") == [second]


def test_waiting_ends_with_the_message(slack):
    url = slack.webhook_url()
    poster = threading.Thread(target=post, args=(url, {"text": "hi"}))
    poster.start()

    [kept] = slack.wait_for(1)

    poster.join()
    assert kept.text == "hi"


def test_waiting_in_vain_says_how_many_came(slack):
    with pytest.raises(TimeoutError, match="0 of 1"):
        slack.wait_for(1, timeout=0.01)


def test_faults_come_in_order_and_once_each(slack):
    slack.fail_next("http_503")
    slack.fail_next("ratelimited", times=2, retry_after=30)

    statuses = [post(slack.webhook_url(), {"text": "x"})[0] for _ in range(4)]

    assert statuses == [503, 429, 429, 200]
    assert len(slack.messages) == 1


def test_a_fault_can_be_meant_for_one_method(slack):
    slack.fail_next("ok_false:fatal_error", on="chat.postMessage")

    client(slack).auth_test()

    assert (
        refusal(client(slack).chat_postMessage, channel="C0ALERTS", text="x")
        == "fatal_error"
    )


def test_a_message_may_arrive_although_its_answer_is_lost(slack):
    slack.fail_next("http_500", arrives=True)

    post(slack.webhook_url(), {"text": "x"})

    assert len(slack.messages) == 1


@pytest.mark.parametrize("fault", ["", "http_999", "explode", "ok_false:"])
def test_an_unknown_fault_is_a_mistake(slack, fault):
    with pytest.raises(ValueError, match="there is no fault"):
        slack.fail_next(fault)


def test_it_ends_although_a_connection_hangs():
    with SlackDouble() as slack:
        slack.fail_next("hang")
        with pytest.raises(TimeoutError):
            urlopen(slack.base_url, timeout=0.1)
