"""Plugins that hear of every change of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from tocsin._alert import Alert, Origin


class Notify(Protocol):
    """Raises an alert in the name of a run; it returns at once."""

    def __call__(self, alert: Alert, /) -> object:
        """Raise it."""


@attrs.frozen(kw_only=True)
class Change:
    """Something that happened to a run."""

    kind: str
    """``state``, ``metrics``, or what `Run.emit` was given: any word."""
    facts: Mapping[str, object]
    """``{"state": "finished", …}``, the metrics, or what `Run.emit` was given."""
    step: int | None = None
    """The step that metrics were logged for."""
    origin: Origin
    at: datetime


@attrs.frozen
class Listener:
    """A plugin that the configuration chose: its name, and what hears of changes."""

    name: str
    hear: Callable[[Change, Notify], object] | None
    """None when the plugin is broken: then `problem` says how."""
    problem: str = ""
