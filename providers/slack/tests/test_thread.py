import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin import (
    Alert,
    AlertLevel,
    Ambiguous,
    Attachment,
    Delivery,
    Earlier,
    Origin,
    Receipt,
    Rejected,
    RetryLater,
)
from tocsin_slack._thread import root_of, run_of, ts_of
from tocsin_slack.testing import violations

PLOT, LOG = Attachment("plot.png", b"png"), Attachment("log.txt", b"text")
GONE = Receipt(reference="1700000001.000001", place="C0ALERTS")

origins = st.builds(Origin, project=st.text(), run=st.text(min_size=1))


@pytest.fixture
def first(slack, bot, message, deliver):
    """The receipt of the first message of a run."""
    return deliver(bot, message("Run has begun"), id="first")


def alert(**origin):
    return Alert("t", origin=Origin(**origin))


@given(origins, origins)
def test_alerts_belong_together_when_run_and_project_are_the_same(one, other):
    is_same = (one.project, one.run) == (other.project, other.run)

    together = run_of(Alert("a", origin=one)) == run_of(Alert("b", origin=other))

    assert together is is_same


def test_the_runs_name_and_host_do_not_matter():
    assert run_of(alert(project="mnist", run="a1")) == run_of(
        alert(project="mnist", run="a1", run_name="wise-owl", host="atlas", rank=3)
    )


def test_without_a_run_an_alert_stands_alone(bot):
    threaded = attrs.evolve(bot, threads="run")

    assert threaded.conversation(alert(project="mnist")) == ""
    assert threaded.conversation(alert(project="mnist", run="a1"))


def test_without_threads_every_alert_stands_alone(provider):
    assert provider.conversation(alert(project="mnist", run="a1")) == ""


@pytest.mark.parametrize(
    "reference", ["", "<d1@tocsin.example>", "1700000001", "soon", "1.0\n"]
)
def test_what_is_no_message_of_slack_is_not_replied_to(reference):
    receipt = Receipt(reference=reference)

    assert ts_of(receipt) == ""
    assert root_of(Delivery(id="d1", channel="dm", thread=receipt)) == ""


def test_the_thread_comes_before_the_message_that_is_over(message):
    over = Earlier(message=message(), receipt=Receipt(reference="2.000000"))
    thread = Receipt(reference="1.000000")
    both = Delivery(id="d1", channel="dm", thread=thread, resolves=over)

    assert root_of(both) == "1.000000"
    assert root_of(attrs.evolve(both, thread=None)) == "2.000000"
    assert root_of(attrs.evolve(both, thread=Receipt())) == "2.000000"


def test_a_reply_goes_into_the_thread_with_a_receipt_of_its_own(
    slack, bot, message, deliver, first
):
    receipt = deliver(bot, message("Loss is high"), thread=first)

    [reply] = slack.replies(first.reference)
    assert (reply.channel, reply.ts) == (receipt.place, receipt.reference)
    assert receipt.reference != first.reference
    assert receipt.note == ""


def test_a_member_gets_replies_too(slack, bot, message, deliver):
    bot = attrs.evolve(bot, channel="U0ADA")
    first = deliver(bot, message(), id="first")

    deliver(bot, message(), thread=first)

    assert len(slack.replies(first.reference)) == 1


@pytest.mark.parametrize("level", AlertLevel)
@pytest.mark.parametrize("kind", ["scriptable", "crashed", "resolved"])
def test_the_channel_is_shown_errors_in_a_thread_but_not_that_one_is_over(
    *, slack, bot, message, deliver, first, level, kind
):
    deliver(bot, message(level=level, kind=kind), thread=first)

    [reply] = slack.replies(first.reference)
    is_loud = level is AlertLevel.ERROR and kind != "resolved"
    assert reply.is_broadcast is is_loud
    assert violations(reply.payload) == []


def test_an_error_that_is_no_reply_is_not_broadcast(slack, bot, message, deliver):
    deliver(bot, message(level="ERROR"))

    assert "reply_broadcast" not in slack.messages[0].payload


def test_attachments_of_a_reply_go_into_the_same_thread(
    slack, bot, message, deliver, first
):
    deliver(bot, message(attachments=[PLOT]), thread=first)

    root, reply = slack.messages
    assert [file.name for file in root.files] == ["plot.png"]
    assert reply.files == []


