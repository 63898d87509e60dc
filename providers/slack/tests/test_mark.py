"""A message that says what is over: the earlier one is marked, and replied to."""

from datetime import UTC, datetime

import attrs
import pytest

from tocsin import (
    Ambiguous,
    Attachment,
    Earlier,
    OutOfOrder,
    Receipt,
    Rejected,
    RetryLater,
    Secret,
)
from tocsin_slack.testing import SlackDouble, violations

PLOT, LOG = Attachment("plot.png", b"png"), Attachment("log.txt", b"text")


@pytest.fixture
def earlier(bot, message, deliver):
    """A message that the bot has delivered."""
    was = message("Loss is NaN", "at step 7", "ERROR")
    return Earlier(message=was, receipt=deliver(bot, was, id="earlier"))


@pytest.fixture
def over(message):
    """The message that says it is over."""
    return message("Resolved: Loss is NaN", kind="resolved")


def methods(slack):
    return [received.method for received in slack.requests]


def test_the_earlier_message_is_marked_and_replied_to(
    slack, bot, deliver, earlier, over
):
    receipt = deliver(bot, over, resolves=earlier)

    was, reply = slack.messages
    [edit] = was.edits
    assert was.blocks[0]["text"]["text"] == "*✅ Loss is NaN*"
    assert was.blocks[-1]["elements"][0]["text"] == "Resolved 2026-05-01 12:00 UTC"
    assert violations(edit) == []
    assert (edit["channel"], edit["ts"]) == ("C0ALERTS", was.ts)
    assert (reply.thread, reply.ts) == (was.ts, receipt.reference)
    assert reply.edits == ()
    assert receipt.note == ""


def test_the_time_is_that_at_which_it_was_over(slack, bot, message, deliver, earlier):
    late = datetime(2026, 11, 23, 10, 32, tzinfo=UTC)
    over = message(kind="resolved")
    over = attrs.evolve(over, alert=attrs.evolve(over.alert, created_at=late))

    deliver(bot, over, resolves=earlier)

    assert "Resolved 2026-11-23 10:32 UTC" in slack.messages[0].text


def test_a_direct_message_is_marked_where_it_is(slack, bot, message, deliver, over):
    bot = attrs.evolve(bot, channel="U0ADA")
    was = message()
    earlier = Earlier(message=was, receipt=deliver(bot, was, id="earlier"))

    receipt = deliver(bot, over, resolves=earlier)

    assert receipt.note == ""
    assert [len(post.edits) for post in slack.messages] == [1, 0]
    assert len(slack.replies(slack.messages[0].ts)) == 1


def test_in_a_runs_thread_the_reply_goes_to_the_thread(
    slack, bot, message, deliver, over
):
    first = deliver(bot, message(), id="first")
    was = message("Loss is NaN")
    earlier = Earlier(message=was, receipt=deliver(bot, was, id="d0", thread=first))

    deliver(bot, over, thread=first, resolves=earlier)

    root, marked, reply = slack.messages
    assert [len(post.edits) for post in (root, marked, reply)] == [0, 1, 0]
    assert reply.thread == root.ts


def test_with_nothing_to_mark_there_is_only_the_reply(
    slack, bot, deliver, earlier, over
):
    deliver(bot, over, thread=earlier.receipt)

    assert slack.calls("chat.update") == []
    assert len(slack.replies(earlier.receipt.reference)) == 1


def test_a_webhook_just_posts(slack, webhook, message, deliver, over):
    was = message()
    earlier = Earlier(message=was, receipt=deliver(webhook, was))

    receipt = deliver(webhook, over, resolves=earlier)

    assert [post.edits for post in slack.messages] == [(), ()]
    assert receipt.note == ""


def test_what_a_webhook_sent_is_not_the_bots_to_mark(
    *, slack, webhook, bot, message, deliver, over
):
    was = message()
    earlier = Earlier(message=was, receipt=deliver(webhook, was))

    receipt = deliver(bot, over, resolves=earlier)

    assert slack.calls("chat.update") == []
    assert slack.messages[1].thread == ""
    assert receipt.note == (
        "The earlier message is not marked as resolved: Slack did not say where it is."
    )


@pytest.mark.parametrize(
    "code",
    [
        "message_not_found",
        "cant_update_message",
        "edit_window_closed",
        "msg_too_long",
        "invalid_blocks",
        "is_inactive",
        "update_failed",
        "channel_not_found",
    ],
)
def test_an_edit_that_is_refused_is_told_and_the_reply_goes_out(
    *, slack, bot, deliver, earlier, over, code
):
    slack.fail_next(f"ok_false:{code}", on="chat.update")

    receipt = deliver(bot, over, resolves=earlier)

    was, reply = slack.messages
    assert was.edits == ()
    assert reply.thread == was.ts
    assert receipt.note == (
        f"The earlier message is not marked as resolved: Slack refused: {code}."
    )


