"""A message becomes what Slack is sent. Pure.

What must be read, and what must call somebody, stands in the blocks on top: Slack may fold
an attachment away, and a mention in one may call nobody. An attachment is the only thing
with a colour, so it holds the rest: fields, link, context.
https://docs.slack.dev/legacy/legacy-messaging/legacy-secondary-message-attachments
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tocsin import AlertLevel
from tocsin_slack._mrkdwn import bold, cut, enliven_broadcasts, escape, units

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tocsin import Message
    from tocsin_slack._progress import Progress
    from tocsin_slack._provider import Slack

Payload = dict[str, Any]
"""What is sent as JSON, but for the channel."""

# docs.slack.dev/reference/block-kit/blocks: a section's text and one of its fields
SECTION, FIELD, FIELDS_PER_SECTION = 3000, 2000, 10
# docs.slack.dev/reference/block-kit/block-elements/button-element
BUTTON_LABEL, BUTTON_URL = 75, 3000
FIELD_NAME = 200
# Slack also bounds the whole (msg_blocks_too_long) and does not say where; messages of
# 11,300 were refused (github.com/slackapi/bolt-js/issues/2867). These shares keep it
# below 9,000.
FIELDS, FIELDS_SHARE, LINK_SHARE, CONTEXT_SHARE, NAMES_SHARE = 20, 3000, 1000, 1000, 500
TEXT = 4000  # docs.slack.dev/reference/methods/chat.postMessage#truncating
_COLOURS = {
    AlertLevel.INFO: "#439fe0",
    AlertLevel.WARN: "#daa038",
    AlertLevel.ERROR: "#d00000",
}
# No part of an alert's text is looked through for names and addresses to link: without
# these, and `verbatim` below, a plain "@here" could call everyone.
_INERT = {
    "link_names": False,
    "parse": "none",
    "unfurl_links": False,
    "unfurl_media": False,
}


def compose(
    message: Message,
    settings: Slack,
    progress: Progress,
    left_behind: Iterable[str] = (),
) -> Payload:
    """Return what is sent of the message by these settings, at this point.

    `left_behind` are the names of attachments that do not go along.
    """
    is_plain = progress.is_plain or not message.parts
    payload = (plain if is_plain else rich)(message, left_behind)
    return with_broadcasts(payload) if settings.broadcast else payload


def rich(message: Message, left_behind: Iterable[str] = ()) -> Payload:
    """Lay the message out."""
    alert = message.alert
    fields, more = _fields(alert.fields)
    aside = [cut(message.parts.get("context", ""), CONTEXT_SHARE), more]
    aside.append(_left_behind(left_behind))
    attached = [*fields, *_link(alert.url), *context(aside)]
    return {
        **_INERT,
        "text": cut(message.text, TEXT),
        "blocks": [
            *_section(bold(message.parts.get("title") or message.title)),
            *_section(message.parts.get("text", "")),
        ],
        "attachments": _coloured(alert.level, attached),
    }


def plain(message: Message, left_behind: Iterable[str] = ()) -> Payload:
    """Return the plain form, which has no layout that could be refused."""
    paragraphs = filter(None, (message.text, _left_behind(left_behind)))
    return {**_INERT, "text": cut("\n\n".join(paragraphs), TEXT)}


def context(texts: Iterable[str]) -> list[Payload]:
    """Return a line of small print, unless there is nothing to print."""
    elements = [_markup(text) for text in texts if text.strip()]
    return [{"type": "context", "elements": elements}] if elements else []


def with_broadcasts(payload: Payload) -> Payload:
    """Return the payload with its ``<!channel>``, ``<!here>``, ``<!everyone>`` live."""
    return {name: _enlivened(value) for name, value in payload.items()}


def _enlivened(value: object) -> object:
    if isinstance(value, str):
        return enliven_broadcasts(value)
    if isinstance(value, dict):
        return with_broadcasts(value)
    return list(map(_enlivened, value)) if isinstance(value, list) else value


def _fields(fields: Mapping[str, str]) -> tuple[list[Payload], str]:
    """Return the sections, and how many fields are not in them."""
    texts: list[str] = []
    room = FIELDS_SHARE
    for name, fact in list(fields.items())[:FIELDS]:
        if room < FIELD_NAME + 50:  # what is left of one must show more than its name
            break
        texts.append(cut(_field(name, fact), min(FIELD, room)))
        room -= units(texts[-1])
    hidden = len(fields) - len(texts)
    more = f"{hidden:,} more field{'s' if hidden > 1 else ''}" if hidden else ""
    return _field_sections(list(filter(None, texts))), more


def _field(name: str, fact: str) -> str:
    # sliced first: a megabyte is not escaped to be cut
    shown = bold(cut(escape(name[:FIELD_NAME]), FIELD_NAME))
    return f"{shown}\n{escape(fact[:FIELD])}".strip()


def _field_sections(texts: list[str]) -> list[Payload]:
    objects = list(map(_markup, texts))
    return [
        {"type": "section", "fields": objects[start : start + FIELDS_PER_SECTION]}
        for start in range(0, len(objects), FIELDS_PER_SECTION)
    ]


def _link(url: str) -> list[Payload]:
    """Show the URL as a button, or as text where it is no web page's.

    Beside the clicked button of an app without a server to answer, Slack shows a warning,
    and opens the page all the same (github.com/slackapi/node-slack-sdk/issues/869).
    """
    host = _host(url)
    if not host or units(url) > BUTTON_URL:
        return _section(cut(escape(url), LINK_SHARE))
    label = cut(f"Open {host}", BUTTON_LABEL)
    text = {"type": "plain_text", "text": label, "emoji": False}
    return [
        {"type": "actions", "elements": [{"type": "button", "text": text, "url": url}]}
    ]


def _host(url: str) -> str:
    """Return the host of a web page's address, or nothing for anything else."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return ""
    is_web = parts.scheme in {"http", "https"} and not any(map(str.isspace, url))
    return host if is_web else ""


def _left_behind(names: Iterable[str]) -> str:
    listed = ", ".join(names)
    if not listed:
        return ""
    return cut(escape(f"Not attached: {listed[:NAMES_SHARE]}"), NAMES_SHARE)


def _coloured(level: AlertLevel, blocks: list[Payload]) -> list[Payload]:
    return [{"color": _COLOURS[level], "blocks": blocks}] if blocks else []


def _section(text: str) -> list[Payload]:
    if not text.strip():
        return []
    return [{"type": "section", "text": _markup(cut(text, SECTION))}]


def _markup(text: str) -> Payload:
    return {"type": "mrkdwn", "text": text, "verbatim": True}
