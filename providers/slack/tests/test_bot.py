import uuid

import attrs
import pytest

from tocsin import (
    Ambiguous,
    Attachment,
    DeliveryError,
    OutOfOrder,
    Rejected,
    RetryLater,
    Secret,
)
from tocsin._errors import SecretUnavailable
from tocsin._secret import FromEnv
from tocsin_slack.testing import SlackDouble


def test_a_receipt_names_message_and_channel(slack, bot, message, deliver):
    receipt = deliver(bot, message())

    [post] = slack.messages
    assert (receipt.reference, receipt.place) == (post.ts, "C0ALERTS")
    assert receipt.note == ""
    assert post.text.startswith("[INFO] Loss is NaN")
    assert post.blocks


@pytest.mark.parametrize(
    ("channel", "place"),
    [("#alerts", "C0ALERTS"), ("alerts", "C0ALERTS"), ("U0ADA", "D0ADA")],
)
def test_a_channel_goes_by_name_and_a_member_gets_it_directly(
    bot, message, deliver, channel, place
):
    receipt = deliver(attrs.evolve(bot, channel=channel), message())

    assert receipt.place == place


def test_every_attempt_of_a_delivery_bears_the_same_id(slack, bot, message, deliver):
    for delivery_id in ("d1", "d1", "d2"):
        deliver(bot, message(), id=delivery_id)

    first, again, other = [post.client_msg_id for post in slack.messages]
    assert first == again != other
    assert uuid.UUID(first)


def test_the_token_is_read_anew_for_each_attempt(
    monkeypatch, slack, bot, message, deliver
):
    bot = attrs.evolve(bot, token=Secret(FromEnv("SLACK_BOT_TOKEN")))
    monkeypatch.setenv("SLACK_BOT_TOKEN", slack.token + "\n")
    deliver(bot, message())
    slack.rotate("xoxb-rotated")
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-rotated")

    deliver(bot, message())

    assert len(slack.messages) == 2


def test_a_token_that_does_not_resolve_is_told_as_that(bot, message, deliver):
    bot = attrs.evolve(bot, token=Secret(FromEnv("TOCSIN_NO_SUCH_VARIABLE")))

    with pytest.raises(SecretUnavailable, match="TOCSIN_NO_SUCH_VARIABLE"):
        deliver(bot, message())


def test_a_revoked_token_is_out_of_order_and_a_new_one_works(
    slack, bot, message, deliver
):
    slack.revoke()
    with pytest.raises(OutOfOrder, match="token_revoked") as raised:
        deliver(bot, message())
    slack.rotate("xoxb-new")

    deliver(attrs.evolve(bot, token=Secret("xoxb-new")), message())

    assert "OAuth" in raised.value.remedy
    assert len(slack.messages) == 1


@pytest.mark.parametrize(
    ("double", "channel", "remedy"),
    [
        ({"absent_from": {"C0ALERTS"}}, "C0ALERTS", "/invite @app"),
        ({"archived": {"C0ALERTS"}}, "C0ALERTS", "unarchive"),
        ({}, "C0NOSUCH", "check the channel's id"),
        ({"scopes": ["files:write"]}, "C0ALERTS", "reinstall the app"),
    ],
)
def test_a_channel_out_of_order_has_a_remedy(
    *, bot, message, deliver, double, channel, remedy
):
    with SlackDouble(**double) as slack:
        bot = attrs.evolve(bot, base_url=slack.base_url, channel=channel)

        with pytest.raises(OutOfOrder) as raised:
            deliver(bot, message())

    assert remedy in raised.value.remedy


@pytest.mark.parametrize(
    "code", ["invalid_blocks", "msg_too_long", "msg_blocks_too_long"]
)
def test_a_refused_layout_goes_out_as_plain_text_and_says_so(
    slack, bot, message, deliver, code
):
    slack.fail_next(f"ok_false:{code}")
    with pytest.raises(RetryLater, match=code) as raised:
        deliver(bot, message("Loss", "at step 7"))

    receipt = deliver(bot, message("Loss", "at step 7"), state=raised.value.state)

    [post] = slack.messages
    assert raised.value.after == 0
    assert raised.value.state == {"plain": True}
    assert post.blocks == post.attachments == []
    assert "at step 7" in post.text
    assert "plain text" in receipt.note


def test_plain_text_that_is_refused_is_final(slack, bot, message, deliver):
    slack.fail_next("ok_false:msg_too_long")

    with pytest.raises(Rejected, match="msg_too_long"):
        deliver(bot, message(), state={"plain": True})


def test_the_plain_form_outlives_a_rate_limit(slack, bot, message, deliver):
    slack.fail_next("ratelimited", retry_after=30)

    with pytest.raises(RetryLater) as raised:
        deliver(bot, message(), state={"plain": True})

    assert raised.value.after == 30
    assert raised.value.state == {"plain": True}


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ("ratelimited", RetryLater),
        ("http_500", RetryLater),
        ("http_504", Ambiguous),
        ("redirect", RetryLater),
        ("html", Ambiguous),
        ("close_after_read", Ambiguous),
        ("garbage", Ambiguous),
        ("ok_false:internal_error", RetryLater),
        ("ok_false:account_inactive", OutOfOrder),
        ("ok_false:no_text", Rejected),
    ],
)
def test_each_fault_has_its_outcome_after_one_request(
    *, slack, bot, message, deliver, fault, outcome
):
    slack.fail_next(fault, location=f"{slack.origin}/elsewhere")

    with pytest.raises(DeliveryError) as raised:
        deliver(bot, message())

    assert type(raised.value) is outcome
    assert len(slack.requests) == 1


@pytest.mark.parametrize("fault", ["hang", "drip"])
def test_an_attempt_ends_in_time(slack, bot, message, deliver, fault):
    slack.fail_next(fault)

    with pytest.raises(Ambiguous, match="time was up"):
        deliver(bot, message(), timeout=0.5)


def test_without_a_ts_no_attachment_goes_up_but_the_message_counts(
    slack, bot, message, deliver
):
    slack.fail_next('body:{"ok": true}')

    receipt = deliver(bot, message(attachments=[Attachment("a.txt", b"x")]))

    assert receipt.reference == ""
    assert "a.txt is not attached: Slack did not say where" in receipt.note


def test_check_tells_workspace_and_bot(bot):
    assert bot.check(5) == "Slack workspace Double as bot tocsin"


def test_check_finds_a_missing_scope(bot):
    with SlackDouble(scopes=["files:write"]) as slack:
        bot = attrs.evolve(bot, base_url=slack.base_url)

        with pytest.raises(OutOfOrder, match="chat:write"):
            bot.check(5)


def test_check_finds_a_wrong_token(bot):
    bot = attrs.evolve(bot, token=Secret("xoxb-wrong"))

    with pytest.raises(OutOfOrder, match="invalid_auth") as raised:
        bot.check(5)

    assert raised.value.remedy


def test_check_takes_no_longer_than_it_may(slack, bot):
    slack.fail_next("drip")

    with pytest.raises(Ambiguous):
        bot.check(0.5)
