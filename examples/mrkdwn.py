"""Slack's mrkdwn as HTML.

https://docs.slack.dev/messaging/formatting-message-text
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from collections.abc import Mapping

_MARKED = re.compile(
    r"""
      ```\n?(?P<pre>.+?)\n?```
    | `(?P<code>[^`\n]+)`
    | <(?P<angle>[^<>\n]+)>
    | (?<!\w) \* (?P<bold>   (?=\S) [^*\n]+ (?<=\S) ) \* (?!\w)
    | (?<!\w)  _ (?P<italic> (?=\S) [^_\n]+ (?<=\S) )  _ (?!\w)
    | (?<!\w)  ~ (?P<strike> (?=\S) [^~\n]+ (?<=\S) )  ~ (?!\w)
    """,
    re.DOTALL | re.VERBOSE,
)
_ENTITIES = {"&lt;": "<", "&gt;": ">", "&amp;": "&"}
_TAGS = {"pre": "pre", "code": "code", "bold": "b", "italic": "i", "strike": "s"}


def as_html(text: str, names: Mapping[str, str]) -> Markup:
    """Return what Slack makes of the text; `names` are those of members, by id."""
    parts, end = [], 0
    for found in _MARKED.finditer(text):
        parts += [_plain(text[end : found.start()]), _marked(found, names)]
        end = found.end()
    return Markup().join([*parts, _plain(text[end:])])


def _plain(text: str) -> Markup:
    literal = re.sub("&(?:lt|gt|amp);", lambda found: _ENTITIES[found[0]], text)
    return escape(literal).replace("\n", Markup("<br>"))


def _marked(found: re.Match[str], names: Mapping[str, str]) -> Markup:
    kind, inner = next((k, v) for k, v in found.groupdict().items() if v is not None)
    if kind == "angle":
        return _angle(inner, names)
    content = _plain(inner) if kind in {"pre", "code"} else as_html(inner, names)
    tag = _TAGS[kind]
    return Markup(f"<{tag}>{{}}</{tag}>").format(content)  # noqa: S704 - a tag of ours


def _angle(inner: str, names: Mapping[str, str]) -> Markup:
    """Return a mention or a link, which stand between angle brackets."""
    target, _, label = inner.partition("|")
    if target.startswith("@"):
        name = names.get(target[1:], target[1:])
        return Markup('<span class="mention" title="{}">@{}</span>').format(
            target, name
        )
    if target.startswith("!"):
        return Markup('<span class="mention">@{}</span>').format(label or target[1:])
    if target.startswith(("https://", "http://")):
        return Markup('<a href="{}">{}</a>').format(
            _plain(target), _plain(label or target)
        )
    return escape(f"<{inner}>")
