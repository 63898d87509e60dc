# no `from __future__ import annotations`: the fields' types are read from the class
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import attrs

from tocsin import (
    Ambiguous,
    Attachment,
    Delivery,
    Earlier,
    Limits,
    Message,
    OutOfOrder,
    Provider,
    Receipt,
    Rejected,
    RetryLater,
    Secret,
    http,
)
from tocsin_discord._answers import SERVICE, FormRefused
from tocsin_discord._embed import DESCRIPTION, TITLE, embed, plain, resolved
from tocsin_discord._markdown import escape

FILE = 10 * 1024 * 1024  # docs.discord.com/developers/reference#uploading-files
FILES = 10  # docs.discord.com/developers/topics/opcodes-and-status-codes#json, 30015
MENTIONS = 100  # docs.discord.com/developers/resources/message#allowed-mentions-object
_URL = re.compile(r"(https?://[^/]+/api)(?:/v\d+)?(/webhooks/\d+/[\w-]+)/?")
_USER = re.compile(r"<@!?(\d{1,20})>")
# Discord may block another: docs.discord.com/developers/reference#user-agent
_HEADERS = {"User-Agent": "DiscordBot (https://pypi.org/project/tocsin-discord/, 0.1)"}


def _is_webhook(_: object, field: "attrs.Attribute[Any]", value: Secret) -> None:
    http.confidential(_, field, value)
    # a reference is looked at when something is sent
    if not (value.reference or _URL.fullmatch(value.reveal())):
        raise ValueError(
            f"{field.name} must be https://discord.com/api/webhooks/ID/TOKEN"
        )


@attrs.frozen(kw_only=True)
class Discord(Provider):
    """A Discord channel, by its webhook."""

    webhook_url: Secret = attrs.field(
        validator=_is_webhook,
        metadata={
            "help": "The webhook's URL: whoever has it can post.",
            "example": "https://discord.com/api/webhooks/…",
        },
    )
    thread_id: str = attrs.field(
        default="",
        validator=attrs.validators.matches_re(r"\d*"),
        metadata={
            "help": "The id of a thread to post in. A forum needs one.",
            "ask": False,
        },
    )
    mentions: bool = attrs.field(
        default=False,
        metadata={"help": "Let <@ID> in an alert's title and text call that member."},
    )

    name: ClassVar[str] = "discord"
    limits: ClassVar[Limits] = Limits(title=TITLE, text=DESCRIPTION)
    templates: ClassVar[Mapping[str, str]] = {"title": "title.md", "text": "text.md"}
    escape: ClassVar[Callable[[str], str]] = staticmethod(escape)

    def deliver(self, message: Message, delivery: Delivery) -> Receipt:
        """Mark what is over, and post: an edit notifies nobody."""
        until = http.Deadline.after(delivery.timeout)
        state = dict(delivery.state)
        with delivery.keeping(state):
            if delivery.resolves and "marked" not in state:
                state["marked"] = self._mark(delivery.resolves, message, until)
            return self._post(message, state, until)

    def check(self, timeout: float) -> str:
        """Ask Discord about the webhook."""
        found = SERVICE.get(self._url(), headers=_HEADERS, timeout=timeout)
        where = found.text_at("channel_id")
        return f"Discord webhook {found.at('name') or '(no name)'} of channel {where}"

    def _url(self, more: str = "") -> str:
        """Return the address in the API's version 10; without one it is that of 2016."""
        parts = _URL.fullmatch(self.webhook_url.reveal())
        if parts is None:
            raise OutOfOrder(
                "what webhook_url refers to is no webhook's address",
                remedy="it must be https://discord.com/api/webhooks/ID/TOKEN",
            )
        return f"{parts[1]}/v10{parts[2]}{more}"

    def _request(
        self,
        method: str,
        more: str,
        until: http.Deadline,
        **what: Any,  # noqa: ANN401 - of Service.request
    ) -> http.Answer:
        where = {"thread_id": self.thread_id} if self.thread_id else {}
        return SERVICE.request(
            method,
            self._url(more),
            params={"wait": "true", **where},
            headers=_HEADERS,
            timeout=until.left(),
            **what,
        )

    def _mark(self, earlier: Earlier, message: Message, until: http.Deadline) -> str:
        """Edit the message that is over; return why that was refused, or nothing."""
        edited = {"embeds": [resolved(earlier.message, message.alert.created_at)]}
        try:
            self._request(
                "PATCH", f"/messages/{earlier.receipt.reference}", until, json=edited
            )
        except Rejected as refusal:
            return f"The earlier message is not marked as resolved: {refusal.reason}."
        except Ambiguous as lost:
            # to edit twice does no harm, and what follows has surely not arrived
            raise RetryLater(lost.reason, remedy=lost.remedy) from None
        return ""

    def _post(
        self, message: Message, state: Mapping[str, object], until: http.Deadline
    ) -> Receipt:
        files = [] if "bare" in state else _fitting(message.attachments)
        is_plain = "plain" in state or not message.parts
        payload = {
            "embeds": [(plain if is_plain else embed)(message)],
            **self._called(message),
        }
        try:
            answer = self._request("POST", "", until, **_form(payload, files))
        except FormRefused as refusal:
            if refusal.form in state or (refusal.form == "bare" and not files):
                raise
            raise RetryLater(
                f"{refusal.reason}; another form follows",
                after=0,
                state={refusal.form: True},
            ) from None
        left = [item.name for item in message.attachments if item not in files]
        notes = [
            str(state.get("marked", "")),
            "Sent as plain text." if "plain" in state else "",
            f"Too large or too many for Discord: {', '.join(left)}." if left else "",
        ]
        return Receipt(
            reference=answer.text_at("id"),
            place=answer.text_at("channel_id"),
            note=" ".join(filter(None, notes)),
        )

    def _called(self, message: Message) -> dict[str, Any]:
        """Return who is called: nobody, or the members that the alert mentions.

        A mention in an embed calls nobody, so they are named above it.
        """
        said = f"{message.alert.title} {message.alert.text}" if self.mentions else ""
        users = list(dict.fromkeys(_USER.findall(said)))[:MENTIONS]
        called: dict[str, Any] = {"allowed_mentions": {"parse": [], "users": users}}
        content = " ".join(f"<@{user}>" for user in users)
        return called | ({"content": content} if users else {})


def _fitting(attachments: Sequence[Attachment]) -> list[Attachment]:
    return [item for item in attachments if len(item.content) <= FILE][:FILES]


def _form(payload: dict[str, Any], files: Sequence[Attachment]) -> dict[str, Any]:
    if not files:
        return {"json": payload}
    parts = {
        f"files[{n}]": (item.name or "attachment", item.content, item.content_type)
        for n, item in enumerate(files)
    }
    return {"data": {"payload_json": json.dumps(payload)}, "files": parts}
