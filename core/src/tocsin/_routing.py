"""Which channels does an alert go to, and when? Pure."""

from __future__ import annotations

from enum import Enum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import attrs

from tocsin._alert import AlertLevel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tocsin._alert import Alert
    from tocsin._quiet import QuietHours


ALL_BUT_FINISHED = ("*", "!finished")
"""The kinds of alerts that people get who name none."""


class Scope(Enum):
    """Whose settings apply."""

    USER = "user"
    TEAM = "team"


def _level(value: object) -> AlertLevel:
    return AlertLevel.parse(value)


def _names(value: Iterable[str] | str) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


@attrs.frozen(kw_only=True, cache_hash=True)
class Subscription:
    """One wish of a user or a team: which alerts go to which channels."""

    channels: tuple[str, ...] = attrs.field(converter=_names)
    scope: Scope = Scope.USER
    owner: str = ""
    """The user's or the team's name."""
    kinds: tuple[str, ...] = attrs.field(default=ALL_BUT_FINISHED, converter=_names)
    """Patterns such as ``crashed`` or ``*``: one of them must match the alert's kind, and
    none that begins with ``!``. By default all but ``finished``."""
    min_level: AlertLevel = attrs.field(default=AlertLevel.INFO, converter=_level)
    projects: tuple[str, ...] = attrs.field(default=("*",), converter=_names)
    """Patterns such as ``prod-*``: one of them must match the alert's project."""
    tags: tuple[str, ...] = attrs.field(default=(), converter=_names)
    """Patterns: one of them must match one of the alert's tags. None: any alert."""
    quiet_hours: QuietHours | None = None
    """When alerts are held until those hours end."""
    quiet_max_level: AlertLevel = attrs.field(default=AlertLevel.WARN, converter=_level)
    """The highest level that is held; what is worse goes at once."""
    digest: float = 0.0
    """Seconds for which alerts are gathered after one that went at once; then they go as
    one message. 0: each goes by itself."""

    def objection(self, alert: Alert) -> str:
        """Return why this alert is not let through, or ``""`` when it is."""
        origin = alert.origin
        owner = origin.user if self.scope is Scope.USER else origin.team
        if owner != self.owner:
            whose = f"{self.scope.value} {owner}" if owner else f"no {self.scope.value}"
            return f"the alert has {whose}"
        if alert.level < self.min_level:
            return f"{alert.level.value} is below min_level {self.min_level.value}"
        if not _lets(alert.kind, self.kinds):
            return f"kind {alert.kind!r} is not among {_listed(self.kinds)}"
        if not _matches([origin.project], self.projects):
            return f"project {origin.project!r} is not among {_listed(self.projects)}"
        if self.tags and not _matches(alert.tags, self.tags):
            return f"it has none of the tags {_listed(self.tags)}"
        return ""

    def held_until(self, level: AlertLevel, now: float) -> float:
        """Return the end of the quiet hours that hold an alert of this level; 0: none."""
        if self.quiet_hours is None or level > self.quiet_max_level:
            return 0.0
        return self.quiet_hours.until(now) or 0.0


@attrs.frozen(order=True)
class Route:
    """A channel that gets an alert, and when. The sooner of two is the lesser."""

    channel: str = attrs.field(order=False)
    not_before: float = 0.0
    """Seconds since the epoch; 0: at once."""
    digest: float = 0.0
    """Seconds; see `Subscription.digest`."""


def matching(
    alert: Alert, subscriptions: Iterable[Subscription]
) -> tuple[Subscription, ...]:
    """Return the subscriptions that let the alert through.

    It depends on the alert's origin, kind, level and tags, and on nothing else.
    """
    return tuple(wish for wish in subscriptions if not wish.objection(alert))


def routes(
    wishes: Iterable[Subscription], level: AlertLevel, now: float
) -> tuple[Route, ...]:
    """Return where an alert goes that all of these let through, in the order of the wishes.

    A channel that several of them name gets the alert once: as soon as one of them says.
    """
    found: dict[str, Route] = {}
    for wish in wishes:
        held_until = wish.held_until(level, now)
        for channel in wish.channels:
            route = Route(channel, not_before=held_until, digest=wish.digest)
            known = found.get(channel)
            found[channel] = route if known is None else min(known, route)
    return tuple(found.values())


def plan(
    alert: Alert, subscriptions: Iterable[Subscription], now: float
) -> tuple[Route, ...]:
    """Return the channels that get the alert, each once, and when."""
    return routes(matching(alert, subscriptions), alert.level, now)


def _matches(words: Iterable[str], patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(word, pattern) for word in words for pattern in patterns)


def _lets(word: str, patterns: Iterable[str]) -> bool:
    unwanted = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    wanted = [pattern for pattern in patterns if not pattern.startswith("!")]
    if unwanted and not wanted:
        wanted = ["*"]
    return _matches([word], wanted) and not _matches([word], unwanted)


def _listed(patterns: Iterable[str]) -> str:
    return ", ".join(map(repr, patterns))
