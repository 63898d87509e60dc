"""A message becomes a mail: the bytes that go over the wire. Pure."""

from __future__ import annotations

import html
import re
from datetime import UTC
from email.utils import format_datetime
from typing import TYPE_CHECKING

import attrs

from tocsin import AlertLevel, Attachment
from tocsin_email import _header as header
from tocsin_email import _mime as mime
from tocsin_email._mention import named
from tocsin_email._thread import ancestors, digest, message_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from tocsin import Delivery, Earlier, Message
    from tocsin_email._letterhead import Letterhead

_NESTED_TYPES = ("multipart/", "message/")  # they may not be base64 (RFC 2046, 5)
_CONTENT_TYPE = re.compile(r"[a-z0-9-]+/[a-z0-9][a-z0-9!#$&^_.+-]*")
_LABEL = re.compile(r"[^a-z0-9]+")
_PAGE = re.compile(r"<body\b[^>]*>", re.IGNORECASE)
_MAX_FILE_NAME = 100
_MAX_MEDIA_TYPE = 255  # characters: twice the 127 of RFC 6838, 4.2
_IMAGE = '"cid:attachment-'  # in a template alone: escaped text has no quotation mark


def compose(message: Message, delivery: Delivery, letterhead: Letterhead) -> bytes:
    """Return the mail, with CRLF at each line's end, in lines of at most 998 octets.

    It is ASCII throughout, but for a mailbox that is not.
    """
    head = letterhead.lines + header.lines(_headers(message, delivery, letterhead))
    return head.encode() + _body(message, delivery.resolves)


def without_attachments(message: Message) -> Message:
    """Return the message with a short list in the place of its attachments.

    HTML that shows one of them gives way to the plain form.
    """
    sizes = [
        f"{item.name}: {len(item.content):,} bytes" for item in message.attachments
    ]
    text = "\n".join(["The mail server refused these as too large:", "", *sizes, ""])
    note = Attachment("left-out.txt", text.encode("utf-8", "replace"), "text/plain")
    parts = {part: text for part, text in message.parts.items() if _IMAGE not in text}
    return attrs.evolve(message, attachments=(note,), parts=parts)


def _headers(
    message: Message, delivery: Delivery, letterhead: Letterhead
) -> list[tuple[str, str]]:
    alert, origin = message.alert, message.alert.origin
    above = ancestors(message, delivery, letterhead)
    is_urgent = alert.level is AlertLevel.ERROR and delivery.resolves is None
    return [
        ("Date", _date(alert.created_at)),
        ("Message-ID", message_id(delivery, letterhead.domain)),
        ("In-Reply-To", above[-1] if above else ""),
        ("References", "\r\n ".join(above)),
        ("Subject", header.unstructured(_subject(message, delivery.resolves))),
        ("List-Id", _list_id(origin.project, letterhead.domain)),
        ("Importance", "high" if is_urgent else ""),
        ("X-Priority", "1" if is_urgent else ""),
        ("X-Tocsin-Level", alert.level.value),
        ("X-Tocsin-Project", header.unstructured(origin.project)),
        ("X-Tocsin-Run", header.unstructured(origin.run)),
    ]


def _date(when: datetime | None) -> str:
    return format_datetime(when.astimezone(UTC)) if when else ""


def _subject(message: Message, resolves: Earlier | None) -> str:
    """Return the subject; an all-clear has that of the mail which it answers.

    Some mail programs take two mails for one conversation only when the subject is the same.
    """
    return _title(message) if resolves is None else f"Re: {_title(resolves.message)}"


def _title(message: Message) -> str:
    plain = f"[{message.alert.level.value}] {message.title}"
    return named(message.parts.get("title") or plain)


def _list_id(project: str, domain: str) -> str:
    """Return an id that a filter can tell the project's mails by (RFC 2919)."""
    return f"<{_project_label(project)}tocsin.{domain}>"


def _project_label(project: str) -> str:
    if not project:
        return ""
    label = _LABEL.sub("-", project.lower()).strip("-")[:40]
    is_whole = label == project
    return f"{label}." if is_whole else f"{label}-{digest(project)[:6]}.".lstrip("-")


def _body(message: Message, resolves: Earlier | None) -> bytes:
    """Return the parts in the tree that mail programs expect.

    mixed(alternative(text, related(html, images)), files), less what is not needed.
    """
    plain = named(message.parts.get("text") or message.text)
    markup = named(message.parts.get("html") or _preformatted(message.text))
    if resolves is not None:
        words = f"This is over: {_title(resolves.message)}"
        plain, markup = f"{words}\n\n{plain}", _headed(markup, words)
    by_id = {
        f"attachment-{position}@tocsin": item
        for position, item in enumerate(message.attachments, 1)
    }
    shown = {cid: item for cid, item in by_id.items() if f'"cid:{cid}"' in markup}
    page = _with_images(mime.text(markup, "html"), shown)
    body = mime.multipart("alternative", [mime.text(plain, "plain"), page])
    return _with_files(body, [item for cid, item in by_id.items() if cid not in shown])


def _preformatted(text: str) -> str:
    return f'<pre style="white-space:pre-wrap">{html.escape(text)}</pre>'


def _headed(markup: str, words: str) -> str:
    """Return the HTML, which may be of anyone's template, with the words at its top."""
    page = _PAGE.search(markup)
    begin = page.end() if page else 0
    style = (
        "max-width:570px;margin:0 auto;padding:20px 14px 0;text-align:center;"
        "font-family:sans-serif;font-size:15px;line-height:24px;font-weight:600;"
        "color:#067647;word-break:break-word;overflow-wrap:anywhere"
    )
    line = f'<div dir="auto" style="{style}">{html.escape(words)}</div>'
    return f"{markup[:begin]}\n{line}{markup[begin:]}"


def _with_images(page: bytes, images: Mapping[str, Attachment]) -> bytes:
    if not images:
        return page
    files = [_file(item, cid=cid) for cid, item in images.items()]
    return mime.multipart("related", [page, *files])


def _with_files(body: bytes, files: Iterable[Attachment]) -> bytes:
    attached = [_file(item) for item in files]
    return mime.multipart("mixed", [body, *attached]) if attached else body


def _file(item: Attachment, *, cid: str = "") -> bytes:
    return mime.file(item.content, _media_type(item), _file_name(item), cid=cid)


def _media_type(item: Attachment) -> str:
    kind = item.content_type.partition(";")[0].strip().lower()
    is_one = _CONTENT_TYPE.fullmatch(kind) and len(kind) <= _MAX_MEDIA_TYPE
    if not is_one or kind.startswith(_NESTED_TYPES):
        return "application/octet-stream"
    return kind


def _file_name(item: Attachment) -> str:
    """Return a name that is one line and no path, its ending kept."""
    name = re.split(r"[/\\]", item.name)[-1]
    name = "".join(c if c.isprintable() else "_" for c in name).strip()
    stem, dot, ending = name.rpartition(".")
    room = _MAX_FILE_NAME - len(dot + ending)
    return (stem[:room] + dot + ending if room > 0 else name[:_MAX_FILE_NAME]) or "file"
