import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin import Ambiguous, OutOfOrder, Rejected, RetryLater
from tocsin.http import Answer, Service
from tocsin_slack._outcome import (
    LayoutRefused,
    ThreadRefused,
    api_failure,
    upload_failure,
    webhook_failure,
)

OUT_OF_ORDER = [
    "account_inactive",
    "action_prohibited",
    "channel_is_archived",
    "channel_not_found",
    "ekm_access_denied",
    "invalid_auth",
    "invalid_token",
    "is_archived",
    "missing_scope",
    "no_permission",
    "no_service",
    "no_team",
    "not_authed",
    "not_in_channel",
    "org_login_required",
    "restricted_action",
    "token_expired",
    "token_revoked",
]
FINAL = ["file_type_not_allowed", "storage_limit_reached"]
PASSING = [
    "fatal_error",
    "internal_error",
    "ratelimited",
    "request_timeout",
    "service_unavailable",
]
LAYOUT = [
    "invalid_attachments",
    "invalid_blocks",
    "msg_blocks_too_long",
    "msg_too_long",
]
THREAD = [
    "cannot_reply_to_message",
    "restricted_action_non_threadable_channel",
    "restricted_action_thread_locked",
]


def answer(body="", status=200, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(
        service=Service("Slack"), status=status, headers=named, body=body.encode()
    )


def refusal(code, **more):
    return answer(json.dumps({"ok": False, "error": code, **more}))


def test_the_api_has_it_once_it_says_ok():
    assert api_failure(answer('{"ok": true, "ts": "1.2"}')) is None


def test_a_webhook_has_it_once_it_says_exactly_ok():
    assert webhook_failure(answer("ok")) is None


@pytest.mark.parametrize(
    ("code", "outcome"),
    [(code, OutOfOrder) for code in OUT_OF_ORDER]
    + [(code, Rejected) for code in FINAL],
)
@pytest.mark.parametrize("status", [200, 400, 403, 404, 410])
def test_what_refuses_all_messages_is_told_from_what_refuses_one(code, outcome, status):
    failures = [api_failure(answer(f'{{"error": "{code}"}}', status))]
    if status != 200:  # a webhook says nothing but "ok" with this one
        failures.append(webhook_failure(answer(code, status)))

    for failure in failures:
        assert type(failure) is outcome
        assert code in failure.reason
        assert len(failure.remedy.split()) > 3


@pytest.mark.parametrize("code", PASSING)
def test_a_passing_code_is_tried_again(code):
    failures = (
        api_failure(refusal(code)),
        webhook_failure(answer(code, 500)),
    )

    assert [type(failure) for failure in failures] == [RetryLater, RetryLater]


@pytest.mark.parametrize("code", LAYOUT)
def test_a_refused_layout_is_told_from_other_refusals(code):
    failures = (
        api_failure(refusal(code)),
        webhook_failure(answer(code, 400)),
    )

    assert [type(failure) for failure in failures] == [LayoutRefused, LayoutRefused]


@pytest.mark.parametrize("code", THREAD)
def test_a_refused_reply_is_told_from_other_refusals(code):
    assert type(api_failure(refusal(code))) is ThreadRefused


def test_an_unknown_code_is_rejected_and_named():
    failure = api_failure(refusal("moon_is_full"))

    assert type(failure) is Rejected
    assert "moon_is_full" in failure.reason
    assert "moon_is_full" in failure.remedy


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(400, Rejected), (404, OutOfOrder), (429, RetryLater), (503, RetryLater)],
)
def test_an_unknown_code_does_not_overrule_the_status(status, outcome):
    failure = webhook_failure(answer("moon_is_full", status))

    assert type(failure) is outcome
    assert "moon_is_full" in failure.reason


def test_a_missing_scope_is_named():
    failure = api_failure(refusal("missing_scope", needed="files:write"))

    assert "files:write" in failure.reason


def test_what_is_no_code_is_not_quoted():
    failure = api_failure(refusal("xoxb-12-secret"))

    assert isinstance(failure, Ambiguous)
    assert "secret" not in str(failure)


@pytest.mark.parametrize("judge", [api_failure, webhook_failure])
@pytest.mark.parametrize(
    "body",
    [
        "",
        "<!doctype html>",
        "OK",
        "ok\n",
        "null",
        "[]",
        "true",
        '{"ok": 1}',
        '{"ok": "true"}',
        '{"ok": false}',
        '{"ok": true',
        "[" * 100_000,
    ],
)
def test_200_with_anything_else_is_no_success_and_does_not_say_whether_it_arrived(
    judge, body
):
    assert isinstance(judge(answer(body)), Ambiguous)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (301, RetryLater),
        (302, RetryLater),
        (307, RetryLater),
        (400, Rejected),
        (401, OutOfOrder),
        (403, OutOfOrder),
        (404, OutOfOrder),
        (407, OutOfOrder),
        (408, RetryLater),
        (410, OutOfOrder),
        (413, Rejected),
        (429, RetryLater),
        (500, RetryLater),
        (502, RetryLater),
        (503, RetryLater),
        (504, Ambiguous),
        (529, RetryLater),
        (204, Ambiguous),
    ],
)
@pytest.mark.parametrize("judge", [api_failure, webhook_failure, upload_failure])
def test_a_status_without_a_code_has_one_outcome(judge, status, outcome):
    assert type(judge(answer("<p>no</p>", status))) is outcome


@pytest.mark.parametrize("status", [429, 503])
def test_the_wish_of_the_server_is_passed_on(status):
    failure = api_failure(answer("", status, retry_after="30"))

    assert failure.after == 30


def test_a_rate_limit_inside_a_200_keeps_its_wish():
    body = '{"ok": false, "error": "ratelimited"}'

    assert api_failure(answer(body, retry_after="7")).after == 7


@given(st.integers(100, 599), st.text())
def test_every_answer_has_an_outcome(status, body):
    for judge in (api_failure, webhook_failure, upload_failure):
        failure = judge(answer(body, status))

        assert failure is None or failure.reason
