"""Other notifiers: how they are imported, and their call that tells of a mistake.

Each posts JSON to a server on the loopback. Nothing is changed in them; Apprise's
``json://`` is the one of its services that does not sleep between two calls.
"""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING, cast

import attrs
from calls import Calls

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

TITLE, TEXT = "Loss is NaN", "at step 12,400"


def apprise(url: str) -> Calls:
    """Post by Apprise."""
    from apprise import Apprise, NotifyType

    sender = Apprise()
    assert sender.add(url.replace("http://", "json://"))
    kind = NotifyType.WARNING
    return Calls(lambda _: sender.notify(title=TITLE, body=TEXT, notify_type=kind))


def apprise_together(url: str) -> Calls:
    """Post by Apprise's asynchronous call: all at once, in a program that awaits them."""
    import asyncio

    from apprise import Apprise, NotifyType

    sender = Apprise()
    assert sender.add(url.replace("http://", "json://"))
    kind = NotifyType.WARNING
    loop = asyncio.new_event_loop()

    def make(number: int) -> Coroutine[object, object, bool | None]:
        title = f"{TITLE} {number}"
        return sender.async_notify(title=title, body=TEXT, notify_type=kind)

    async def all_of(calls: Sequence[object]) -> None:
        assert all(await asyncio.gather(*cast("Sequence[Awaitable[object]]", calls)))

    return Calls(make, lambda calls: loop.run_until_complete(all_of(calls)))


def notifiers(url: str) -> Calls:
    """Post by notifiers."""
    from notifiers import get_notifier

    sender = get_notifier("slack")
    text = f"{TITLE}\n{TEXT}"
    return Calls(lambda _: sender.notify(webhook_url=url, message=text))


def slack_sdk(url: str) -> Calls:
    """Post by Slack's own client."""
    from slack_sdk.webhook import WebhookClient

    sender = WebhookClient(url)
    return Calls(lambda _: sender.send(text=f"{TITLE}\n{TEXT}"))


def knockknock(url: str) -> Calls:
    """Run a function that tells of its start and of its end."""
    from knockknock import slack_sender

    told = slack_sender(webhook_url=url, channel="#alerts")(lambda: None)
    return Calls(lambda _: told())


def wandb(_: str) -> Calls:
    """Hand an alert to the service of W&B, which keeps it: there is no server."""
    import wandb as package

    run = package.init(project="mnist")
    return Calls(lambda number: run.alert(f"{TITLE} {number}", TEXT, level="WARN"))


@attrs.frozen(kw_only=True)
class Peer:
    """A notifier that somebody could use instead."""

    name: str
    """Of its distribution."""
    calls: Callable[[str], Calls]
    """Takes the URL to post to."""
    set_up: str
    """The least code before the first call."""
    is_local: bool = False
    """Whether its call speaks to no server."""

    @property
    def version(self) -> str:
        """Empty when it is not installed."""
        try:
            return metadata.version(self.name)
        except metadata.PackageNotFoundError:
            return ""

    @property
    def title(self) -> str:
        """Name and version."""
        return f"{self.name} {self.version}".strip()


PEERS = {
    peer.name: peer
    for peer in (
        Peer(
            name="apprise",
            calls=apprise,
            set_up="import apprise; apprise.Apprise().add('json://127.0.0.1:9/')",
        ),
        Peer(
            name="notifiers",
            calls=notifiers,
            set_up="import notifiers; notifiers.get_notifier('slack')",
        ),
        Peer(
            name="knockknock",
            calls=knockknock,
            set_up="import knockknock; knockknock.slack_sender('http://127.0.0.1:9', '#')",
        ),
        Peer(
            name="slack_sdk",
            calls=slack_sdk,
            set_up="import slack_sdk.webhook as w; w.WebhookClient('http://127.0.0.1:9')",
        ),
        Peer(
            name="wandb",
            calls=wandb,
            set_up="import wandb; wandb.init(project='mnist')",
            is_local=True,
        ),
    )
}
