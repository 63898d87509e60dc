from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from tocsin import Delivery, Message


def payload(message: Message, delivery: Delivery) -> dict[str, Any]:
    """Return what is posted: type, time and data, as Standard Webhooks advises."""
    alert = message.alert
    assert alert.created_at is not None
    return {
        "type": f"alert.{re.sub('[^a-z0-9_]+', '_', alert.kind.lower())}",
        "timestamp": alert.created_at.isoformat(),
        "data": {
            "title": alert.title,
            "text": alert.text,
            "level": alert.level.value,
            "kind": alert.kind,
            "key": alert.key or alert.title,
            "fields": dict(alert.fields),
            "tags": list(alert.tags),
            "url": alert.url,
            "notes": list(message.notes),
            "origin": attrs.asdict(alert.origin),
            "attachments": [item.name for item in message.attachments],
            "channel": delivery.channel,
        },
    }
