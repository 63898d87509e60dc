"""Which channels does an alert go to? Pure."""

from __future__ import annotations

from enum import Enum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import attrs

from tocsin._alert import AlertLevel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tocsin._alert import Alert


class Scope(Enum):
    """Whose settings apply."""

    USER = "user"
    TEAM = "team"


def _level(value: object) -> AlertLevel:
    return AlertLevel.parse(value)


def _names(value: Iterable[str] | str) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


@attrs.frozen(kw_only=True)
class Subscription:
    """One wish of a user or a team: which alerts go to which channels."""

    channels: tuple[str, ...] = attrs.field(converter=_names)
    scope: Scope = Scope.USER
    owner: str = ""
    """The user's or the team's name."""
    kinds: tuple[str, ...] = attrs.field(default=("*",), converter=_names)
    """Patterns such as ``crashed`` or ``*``: one of them must match the alert's kind."""
    min_level: AlertLevel = attrs.field(default=AlertLevel.INFO, converter=_level)
    projects: tuple[str, ...] = attrs.field(default=("*",), converter=_names)
    """Patterns such as ``prod-*``: one of them must match the alert's project."""
    tags: tuple[str, ...] = attrs.field(default=(), converter=_names)
    """Patterns: one of them must match one of the alert's tags. None: any alert."""

    def objection(self, alert: Alert) -> str:
        """Return why this alert is not let through, or ``""`` when it is."""
        origin = alert.origin
        owner = origin.user if self.scope is Scope.USER else origin.team
        if owner != self.owner:
            whose = f"{self.scope.value} {owner}" if owner else f"no {self.scope.value}"
            return f"the alert has {whose}"
        if alert.level < self.min_level:
            return f"{alert.level.value} is below min_level {self.min_level.value}"
        if not _matches([alert.kind], self.kinds):
            return f"kind {alert.kind!r} is not among {_listed(self.kinds)}"
        if not _matches([origin.project], self.projects):
            return f"project {origin.project!r} is not among {_listed(self.projects)}"
        if self.tags and not _matches(alert.tags, self.tags):
            return f"it has none of the tags {_listed(self.tags)}"
        return ""


def plan(alert: Alert, subscriptions: Iterable[Subscription]) -> tuple[str, ...]:
    """Return the channels that get the alert, each once, in the order of the wishes."""
    return tuple(
        dict.fromkeys(
            channel
            for subscription in subscriptions
            if not subscription.objection(alert)
            for channel in subscription.channels
        )
    )


def _matches(words: Iterable[str], patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(word, pattern) for word in words for pattern in patterns)


def _listed(patterns: Iterable[str]) -> str:
    return ", ".join(map(repr, patterns))
