"""One mail address, taken apart. Pure."""

from __future__ import annotations

import re

import attrs

MAX_LENGTH = 400
"""Characters of an address with its name; a mailbox alone has 254 (RFC 5321, 4.5.3.1.3)."""

_WRITTEN = re.compile(r"(?P<name>[^<>]*)<(?P<mailbox>[^<>]*)>|(?P<bare>[^<>]*)")
_LOCAL = re.compile(r"[^\s\"(),:;<>@\[\\\]]{1,64}")
_DOMAIN = re.compile(r"[\w-]{1,63}(?:\.[\w-]{1,63})*|\[[\w:.]+\]")
_MAX_MAILBOX = 254


@attrs.frozen
class Address:
    """A mailbox, and the name that is shown beside it."""

    mailbox: str
    """As it goes over the wire: the domain is ASCII."""
    name: str = ""

    @property
    def domain(self) -> str:
        """What follows the @."""
        return self.mailbox.rpartition("@")[2]

    @classmethod
    def parse(cls, text: str) -> Address:
        """Take ``ada@example.org`` or ``Ada <ada@example.org>`` apart.

        Raises:
            ValueError: It is no address; the message says how to write one.

        """
        if not text.isprintable() or len(text) > MAX_LENGTH:
            raise _mistake(text)
        written = _WRITTEN.fullmatch(text.strip())
        if written is None:
            raise _mistake(text)
        mailbox = written["bare"] if written["mailbox"] is None else written["mailbox"]
        local, _, domain = mailbox.strip().rpartition("@")
        domain = _ascii(domain)
        if not (_LOCAL.fullmatch(local) and domain):
            raise _mistake(text)
        if len(local) + len(domain) >= _MAX_MAILBOX:
            raise _mistake(text)
        return cls(f"{local}@{domain}", _unquoted(written["name"] or ""))


def _ascii(domain: str) -> str:
    """Return the domain in ASCII (RFC 5891), or nothing when it is none."""
    if not _DOMAIN.fullmatch(domain):
        return ""
    try:
        return domain if domain.isascii() else domain.encode("idna").decode()
    except UnicodeError:
        return ""


def _unquoted(name: str) -> str:
    name = " ".join(name.split())
    if len(name) > 1 and name[0] == name[-1] == '"':
        name = re.sub(r"\\(.)", r"\1", name[1:-1])
    return name


def _mistake(text: str) -> ValueError:
    if text.count("@") > 1 and "," in text:
        return ValueError(
            f'{text!r} holds several addresses: write a list, ["ada@example.org", …]'
        )
    return ValueError(
        f"{text[:MAX_LENGTH]!r} is no mail address: write ada@example.org "
        "or Ada <ada@example.org>"
    )
