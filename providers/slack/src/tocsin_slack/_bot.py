from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import attrs

from tocsin import OutOfOrder, Receipt
from tocsin.http import Deadline
from tocsin_slack._blocks import compose
from tocsin_slack._clients import Bot
from tocsin_slack._mark import mark
from tocsin_slack._outcome import LayoutRefused, ThreadRefused
from tocsin_slack._progress import Progress
from tocsin_slack._thread import as_reply, root_of
from tocsin_slack._upload import upload_all

if TYPE_CHECKING:
    from collections.abc import Mapping

    from slack_sdk.web.slack_response import SlackResponse

    from tocsin import Delivery, Message
    from tocsin_slack._provider import Slack

# Slack may drop the second of two messages with one client_msg_id; it promises nothing.
_NAMESPACE = uuid.UUID("4ff1463c-8dff-4817-a50b-a036fa9ab8e3")


@attrs.frozen
class BotSender:
    """Posts by a bot's token, edits, and uploads attachments into the thread."""

    _settings: Slack

    def deliver(self, message: Message, delivery: Delivery) -> Receipt:
        """Do what earlier attempts have not: mark what is over, post, upload.

        Raises:
            DeliveryError: It did not succeed.
            SecretUnavailable: The token's reference does not resolve.

        """
        progress = Progress.parse(delivery.state)
        bot = self._bot(delivery.timeout)
        if delivery.resolves:
            progress = mark(bot, delivery.resolves, message, self._settings, progress)
        if not progress.ts:
            progress = self._post(bot, message, delivery, progress)
        notes = [progress.note, *upload_all(bot, message.attachments, progress)]
        return Receipt(
            reference=progress.ts,
            place=progress.channel,
            note=" ".join(filter(None, notes)),
        )

    def check(self, timeout: float) -> str:
        """Ask Slack who the token is.

        Raises:
            DeliveryError: It is no good.

        """
        answer = self._bot(timeout).call("auth.test")
        _check_scopes(answer.headers)
        return f"Slack workspace {answer.get('team')} as bot {answer.get('user')}"

    def close(self) -> None:
        """Do nothing: connections are kept by all together."""

    def _bot(self, timeout: float) -> Bot:
        return Bot(
            self._settings.token.reveal(),
            self._settings.base_url,
            Deadline.after(timeout),
        )

    def _post(
        self, bot: Bot, message: Message, delivery: Delivery, progress: Progress
    ) -> Progress:
        root = "" if progress.is_alone else root_of(delivery)
        request = {
            **compose(message, self._settings, progress),
            **as_reply(message, root),
            "channel": self._settings.channel.strip(),
            "client_msg_id": str(uuid.uuid5(_NAMESPACE, delivery.id)),
        }
        try:
            with progress.kept():
                answer = bot.call("chat.postMessage", json=request)
        except LayoutRefused as refusal:
            raise progress.after_layout(refusal) from None
        except ThreadRefused as refusal:
            raise progress.after_thread(refusal) from None
        return _posted(progress, answer, root)


def _posted(progress: Progress, answer: SlackResponse, root: str) -> Progress:
    """Keep where the message is.

    A reply to a message that is gone is posted by itself; that it is in no thread is all
    that Slack says (github.com/slack-go/slack/issues/1571).
    """
    message = answer.get("message")
    thread = message.get("thread_ts") if isinstance(message, dict) else root
    return attrs.evolve(
        progress,
        channel=str(answer.get("channel") or ""),
        ts=str(answer.get("ts") or ""),
        thread=str(thread or ""),
        is_alone=progress.is_alone or bool(root and not thread),
    )


def _check_scopes(headers: Mapping[str, str]) -> None:
    scopes = headers.get("x-oauth-scopes", "").replace(" ", "").split(",")
    if scopes != [""] and "chat:write" not in scopes:
        raise OutOfOrder(
            "the token lacks the scope chat:write",
            remedy="add it under OAuth & Permissions at api.slack.com/apps, then "
            "reinstall the app",
        )