def test_a_message_that_is_gone_is_told_and_the_reply_stands_alone(
    slack, bot, message, deliver, over
):
    gone = Receipt(reference="1700000001.000001", place="C0ALERTS")

    receipt = deliver(bot, over, resolves=Earlier(message=message(), receipt=gone))

    [post] = slack.messages
    assert post.thread == ""
    assert "Not in the thread" in receipt.note
    assert "message_not_found" in receipt.note


@pytest.mark.parametrize(
    "fault", ["ratelimited", "http_503", "http_504", "close_after_read", "garbage"]
)
def test_the_reply_waits_for_an_edit_that_may_succeed(
    *, slack, bot, deliver, earlier, over, fault
):
    slack.fail_next(fault, on="chat.update", retry_after=30)
    with pytest.raises(RetryLater) as raised:
        deliver(bot, over, resolves=earlier)
    before = len(slack.messages)

    deliver(bot, over, resolves=earlier, state=raised.value.state)

    was, reply = slack.messages
    assert before == 1
    assert len(was.edits) == 1
    assert reply.thread == was.ts


def test_an_edit_whose_answer_was_lost_is_made_again(
    slack, bot, deliver, earlier, over
):
    slack.fail_next("close_after_read", on="chat.update", arrives=True)
    with pytest.raises(RetryLater) as raised:
        deliver(bot, over, resolves=earlier)

    deliver(bot, over, resolves=earlier, state=raised.value.state)

    first, second = slack.messages[0].edits
    assert first == second


@pytest.mark.parametrize(
    ("fault", "outcome"), [("http_503", RetryLater), ("close_after_read", Ambiguous)]
)
def test_a_reply_that_failed_does_not_mark_again(
    *, slack, bot, deliver, earlier, over, fault, outcome
):
    slack.fail_next(fault, on="chat.postMessage")
    with pytest.raises(outcome) as raised:
        deliver(bot, over, resolves=earlier)

    deliver(bot, over, resolves=earlier, state=raised.value.state)

    assert raised.value.state == {"marked": True}
    assert len(slack.calls("chat.update")) == 1
    assert len(slack.messages) == 2


def test_why_it_is_not_marked_is_told_after_a_failed_reply_too(
    slack, bot, deliver, earlier, over
):
    slack.fail_next("ok_false:edit_window_closed", on="chat.update")
    slack.fail_next("ok_false:invalid_blocks", on="chat.postMessage")
    with pytest.raises(RetryLater) as raised:
        deliver(bot, over, resolves=earlier)

    receipt = deliver(bot, over, resolves=earlier, state=raised.value.state)

    assert len(slack.calls("chat.update")) == 1
    assert "plain text" in receipt.note
    assert "edit_window_closed" in receipt.note


def test_a_reply_whose_upload_failed_neither_marks_nor_posts_again(
    slack, bot, message, deliver, earlier
):
    over = message(kind="resolved", attachments=[PLOT, LOG])
    slack.fail_next("http_503", on="/upload/v1/F00000001")
    with pytest.raises(RetryLater) as raised:
        deliver(bot, over, resolves=earlier)

    deliver(bot, over, resolves=earlier, state=raised.value.state)

    was, reply = slack.messages
    assert raised.value.state == {
        "marked": True,
        "channel": "C0ALERTS",
        "ts": reply.ts,
        "thread": was.ts,
        "uploaded": [0],
    }
    assert len(was.edits) == 1
    assert [file.name for file in was.files] == ["plot.png", "log.txt"]


def test_a_channel_out_of_order_is_told_as_that(slack, bot, deliver, earlier, over):
    slack.revoke()

    with pytest.raises(OutOfOrder, match="token_revoked"):
        deliver(bot, over, resolves=earlier)


def test_a_message_in_a_channel_that_is_archived_stays_as_it_was(
    message, bot, deliver, over
):
    channels = {"C0OLD": "old", "C0ALERTS": "alerts"}
    with SlackDouble(channels=channels, archived=["C0OLD"]) as slack:
        bot = attrs.evolve(bot, base_url=slack.base_url, token=Secret(slack.token))
        there = Receipt(reference="1700000001.000001", place="C0OLD")

        receipt = deliver(bot, over, resolves=Earlier(message=message(), receipt=there))

        assert slack.messages[0].channel == "C0ALERTS"
        assert "is_inactive" in receipt.note


def test_the_edit_and_the_reply_share_the_attempts_time(
    slack, bot, deliver, earlier, over
):
    slack.fail_next("drip", on="chat.update")

    with pytest.raises(RetryLater, match="time was up"):
        deliver(bot, over, resolves=earlier, timeout=0.5)

    assert methods(slack)[-1] == "chat.update"


def test_a_reply_that_is_refused_for_good_ends_as_that(
    slack, bot, deliver, earlier, over
):
    slack.fail_next("ok_false:no_text", on="chat.postMessage")

    with pytest.raises(Rejected, match="no_text"):
        deliver(bot, over, resolves=earlier)
