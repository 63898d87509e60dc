"""A message becomes a mail: the bytes that go over the wire. Pure."""

from __future__ import annotations

import hashlib
import html
import re
from datetime import UTC
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import TYPE_CHECKING

import attrs

from tocsin import AlertLevel, Attachment
from tocsin_email import _header as header

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from tocsin import Delivery, Message
    from tocsin_email._provider import Email

# With 7bit a server needs no extension to take the mail, and no line has more than 78
# characters: what is longer, or not ASCII, becomes quoted-printable or base64.
_POLICY = SMTP.clone(cte_type="7bit")
_NESTED_TYPES = ("multipart/", "message/")  # they may not be base64 (RFC 2046, 5)
_CONTENT_TYPE = re.compile(r"[a-z0-9-]+/[a-z0-9][a-z0-9!#$&^_.+-]*")
_ID = re.compile(r"(?=.{1,128}$)[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")  # RFC 5322, 3.2.3
_LABEL = re.compile(r"[^a-z0-9]+")
_MAX_FILE_NAME = 100
_IMAGE = '"cid:attachment-'  # in a template alone: escaped text has no quotation mark


def compose(message: Message, delivery: Delivery, settings: Email) -> bytes:
    """Return the mail, with CRLF at each line's end, in lines of at most 998 octets.

    It is ASCII throughout, but for a mailbox that is not.
    """
    pairs = _headers(message, delivery, settings)
    lines = "".join(f"{name}: {value}\r\n" for name, value in pairs if value)
    return lines.encode() + _body(message).as_bytes()


def message_id(delivery: Delivery, settings: Email) -> str:
    """Return the Message-ID: the same at every attempt of one delivery."""
    return f"<{_token(delivery.id)}@{settings.author.domain}>"


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
    message: Message, delivery: Delivery, settings: Email
) -> list[tuple[str, str]]:
    alert, origin = message.alert, message.alert.origin
    domain = settings.author.domain
    root = _root(origin.project, origin.run, domain) if origin.run else ""
    is_urgent = alert.level is AlertLevel.ERROR
    return [
        ("Date", _date(alert.created_at)),
        ("Message-ID", message_id(delivery, settings)),
        ("In-Reply-To", root),
        ("References", root),
        ("From", header.mailboxes((settings.author,))),
        ("To", header.mailboxes(settings.recipients)),
        ("Subject", header.unstructured(_subject(message))),
        ("List-Id", _list_id(origin.project, domain)),
        ("Auto-Submitted", "auto-generated"),  # RFC 3834
        ("X-Auto-Response-Suppress", "All"),  # [MS-OXCMAIL] 2.1.3.2.21
        ("Importance", "high" if is_urgent else ""),
        ("X-Priority", "1" if is_urgent else ""),
        ("X-Tocsin-Level", alert.level.value),
        ("X-Tocsin-Project", header.unstructured(origin.project)),
        ("X-Tocsin-Run", header.unstructured(origin.run)),
    ]


def _date(when: datetime | None) -> str:
    return format_datetime(when.astimezone(UTC)) if when else ""


def _subject(message: Message) -> str:
    plain = f"[{message.alert.level.value}] {message.title}"
    return message.parts.get("title") or plain


def _root(project: str, run: str, domain: str) -> str:
    """Return what every mail of a run answers to, so that they make one thread."""
    return f"<run.{_digest(project + chr(0) + run)}@{domain}>"


def _list_id(project: str, domain: str) -> str:
    """Return an id that a filter can tell the project's mails by (RFC 2919)."""
    return f"<{_project_label(project)}tocsin.{domain}>"


def _project_label(project: str) -> str:
    if not project:
        return ""
    label = _LABEL.sub("-", project.lower()).strip("-")[:40]
    is_whole = label == project
    return f"{label}." if is_whole else f"{label}-{_digest(project)[:6]}.".lstrip("-")


def _token(text: str) -> str:
    return text if _ID.fullmatch(text) else _digest(text)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]


def _body(message: Message) -> EmailMessage:
    """Return the parts in the tree that mail programs expect.

    mixed(alternative(text, related(html, images)), files), less what is not needed.
    """
    markup = _valid(message.parts.get("html") or _preformatted(message.text))
    body = EmailMessage(policy=_POLICY)
    body.set_content(_valid(message.parts.get("text") or message.text))
    body.add_alternative(markup, subtype="html")
    files = _add_images(body, markup, message.attachments)
    for item in files:
        _add_file(body, item)
    return body


def _valid(text: str) -> str:
    """Return the text without lone surrogates, which the name of a file may hold."""
    return text.encode("utf-8", "replace").decode()


def _preformatted(text: str) -> str:
    return f'<pre style="white-space:pre-wrap">{html.escape(text)}</pre>'


def _add_images(
    body: EmailMessage, markup: str, attachments: Iterable[Attachment]
) -> list[Attachment]:
    """Put the images that the HTML shows beside it; return the other attachments."""
    *_, page = body.iter_parts()
    assert isinstance(page, EmailMessage)
    others = []
    for position, item in enumerate(attachments, 1):
        cid = f"attachment-{position}@tocsin"
        if f'{_IMAGE}{position}@tocsin"' in markup:
            maintype, subtype = _media_type(item)
            page.add_related(
                item.content,
                maintype,
                subtype,
                cid=f"<{cid}>",
                filename=_file_name(item),
                disposition="inline",
            )
        else:
            others.append(item)
    return others


def _add_file(body: EmailMessage, item: Attachment) -> None:
    maintype, subtype = _media_type(item)
    body.add_attachment(item.content, maintype, subtype, filename=_file_name(item))


def _media_type(item: Attachment) -> tuple[str, str]:
    kind = item.content_type.partition(";")[0].strip().lower()
    if not _CONTENT_TYPE.fullmatch(kind) or kind.startswith(_NESTED_TYPES):
        return "application", "octet-stream"
    maintype, _, subtype = kind.partition("/")
    return maintype, subtype


def _file_name(item: Attachment) -> str:
    """Return a name that is one line and no path, its ending kept."""
    name = re.split(r"[/\\]", item.name)[-1]
    name = "".join(c if c.isprintable() else "_" for c in name).strip()
    stem, dot, ending = name.rpartition(".")
    room = _MAX_FILE_NAME - len(dot + ending)
    return (stem[:room] + dot + ending if room > 0 else name[:_MAX_FILE_NAME]) or "file"
