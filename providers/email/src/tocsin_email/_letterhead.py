from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from tocsin_email import _header as header

if TYPE_CHECKING:
    from tocsin_email._provider import Email, Threads


@attrs.frozen(kw_only=True)
class Letterhead:
    """What all mails of a channel have in common: made of its settings once."""

    author: str
    """The mailbox that they come from."""
    recipients: tuple[str, ...]
    """The mailboxes that they go to."""
    threads: Threads
    lines: str
    """The headers that are always the same, with CRLF at each line's end."""

    @classmethod
    def of(cls, settings: Email) -> Letterhead:
        """Return the letterhead for these settings."""
        author, recipients = settings.author, settings.recipients
        pairs = [
            ("From", header.mailboxes((author,))),
            ("To", header.mailboxes(recipients)),
            ("Auto-Submitted", "auto-generated"),  # RFC 3834
            ("X-Auto-Response-Suppress", "All"),  # [MS-OXCMAIL] 2.1.3.2.21
            ("MIME-Version", "1.0"),
        ]
        return cls(
            author=author.mailbox,
            recipients=tuple(address.mailbox for address in recipients),
            threads=settings.threads,
            lines=header.lines(pairs),
        )

    @property
    def domain(self) -> str:
        """What the ids that are made up for the mails end with."""
        return self.author.rpartition("@")[2]
