"""What arrived, and what the history says of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import attrs

from tocsin import Notifier

if TYPE_CHECKING:
    from pathlib import Path

    from tocsin import Alert, DeliveryRecord
    from tocsin_email.testing import MailDouble, ReceivedMail
    from tocsin_slack.testing import Post, SlackDouble

_SUBJECT = re.compile(r"\[\w+\] (.+) · ")


@attrs.frozen(kw_only=True)
class Arrivals:
    """What the doubles received, beside the history of the run."""

    direct: list[Post]
    """In ada's direct messages."""
    team: list[Post]
    """In the team's channel."""
    mails: list[ReceivedMail]
    alerts: list[tuple[Alert, tuple[DeliveryRecord, ...]]]
    suppressed: dict[str, int]
    """How many, by title."""


def collect(slack: SlackDouble, mail: MailDouble, config: Path) -> Arrivals:
    """Ask the doubles what they received, and the SQLite file what became of it."""
    with Notifier.from_config(config, mode="offline") as notifier:
        records = notifier.store().history(limit=100)
        origins = [record.alert.origin for record in records]
        scopes = {origin.job or origin.run for origin in origins}
        suppressed = [told for scope in scopes for told in notifier.untold(scope)]
    return Arrivals(
        direct=[post for post in slack.messages if post.channel.startswith("D")],
        team=[post for post in slack.messages if post.channel.startswith("C")],
        mails=sorted(mail.messages, key=lambda mail: mail.message["Date"].datetime),
        alerts=[(record.alert, record.deliveries) for record in records],
        suppressed=dict(suppressed),
    )


def title_of(post: Post) -> str:
    """Return an alert's title, which a message begins with, in bold."""
    return str(post.blocks[0]["text"]["text"]).strip("*") if post.blocks else post.text


def title_in(mail: ReceivedMail) -> str:
    """Return an alert's title, which stands in the subject between level and project."""
    found = _SUBJECT.match(mail.message["Subject"])
    return found[1] if found else ""


def pictures_in(mail: ReceivedMail) -> list[bytes]:
    """Return the pictures that a mail carries."""
    return [
        part.get_content()
        for part in mail.message.walk()
        if part.get_content_maintype() == "image"
    ]
