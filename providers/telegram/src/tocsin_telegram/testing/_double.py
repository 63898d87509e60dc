from __future__ import annotations

import itertools
import json
import re
from typing import TYPE_CHECKING, Any

import attrs

from tocsin.testing import HttpDouble, Reply
from tocsin_telegram.testing._html import BadMarkup, parsed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tocsin.testing import File, Received

# core.telegram.org/bots/api#sendmessage, #sendphoto, #senddocument
TEXT, PHOTO, DOCUMENT = 4096, 10_000_000, 50_000_000
_PATH = re.compile(r"/bot([^/]+)/(\w+)")
_IMAGES = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF")


@attrs.define
class Post:
    """A message in the chat, as it is now."""

    id: int
    chat: str
    text: str = ""
    """What people read."""
    file: File | None = None
    is_photo: bool = False
    is_silent: bool = False
    reply_to: int = 0
    topic: str = ""
    edits: list[str] = attrs.field(factory=list)
    """What it said before."""


class TelegramDouble(HttpDouble):
    """The Bot API at `url`, with one bot, whose `token` it is, and its chats.

    It checks the token, the chat, the topic, the markup and the limits, and keeps messages,
    edits and files. A chat in `blocked_by` refuses the bot; one in `moved` has another id.
    `hear` is what somebody does there, of which the bot gets an update; with a `webhook` of
    its own, it gets none.
    """

    def __init__(
        self,
        *,
        token: str = "42:double-token",  # noqa: S107 - it opens nothing
        chats: Mapping[str, str] | None = None,
        topics: Iterable[str] = (),
        blocked_by: Iterable[str] = (),
        moved: Mapping[str, int] | None = None,
        webhook: str = "",
    ) -> None:
        super().__init__()
        self.token = token
        self.messages: list[Post] = []
        """What stands in the chats, the oldest first."""
        self._chats = {"1000": "Ada"} if chats is None else dict(chats)
        self._topics = set(topics)
        self._blocked_by = set(blocked_by)
        self._moved = dict(moved or {})
        self._webhook = webhook
        self._updates: list[dict[str, Any]] = []
        self._ids = itertools.count(1)

    def hear(self, kind: str, **told: Any) -> None:  # noqa: ANN401 - whatever an update holds
        """Let an update of this kind wait: ``hear("message", chat={"id": 1000, …})``."""
        number = len(self._updates) + 1
        self._updates.append({"update_id": number, kind: told})

    def answer(self, request: Received) -> Reply:
        """Do what the Bot API does."""
        path = _PATH.fullmatch(request.path)
        if path is None:
            return _refusal(404, "Not Found")
        if path[1] != self.token:
            return _refusal(401, "Unauthorized")
        fields = {**request.query, **request.form()}
        if path[2] == "getMe":
            return _result({"id": 42, "is_bot": True, "username": "tocsin_bot"})
        if path[2] == "getUpdates":
            return self._get_updates(fields)
        if refusal := self._closed(fields.get("chat_id", "")):
            return refusal
        return self._do(path[2], fields, list(request.files().values()))

    def _do(self, method: str, fields: dict[str, str], files: list[File]) -> Reply:
        if method == "getChat":
            return _result({"id": 1, "title": self._chats[fields["chat_id"]]})
        if method == "editMessageText":
            return self._edit(fields)
        if method == "sendMessage":
            return _refused_text(fields) or self._post(fields)
        if method not in {"sendPhoto", "sendDocument"}:
            return _refusal(404, "Not Found: method not found")
        is_photo = method == "sendPhoto"
        refusal = _refused_file(files, is_photo=is_photo)
        return refusal or self._post(fields, files[0], is_photo=is_photo)

    def _get_updates(self, fields: Mapping[str, str]) -> Reply:
        """Answer as core.telegram.org/bots/api#getupdates says: an offset takes those off."""
        if self._webhook:
            words = "Conflict: can't use getUpdates method while webhook is active"
            return _refusal(409, words)
        first = int(fields.get("offset", "0"))
        self._updates = [one for one in self._updates if one["update_id"] >= first]
        kinds = {*json.loads(fields.get("allowed_updates", "[]"))}
        return _result([one for one in self._updates if kinds & {*one} or not kinds])

    def _closed(self, chat: str) -> Reply | None:
        if chat in self._moved:
            words = "Bad Request: group chat was upgraded to a supergroup chat"
            return _refusal(400, words, migrate_to_chat_id=self._moved[chat])
        if chat in self._blocked_by:
            return _refusal(403, "Forbidden: bot was blocked by the user")
        if chat not in self._chats:
            return _refusal(400, "Bad Request: chat not found")
        return None

    def _post(
        self,
        fields: dict[str, str],
        file: File | None = None,
        *,
        is_photo: bool = False,
    ) -> Reply:
        topic = fields.get("message_thread_id", "")
        if topic and topic not in self._topics:
            return _refusal(400, "Bad Request: message thread not found")
        reply = json.loads(fields.get("reply_parameters", "{}"))
        root = reply.get("message_id", 0)
        if root and not self._find(fields["chat_id"], root):
            if not reply.get("allow_sending_without_reply"):
                return _refusal(400, "Bad Request: message to be replied not found")
            root = 0
        post = Post(
            next(self._ids),
            fields["chat_id"],
            parsed(fields.get("text", "")).strip(),
            file,
            is_photo,
            fields.get("disable_notification") == "true",
            root,
            topic,
        )
        self.messages.append(post)
        return _result({"message_id": post.id, "chat": {"id": post.chat}})

    def _edit(self, fields: dict[str, str]) -> Reply:
        post = self._find(fields["chat_id"], int(fields["message_id"]))
        if post is None:
            return _refusal(400, "Bad Request: message to edit not found")
        if refusal := _refused_text(fields):
            return refusal
        text = parsed(fields["text"]).strip()
        if text == post.text:
            return _refusal(400, "Bad Request: message is not modified")
        post.edits.append(post.text)
        post.text = text
        return _result({"message_id": post.id, "chat": {"id": post.chat}})

    def _find(self, chat: str, number: int) -> Post | None:
        found = (p for p in self.messages if (p.chat, p.id) == (chat, number))
        return next(found, None)


