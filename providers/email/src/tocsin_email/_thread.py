"""What a mail answers to, so that mail programs show several as one. Pure."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tocsin import Delivery, Origin

_TOKEN = re.compile(
    r"(?=.{1,128}\Z)[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*"
)  # RFC 5322, 3.2.3


def message_id(delivery: Delivery, domain: str) -> str:
    """Return the Message-ID: the same at every attempt of one delivery."""
    token = delivery.id if _TOKEN.fullmatch(delivery.id) else digest(delivery.id)
    return f"<{token}@{domain}>"


def root(origin: Origin, domain: str) -> str:
    """Return what every mail of a run answers to, so that they make one thread."""
    if not origin.run:
        return ""
    return f"<run.{digest(origin.project + chr(0) + origin.run)}@{domain}>"


def digest(text: str) -> str:
    """Return 32 characters that stand for the text, wherever not every one may."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]
