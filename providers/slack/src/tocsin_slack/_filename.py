from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tocsin import Attachment

_MOST = 200  # characters; file systems take little more


def filename(attachment: Attachment) -> str:
    """Return what the attachment is called in Slack, where it needs some name."""
    return attachment.name[:_MOST] or "attachment"
