"""Text as the value of a mail header: encoded and folded, and never a header more. Pure.

The headers of `email.policy` are not used: depending on the Python they fold a long word
into a broken one, encode a Message-ID, or let a line end through (CVE-2024-6923).
`email.header.Header` has none of that.
"""

from __future__ import annotations

import re
from email.header import Header
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tocsin_email._address import Address

_PLAIN = re.compile(r"[ -~]*")
_MAX_PLAIN = 60  # so that a line with the header's name has 78 characters at most
_MAX_TEXT = 300  # no title or name is longer that a person would read


def unstructured(text: str) -> str:
    """Return free text as a header's value."""
    text = _line(text)[:_MAX_TEXT]
    return text if len(text) <= _MAX_PLAIN and _is_plain(text) else _encoded(text)


def mailboxes(addresses: tuple[Address, ...]) -> str:
    """Return addresses as a header's value, one a line."""
    return ",\r\n ".join(map(_mailbox, addresses))


def _mailbox(address: Address) -> str:
    if not address.name:
        return address.mailbox
    return f"{_phrase(_line(address.name))} <{address.mailbox}>"


def _phrase(name: str) -> str:
    if not _is_plain(name):
        return _encoded(name)
    escaped = re.sub(r'(["\\])', r"\\\1", name)
    return f'"{escaped}"'


def _line(text: str) -> str:
    return " ".join(text.encode("utf-8", "replace").decode().split())


def _is_plain(text: str) -> bool:
    """Say whether the text means itself: "=?" begins an encoded word (RFC 2047)."""
    return _PLAIN.fullmatch(text) is not None and "=?" not in text


def _encoded(text: str) -> str:
    return Header(text, "utf-8", maxlinelen=_MAX_PLAIN).encode(linesep="\r\n")
