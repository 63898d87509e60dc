"""Whether an exception was told already: the one that several see is told once."""

from __future__ import annotations

import contextlib
import time

_MARK = "__tocsin_told_at__"


def mark(error: BaseException) -> None:
    """Note that an alert tells of this exception.

    One that takes no attributes is not marked, and may be told twice.
    """
    with contextlib.suppress(Exception):
        vars(error)[_MARK] = time.monotonic()  # past a __setattr__ that refuses


def is_told(error: BaseException, since: float | None = None) -> bool:
    """Whether an alert tells of this exception, or of all that this group holds.

    With `since`, on the monotonic clock, what was told before does not count: a program
    may raise one exception again.
    """
    told_at = getattr(error, "__dict__", {}).get(_MARK)
    if isinstance(told_at, float):
        return since is None or told_at >= since
    try:
        if isinstance(error, BaseExceptionGroup):
            return all(is_told(one, since) for one in error.exceptions)
    except RecursionError:  # groups in groups: told twice is better than never
        pass
    return False
