"""Plugins that hear of every change of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import attrs

from tocsin._alert import Alert, Origin

if TYPE_CHECKING:
    from datetime import datetime

Notify = Callable[[Alert], object]
"""Raises an alert in the name of a run; it returns at once."""


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
