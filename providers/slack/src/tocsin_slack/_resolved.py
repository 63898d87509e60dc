"""A message that is over becomes what it is edited to. Pure."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

import attrs

from tocsin_slack._blocks import TEXT, compose, context
from tocsin_slack._mrkdwn import cut, units
from tocsin_slack._progress import Progress

if TYPE_CHECKING:
    from datetime import datetime

    from tocsin import Message
    from tocsin_slack._blocks import Payload
    from tocsin_slack._provider import Slack

_TICK = "\N{WHITE HEAVY CHECK MARK}"
_GREEN = "#2eb886"
# What an edit does not give, it sets back, or keeps from the message as it was:
# https://docs.slack.dev/reference/methods/chat.update
_ARGUMENTS = ("text", "blocks", "attachments", "link_names", "parse")
_NOTHING: Payload = {"blocks": [], "attachments": []}


def compose_resolved(
    earlier: Message, settings: Slack, when: datetime | None
) -> Payload:
    """Return what the message is edited to: as it was, ticked, in green, with the time."""
    payload = _NOTHING | compose(_ticked(earlier), settings, Progress())
    said = f"Resolved {_moment(when)}".strip()
    changed = payload | {
        "text": _ended(payload["text"], said),
        "blocks": [*payload["blocks"], *(context([said]) if payload["blocks"] else [])],
        "attachments": [one | {"color": _GREEN} for one in payload["attachments"]],
    }
    return {name: changed[name] for name in _ARGUMENTS}


def _ticked(message: Message) -> Message:
    parts = dict(message.parts)
    if parts:
        title = parts.get("title") or message.title
        parts["title"] = f"{_TICK} {title.lstrip()}"
    return attrs.evolve(message, text=f"{_TICK} {message.text}", parts=parts)


def _ended(text: str, said: str) -> str:
    end = f"\n\n{said}"
    return cut(text, TEXT - units(end)) + end


def _moment(when: datetime | None) -> str:
    if when is None:
        return ""
    try:
        return f"{when.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    except OverflowError:  # at the ends of time
        return when.isoformat()
