"""Alerts of W&B's runs, to Tocsin as well."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from tocsin._alert import Alert
from tocsin.integrations._forwarding import Forwarding, place

if TYPE_CHECKING:
    from datetime import timedelta

__all__ = ["forward"]


def forward() -> Forwarding:
    """Forward alerts: what `wandb.alert` and a run's `alert` tell W&B, Tocsin is told too.

    W&B is called first, with the same arguments, and what it returns or raises is what the
    caller gets: an alert that it refuses is not forwarded. A failure of Tocsin's is logged.
    Level and `wait_duration` mean what they mean to W&B. The alert is raised in the current
    run; without one, in the user's configuration, as of a run with the project, id and name
    of the one in W&B. It carries the address of that run.

    A run that is disabled forwards nothing. A second call changes nothing. Undo it by
    `Forwarding.undo`, or use it in a ``with``.

    Raises:
        ModuleNotFoundError: wandb is not installed.

    """
    forwarding = _forwarding()
    forwarding.install()
    return forwarding


class _Forwarding(Forwarding):
    """It also minds `wandb.alert`, which is the current run's, looked up at its start."""

    def install(self) -> _Forwarding:
        super().install()
        self._look_up()
        return self

    def undo(self) -> None:
        """Forward no more; a second call does nothing."""
        super().undo()
        self._look_up()

    def _look_up(self) -> None:
        import wandb

        wandb.alert = self.bound(wandb.alert)


@functools.cache
def _forwarding() -> _Forwarding:
    from wandb.sdk.wandb_run import Run  # which older versions do not call wandb.Run

    return _Forwarding(Run, _read)


def _read(
    run: Any,
    title: str,
    text: str = "",
    level: Any = None,
    wait_duration: float | timedelta | None = None,
    **_: Any,
) -> Alert:
    """Return what W&B was told; nothing, or zero, is its default of a minute."""
    return Alert(
        title,
        text,
        level,
        wait_duration or None,
        url="" if run.offline else run.url or "",
        origin=place(run.project or "", run.id or "", run.name or ""),
    )
