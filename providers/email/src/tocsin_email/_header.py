"""Text as the value of a mail header: encoded and folded, and never a header more. Pure.

The headers of `email.policy` are not used: depending on the Python they fold a long word
into a broken one, encode a Message-ID, or let a line end through (CVE-2024-6923).
`email.header.Header` has none of that, and takes ten times as long as this.
"""

from __future__ import annotations

import re
from email.charset import SHORTEST, Charset
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tocsin_email._address import Address

_PLAIN = re.compile(r"[ -~]*")
_MAX_PLAIN = 60  # so that a line with the header's name has 78 characters at most
_MAX_TEXT = 300  # no title or name is longer that a person would read
_MAX_WORD = 36  # bytes: 48 in base64, and 12 for what is around an encoded word
_UTF8 = Charset("utf-8")
_UTF8.header_encoding = SHORTEST  # whatever add_charset() made of it in this process


def lines(pairs: Iterable[tuple[str, str]]) -> str:
    """Return headers as lines; one without a value is left out."""
    return "".join(f"{name}: {value}\r\n" for name, value in pairs if value)


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
    """Return the text as encoded words (RFC 2047), one a line."""
    return "\r\n ".join(map(_UTF8.header_encode, _words(text)))


def _words(text: str) -> Iterator[str]:
    """Cut text into pieces for one encoded word each, tearing no character."""
    raw = text.encode()
    start = 0
    while start < len(raw):
        end = min(start + _MAX_WORD, len(raw))
        while end < len(raw) and raw[end] & 0xC0 == 0x80:  # noqa: PLR2004 - inside of one
            end -= 1
        yield raw[start:end].decode()
        start = end
