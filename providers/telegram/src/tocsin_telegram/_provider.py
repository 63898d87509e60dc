# no `from __future__ import annotations`: the fields' types are read from the class
import html
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import attrs

from tocsin import (
    Alert,
    AlertLevel,
    Ambiguous,
    Attachment,
    Choice,
    Delivery,
    Limits,
    Message,
    Provider,
    Receipt,
    Rejected,
    RetryLater,
    Secret,
    http,
)
from tocsin_telegram._answers import SERVICE
from tocsin_telegram._choices import choices

# core.telegram.org/bots/api#sendphoto and #sendmessage, less what says that it is over
PHOTO, TEXT = 10_000_000, 4000
_PHOTOS = {"image/jpeg", "image/png", "image/webp"}
_TAG = re.compile(r"<[^<>]*>")
_TICK = "\N{WHITE HEAVY CHECK MARK}"


@attrs.frozen(kw_only=True)
class _Parsed(Limits):
    """Telegram counts what is left when the markup is carried out."""

    def measure(self, text: str) -> int:
        return super().measure(html.unescape(_TAG.sub("", text)))


@attrs.frozen(kw_only=True)
class Telegram(Provider):
    """A Telegram chat, by a bot."""

    token: Secret = attrs.field(
        metadata={
            "help": "The bot's token, as @BotFather gives it.",
            "example": "123456789:AA…",
        }
    )
    chat_id: str = attrs.field(
        validator=attrs.validators.matches_re(r"-?\d+|@\w+"),
        metadata={
            "help": "The chat's number, in quotes, or a public one's @name.",
            "question": "The chat's number, or a public one's @name.",
            "example": "-1001234567890",
        },
    )
    message_thread_id: int = attrs.field(
        default=0,
        metadata={"help": "The number of a forum's topic."},
    )
    threads: Literal["", "run"] = attrs.field(
        default="",
        metadata={
            "help": 'With "run", a run\'s alerts after the first are replies to it.',
            "ask": False,
        },
    )
    url: str = attrs.field(
        default="https://api.telegram.org",
        validator=http.confidential,
        metadata={"help": "Where the Bot API is."},
    )

    name: ClassVar[str] = "telegram"
    # Telegram does not say what a character is: UTF-16 is the strictest of what it can be
    limits: ClassVar[Limits] = _Parsed(text=TEXT, unit="utf16")
    templates: ClassVar[Mapping[str, str]] = {"text": "text.html"}
    escape: ClassVar[Callable[[str], str]] = staticmethod(html.escape)

    @classmethod
    def offers(
        cls, setting: str, given: Mapping[str, object], timeout: float
    ) -> Sequence[Choice]:
        """Return the chats that the bot has heard of, the newest first.

        Raises:
            DeliveryError: The token is no good, or nobody has written to the bot.
            SecretUnavailable: Its reference does not resolve.

        """
        token = given.get("token")
        if setting != "chat_id" or not isinstance(token, Secret) or not token:
            return ()
        url = str(given.get("url", attrs.fields(cls).url.default))
        return choices(token, url, timeout)

    def conversation(self, alert: Alert) -> str:
        """Return the alert's run and its project, when the chat keeps threads."""
        origin = alert.origin
        if not (self.threads and origin.run):
            return ""
        return json.dumps([origin.project, origin.run])

    def deliver(self, message: Message, delivery: Delivery) -> Receipt:
        """Mark what is over, say it, and send the files: each once, over all attempts."""
        state: dict[str, Any] = {"notes": [], "files": 0, **delivery.state}
        bound = _Chat(self, http.Deadline.after(delivery.timeout), state)
        with delivery.keeping(state):
            if delivery.resolves and "marked" not in state:
                bound.mark(message, delivery)
            if "message" not in state:
                bound.say(message, delivery)
            for attachment in message.attachments[state["files"] :]:
                bound.attach(attachment)
        return Receipt(
            reference=state["message"],
            place=self.chat_id,
            note=" ".join(state["notes"]),
        )

    def check(self, timeout: float) -> str:
        """Ask Telegram who the bot is, and about the chat."""
        bound = _Chat(self, http.Deadline.after(timeout))
        bot = bound.call("getMe").text_at("result", "username")
        chat = bound.call("getChat")
        # a private chat has no title
        names = (
            chat.at("result", name) for name in ("title", "username", "first_name")
        )
        return f"Telegram bot @{bot} in {next(filter(None, names), self.chat_id)}"


