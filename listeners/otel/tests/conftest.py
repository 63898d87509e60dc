from __future__ import annotations

import attrs
import pytest

import tocsin
from tocsin import Alert, OutOfOrder, Receipt, Rejected


@attrs.frozen
class Post(tocsin.Provider):
    """A provider that answers a title with what it is told to."""

    answers: dict[str, Exception] = attrs.field(factory=dict)

    name = "post"

    def deliver(self, message, delivery):
        if message.alert.title in self.answers:
            raise self.answers[message.alert.title]
        return Receipt()


@pytest.fixture
def raise_alerts(tmp_path, monkeypatch):
    """Return what raises alerts of these titles in a notifier with this listener."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    def raise_alerts(listener, *titles):
        answers = {
            "refused": Rejected("no such member U1"),
            "broken": OutOfOrder("the token was revoked"),
        }
        settings = tocsin.Settings(
            user="ada",
            submit_timeout=10.0,
            finish_timeout=60.0,
            channels={"dm": Post(answers)},
            subscriptions=[tocsin.Subscription(channels=["dm"])],
            state_dir=":memory:",
            listeners={"metrics": listener},
        )
        with tocsin.Notifier(settings, namespace="tests") as notifier:
            for title in titles:
                notifier.notify(Alert(title)).wait(60)

    return raise_alerts
