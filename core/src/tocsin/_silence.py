"""Which alerts are silenced, and until when? Pure: time comes in as an argument."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import attrs
from attrs.validators import instance_of

from tocsin._alert import AlertLevel
from tocsin._text import clean_line

if TYPE_CHECKING:
    from tocsin._alert import Alert

_LATEST = 253_402_300_799  # the last second of the year 9999, where the calendar ends


def _level(value: object) -> AlertLevel:
    return AlertLevel.parse(value)


def _given(_: object, attribute: attrs.Attribute[str], value: str) -> None:
    if not value:
        raise ValueError(f"{attribute.name} must not be empty")


def _pattern(_: object, attribute: attrs.Attribute[str], value: str) -> None:
    if not value:
        raise ValueError(
            f"{attribute.name} must be a pattern such as 'Loss*', or '*' for any"
        )


_PATTERN = [instance_of(str), _pattern]


@attrs.frozen(kw_only=True)
class Silence:
    """For a while, alerts that match all of its patterns are not to disturb anybody.

    Raises:
        ValueError: An end that does not lie after the start, or an empty id or pattern.

    """

    id: str = attrs.field(validator=[instance_of(str), _given])
    """A short word by which people name it."""
    title: str = attrs.field(default="*", validator=_PATTERN)
    """A pattern such as ``Loss*`` for the whole title; case counts."""
    project: str = attrs.field(default="*", validator=_PATTERN)
    team: str = attrs.field(default="*", validator=_PATTERN)
    max_level: AlertLevel = attrs.field(default=AlertLevel.ERROR, converter=_level)
    """What is worse is not silenced."""
    starts_at: float
    ends_at: float = attrs.field()
    """From this moment on it silences nothing any more."""
    reason: str = attrs.field(default="", validator=instance_of(str))
    author: str = attrs.field(default="", validator=instance_of(str))

    @ends_at.validator
    def _check_end(self, _: attrs.Attribute[float], ends_at: float) -> None:
        if not self.starts_at < ends_at:
            raise ValueError(
                f"ends_at must lie after starts_at, {self.starts_at}, not at {ends_at}"
            )
        if ends_at > _LATEST:
            raise ValueError(
                f"ends_at must be seconds since the epoch, up to the year 9999, not {ends_at}"
            )

    def matches(self, alert: Alert, now: float) -> bool:
        """Whether the alert is silenced now."""
        return (
            self.starts_at <= now < self.ends_at
            and alert.level <= self.max_level
            and fnmatchcase(alert.title, self.title)
            and fnmatchcase(alert.origin.project, self.project)
            and fnmatchcase(alert.origin.team, self.team)
        )

    def is_over(self, now: float) -> bool:
        """Whether it silences nothing any more."""
        return now >= self.ends_at

    @property
    def description(self) -> str:
        """What is silenced, until when, why and by whom, in a line."""
        patterns = {"title": self.title, "project": self.project, "team": self.team}
        parts = [f"{name} {p!r}" for name, p in patterns.items() if p != "*"]
        parts = parts or ["every alert"]
        if self.max_level < AlertLevel.ERROR:
            parts.append(f"up to {self.max_level.value}")
        end = datetime.fromtimestamp(math.floor(self.ends_at), UTC)
        parts.append(f"until {end:%Y-%m-%d %H:%M:%S} UTC")
        reason, author = clean_line(self.reason), clean_line(self.author)
        why = f": {reason}" if reason else ""
        return f"{', '.join(parts)}{why}{f' ({author})' if author else ''}"
