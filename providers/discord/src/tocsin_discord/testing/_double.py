from __future__ import annotations

import itertools
import json
import re
from typing import TYPE_CHECKING, Any

import attrs

from tocsin.testing import HttpDouble, Reply
from tocsin_discord.testing._limits import violations

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tocsin.testing import File, Received

FILE, FILES = 10 * 1024 * 1024, 10
_PATH = re.compile(r"/api(?:/v(?:9|10))?/webhooks/(\d+)/([\w-]+)(?:/messages/(\d+))?")


@attrs.define
class Post:
    """A message in the channel, as it is now."""

    id: str
    payload: dict[str, Any]
    files: list[File]
    thread: str = ""
    edits: list[dict[str, Any]] = attrs.field(factory=list)

    @property
    def embed(self) -> dict[str, Any]:
        """Its one embed."""
        (embed,) = self.payload["embeds"]
        assert isinstance(embed, dict)
        return embed


class DiscordDouble(HttpDouble):
    """A channel, or with `is_forum` a forum, and its webhook: `webhook_url`.

    It checks the webhook's token, the thread and the limits of a message, and keeps
    messages, edits and files. `remove` has the webhook, or a message, be gone.
    """

    def __init__(
        self,
        *,
        token: str = "double-token",  # noqa: S107 - it opens nothing
        threads: Iterable[str] = (),
        is_forum: bool = False,
    ) -> None:
        super().__init__()
        self.token = token
        self.messages: list[Post] = []
        """What stands in the channel, the oldest first."""
        self._threads = set(threads)
        self._is_forum = is_forum
        self._ids = itertools.count(1300000000000000001)
        self._is_gone = False

    @property
    def webhook_url(self) -> str:
        """What an administrator copies, but for the host."""
        return f"{self.url}/api/webhooks/1200000000000000001/{self.token}"

    def remove(self, message: Post | None = None) -> None:
        """Delete the message, or the webhook."""
        if message is None:
            self._is_gone = True
        else:
            self.messages.remove(message)

    def answer(self, request: Received) -> Reply:
        """Do what Discord does."""
        path = _PATH.fullmatch(request.path)
        if path is None:
            return _refusal(404, 0, "404: Not Found")
        if self._is_gone:
            return _refusal(404, 10015, "Unknown Webhook")
        if path[2] != self.token:
            return _refusal(401, 50027, "Invalid Webhook Token")
        if request.method == "GET":
            return Reply(json={"id": path[1], "name": "Tocsin", "channel_id": "1100"})
        return self._write(request, path[3])

    def _write(self, request: Received, edited: str | None) -> Reply:
        payload = _payload(request)
        thread, files = (
            request.query.get("thread_id", ""),
            list(request.files().values()),
        )
        if refusal := self._misplaced(thread) or _refused(payload, files):
            return refusal
        if edited:
            return self._edit(payload, edited, thread)
        post = Post(str(next(self._ids)), payload, files, thread)
        self.messages.append(post)
        if request.query.get("wait") != "true":
            return Reply(204)
        return Reply(json=_told(post))

    def _edit(self, payload: dict[str, Any], edited: str, thread: str) -> Reply:
        for post in self.messages:
            if (post.id, post.thread) == (edited, thread):
                post.edits.append(post.payload)
                post.payload = post.payload | payload
                return Reply(json=_told(post))
        return _refusal(404, 10008, "Unknown Message")

    def _misplaced(self, thread: str) -> Reply | None:
        if thread and thread not in self._threads:
            return _refusal(404, 10003, "Unknown Channel")
        if self._is_forum and not thread:
            words = (
                "Webhooks posted to forum channels must have a thread_name or thread_id"
            )
            return _refusal(400, 220001, words)
        return None


def rate_limit(seconds: float, *, is_global: bool = False) -> Reply:
    """Return what Discord answers to what comes too soon, for `fail_next`."""
    headers = {"Retry-After": str(int(seconds) + 1)}
    if is_global:
        headers["X-RateLimit-Global"] = "true"
    words = "You are being rate limited."
    body = {"message": words, "retry_after": seconds, "global": is_global}
    return Reply(429, json=body, headers=headers)


def _payload(request: Received) -> dict[str, Any]:
    form = request.form() if request.files() else {}
    found = json.loads(form["payload_json"]) if form else request.json()
    assert isinstance(found, dict)
    return found


def _refused(payload: dict[str, Any], files: list[File]) -> Reply | None:
    if any(len(file.content) > FILE for file in files):
        return _refusal(413, 40005, "Request entity too large")
    if len(files) > FILES:
        words = "Maximum number of attachments in a message reached (10)"
        return _refusal(400, 30015, words)
    if wrong := violations(payload, files=len(files)):
        return _refusal(400, 50035, "Invalid Form Body", errors=wrong)
    return None


def _refusal(status: int, code: int, words: str, **more: object) -> Reply:
    return Reply(status, json={"message": words, "code": code, **more})


def _told(post: Post) -> dict[str, Any]:
    return {"id": post.id, "channel_id": post.thread or "1100", **post.payload}
