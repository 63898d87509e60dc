from datetime import UTC, datetime

import pytest

from tocsin import Alert, Delivery, Secret
from tocsin._rendering import Circumstances, render
from tocsin_slack import Slack
from tocsin_slack.testing import SlackDouble

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def slack():
    with SlackDouble() as double:
        yield double


@pytest.fixture
def bot(slack):
    return Slack(token=Secret(slack.token), channel="C0ALERTS", base_url=slack.base_url)


@pytest.fixture
def webhook(slack):
    return Slack(webhook_url=Secret(slack.webhook_url()))


@pytest.fixture(params=["bot", "webhook"])
def provider(request):
    """Each of the two ways to reach Slack in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def message():
    """Render an alert as core does."""

    def message(title="Loss is NaN", *details, overrides="", suppressed=0, **more):
        alert = Alert(title, *details, created_at=NOW, **more)
        circumstances = Circumstances(now=NOW, suppressed=suppressed)
        return render(Slack, alert, circumstances, overrides=overrides)

    return message


@pytest.fixture
def deliver():
    """Make one attempt with a sender of its own."""

    def deliver(provider, message, **delivery):
        sender = provider.open()
        try:
            return sender.deliver(
                message, Delivery(**{"id": "d1", "channel": "dm", **delivery})
            )
        finally:
            sender.close()

    return deliver
