"""What a mail answers to, so that mail programs show several as one. Pure."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tocsin import Delivery, Message, Origin
    from tocsin_email._letterhead import Letterhead

_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,200}@[!-;=?-~]{1,254}>")  # RFC 5322, 3.6.4
_TOKEN = re.compile(r"(?=.{1,128}\Z)[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")  # 3.2.3


def message_id(delivery: Delivery, domain: str) -> str:
    """Return the Message-ID: the same at every attempt of one delivery."""
    token = delivery.id if _TOKEN.fullmatch(delivery.id) else digest(delivery.id)
    return f"<{token}@{domain}>"


def ancestors(
    message: Message, delivery: Delivery, letterhead: Letterhead
) -> tuple[str, ...]:
    """Return the ids of what the mail belongs under, the nearest last.

    The mails of a run answer to one id that no mail has: each is in the thread, whether
    the first arrived or not, and none waits for it.
    """
    is_in_run = letterhead.threads == "run" and message.alert.origin.run
    root = _root(message.alert.origin, letterhead.domain) if is_in_run else ""
    return tuple(filter(None, (root, _answered(delivery))))


def _root(origin: Origin, domain: str) -> str:
    return f"<run.{digest(origin.project + chr(0) + origin.run)}@{domain}>"


def _answered(delivery: Delivery) -> str:
    """Return the id of the mail that this one is a reply to, if it is one."""
    earlier = delivery.resolves.receipt if delivery.resolves else delivery.thread
    reference = earlier.reference if earlier else ""
    # a channel of this name may have been of another provider then
    return reference if _MESSAGE_ID.fullmatch(reference) else ""


def digest(text: str) -> str:
    """Return 32 characters that stand for the text, wherever not every one may."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]
