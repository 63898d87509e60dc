"""Alerts of an experiment tracker's run, which go to Tocsin as well."""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any, Self

import tocsin
from tocsin import _places as places
from tocsin._alert import Alert, Origin
from tocsin._errors import ConfigError, printed

if TYPE_CHECKING:
    from collections.abc import Callable

    from tocsin import Notifier

_log = logging.getLogger("tocsin")


class Forwarding:
    """What `forward` has installed, until `undo`; or for the length of a ``with``."""

    def __init__(self, run: type, read: Callable[..., Alert]) -> None:
        """Prepare for a tracker's class of runs.

        `read` is given the run and the arguments of its `alert`, and returns what is to
        be raised.
        """
        self._run = run
        self._read = read
        self._is_on = False
        self._original: Callable[..., Any] | None = None
        self._ours: Callable[..., Any] | None = None

    def install(self) -> Self:
        """Forward from now on."""
        if self._now is not self._ours:
            self._wrap(self._now)
        self._is_on = True
        return self

    @property
    def _now(self) -> Callable[..., Any]:
        return self._run.alert  # type: ignore[attr-defined,no-any-return] # a tracker's run has it

    def _wrap(self, original: Callable[..., Any]) -> None:
        @functools.wraps(original)
        def alert(run: Any, *args: Any, **kwargs: Any) -> Any:
            returned = original(run, *args, **kwargs)
            if self._is_on and alert is self._ours:
                self._tell(run, *args, **kwargs)
            return returned

        self._original, self._ours = original, alert
        self._run.alert = alert  # type: ignore[attr-defined] # likewise

    def undo(self) -> None:
        """Forward no more; a second call does nothing."""
        self._is_on = False
        if self._now is self._ours:  # what wraps it meanwhile is not ours to undo
            self._run.alert = self._original  # type: ignore[attr-defined] # as above

    def bound(self, function: Any) -> Any:
        """Return a run's `alert` as it is now, for one that was looked up before."""
        if getattr(function, "__func__", None) in {self._original, self._ours} - {None}:
            return function.__self__.alert
        return function

    def _tell(self, run: Any, *args: Any, **kwargs: Any) -> None:
        try:
            raised(self._read(run, *args, **kwargs))
        except Exception as error:  # noqa: BLE001 - the tracker's caller asked nothing of us
            _log.warning("an alert was not forwarded: %s", printed(error))

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Undo it."""
        self.undo()


def place(project: str, run: str, name: str) -> Origin:
    """Return where an alert of a tracker's run comes from."""
    return Origin(
        project=project,
        run=run,
        run_name=name,
        job=places.job(),
        rank=places.rank(),
    )


def raised(alert: Alert) -> None:
    """Raise the alert: in the current run, or else in the tracker's own."""
    run: Any = tocsin.run
    notifier = None if run is not None else _notifier()
    if notifier is not None:
        notifier.notify(alert)
        return
    origin, fields = alert.origin, dict(alert.fields)
    if run is None or run.id != origin.run:
        fields = {"run": f"{origin.project}/{origin.run_name}", **fields}
    (tocsin.alert if run is None else run.alert)(
        alert.title,
        alert.text,
        alert.level,
        alert.wait_duration,
        fields=fields,
        url=alert.url,
    )


@functools.cache
def _notifier() -> Notifier | None:
    """Return what delivers for a tracker's runs; None: `tocsin.alert` does, and says why."""
    try:
        notifier = tocsin.Notifier.from_config()
    except (ConfigError, ValueError):
        return None
    return notifier if notifier.settings.channels else None
