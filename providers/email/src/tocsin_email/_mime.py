"""The parts of a mail as bytes: in short lines, ASCII throughout. Pure.

`email.message` does the same at twenty times the cost: it parses whatever it writes, and
tries boundaries until one does not occur. Here none can: each begins with ``=_``, which
stands in neither base64 nor quoted-printable (RFC 2045, 6.7), and text that holds it is
not sent as it is.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable

Kind = Literal["alternative", "related", "mixed"]

_SHORT_LINES = re.compile(r"(?:[\t -~]{0,78}\n)*")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9 ._()+-]+")
_PIECE = 5  # characters of a file's name to a line: 60 once they are encoded


def text(content: str, subtype: Literal["plain", "html"]) -> bytes:
    """Return text as a part; lone surrogates, which are no Unicode, become ``?``."""
    lines = content.replace("\r\n", "\n").replace("\r", "\n")
    if not lines.endswith("\n"):
        lines += "\n"
    encoding, body = _encoded(lines)
    head = f"text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}"
    return f"Content-Type: {head}\r\n\r\n".encode() + body


def file(content: bytes, media_type: str, name: str, *, cid: str = "") -> bytes:
    """Return a file as a part: to be shown where the HTML has its id, or attached."""
    lines = [
        f"Content-Type: {media_type}",
        "Content-Transfer-Encoding: base64",
        f"Content-Disposition: {'inline' if cid else 'attachment'}; {_named(name)}",
        *([f"Content-ID: <{cid}>"] if cid else []),
    ]
    head = "".join(f"{line}\r\n" for line in lines)
    return f"{head}\r\n".encode() + _base64(content)


def multipart(kind: Kind, parts: Iterable[bytes]) -> bytes:
    """Return several parts as one. None of them may hold another of the same kind."""
    boundary = f"=_{kind}"
    opening = f"--{boundary}\r\n".encode()
    head = f'Content-Type: multipart/{kind}; boundary="{boundary}"\r\n\r\n'
    body = b"\r\n".join(opening + part for part in parts)
    return head.encode() + body + f"\r\n--{boundary}--\r\n".encode()


def _encoded(lines: str) -> tuple[str, bytes]:
    """Return the encoding that makes the text the shortest, and the text in it."""
    if _SHORT_LINES.fullmatch(lines) and "=_" not in lines:
        return "7bit", lines.encode().replace(b"\n", b"\r\n")
    raw = lines.encode("utf-8", "replace")
    quoted = binascii.b2a_qp(raw)
    if len(quoted) * 3 > len(raw) * 4:
        return "base64", _base64(raw.replace(b"\n", b"\r\n"))
    return "quoted-printable", quoted.replace(b"\n", b"\r\n")


def _base64(content: bytes) -> bytes:
    return base64.encodebytes(content).replace(b"\n", b"\r\n")


def _named(name: str) -> str:
    """Return a file's name as a parameter (RFC 2231), folded."""
    if _PLAIN_NAME.fullmatch(name):
        return f'\r\n filename="{name}"'
    pieces = [name[start : start + _PIECE] for start in range(0, len(name), _PIECE)]
    encoded = [quote(piece, safe="") for piece in pieces]
    encoded[0] = f"utf-8''{encoded[0]}"
    return ";".join(f"\r\n filename*{n}*={piece}" for n, piece in enumerate(encoded))
