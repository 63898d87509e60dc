"""A message becomes an embed, within Discord's limits. Pure.

They are at docs.discord.com/developers/resources/message#embed-object-embed-limits, in code
points (github.com/discord/discord-api-docs/issues/1315).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tocsin import AlertLevel
from tocsin_discord._markdown import cut

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from tocsin import Message

# 256, 4,096 and 6,000, less what says that it is over
TITLE, DESCRIPTION, TOTAL = 250, 4000, 5900
FIELDS, FIELD_NAME, FIELD_VALUE = 25, 256, 1024
FOOTER = 300  # of the 2,048 that a footer may have, so that fields have room
URL = 2048  # as code 50035 says of a longer one
SHORT = 30  # characters of a field that others may stand beside

GREEN = 0x2EB886
_TICK = "\N{WHITE HEAVY CHECK MARK}"
_COLOURS = {
    AlertLevel.INFO: 0x439FE0,
    AlertLevel.WARN: 0xDAA038,
    AlertLevel.ERROR: 0xD00000,
}


def embed(message: Message) -> dict[str, Any]:
    """Lay the message out; what says that something is over is green."""
    alert, parts = message.alert, message.parts
    title, text = parts.get("title") or message.title, parts.get("text", "")
    fields = _fields(alert.fields, TOTAL - len(title) - len(text) - FOOTER)
    laid_out = {
        "title": title,
        "description": text,
        "fields": fields,
        "footer": {"text": _footer(message, len(alert.fields) - len(fields))},
        "color": _COLOURS[alert.level],
    }
    if alert.created_at:
        laid_out["timestamp"] = alert.created_at.isoformat()
    if message.link and len(message.link) <= URL:
        laid_out["url"] = message.link
    return ticked(laid_out) if alert.kind == "resolved" else laid_out


def plain(message: Message) -> dict[str, Any]:
    """Return the plain form, which has nothing that could be refused."""
    return {"description": message.text, "color": _COLOURS[message.alert.level]}


def ticked(laid_out: dict[str, Any]) -> dict[str, Any]:
    """Return an embed in green, with a check mark."""
    title = f"{_TICK} {laid_out['title']}" if "title" in laid_out else _TICK
    return laid_out | {"title": title, "color": GREEN}


def resolved(message: Message, when: datetime | None) -> dict[str, Any]:
    """Return what a message that is over is edited to; Discord shows a reader's own time."""
    laid_out = ticked(embed(message) if message.parts else plain(message))
    said = f"Resolved <t:{int(when.timestamp())}:f>" if when else "Resolved"
    text = f"{laid_out['description']}\n\n{said}"
    return laid_out | {"description": text.lstrip()}


def _fields(facts: Mapping[str, str], room: int) -> list[dict[str, Any]]:
    fields: list[dict[str, Any]] = []
    for name, fact in list(facts.items())[:FIELDS]:
        shown = {"name": cut(name, FIELD_NAME), "value": cut(fact, FIELD_VALUE)}
        room -= sum(map(len, shown.values()))
        if room < 0:
            break
        fields.append({**shown, "inline": len(fact) <= SHORT})
    return fields


def _footer(message: Message, hidden: int) -> str:
    more = f"{hidden:,} more field{'s' if hidden > 1 else ''}" if hidden else ""
    where = [value for name, value in message.context if name != "Time"]
    tags = ", ".join(message.alert.tags)
    return " · ".join(filter(None, [more, *where, tags]))[:FOOTER]
