from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
from support import bot_at, inbox_at, until

import tocsin
from tocsin_email.testing import MailDouble
from tocsin_slack.testing import SlackDouble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from support import Place


class Clock:
    """Seconds since the epoch, as the test says."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def place(place: Place) -> Iterator[Place]:
    """As for all tests, and with an end to the processes that are left."""
    yield place
    place.end()


@pytest.fixture
def clock() -> Clock:
    return Clock()


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
def mail():
    with MailDouble(username="ada", password="secret") as double:
        yield double


@pytest.fixture
def bot(slack) -> dict[str, object]:
    """A channel that posts by a bot's token."""
    return bot_at(slack.base_url)


@pytest.fixture
def webhook(slack) -> dict[str, object]:
    """A channel that posts by a webhook."""
    return {"provider": "slack", "webhook_url": slack.webhook_url()}


@pytest.fixture
def inbox(mail) -> dict[str, object]:
    """A channel that sends mail to two people."""
    return inbox_at(mail)


@pytest.fixture
def notifier(place: Place, clock: Clock) -> Iterator[Callable[..., tocsin.Notifier]]:
    """Opens a notifier in this process whose clock is the test's: one more each time."""
    with contextlib.ExitStack() as stack:

        def opened(
            channels: Mapping[str, Mapping[str, object]], **settings: object
        ) -> tocsin.Notifier:
            patient = {"submit_timeout": "10s", "state_dir": str(place.path / "state")}
            config = place.configure(channels, **(patient | settings))
            one = tocsin.Notifier.from_config(config, clock=clock)
            return stack.enter_context(one)

        yield opened


@pytest.fixture
def settle(clock: Clock) -> Callable[..., object]:
    """Flushes, and lets the clock go on, until an alert's deliveries are settled."""

    def settled(notifier, result, *, step=400.0, steps=20):
        for _ in range(steps):
            until(lambda: notifier.flush(5))
            deliveries = result.wait(0)
            if all(one.status is not tocsin.Status.PENDING for one in deliveries):
                return deliveries
            clock.advance(step)
        raise AssertionError(f"it is not settled after {steps} steps: {deliveries}")

    return settled
