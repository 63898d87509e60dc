"""When are people not to be disturbed? Pure: time comes in as seconds since the epoch."""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import attrs
from attrs.validators import deep_iterable, instance_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import tzinfo

_INTERVAL = re.compile(r"([0-9]{1,2}):([0-9]{2}) ?- ?([0-9]{1,2}):([0-9]{2})")
_DAY = 24 * 60  # minutes
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - only differences of wall clocks are taken
_SECOND = timedelta(seconds=1)


def _strings(value: Iterable[str] | str) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


@attrs.frozen
class QuietHours:
    """Hours of the day, by the clock on the wall, in which nobody is to be disturbed.

    Raises:
        ValueError: What is no interval, an interval without a length, intervals that leave
            nothing of the day, or an unknown time zone.

    """

    intervals: tuple[str, ...] = attrs.field(
        converter=_strings, validator=deep_iterable(instance_of(str))
    )
    """Such as ``22:00-07:00``, whose end is not quiet any more; with none it never is."""
    time_zone: str = attrs.field(default="", kw_only=True, validator=instance_of(str))
    """A name such as ``Europe/Berlin``; default: the machine's own."""
    _quiet: bytes = attrs.field(init=False, repr=False, eq=False)
    """For each minute of two days, so that a search runs on past midnight: is it quiet?"""
    _zone: tzinfo | None = attrs.field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "_quiet", _minutes(self.intervals) * 2)
        object.__setattr__(self, "_zone", _zone(self.time_zone))

    def until(self, now: float) -> float | None:
        """Return the first moment from now on that is not quiet; None: now is not."""
        second = math.floor(now)
        end = self._end(second)
        if end == second:
            return None
        while (later := self._end(end)) != end:
            end = later
        return float(end)

    def _end(self, second: int) -> int:
        """Return when the quiet ends, or else the clocks are changed, whichever is first.

        It is this very second when that is not quiet.
        """
        wall = datetime.fromtimestamp(second, self._zone)
        minute = wall.hour * 60 + wall.minute
        minutes = self._quiet.index(0, minute) - minute
        if not minutes:
            return second
        return self._first_change(second, second - wall.second + minutes * 60)

    def _first_change(self, start: int, end: int) -> int:
        """Return when clocks are changed in between, or else the end.

        A day has one change at most: of all zones ever, the closest two are four days apart.
        """
        before = self._offset(start)
        if self._offset(end) == before:
            return end
        while end - start > 1:
            middle = (start + end) // 2
            if self._offset(middle) == before:
                start = middle
            else:
                end = middle
        return end

    def _offset(self, second: int) -> int:
        wall = datetime.fromtimestamp(second, self._zone).replace(tzinfo=None)
        return (wall - _EPOCH) // _SECOND - second


def _minutes(intervals: Iterable[str]) -> bytes:
    quiet = bytearray(_DAY)
    for interval in intervals:
        start, end = _ends(interval)
        for minute in range(start, end if start < end else end + _DAY):
            quiet[minute % _DAY] = 1
    if all(quiet):
        raise ValueError(
            "quiet hours that take up the whole day never end: leave some of it out, or, "
            "to get no alerts at all, take the channel out of the subscription"
        )
    return bytes(quiet)


def _ends(interval: str) -> tuple[int, int]:
    match = _INTERVAL.fullmatch(interval)
    if match is None:
        raise ValueError(
            f'{interval!r} is no interval of the day: write it as "22:00-07:00"'
        )
    hour, minute, end_hour, end_minute = map(int, match.groups())
    start, end = hour * 60 + minute, end_hour * 60 + end_minute
    if max(minute, end_minute) > 59 or start >= _DAY or end > _DAY:  # noqa: PLR2004 - minutes of an hour
        raise ValueError(
            f"{interval!r} has a time that no day has: write 00:00 to 23:59, or 24:00 as "
            "an end"
        )
    if start == end:
        raise ValueError(
            f"{interval!r} ends when it starts: write two times that differ, such as "
            '"22:00-07:00"'
        )
    return start, end


def _zone(name: str) -> tzinfo | None:
    if not name:
        return None
    import zoneinfo

    try:
        return zoneinfo.ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # not found, no zone's file, a folder
        raise ValueError(
            f"there is no time zone {name!r} on this machine: write a name such as "
            "'Europe/Berlin', or 'UTC'; if the name is right, `pip install tzdata`"
        ) from None
