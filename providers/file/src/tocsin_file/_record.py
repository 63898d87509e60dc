"""A message becomes a line of JSON. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from tocsin import Alert, Delivery, Message


def line_of(message: Message, delivery: Delivery) -> bytes:
    """Return the line, with its end. The keys are always the same."""
    record = {
        "id": delivery.id,
        "channel": delivery.channel,
        "resolves": delivery.resolves.receipt.reference if delivery.resolves else "",
        **_told(message.alert),
        "notes": list(message.notes),
        "attachments": [
            {
                "name": item.name,
                "content_type": item.content_type,
                "bytes": len(item.content),
            }
            for item in message.attachments
        ],
    }
    # what UTF-8 cannot hold, half a surrogate pair, becomes \udxxx, as JSON spells it
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    return text.encode(errors="backslashreplace") + b"\n"


def _told(alert: Alert) -> dict[str, Any]:
    return {
        "alert_id": alert.id,
        "title": alert.title,
        "text": alert.text,
        "level": alert.level.value,
        "kind": alert.kind,
        "created_at": alert.created_at.isoformat() if alert.created_at else "",
        "origin": attrs.asdict(alert.origin),
        "fields": dict(alert.fields),
        "tags": list(alert.tags),
        "url": alert.url,
    }
