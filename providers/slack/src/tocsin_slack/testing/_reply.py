from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping


@attrs.frozen
class Reply:
    """What a request is answered with."""

    status: int
    body: bytes
    content_type: str
    headers: Mapping[str, str] = attrs.field(factory=dict)


def as_json(content: Mapping[str, Any], *, status: int = 200, **headers: str) -> Reply:
    """Return a reply in JSON; a header's underscores become hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = json.dumps(content).encode()
    return Reply(status, body, "application/json; charset=utf-8", named)


def as_text(text: str, *, status: int = 200, **headers: str) -> Reply:
    """Return a reply in text, which is how a webhook answers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, text.encode(), "text/html", named)


def refused(code: str, **more: str) -> Reply:
    """Return the Web API's refusal, whose status is 200."""
    return as_json({"ok": False, "error": code, **more})
