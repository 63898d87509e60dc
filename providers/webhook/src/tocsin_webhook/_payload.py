from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tocsin import Delivery, Message


def payload(message: Message, delivery: Delivery) -> bytes:
    """Return what is posted: type, time and data, as Standard Webhooks advises."""
    record = message.record()
    kind = re.sub("[^a-z0-9_]+", "_", message.alert.kind.lower())
    content = {
        "type": f"alert.{kind}",
        "timestamp": record.pop("created_at"),
        "data": {**record, "channel": delivery.channel},
    }
    return json.dumps(content, ensure_ascii=False).encode()
