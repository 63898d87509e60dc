"""Discord's markdown: what makes text inert, and cuts it. Pure."""

from __future__ import annotations

import re

# What means something within a line, at a line's beginning, or as an emoji's name:
# docs.discord.com/developers/reference#message-formatting and
# support.discord.com/hc/en-us/articles/210298617. A backslash would break an address, and
# Discord looks for no markup in one (discord.py's escape_markdown leaves them alone too).
_MARKUP = re.compile(
    r"""(?P<address>(?<!\w)https?://[A-Za-z0-9][\w.~:/?\#@!$&'+,;=%-]*)
    | (?P<mark> [\\*_~`|<>\[\]()\#@] | ^[ \t]*[-+] | ^[ \t]*\d+(?=[.)]) | :(?=[\w+-]+:))""",
    re.VERBOSE | re.MULTILINE,
)
BLANK = "\u200b"
"""What is shown where Discord wants text, and there is none: a space of no width."""


def escape(text: str) -> str:
    """Make text inert; addresses stay links."""
    return _MARKUP.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    if found["address"]:
        return found["address"]
    mark = found["mark"]
    return f"{mark}\\" if mark[-1].isdigit() else f"{mark[:-1]}\\{mark[-1]}"


def cut(text: str, most: int) -> str:
    """Escape as much of the text as fits; it is never blank."""
    if len(text) > most or len(escape(text)) > most:
        kept = text[: most - 1]
        while len(escape(kept)) >= most:
            kept = kept[: -(len(escape(kept)) - most) // 2 - 1]
        return escape(kept).rstrip() + "…"
    return escape(text) if text.strip() else BLANK
