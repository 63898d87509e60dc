"""A notifier that was made before the capture: what is raised there is captured, too."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from tocsin._alert import Alert
    from tocsin._gate import Gate
    from tocsin._notifier import Notifier
    from tocsin._results import Result, Suppressed
    from tocsin.testing._clock import Clock


class Diverted:
    """In the place of its intake: hands alerts to the one of a notifier of the capture.

    `double` makes that one, at the first alert. What the notifier does in the background
    stays its own.
    """

    def __init__(
        self, notifier: Notifier, double: Callable[[], Notifier], clock: Clock
    ) -> None:
        self._user = notifier.settings.user
        self._intake = notifier.intake
        self._make = double
        self._clock = clock
        self._lock = threading.Lock()
        self._made: Notifier | None = None

    @property
    def _double(self) -> Notifier:
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made

    def _moved(self, alert: Alert) -> Alert:
        """Return an alert as one of the user's whose settings hold in the capture."""
        if alert.origin.user != self._user:
            return alert
        origin = attrs.evolve(alert.origin, user=self._double.settings.user)
        return attrs.evolve(alert, origin=origin)

    @property
    def gate(self) -> Gate:
        """See `Intake`."""
        return self._double.intake.gate

    def glance(self, call: Hashable, wait: float, now: float) -> Suppressed | None:  # noqa: ARG002 - another clock
        """See `Intake.glance`."""
        return self._double.intake.glance(call, wait, self._clock())

    def take(
        self, alert: Alert, now: float, *, is_new: bool, call: Hashable = None
    ) -> Result:
        """See `Intake.take`."""
        del now  # it is of another clock
        here = attrs.evolve(self._moved(alert), created_at=self._clock.now)
        return self._double.intake.take(here, self._clock(), is_new=is_new, call=call)

    def receive(self, alert: Alert) -> Result:
        """See `Intake.receive`."""
        return self._double.intake.receive(self._moved(alert))

    def is_wanted(self, alert: Alert) -> bool:
        """See `Intake.is_wanted`."""
        return self._double.intake.is_wanted(self._moved(alert))

    def __getattr__(self, name: str) -> object:
        """Leave to the notifier what it does in the background."""
        return getattr(self._intake, name)
