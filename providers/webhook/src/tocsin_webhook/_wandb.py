"""Payloads and signatures as those of W&B's webhooks, for people who move over."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from string import Template
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tocsin import Message, Secret

VARIABLES = (
    "alert_level",
    "alert_text",
    "alert_title",
    "entity_name",
    "event_author",
    "event_type",
    "project_name",
    "run_id",
    "run_name",
    "url",
)


def check(written: str) -> None:
    """Make sure that a payload is JSON, and names what is known.

    Raises:
        ValueError: It is not.

    """
    try:
        content = json.loads(written)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the payload is no JSON: {error}") from None
    template = Template(json.dumps(content, ensure_ascii=False))
    unknown = sorted(set(template.get_identifiers()) - set(VARIABLES))
    if unknown:
        known = ", ".join(f"${{{name}}}" for name in VARIABLES)
        raise ValueError(f"the payload names ${{{unknown[0]}}}; there is {known}")


def filled(written: str, message: Message) -> str:
    """Return the payload with its variables filled in, still JSON whatever is in them."""
    alert, origin = message.alert, message.alert.origin
    values = {
        "alert_level": alert.level.value,
        "alert_text": alert.text,
        "alert_title": alert.title,
        "entity_name": origin.team or origin.user,
        "event_author": origin.user,
        "event_type": alert.kind,
        "project_name": origin.project,
        "run_id": origin.run,
        "run_name": origin.run_name,
        "url": alert.url,
    }
    return json.dumps(_filled(json.loads(written), values), ensure_ascii=False)


def _filled(content: Any, values: dict[str, str]) -> Any:  # noqa: ANN401 - what JSON holds
    if isinstance(content, str):
        return Template(content).safe_substitute(values)
    if isinstance(content, list):
        return [_filled(item, values) for item in content]
    if isinstance(content, dict):
        return {
            _filled(name, values): _filled(item, values)
            for name, item in content.items()
        }
    return content


def signature(body: bytes, secret: Secret) -> str:
    """Return what W&B sends as ``X-Wandb-Signature``."""
    key = secret.reveal().encode()
    return base64.b64encode(hmac.new(key, body, hashlib.sha256).digest()).decode()
