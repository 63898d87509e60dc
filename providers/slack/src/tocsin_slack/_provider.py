# no `from __future__ import annotations`: the fields' types are read from the class
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

import attrs

from tocsin import Choice, Limits, Provider, Secret
from tocsin.http import is_confidential
from tocsin_slack._mrkdwn import escape
from tocsin_slack._thread import run_of

if TYPE_CHECKING:
    from tocsin import Alert
    from tocsin_slack._bot import BotSender
    from tocsin_slack._webhook import WebhookSender

Threads = Literal["", "run"]


@attrs.frozen(kw_only=True)
class Slack(Provider):
    """A Slack channel, group or member, by a bot's token or an incoming webhook.

    Raises:
        ValueError: The settings contradict one another, or a secret would travel in the
            clear; the message says what to change.

    """

    token: Secret = attrs.field(
        default=Secret(),
        metadata={
            "help": "The bot's token, xoxb-…. Either this or webhook_url.",
            "question": "The Bot User OAuth Token of your app (api.slack.com/apps > OAuth "
            "& Permissions)",
            "example": "xoxb-…",
        },
    )
    webhook_url: Secret = attrs.field(
        default=Secret(),
        metadata={
            "help": "An incoming webhook's URL, https://hooks.slack.com/services/…. "
            "It posts to one channel, and carries no attachments.",
            "question": "The URL of your app's webhook (api.slack.com/apps > Incoming "
            "Webhooks)",
            "example": "https://hooks.slack.com/services/…",
        },
    )
    channel: str = attrs.field(
        default="",
        metadata={
            "help": "Where a bot posts: the id of a channel (C…), the id of a member "
            "(U…) for a direct message, or a public channel's #name.",
            "question": "Where the bot posts. Best is your own member id, U… (profile > "
            "Copy member ID): a direct message is private",
            "example": "U0ADA",
        },
    )
    base_url: str = attrs.field(
        default="https://slack.com/api/",
        metadata={"help": "Where a bot finds Slack's Web API."},
    )
    broadcast: bool = attrs.field(
        default=False,
        metadata={
            "help": "Let <!channel>, <!here> and <!everyone> in an alert call everyone."
        },
    )
    threads: Threads = attrs.field(
        default="",
        metadata={
            "help": 'With "run", a run\'s alerts after the first are replies to it. The '
            "channel is shown errors all the same. For a bot.",
            "ask": False,
        },
    )

    name: ClassVar[str] = "slack"
    # A section holds 3,000 characters: docs.slack.dev/reference/block-kit/composition-
    # objects/text-object. Slack does not say what a character is: UTF-16 is the strictest
    # of what it can be. A longer title than this is text.
    limits: ClassVar[Limits] = Limits(title=250, text=3000, unit="utf16")
    templates: ClassVar[Mapping[str, str]] = {
        "title": "title.mrkdwn",
        "text": "text.mrkdwn",
        "context": "context.mrkdwn",
    }
    escape: ClassVar[Callable[[str], str]] = staticmethod(escape)
    # Slack takes one message a second per channel, so that more at once to a single
    # channel gains nothing; a few let other channels pass one that is slow to answer.
    concurrency: ClassVar[int] = 4
    ways: ClassVar[Mapping[str, Sequence[str]]] = {
        "a bot's token: direct messages, channels, threads, files": (
            "token",
            "channel",
        ),
        "an incoming webhook: one channel, no files": ("webhook_url",),
    }

    def __attrs_post_init__(self) -> None:
        if bool(self.token) == bool(self.webhook_url):
            raise ValueError(
                "give either token (with channel) or webhook_url, and not both"
            )
        self._check_channel()
        self._check_threads()
        self._check_addresses()

    def _check_channel(self) -> None:
        if self.token and not self.channel.strip():
            raise ValueError(
                "token needs channel: the id of a channel (C…) or of a member (U…), "
                "or a public channel's #name"
            )
        if self.webhook_url and self.channel:
            raise ValueError(
                "a webhook posts to the channel that it was made for: remove channel, "
                "or use token instead of webhook_url"
            )

    def _check_threads(self) -> None:
        if self.threads not in ("", "run"):
            raise ValueError(f'threads must be "run" or "", not {self.threads!r}')
        # A webhook would take a reply, but does not say which message it is a reply to:
        # docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
        if self.threads and self.webhook_url:
            raise ValueError(
                "a webhook does not tell what it posted, so nothing can reply to it: "
                "remove threads, or use token instead of webhook_url"
            )

    def _check_addresses(self) -> None:
        if not is_confidential(self.base_url):
            raise ValueError(
                f"base_url must be an https:// address, not {self.base_url!r}: "
                "remove it for Slack's own"
            )
        # a reference is resolved, and checked, when a message is sent
        if self.webhook_url.reference or not self.webhook_url:
            return
        if not is_confidential(self.webhook_url.reveal()):
            raise ValueError(
                "webhook_url must be an https:// address: copy it from your app's page "
                "Incoming Webhooks at api.slack.com/apps"
            )

    def open(self) -> "BotSender | WebhookSender":
        """Return a sender; slack_sdk is imported here."""
        if self.token:
            from tocsin_slack._bot import BotSender

            return BotSender(self)
        from tocsin_slack._webhook import WebhookSender

        return WebhookSender(self)

    def conversation(self, alert: "Alert") -> str:
        """Return the alert's run and its project, when the channel keeps threads."""
        return run_of(alert) if self.threads else ""

    @classmethod
    def offers(
        cls, setting: str, given: Mapping[str, object], timeout: float
    ) -> Sequence[Choice]:
        """Return where a bot may post: the private direct message is recommended.

        Raises:
            DeliveryError: The token is no good.
            SecretUnavailable: Its reference does not resolve.

        """
        token = given.get("token")
        if setting != "channel" or not isinstance(token, Secret) or not token:
            return ()
        from tocsin_slack._choices import choices

        default = attrs.fields(cls).base_url.default
        return choices(token, str(given.get("base_url", default)), timeout)

    def check(self, timeout: float) -> str:
        """Ask Slack who the token is, or whether the webhook's host can be reached.

        Raises:
            DeliveryError: The channel would not work.

        """
        return self.open().check(timeout)