def rate_limit(seconds: int) -> Reply:
    """Return what Telegram answers to what comes too soon, for `fail_next`."""
    words = f"Too Many Requests: retry after {seconds}"
    return _refusal(429, words, retry_after=seconds)


def _refused_text(fields: Mapping[str, str]) -> Reply | None:
    text = fields.get("text", "")
    try:
        shown = parsed(text) if fields.get("parse_mode") == "HTML" else text
    except BadMarkup as error:
        return _refusal(400, f"Bad Request: can't parse entities: {error}")
    if not shown.strip():
        return _refusal(400, "Bad Request: message text is empty")
    if len(shown.encode("utf-16-le")) // 2 > TEXT:
        return _refusal(400, "Bad Request: message is too long")
    return None


def _refused_file(files: list[File], *, is_photo: bool) -> Reply | None:
    if not files or not files[0].content:
        return _refusal(400, "Bad Request: file must be non-empty")
    content = files[0].content
    if len(content) > (PHOTO if is_photo else DOCUMENT):
        return _refusal(413, "Request Entity Too Large")
    if is_photo and not content.startswith(_IMAGES):
        return _refusal(400, "Bad Request: IMAGE_PROCESS_FAILED")
    return None


def _result(result: object) -> Reply:
    return Reply(json={"ok": True, "result": result})


def _refusal(status: int, words: str, **parameters: int) -> Reply:
    body = {"ok": False, "error_code": status, "description": words}
    return Reply(status, json=body | ({"parameters": parameters} if parameters else {}))
