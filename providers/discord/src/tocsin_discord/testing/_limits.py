"""What Discord refuses of a message, as its documentation has it. Pure.

docs.discord.com/developers/resources/message#embed-object-embed-limits and
docs.discord.com/developers/resources/webhook#execute-webhook. Characters are code points
(github.com/discord/discord-api-docs/issues/1315), less the white space around them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CONTENT, EMBEDS, FIELDS, TOTAL, URL = 2000, 10, 25, 6000, 2048
_LENGTHS = {"title": 256, "description": 4096}
_REQUIRED = {"name": 256, "value": 1024}
_FOOTER = 2048


def violations(payload: Mapping[str, Any], *, files: int = 0) -> list[str]:
    """Return what keeps Discord from taking a message."""
    return list(_violations(payload, files))


def _violations(payload: Mapping[str, Any], files: int) -> Iterator[str]:
    content, embeds = payload.get("content") or "", payload.get("embeds") or []
    if not (content.strip() or embeds or files):
        yield "the message is empty"
    if len(content) > CONTENT:
        yield f"content has {len(content)} characters"
    if len(embeds) > EMBEDS:
        yield f"there are {len(embeds)} embeds"
    for embed in embeds:
        yield from _of_embed(embed)
    total = sum(len(text.strip()) for embed in embeds for text in _counted(embed))
    if total > TOTAL:
        yield f"the embeds have {total} characters"


def _of_embed(embed: Mapping[str, Any]) -> Iterator[str]:
    for name, most in _LENGTHS.items():
        if len(embed.get(name, "").strip()) > most:
            yield f"{name} has {len(embed[name].strip())} characters"
    fields = embed.get("fields", [])
    if len(fields) > FIELDS:
        yield f"there are {len(fields)} fields"
    for field in fields:
        for name, most in _REQUIRED.items():
            if not 0 < len(field.get(name, "").strip()) <= most:
                yield f"a field's {name} has {len(field.get(name, '').strip())} characters"
    if len(embed.get("footer", {}).get("text", "").strip()) > _FOOTER:
        yield "the footer is too long"
    if not any(map(str.strip, _counted(embed))):
        yield "an embed is empty"
    if "url" in embed and not _is_well_formed(embed["url"]):
        yield "url is not well formed"


def _counted(embed: Mapping[str, Any]) -> Iterator[str]:
    yield from (embed.get("title", ""), embed.get("description", ""))
    yield embed.get("footer", {}).get("text", "")
    for field in embed.get("fields", []):
        yield from (field.get("name", ""), field.get("value", ""))


def _is_well_formed(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    is_whole = not any(map(str.isspace, url)) and len(url) <= URL
    return parts.scheme in {"http", "https"} and bool(host) and is_whole
