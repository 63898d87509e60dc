"""Text that is fit to be sent: made clean, and cut to size. Pure."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_LINE_ENDS = dict.fromkeys(map(ord, "\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"), "\n")
_CONTROLS = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)], "\ufffd")
_BIDI = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)], "")
_CLEANED = {**_CONTROLS, **_LINE_ENDS, **_BIDI, ord("\n"): "\n", ord("\t"): "\t"}

_SENSIBLE = 0.8  # a cut looks for a line's or a word's end in the last fifth
_JOINER = "\u200d"
_SKIN_TONES = map(chr, range(0x1F3FB, 0x1F400))
_FLAG_TAGS = map(chr, range(0xE0020, 0xE0080))
_EXTENDERS = frozenset([_JOINER, *_SKIN_TONES, *_FLAG_TAGS])  # belong to what is before
_FLAG_LETTERS = frozenset(map(chr, range(0x1F1E6, 0x1F200)))  # two make a flag


def clean(text: str) -> str:
    """Return the text as valid Unicode, without control or bidirectional-override
    characters; every line ends with a line feed.
    """  # noqa: D205 - one sentence
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text.replace("\r\n", "\n").translate(_CLEANED)


def clean_line(text: str) -> str:
    """Return the text, cleaned, as one line."""
    return " ".join(clean(text).split())


def storable(text: str) -> str:
    """Return text that can be encoded: with lone surrogates spelt out."""
    return text.encode(errors="backslashreplace").decode()


def longest_fit(text: str, fits: Callable[[str], bool], most: int) -> str:
    """Return the text, or as much of its beginning as fits, cut at a sensible place and
    marked with how much is missing.

    `most` is a length in characters that surely does not fit, to start the search from.
    Where not even the mark fits, the cut is not marked.
    """  # noqa: D205 - one sentence
    if not text or (len(text) <= most and fits(text)):
        return text
    low, high = 0, min(len(text), max(most, 0))
    while low < high:
        middle = (low + high + 1) // 2
        if fits(_cut(text, middle)):
            low = middle
        else:
            high = middle - 1
    end = _sensible_end(text, low)
    while end and not fits(_cut(text, end)):  # an escape may lengthen a shorter text
        end = _whole_end(text, end - 1)
    cut = _cut(text, end)
    return cut if fits(cut) else _bare_fit(text, fits, most)


def _bare_fit(text: str, fits: Callable[[str], bool], most: int) -> str:
    low, high = 0, min(len(text), max(most, 0))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(text[:middle]) else (low, middle - 1)
    return text[: _whole_end(text, low)]


def _cut(text: str, end: int) -> str:
    return f"{text[:end].rstrip()}… [{len(text) - end:,} more characters]"


def _sensible_end(text: str, end: int) -> int:
    earliest = int(end * _SENSIBLE)
    for boundary in ("\n", " "):
        found = text.rfind(boundary, earliest, end)
        if found > 0:
            return found
    return _whole_end(text, end)


def _whole_end(text: str, end: int) -> int:
    """Step back to where no character that people see as one is torn."""
    while 0 < end < len(text) and _is_torn(text, end):
        end -= 1
    return end


def _is_torn(text: str, end: int) -> bool:
    following = text[end]
    return (
        following in _EXTENDERS
        or text[end - 1] == _JOINER
        or unicodedata.category(following)[0] == "M"
        or (following in _FLAG_LETTERS and _flag_letters_before(text, end) % 2 == 1)
    )


def _flag_letters_before(text: str, end: int) -> int:
    start = end
    while start and text[start - 1] in _FLAG_LETTERS:
        start -= 1
    return end - start
