"""Alerts of Trackio's runs, to Tocsin as well."""

from __future__ import annotations

import functools
from typing import Any

from tocsin._alert import Alert, AlertLevel
from tocsin.integrations._forwarding import Forwarding, place

__all__ = ["forward"]


def forward() -> Forwarding:
    """Forward alerts: what `trackio.alert` and a run's `alert` tell Trackio, Tocsin is told.

    Trackio is called first, with the same arguments, and the caller gets what it returns or
    raises. A failure of Tocsin's is logged. The level is Trackio's, WARN where none is
    given. The alert is raised in the current run; without one, in the user's
    configuration, as of a run with the project, id and name of the one in Trackio.

    A second call changes nothing. Undo it by `Forwarding.undo`, or use it in a ``with``.

    Raises:
        ModuleNotFoundError: trackio is not installed.

    """
    return _forwarding().install()


@functools.cache
def _forwarding() -> Forwarding:
    from trackio.run import Run

    return Forwarding(Run, _read)


def _read(
    run: Any,
    title: str,
    text: str | None = None,
    level: Any = AlertLevel.WARN,
    step: int | None = None,
    **_: Any,
) -> Alert:
    """Return what Trackio was told."""
    return Alert(
        title,
        text or "",
        level,
        fields=None if step is None else {"step": step},
        origin=place(run.project or "", run.id or "", run.name or ""),
    )
