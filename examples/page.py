"""One page with all that arrived, as people see it in Slack and in a mail program."""

from __future__ import annotations

import base64
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
from arrivals import title_in, title_of
from jinja2 import Environment, FileSystemLoader
from mrkdwn import as_html

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from arrivals import Arrivals
    from markupsafe import Markup

    from tocsin_email.testing import ReceivedMail
    from tocsin_slack.testing import Post

_NAMES = {"U1234ABCD": "ada"}
_PICTURES = {
    b"\x89PNG": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
}
_CID = re.compile(r"""(?<=["'])cid:([^"']+)""")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


def render(arrivals: Arrivals) -> str:
    """Return the page, which needs no other file."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"colour": colour, "data_url": data_url, "mrkdwn": mrkdwn}
    return environment.get_template("page.html").render(
        direct=arrivals.direct,
        team=arrivals.team,
        letters=[*map(Letter.of, arrivals.mails)],
        overview=overview(arrivals),
        nonce=secrets.token_urlsafe(),
    )


@attrs.frozen(kw_only=True)
class Letter:
    """A mail as a mail program shows it."""

    sender: str
    address: str
    to: str
    subject: str
    date: datetime
    is_important: bool
    html: str
    """A document of its own, whose pictures are in it."""
    text: str

    @classmethod
    def of(cls, mail: ReceivedMail) -> Letter:
        """Read the mail."""
        message = mail.message
        (sender,) = message["From"].addresses
        return cls(
            sender=sender.display_name,
            address=sender.addr_spec,
            to=message["To"],
            subject=message["Subject"],
            date=message["Date"].datetime.astimezone(),
            is_important=message["Importance"] == "high",
            html=with_pictures(mail),
            text=mail.text,
        )


@attrs.frozen(kw_only=True)
class Row:
    """Where one alert arrived: the ids of the page's elements, empty for nowhere."""

    level: str
    title: str
    places: tuple[str, ...]


def overview(arrivals: Arrivals) -> list[Row]:
    """Return who got what; all of it went to ada by mail."""
    return [
        row(arrivals, mail, f"mail-{number}")
        for number, mail in enumerate(arrivals.mails, 1)
    ]


def row(arrivals: Arrivals, mail: ReceivedMail, mail_id: str) -> Row:
    """Return where the alert of this mail arrived."""
    title = title_in(mail)
    direct = place("dm", arrivals.direct, title)
    team = place("team", arrivals.team, title)
    level = mail.message["X-Tocsin-Level"]
    return Row(level=level, title=title, places=(direct, team, mail_id))


def place(prefix: str, posts: Iterable[Post], title: str) -> str:
    """Return the id of the element that shows the post of this title."""
    titles = [*map(title_of, posts)]
    return f"{prefix}-{titles.index(title) + 1}" if title in titles else ""


def with_pictures(mail: ReceivedMail) -> str:
    """Return the mail's HTML with the pictures that came beside it.

    As in any mail program, a link leaves the mail alone and opens a page of its own.
    """
    pictures = {
        part["Content-ID"].strip("<>"): data_url(part.get_content())
        for part in mail.message.walk()
        if part["Content-ID"]
    }
    html = mail.html.replace("<head>", '<head><base target="_blank">', 1)
    return _CID.sub(lambda found: pictures.get(found[1], ""), html)


def data_url(content: bytes) -> str:
    """Return a picture as a URL that holds it; nothing for what is no picture."""
    for magic, kind in _PICTURES.items():
        if content.startswith(magic):
            return f"data:{kind};base64,{base64.b64encode(content).decode()}"
    return ""


def mrkdwn(text: str) -> Markup:
    """Return what Slack makes of a text."""
    return as_html(text, _NAMES)


def colour(given: str) -> str:
    """Return an attachment's colour; what is none is Slack's grey."""
    return given if _COLOUR.fullmatch(given) else "#dddddd"
