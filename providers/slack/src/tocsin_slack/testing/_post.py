from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping


@attrs.frozen
class File:
    """A file that was uploaded into a message's thread."""

    name: str
    title: str
    content: bytes = attrs.field(repr=lambda content: f"<{len(content)} bytes>")


@attrs.frozen(kw_only=True)
class Post:
    """A message that Slack took."""

    channel: str
    """The channel's id; a direct message has one of its own, ``D…``."""
    ts: str
    """The message's id in its channel."""
    thread: str = ""
    """The `ts` of the message that it answers; nothing where there is none such."""
    via: str
    """``chat.postMessage`` or ``webhook``."""
    payload: Mapping[str, Any]
    """Everything that was sent, as the last edit left it."""
    edits: tuple[Mapping[str, Any], ...] = ()
    """Everything that each edit sent, in order."""
    files: list[File] = attrs.field(factory=list)
    """What was uploaded into its thread, in the order of completion."""

    @property
    def is_broadcast(self) -> bool:
        """Whether it is a reply that the channel is shown as well."""
        return bool(self.thread and self.payload.get("reply_broadcast"))

    @property
    def text(self) -> str:
        """The text; beside blocks it is what notifications show."""
        return str(self.payload.get("text") or "")

    @property
    def blocks(self) -> list[dict[str, Any]]:
        """The blocks on top; not those inside attachments."""
        return list(self.payload.get("blocks") or [])

    @property
    def attachments(self) -> list[dict[str, Any]]:
        """The attachments in the sense of the API: no files."""
        return list(self.payload.get("attachments") or [])

    @property
    def colour(self) -> str:
        """The first attachment's colour, or nothing."""
        return str(next(iter(self.attachments), {}).get("color", ""))

    @property
    def client_msg_id(self) -> str:
        """The sender's own id for the message, or nothing."""
        return str(self.payload.get("client_msg_id", ""))
