"""What a call returns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from tocsin._store import DeliveryRecord


@attrs.frozen(kw_only=True)
class Result:
    """What became of a call; each of the classes below is one."""

    def wait(self, timeout: float | None = None) -> tuple[DeliveryRecord, ...]:  # noqa: ARG002 - for those that have deliveries
        """Return every delivery of the alert once all are settled.

        Those that are not settled after `timeout` seconds are returned as they stand.
        """
        return ()


def _no_deliveries(timeout: float | None) -> tuple[DeliveryRecord, ...]:  # noqa: ARG001 - the shape of a wait
    return ()


@attrs.frozen(kw_only=True)
class _Kept(Result):
    alert_id: str
    _wait: Callable[[float | None], tuple[DeliveryRecord, ...]] = attrs.field(
        default=_no_deliveries, repr=False, eq=False
    )

    def wait(self, timeout: float | None = None) -> tuple[DeliveryRecord, ...]:
        """Return every delivery, settled or as it stands after `timeout` seconds."""
        return self._wait(timeout)


@attrs.frozen(kw_only=True)
class Admitted(_Kept):
    """It is kept: every planned delivery is sent at least once, or ends as failed."""

    channels: tuple[str, ...]
    suppressed: int = 0
    """How many like it were suppressed before; the message tells."""


@attrs.frozen(kw_only=True)
class Suppressed(Result):
    """It is one too many, and it is counted."""

    count: int
    """How many this process knows to be suppressed since the last one was admitted."""
    until: datetime


@attrs.frozen(kw_only=True)
class Unrouted(Result):
    """No subscription lets it through to a channel. It is in the history."""

    alert_id: str


@attrs.frozen(kw_only=True)
class Deferred(_Kept):
    """The store did not take it in time; it is kept beside it and submitted later."""


@attrs.frozen(kw_only=True)
class Refused(Result):
    """It could not be kept, and is lost; it is counted, and told in the log."""

    reason: str


@attrs.frozen(kw_only=True)
class Disabled(Result):
    """Alerts are switched off: nothing was done."""
