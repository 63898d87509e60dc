"""Times, as people write and read them."""

from __future__ import annotations

from datetime import UTC, datetime

_UNITS = {"d": 86_400, "h": 3600, "min": 60, "s": 1}


def at(seconds: float) -> datetime:
    """Return the time that lies so many seconds after the epoch."""
    return datetime.fromtimestamp(seconds, UTC)


def moment(when: datetime) -> str:
    """Return a time as people here have it; today's without the date."""
    try:
        local = when.astimezone()
    except OverflowError:  # at the ends of time
        return f"{when:%Y-%m-%d %H:%M:%S}"
    is_today = local.date() == datetime.now().astimezone().date()
    return f"{local:%H:%M:%S}" if is_today else f"{local:%Y-%m-%d %H:%M:%S}"


def span(seconds: float) -> str:
    """Return a length of time in the largest unit that takes no fraction: ``90 min``."""
    for unit, length in _UNITS.items():
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:,.0f} {unit}"
    return f"{seconds:g} s"
