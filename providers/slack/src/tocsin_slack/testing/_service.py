from __future__ import annotations

import json
import secrets
import time
from typing import TYPE_CHECKING, Any

import attrs

from tocsin_slack.testing._limits import violations
from tocsin_slack.testing._post import File, Post
from tocsin_slack.testing._reply import Reply, as_json, as_text, refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tocsin_slack.testing._received import Received

_JSON_ARGUMENTS = ("blocks", "attachments", "files")
# What an edit does not give falls back: docs.slack.dev/reference/methods/chat.update
_NOT_KEPT = ("link_names", "parse")
# docs.slack.dev/reference/methods/conversations.list: types, and the scope of each
_LISTED = {"public_channel": "channels:read", "private_channel": "groups:read"}
_MOST_LISTED = 1000
_WEBHOOK_STATUS = {"channel_is_archived": 410, "no_service": 404}


class Refusal(Exception):  # noqa: N818 - it says what happened
    """Slack's error code for a request, and what it adds."""

    def __init__(self, code: str, **more: str) -> None:
        super().__init__(code)
        self.code, self.more = code, more


@attrs.define
class _Upload:
    name: str
    length: int
    content: bytes | None = None


@attrs.define(kw_only=True)
class Service:
    """What Slack knows, and how it answers. It is not safe for several threads."""

    token: str
    is_revoked: bool = False
    channels: Mapping[str, str]
    members: Mapping[str, str]
    """Ids and names."""
    private: frozenset[str]
    absent_from: frozenset[str]
    archived: frozenset[str]
    scopes: frozenset[str]
    team: str
    bot: str
    posts: list[Post] = attrs.field(factory=list)
    _webhooks: dict[str, str] = attrs.field(factory=dict)
    _uploads: dict[str, _Upload] = attrs.field(factory=dict)
    _last: int = 0

    def webhook_path(self, channel: str) -> str:
        """Return the secret path of a new webhook to this channel."""
        path = f"/services/T0DOUBLE/B{channel[1:]}/{secrets.token_hex(12)}"
        self._webhooks[path] = self._known(channel)
        return path

    def reply(self, received: Received, origin: str) -> Reply:
        """Do what the request asks for."""
        if received.path.startswith("/services/"):
            return self._reply_of_webhook(received)
        if received.path.startswith("/upload/"):
            return self._take_bytes(received)
        try:
            return self._reply_of_method(received, origin)
        except Refusal as refusal:
            return refused(refusal.code, **refusal.more)

    def _reply_of_method(self, received: Received, origin: str) -> Reply:
        arguments = _decoded(received.arguments)
        self._authenticate(received, arguments)
        match received.method:
            case "auth.test":
                content = self._identity(origin)
            case "conversations.list":
                content = self._list_channels(arguments)
            case "users.list":
                content = self._list_members(arguments)
            case "chat.postMessage":
                content = self._post_message(arguments)
            case "chat.update":
                content = self._update_message(arguments)
            case "files.getUploadURLExternal":
                content = self._begin_upload(arguments, origin)
            case "files.completeUploadExternal":
                content = self._complete_upload(arguments)
            case _:
                raise Refusal("unknown_method")
        scopes = ",".join(sorted(self.scopes))
        return as_json({"ok": True, **content}, x_oauth_scopes=scopes)

    def _authenticate(self, received: Received, arguments: Mapping[str, Any]) -> None:
        header = received.headers.get("authorization", "")
        token = header.removeprefix("Bearer ") or arguments.get("token")
        if not token:
            raise Refusal("not_authed")
        if token != self.token:
            raise Refusal("invalid_auth")
        if self.is_revoked:
            raise Refusal("token_revoked")

    def _need(self, scope: str) -> None:
        if scope not in self.scopes:
            provided = ",".join(sorted(self.scopes))
            raise Refusal("missing_scope", needed=scope, provided=provided)

    def _identity(self, origin: str) -> dict[str, Any]:
        return {
            "url": f"{origin}/",
            "team": self.team,
            "user": self.bot,
            "team_id": "T0DOUBLE",
            "user_id": "U0DOUBLE",
            "bot_id": "B0DOUBLE",
        }

    def _list_channels(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        types = str(arguments.get("types") or "public_channel").split(",")
        if not set(types) <= set(_LISTED):
            raise Refusal("invalid_types")
        for kind in types:
            self._need(_LISTED[kind])
        leave_out_archived = str(arguments.get("exclude_archived")).lower() in {
            "true",
            "1",
        }
        found = [
            self._channel(channel)
            for channel in self.channels
            if self._type(channel) in types
            and not (channel in self.private and channel in self.absent_from)
            and not (leave_out_archived and channel in self.archived)
        ]
        return _page("channels", found, arguments)

    def _type(self, channel: str) -> str:
        return "private_channel" if channel in self.private else "public_channel"

    def _channel(self, channel: str) -> dict[str, Any]:
        return {
            "id": channel,
            "name": self.channels[channel],
            "is_channel": True,
            "is_private": channel in self.private,
            "is_archived": channel in self.archived,
            "is_member": channel not in self.absent_from,
        }

    def _list_members(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        self._need("users:read")
        found = [
            _member("USLACKBOT", "slackbot", is_bot=False),  # as Slack has it
            _member("U0DOUBLE", self.bot, is_bot=True),
            *(_member(one, name, is_bot=False) for one, name in self.members.items()),
        ]
        return _page("members", found, arguments)

    def _post_message(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        self._need("chat:write")
        if "channel" not in arguments:
            raise Refusal("invalid_arguments")
        channel = self._postable(str(arguments["channel"]))
        _check(arguments)
        post = self._add(channel, "chat.postMessage", arguments)
        return {"channel": channel, "ts": post.ts, "message": _message(post)}

    def _update_message(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        self._need("chat:write")
        post = self._editable(arguments)
        _check(arguments)
        edited = attrs.evolve(
            post,
            payload=_edited(post.payload, arguments),
            edits=(*post.edits, dict(arguments)),
        )
        self.posts[self.posts.index(post)] = edited
        return {
            "channel": post.channel,
            "ts": post.ts,
            "text": edited.text,
            "message": _message(edited),
        }

    def _editable(self, arguments: Mapping[str, Any]) -> Post:
        channel, ts = (str(arguments.get(name, "")) for name in ("channel", "ts"))
        if not (channel and ts):
            raise Refusal("invalid_arguments")
        if self._known(channel) != channel:  # it takes no names, and no member's id
            raise Refusal("channel_not_found")
        if channel in self.archived:
            raise Refusal("is_inactive")
        post = self._find(channel, ts)
        if post is None:
            raise Refusal("message_not_found")
        if post.via != "chat.postMessage":  # the webhook is another author
            raise Refusal("cant_update_message")
        return post

    def _find(self, channel: str, ts: object) -> Post | None:
        for post in self.posts:
            if (post.channel, post.ts) == (channel, ts):
                return post
        return None

    def _root(self, channel: str, payload: Mapping[str, Any]) -> str:
        """Return the `ts` of the message that this one answers, or nothing."""
        found = self._find(channel, payload.get("thread_ts"))
        if found and found.thread:
            raise Refusal("cannot_reply_to_message")
        return found.ts if found else ""

    def _postable(self, name: str) -> str:
        channel = self._known(name)
        if channel in self.archived:
            raise Refusal("is_archived")
        if channel in self.absent_from:
            raise Refusal("not_in_channel")
        return channel

    def _known(self, name: str) -> str:
        """Return the channel's id, by its id, its name, or a member's id."""
        if name in self.channels:
            return name
        if name in self.members:
            return f"D{name[1:]}"
        if name[:1] == "D" and f"U{name[1:]}" in self.members:
            return name
        for channel, known in self.channels.items():
            if name.removeprefix("#") == known:
                return channel
        raise Refusal("channel_not_found")

    def _add(self, channel: str, via: str, payload: Mapping[str, Any]) -> Post:
        thread = self._root(channel, payload)
        self._last = max(self._last + 1, int(time.time() * 1e6))
        post = Post(
            channel=channel,
            ts=f"{self._last // 1_000_000}.{self._last % 1_000_000:06d}",
            thread=thread,
            via=via,
            payload=dict(payload),
        )
        self.posts.append(post)
        return post

    def _begin_upload(
        self, arguments: Mapping[str, Any], origin: str
    ) -> dict[str, Any]:
        self._need("files:write")
        name, length = arguments.get("filename"), _whole(arguments.get("length"))
        if not name or not length:
            raise Refusal("missing_argument")
        file_id = f"F{len(self._uploads):08d}"
        self._uploads[file_id] = _Upload(str(name), length)
        return {"upload_url": f"{origin}/upload/v1/{file_id}", "file_id": file_id}

    def _take_bytes(self, received: Received) -> Reply:
        upload = self._uploads.get(received.path.rpartition("/")[2])
        if upload is None or len(received.body) != upload.length:
            return as_text("the bytes fit no upload", status=400)
        upload.content = received.body
        return as_text(f"OK - {upload.length}")

    def _complete_upload(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        self._need("files:write")
        files = arguments.get("files")
        if not isinstance(files, list) or not files:
            raise Refusal("invalid_arguments")
        post = self._parent(arguments)
        completed = [self._completed(file) for file in files]
        if post:
            post.files.extend(completed)
        return {"files": [{"id": file["id"]} for file in files]}

    def _parent(self, arguments: Mapping[str, Any]) -> Post | None:
        channel = str(arguments.get("channel_id", ""))
        if channel in self.members:  # unlike chat.postMessage, it takes no member's id
            raise Refusal("channel_not_found")
        channel, thread = self._postable(channel), arguments.get("thread_ts")
        if not thread:
            return None
        post = self._find(channel, thread)
        if post is None or post.thread:
            raise Refusal("invalid_thread_ts")
        return post

    def _completed(self, file: Mapping[str, Any]) -> File:
        upload = self._uploads.get(str(file.get("id")))
        if upload is None or upload.content is None:
            raise Refusal("file_not_found")
        title = str(file.get("title") or upload.name)
        return File(upload.name, title, upload.content)

    def _reply_of_webhook(self, received: Received) -> Reply:
        try:
            self._post_by_webhook(received)
        except Refusal as refusal:
            status = _WEBHOOK_STATUS.get(refusal.code, 400)
            return as_text(refusal.code, status=status)
        return as_text("ok")

    def _post_by_webhook(self, received: Received) -> None:
        channel = self._webhooks.get(received.path)
        if channel is None:
            raise Refusal("no_service")
        if channel in self.archived:
            raise Refusal("channel_is_archived")
        if not received.arguments:
            raise Refusal("invalid_payload")
        _check(received.arguments)
        self._add(channel, "webhook", received.arguments)


def _member(member: str, name: str, *, is_bot: bool) -> dict[str, Any]:
    real = {"real_name": name.title(), "display_name": name}
    return {
        "id": member,
        "name": name,
        "deleted": False,
        "is_bot": is_bot,
        "profile": real,
    }


def _page(
    what: str, found: list[dict[str, Any]], arguments: Mapping[str, Any]
) -> dict[str, Any]:
    """Return one page, and the cursor of the next: empty on the last.

    https://docs.slack.dev/apis/web-api/pagination
    """
    limit = _whole(arguments.get("limit", 100))
    if not 0 < limit <= _MOST_LISTED:
        raise Refusal("invalid_limit")
    cursor = str(arguments.get("cursor") or "")
    if cursor and not cursor.startswith("next:"):
        raise Refusal("invalid_cursor")
    start = _whole(cursor.removeprefix("next:"))
    end = start + limit
    following = f"next:{end}" if end < len(found) else ""
    return {what: found[start:end], "response_metadata": {"next_cursor": following}}


def _message(post: Post) -> dict[str, str]:
    message = {"type": "message", "text": post.text, "ts": post.ts}
    return {**message, "thread_ts": post.thread} if post.thread else message


def _edited(payload: Mapping[str, Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Keep what the edit does not give, but for what goes with a new text."""
    lost = (*_NOT_KEPT, "blocks") if "text" in arguments else _NOT_KEPT
    kept = {name: value for name, value in payload.items() if name not in lost}
    given = dict(arguments)
    del given["channel"], given["ts"]
    return kept | given


def _decoded(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Read the lists, which a form holds as JSON in a string."""
    return {
        name: _parsed(value) if name in _JSON_ARGUMENTS else value
        for name, value in arguments.items()
    }


def _parsed(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise Refusal("invalid_arguments") from None


def _whole(value: object) -> int:
    return int(value) if isinstance(value, int | str) and str(value).isdigit() else 0


def _check(payload: Mapping[str, Any]) -> None:
    for violation in violations(payload):
        raise Refusal(violation.code, problem=f"{violation.where} {violation.problem}")
