"""Text without any part of a URL, or of a message. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote, unquote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable

_SHORT = 4  # characters: what is shorter is a part of many words, and blotted out alone
_MAX = 200


def fit(text: str, url: str, *private: str) -> str:
    """Return the text, on one line, with each part of the URL blotted out.

    Which part of an Apprise URL is a secret differs by service: even the host can be.
    """
    hidden = sorted({*parts_of(url), *_lines(private)}, key=len, reverse=True)
    for part in hidden:
        exact = re.escape(part)
        pattern = rf"(?<!\w){exact}(?!\w)" if len(part) < _SHORT else exact
        text = re.sub(pattern, "…", text, flags=re.IGNORECASE)
    return " ".join(text.split())[:_MAX]


def parts_of(url: str) -> set[str]:
    """Return whatever stands between the URL's delimiters, as it is and decoded."""
    _, _, rest = url.partition("://")
    pieces = {rest, *re.split(r"[/:@?&=#,+;|\s]", rest)}
    pieces |= {decode(piece) for piece in pieces for decode in (unquote, unquote_plus)}
    return {piece for piece in pieces if piece}


def _lines(texts: Iterable[str]) -> set[str]:
    return {
        line.strip() for text in texts for line in text.splitlines() if line.strip()
    }
