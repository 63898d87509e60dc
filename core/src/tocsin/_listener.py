"""Plugins that hear of what happens: to runs, to deliveries, to alerts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from tocsin._alert import Alert, Origin

RUN_CHANGED = "tocsin_run_changed"
DELIVERY_SETTLED = "tocsin_delivery_settled"
ALERTS_COUNTED = "tocsin_alerts_counted"
HOOKS = (RUN_CHANGED, DELIVERY_SETTLED, ALERTS_COUNTED)
"""What a listener may hear; it hears one of them at least."""


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
    """A plugin that the settings chose: its name, and what it hears."""

    name: str
    hears: Mapping[str, Callable[..., object]] = attrs.field(factory=dict)
    """By the name of the hook, what is called with the hook's arguments by keyword."""
    problem: str = ""
    """How the plugin is broken; then it hears nothing."""
