from __future__ import annotations

import attrs

_MAX_TEXT = 200  # a server's words are for people: what is longer is not read


@attrs.frozen
class Reply:
    """What the server answered (RFC 5321, 4.2)."""

    code: int
    """Three digits; -1 for what is no SMTP reply."""
    text: str = ""
    """Its words, on one line."""

    @classmethod
    def read(cls, code: int, text: bytes) -> Reply:
        """Make a server's words fit to be shown."""
        words = text.decode("utf-8", "replace")
        printable = "".join(c if c.isprintable() else " " for c in words)
        return cls(code, " ".join(printable.split())[:_MAX_TEXT])

    @property
    def is_success(self) -> bool:
        """Whether it is 2xx."""
        return self.code // 100 == 2  # noqa: PLR2004 - RFC 5321, 4.2.1

    @property
    def is_final(self) -> bool:
        """Whether it refuses for good: 5xx."""
        return self.code // 100 == 5  # noqa: PLR2004 - RFC 5321, 4.2.1

    @property
    def is_refusal(self) -> bool:
        """Whether it refuses for now, 4xx, or for good."""
        return self.code // 100 == 4 or self.is_final  # noqa: PLR2004 - RFC 5321, 4.2.1

    @property
    def is_about_size(self) -> bool:
        """Whether the mail is too large; 5.2.2 is a mailbox that is full (RFC 3463, 3.3)."""
        if self.text.startswith("5.2.2"):
            return False
        return self.code == 552 or self.text.startswith("5.3.4")  # noqa: PLR2004 - RFC 1870, 6

    def __str__(self) -> str:
        return f"{self.code} {self.text}".strip() if self.code > 0 else "no SMTP reply"
