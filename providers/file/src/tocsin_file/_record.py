"""A message becomes a line of JSON. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tocsin import Delivery, Message


def line_of(message: Message, delivery: Delivery) -> bytes:
    """Return the line, with its end. The keys are always the same."""
    record = {
        "id": delivery.id,
        "channel": delivery.channel,
        "resolves": delivery.resolves.receipt.reference if delivery.resolves else "",
        "alert_id": message.alert.id,
        **message.record(),
    }
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    return text.encode() + b"\n"
