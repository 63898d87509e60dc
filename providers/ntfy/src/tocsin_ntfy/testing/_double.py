from __future__ import annotations

import itertools
import re
import time
from typing import TYPE_CHECKING, Any

import attrs

from tocsin.testing import HttpDouble, Received, Reply

if TYPE_CHECKING:
    from collections.abc import Iterable

_TOPIC = re.compile(r"[-_A-Za-z0-9]{1,64}")
_KEPT = {"app", "account", "announcements", "docs", "settings", "static", "v1"}
_MESSAGE, _JSON = 4096, 2 * 4096  # bytes: config.go, and server.go's transformBodyJSON
_TYPES = {
    "title": str,
    "message": str,
    "priority": int,
    "tags": list,
    "click": str,
    "sequence_id": str,
}


@attrs.frozen
class Published:
    """A message that the server took."""

    id: str
    topic: str
    title: str = ""
    message: str = ""
    priority: int = 3
    tags: tuple[str, ...] = attrs.field(default=(), converter=tuple)
    click: str = ""
    sequence_id: str = ""
    """The message whose place it takes."""


class NtfyDouble(HttpDouble):
    """A server that takes what ntfy takes, and keeps it.

    With a `token`, it takes nothing without that; `writable` are the topics that the token
    may write to, all if there are none.
    """

    def __init__(self, *, token: str = "", writable: Iterable[str] = ()) -> None:
        super().__init__()
        self.token = token
        self._writable = frozenset(writable)
        self._numbers = itertools.count(1)  # several threads answer
        self.messages: list[Published] = []
        """What was published, the oldest first."""

    def shown(self, topic: str) -> list[Published]:
        """Return what a phone shows of a topic: what was replaced is gone."""
        shown: dict[str, Published] = {}
        for message in self.messages:
            if message.topic == topic:
                shown[message.sequence_id or message.id] = message
        return list(shown.values())

    def answer(self, request: Received) -> Reply:
        """Answer as ntfy's server does (server/server.go)."""
        if request.path == "/v1/health":
            return Reply(json={"healthy": True})
        if self.token and request.headers.get("authorization") != self._bearer():
            return _error(401, 40101, "unauthorized")
        if request.path == "/v1/account":
            return Reply(
                json={"username": "ada" if self.token else "*", "role": "user"}
            )
        if (request.method, request.path) != ("POST", "/"):
            return _error(404, 40401, "page not found")
        return self._publish(request)

    def _bearer(self) -> str:
        return f"Bearer {self.token}"

    def _publish(self, request: Received) -> Reply:
        if len(request.body) > _JSON:
            return _error(413, 41303, "JSON body too large")
        try:
            post = request.json()
        except ValueError:
            post = None
        if not isinstance(post, dict) or not _is_typed(post):
            return _error(
                400, 40017, "invalid request: request body must be message JSON"
            )
        return self._refusal(post) or self._keep(post)

    def _refusal(self, post: dict[str, Any]) -> Reply | None:
        topic = str(post.get("topic", ""))
        if not _TOPIC.fullmatch(topic):
            return _error(400, 40009, "invalid request: topic invalid")
        if topic in _KEPT:
            return _error(400, 40010, "invalid request: topic name is not allowed")
        if self._writable and topic not in self._writable:
            return _error(403, 40301, "forbidden")
        if len(str(post.get("message", "")).encode()) > _MESSAGE:  # it would be a file
            return _error(400, 40014, "invalid request: attachments not allowed")
        return None

    def _keep(self, post: dict[str, Any]) -> Reply:
        known = {name: post[name] for name in _TYPES if name in post}
        topic = str(post["topic"])
        made = Published(f"m{next(self._numbers):011}", topic, **known)
        self.messages.append(made)
        event = {"id": made.id, "time": int(time.time()), "event": "message"}
        return Reply(json={**event, "topic": topic, **known})


def _is_typed(post: dict[str, Any]) -> bool:
    return all(
        isinstance(post[name], kind) for name, kind in _TYPES.items() if name in post
    )


def _error(status: int, code: int, words: str) -> Reply:
    link = "https://ntfy.sh/docs/publish/"
    return Reply(
        status, json={"code": code, "http": status, "error": words, "link": link}
    )