@pytest.mark.parametrize(
    ("fault", "outcome"), [("http_503", RetryLater), ("close_after_read", Ambiguous)]
)
def test_a_reply_whose_upload_failed_is_not_sent_twice(
    *, slack, bot, message, deliver, first, fault, outcome
):
    both = message(level="ERROR", attachments=[PLOT, LOG])
    slack.fail_next(fault, on="/upload/v1/F00000001")
    with pytest.raises(outcome) as raised:
        deliver(bot, both, thread=first)

    deliver(bot, both, thread=first, attempt=2, state=raised.value.state)

    root, reply = slack.messages
    assert raised.value.state == {
        "channel": "C0ALERTS",
        "ts": reply.ts,
        "thread": root.ts,
        "uploaded": [0],
    }
    assert [file.name for file in root.files] == ["plot.png", "log.txt"]


def test_a_reply_to_a_message_that_is_gone_stands_alone_and_says_so(
    slack, bot, message, deliver
):
    receipt = deliver(bot, message(attachments=[PLOT]), thread=GONE)

    [post] = slack.messages
    assert post.thread == ""
    assert [file.name for file in post.files] == ["plot.png"]
    assert receipt.note == "Not in the thread: Slack takes no reply there."


def test_that_a_reply_stands_alone_is_told_after_a_failed_upload_too(
    slack, bot, message, deliver
):
    slack.fail_next("http_503", on="/upload/v1/F00000000")
    with pytest.raises(RetryLater) as raised:
        deliver(bot, message(attachments=[PLOT]), thread=GONE)

    receipt = deliver(
        bot, message(attachments=[PLOT]), thread=GONE, state=raised.value.state
    )

    [post] = slack.messages
    assert [file.name for file in post.files] == ["plot.png"]
    assert "Not in the thread" in receipt.note


@pytest.mark.parametrize(
    "code",
    ["restricted_action_thread_locked", "restricted_action_non_threadable_channel"],
)
def test_a_reply_that_is_refused_follows_by_itself(
    *, slack, bot, message, deliver, first, code
):
    slack.fail_next(f"ok_false:{code}")
    with pytest.raises(RetryLater, match=code) as raised:
        deliver(bot, message(), thread=first)

    receipt = deliver(bot, message(), thread=first, state=raised.value.state)

    assert raised.value.after == 0
    assert raised.value.state == {"alone": True}
    assert [post.thread for post in slack.messages] == ["", ""]
    assert "Not in the thread" in receipt.note


def test_a_reply_to_a_reply_follows_by_itself(slack, bot, message, deliver, first):
    reply = deliver(bot, message(), thread=first)
    with pytest.raises(RetryLater, match="cannot_reply_to_message") as raised:
        deliver(bot, message(), thread=reply)

    deliver(bot, message(), thread=reply, state=raised.value.state)

    assert slack.messages[2].thread == ""


def test_a_message_by_itself_that_is_refused_as_a_reply_is_final(
    slack, bot, message, deliver
):
    slack.fail_next("ok_false:cannot_reply_to_message")

    with pytest.raises(Rejected, match="cannot_reply_to_message"):
        deliver(bot, message(), thread=GONE, state={"alone": True})


def test_a_reply_can_lose_its_layout_and_its_thread(
    slack, bot, message, deliver, first
):
    state = {}
    for code in ("invalid_blocks", "restricted_action_thread_locked"):
        slack.fail_next(f"ok_false:{code}")
        with pytest.raises(RetryLater) as raised:
            deliver(bot, message(), thread=first, state=state)
        state = raised.value.state

    receipt = deliver(bot, message(), thread=first, state=state)

    assert state == {"plain": True, "alone": True}
    assert (slack.messages[1].blocks, slack.messages[1].thread) == ([], "")
    assert "plain text" in receipt.note
    assert "Not in the thread" in receipt.note


def test_an_answer_that_does_not_quote_the_message_is_believed(
    slack, bot, message, deliver, first
):
    slack.fail_next('body:{"ok": true, "channel": "C0ALERTS", "ts": "1.000002"}')

    receipt = deliver(bot, message(), thread=first)

    assert receipt.note == ""


def test_a_webhook_sends_no_replies(slack, webhook, message, deliver):
    deliver(webhook, message(), thread=GONE)

    assert "thread_ts" not in slack.messages[0].payload
