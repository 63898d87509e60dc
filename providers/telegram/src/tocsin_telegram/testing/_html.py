"""Telegram's HTML, read as it reads it: core.telegram.org/bots/api#html-style. Pure."""

from __future__ import annotations

import html
import re

_TAGS = {"b", "strong", "i", "em", "u", "ins", "s", "strike", "del", "code", "pre"}
_TAG = re.compile(r"<(/?)([a-zA-Z]*)>")


class BadMarkup(ValueError):  # noqa: N818 - it says what happened
    """What Telegram says of markup that it cannot parse."""


def parsed(text: str) -> str:
    """Return what people read.

    Raises:
        BadMarkup: A tag is unknown, or not closed.

    """
    open_: list[str] = []
    for found in re.finditer("<[^>]*>?", text):
        tag = _TAG.fullmatch(found[0])
        if tag is None or tag[2].lower() not in _TAGS:
            raise BadMarkup(f"unsupported start tag at byte offset {found.start()}")
        if not tag[1]:
            open_.append(tag[2])
        elif not open_ or open_.pop() != tag[2]:
            raise BadMarkup(f"unexpected end tag at byte offset {found.start()}")
    if open_:
        raise BadMarkup(f'can\'t find end tag corresponding to start tag "{open_[-1]}"')
    return html.unescape(_TAG.sub("", text))
