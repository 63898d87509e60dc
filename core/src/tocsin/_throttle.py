"""When is an alert one too many? Pure: time comes in as seconds since the epoch."""

from __future__ import annotations

import functools
import json
from json.encoder import encode_basestring_ascii as quoted
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from tocsin._alert import Alert, AlertLevel, Origin

CLOCK_SKEW = 10.0
"""Seconds. Two processes read their clocks before they take turns at the store, and two
hosts' clocks differ: an admission up to this far in the future is not a clock that jumped."""


@attrs.frozen
class Window:
    """The last admission of a key: it decides on those that follow."""

    admitted_at: float
    level: AlertLevel
    closes_at: float | None = None
    """When it ends whatever the wait: that of a silence, under which it was opened."""


@attrs.frozen
class Suppression:
    """How many alerts of a key were suppressed, and since when."""

    count: int = 0
    since: float | None = None

    def __add__(self, other: Suppression) -> Suppression:
        times = [s.since for s in (self, other) if s.since is not None]
        return Suppression(self.count + other.count, min(times, default=None))


NONE_SUPPRESSED = Suppression()


def throttle_key(alert: Alert) -> str:
    """Return what the throttle counts as the same alert.

    It is user, team, project, scope (the job, else the run), and the alert's own key or
    else its title. It is ASCII, whatever the title.
    """
    return f"{_key_head(alert.origin)}, {quoted(alert.key or alert.title)}]"


@functools.lru_cache(maxsize=64)
def _key_head(origin: Origin) -> str:
    scope = origin.job or origin.run
    return json.dumps([origin.user, origin.team, origin.project, scope])[:-1]


def title_of(key: str, scope: str) -> str | None:
    """Return the title, or own key, in a throttle's key; None when it has another scope."""
    *_, its_scope, title = json.loads(key)
    return str(title) if its_scope == scope else None


def suppressed_until(
    window: Window | None, level: AlertLevel, wait_duration: float, now: float
) -> float | None:
    """Return until when this alert is suppressed, or None when it is admitted.

    It is admitted when nothing was before; when its *own* wait is over, or the silence in
    which the last one was admitted; when its level is higher than the last admitted one's;
    or when the last admission lies in the future.
    """
    if window is None or wait_duration == 0:
        return None
    if level is not window.level and level > window.level:
        return None
    elapsed = now - window.admitted_at
    if elapsed >= wait_duration or elapsed < -CLOCK_SKEW:
        return None
    until = window.admitted_at + wait_duration
    if window.closes_at is None:
        return until
    return min(until, window.closes_at) if now < window.closes_at else None
