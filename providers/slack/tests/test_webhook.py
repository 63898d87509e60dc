import attrs
import pytest

from tocsin import (
    Ambiguous,
    Attachment,
    DeliveryError,
    OutOfOrder,
    RetryLater,
    Secret,
)
from tocsin._secret import FromEnv
from tocsin_slack import Slack
from tocsin_slack.testing import SlackDouble


def test_a_message_goes_to_the_webhooks_channel(slack, webhook, message, deliver):
    receipt = deliver(webhook, message())

    [post] = slack.messages
    assert (post.via, post.channel) == ("webhook", "C0ALERTS")
    assert post.colour == "#439fe0"
    assert receipt.note == ""


def test_attachments_are_named_in_the_message_and_in_the_receipt(
    slack, webhook, message, deliver
):
    attachments = [Attachment("a.png", b"x"), Attachment("<b>\n.txt", b"y")]

    receipt = deliver(webhook, message(attachments=attachments))

    context = slack.messages[0].attachments[0]["blocks"][-1]["elements"][-1]
    assert context["text"] == "Not attached: a.png, &lt;b&gt; .txt"
    assert "a.png, <b> .txt" in receipt.note


def test_the_url_is_read_anew_for_each_attempt(monkeypatch, slack, message, deliver):
    webhook = Slack(webhook_url=Secret(FromEnv("SLACK_WEBHOOK")))
    for _ in range(2):
        monkeypatch.setenv("SLACK_WEBHOOK", slack.webhook_url() + "\n")
        deliver(webhook, message())

    assert len({received.path for received in slack.requests}) == 2


@pytest.mark.parametrize("url", ["http://hooks.slack.com/x", "hooks.slack.com", ""])
def test_a_secret_would_not_be_sent_in_the_clear(monkeypatch, message, deliver, url):
    monkeypatch.setenv("SLACK_WEBHOOK", url)
    webhook = Slack(webhook_url=Secret(FromEnv("SLACK_WEBHOOK")))

    with pytest.raises(OutOfOrder, match="https://"):
        deliver(webhook, message())
    with pytest.raises(OutOfOrder, match="https://"):
        webhook.check(5)


def test_a_webhook_that_is_gone_is_out_of_order(slack, message, deliver):
    webhook = Slack(webhook_url=Secret(f"{slack.origin}/services/T/B/gone"))

    with pytest.raises(OutOfOrder, match="no_service") as raised:
        deliver(webhook, message())

    assert "make a new webhook" in raised.value.remedy


def test_an_archived_channel_is_out_of_order(message, deliver):
    with SlackDouble(archived=["C0ALERTS"]) as slack:
        webhook = Slack(webhook_url=Secret(slack.webhook_url()))

        with pytest.raises(OutOfOrder, match="channel_is_archived"):
            deliver(webhook, message())


def test_a_refused_layout_goes_out_as_plain_text_and_says_so(
    slack, webhook, message, deliver
):
    slack.fail_next("ok_false:invalid_attachments")
    with pytest.raises(RetryLater) as raised:
        deliver(webhook, message())

    receipt = deliver(webhook, message(), state=raised.value.state)

    assert raised.value.state == {"plain": True}
    assert slack.messages[0].blocks == []
    assert "plain text" in receipt.note


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ("ratelimited", RetryLater),
        ("http_503", RetryLater),
        ("http_504", Ambiguous),
        ("redirect", RetryLater),
        ("html", Ambiguous),
        ("body:", Ambiguous),
        ("close_after_read", Ambiguous),
        ("ok_false:rollup_error", RetryLater),
        ("ok_false:action_prohibited", OutOfOrder),
        ("http_410", OutOfOrder),
    ],
)
def test_each_fault_has_its_outcome_after_one_request(
    *, slack, webhook, message, deliver, fault, outcome
):
    slack.fail_next(fault, location=f"{slack.origin}/elsewhere")

    with pytest.raises(DeliveryError) as raised:
        deliver(webhook, message())

    assert type(raised.value) is outcome
    assert len(slack.requests) == 1


def test_a_broadcast_is_live_when_the_settings_allow_it(
    slack, webhook, message, deliver
):
    deliver(attrs.evolve(webhook, broadcast=True), message("<!here> down"))
    deliver(webhook, message("<!here> down"))

    loud, quiet = [post.blocks[0]["text"]["text"] for post in slack.messages]
    assert loud == "*<!here> down*"
    assert quiet == "*&lt;!here&gt; down*"


def test_check_reaches_the_host_and_posts_nothing(slack, webhook):
    assert webhook.check(5).startswith("127.0.0.1 answers")
    assert slack.requests == []


def test_check_tells_a_host_out_of_reach(webhook, slack):
    slack.__exit__()

    with pytest.raises(RetryLater, match="Connection refused") as raised:
        webhook.check(5)

    assert "network" in raised.value.remedy


def test_check_asks_nothing_of_a_proxy(monkeypatch, webhook):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")

    assert webhook.check(5) == ""
