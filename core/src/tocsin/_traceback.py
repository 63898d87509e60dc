"""An exception in words: what it is, and where it came from. No values of variables."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

from tocsin._errors import printed

if TYPE_CHECKING:
    from types import TracebackType

_FRAMES = 8  # of a traceback, the last ones
_REASON = 120  # characters of an exception that are in a title


def headline(error: BaseException) -> str:
    """Return an exception's type and what it says, as one short line."""
    first, *more = _words(error).strip().splitlines() or [""]
    if len(first) > _REASON or more:
        first = f"{first[:_REASON].rstrip()} …"
    return first


def account(error: BaseException, *, without: str = "") -> str:
    """Return an exception's type, what it says, and its last frames.

    A first frame that is in the file `without` is left out.
    """
    frames = _frames(error.__traceback__, without)
    return "\n\n".join(filter(None, [_words(error), "".join(frames).rstrip()]))


def _words(error: BaseException) -> str:
    said = printed(error)
    name = type(error).__name__
    notes = getattr(error, "__notes__", ())
    lines = map(printed, notes if isinstance(notes, list) else ())
    return "\n".join([f"{name}: {said}" if said else name, *lines])


def _frames(trace: TracebackType | None, without: str) -> list[str]:
    if trace is not None and trace.tb_frame.f_code.co_filename == without:
        trace = trace.tb_next
    return traceback.format_tb(trace)[-_FRAMES:]
