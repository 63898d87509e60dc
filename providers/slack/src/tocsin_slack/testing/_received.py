from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping


@attrs.frozen(kw_only=True)
class Received:
    """A request, as it came, whatever was answered."""

    verb: str
    path: str
    headers: Mapping[str, str]
    """By name in lower case."""
    body: bytes

    @property
    def method(self) -> str:
        """The Web API's method, for example ``chat.postMessage``; or nothing."""
        return self.path.removeprefix("/api/") if self.path.startswith("/api/") else ""

    @property
    def arguments(self) -> dict[str, Any]:
        """What the body holds, as JSON or as a form; empty when it is neither."""
        text = self.body.decode("utf-8", "replace")
        if "json" not in self.headers.get("content-type", ""):
            return dict(parse_qsl(text, keep_blank_values=True))
        try:
            arguments = json.loads(text)
        except ValueError:
            return {}
        return arguments if isinstance(arguments, dict) else {}