@attrs.frozen
class _Chat:
    """The chat, for the time of one attempt."""

    settings: Telegram
    until: http.Deadline
    state: dict[str, Any] = attrs.field(factory=dict)

    def call(
        self,
        method: str,
        fields: Mapping[str, object] | None = None,
        files: Mapping[str, object] | None = None,
    ) -> http.Answer:
        """Call a method of the Bot API, once."""
        settings = self.settings
        sent = {"chat_id": settings.chat_id, **(fields or {})}
        return SERVICE.post(
            f"{settings.url.rstrip('/')}/bot{settings.token.reveal()}/{method}",
            data={
                k: v if isinstance(v, str) else json.dumps(v) for k, v in sent.items()
            },
            files=files,
            timeout=self.until.left(),
        )

    def send(
        self,
        method: str,
        what: Mapping[str, object],
        files: Mapping[str, object] | None = None,
        *,
        is_silent: bool,
        reply_to: str,
    ) -> str:
        """Send something; return its number."""
        fields = {"disable_notification": is_silent, **what}
        if self.settings.message_thread_id:
            fields["message_thread_id"] = self.settings.message_thread_id
        if reply_to.isdecimal():
            fields["reply_parameters"] = {
                "message_id": int(reply_to),
                "allow_sending_without_reply": True,
            }
        return self.call(method, fields, files).text_at("result", "message_id")

    def mark(self, message: Message, delivery: Delivery) -> None:
        """Edit the message that is over; one that cannot be edited is noted."""
        assert delivery.resolves
        when = dict(message.context).get("Time", "")
        shown = _shown(delivery.resolves.message)
        fields = _text(f"{_TICK} Resolved {when}\n\n{shown}")
        number = delivery.resolves.receipt.reference
        if not number.isdecimal():  # of another service that the channel had before
            return
        try:
            self.call("editMessageText", {"message_id": number, **fields})
        except Rejected as refusal:
            if "is not modified" not in refusal.reason:  # an attempt before did it
                self.note(
                    f"The earlier message is not marked as resolved: {refusal.reason}."
                )
        except Ambiguous as lost:
            # to edit twice does no harm, and what follows has surely not arrived
            raise RetryLater(lost.reason, remedy=lost.remedy) from None
        self.state["marked"] = True

    def say(self, message: Message, delivery: Delivery) -> None:
        """Send the text, as a reply where there is what to reply to."""
        earlier = delivery.resolves.receipt if delivery.resolves else None
        earlier = delivery.thread or earlier
        is_here = earlier is not None and earlier.place == self.settings.chat_id
        self.state["message"] = self.send(
            "sendMessage",
            _text(_shown(message)),
            is_silent=message.alert.level is AlertLevel.INFO,
            reply_to=earlier.reference if earlier and is_here else "",
        )

    def attach(self, item: Attachment) -> None:
        """Send a file below the text; one that Telegram refuses is noted."""
        name = item.name or "attachment"
        kinds = ["photo"] if _is_photo(item) else []
        for kind in [*kinds, "document"]:
            file = {kind: (name, item.content, item.content_type)}
            method, root = f"send{kind.title()}", self.state["message"]
            try:
                self.send(method, {}, file, is_silent=True, reply_to=root)
            except Rejected as refusal:
                reason = refusal.reason
            else:
                break
        else:
            self.note(f"{name} is not attached: {reason}.")
        self.state["files"] += 1

    def note(self, sentence: str) -> None:
        """Have the receipt say it."""
        self.state["notes"] = [*self.state["notes"], sentence]


def _is_photo(item: Attachment) -> bool:
    return item.content_type in _PHOTOS and len(item.content) <= PHOTO


def _shown(message: Message) -> str:
    return message.parts.get("text") or message.text


def _text(text: str) -> dict[str, object]:
    return {
        "text": text,
        "parse_mode": "HTML",
        "link_preview_options": {"is_disabled": True},
    }
