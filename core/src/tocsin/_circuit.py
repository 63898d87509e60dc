"""Is a channel fit to be tried? Pure: time comes in as seconds since the epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from tocsin._retry import HORIZON, MAX_BACKOFF, Delivered, Pending
from tocsin._throttle import CLOCK_SKEW

if TYPE_CHECKING:
    from collections.abc import Callable

    from tocsin._retry import Outcome

THRESHOLD = 5
"""Attempts in a row that the channel failed; then it is tried with one delivery at a time."""


@attrs.frozen(kw_only=True)
class Circuit:
    """How a channel fares.

    Closed, every delivery may be tried; open, none; between the two it is tried with one,
    and what becomes of that decides for all.
    """

    failures: int = 0
    """Attempts in a row that the channel failed, over all of its deliveries."""
    until: float = 0.0
    """Nothing is sent to the channel before."""
    since: float | None = None
    """Since when it fails, or has to wait."""
    is_out_of_order: bool = False
    """It fails until a person mends it."""
    reason: str = ""
    remedy: str = ""

    @property
    def is_failing(self) -> bool:
        """Whether it is tried with one delivery at a time."""
        return self.failures >= THRESHOLD

    def is_open(self, now: float) -> bool:
        """Whether nothing may be sent now."""
        # nobody asks for longer, nor from a time to come: that was a clock that was ahead
        is_ahead = self.since is not None and self.since > now + CLOCK_SKEW
        return now < self.until <= now + HORIZON and not is_ahead


CLOSED = Circuit()


def after(
    circuit: Circuit, outcome: Outcome, now: float, random: Callable[[], float]
) -> Circuit:
    """Return how the channel fares after an attempt; `random` gives 0 up to 1."""
    if isinstance(outcome, Delivered):
        return _working(circuit, now)
    failures, until = 0, 0.0
    if outcome.is_out_of_order:
        failures = max(circuit.failures + 1, THRESHOLD)
        until = max(circuit.until, now + MAX_BACKOFF)
    elif outcome.blames_channel:
        failures = circuit.failures + 1
        until = max(circuit.until, now + _pause(failures, random))
    elif isinstance(outcome, Pending) and outcome.hold_until is not None:
        until = max(circuit.until, outcome.hold_until)
    else:  # the service answers: it is this message that it will not have
        return _working(circuit, now)
    return Circuit(
        failures=failures,
        until=until,
        since=now if circuit.since is None else circuit.since,
        is_out_of_order=outcome.is_out_of_order
        or (circuit.is_out_of_order and outcome.blames_channel),
        reason=outcome.reason,
        remedy=outcome.remedy,
    )


def _working(circuit: Circuit, now: float) -> Circuit:
    """Close it, unless a service asked for time while this attempt was under way."""
    is_asked = circuit.is_open(now) and not circuit.is_failing
    return attrs.evolve(circuit, failures=0) if is_asked else CLOSED


def _pause(failures: int, random: Callable[[], float]) -> float:
    if failures < THRESHOLD:
        return 0.0
    return (1 + random()) / 2 * min(MAX_BACKOFF, 2.0 ** min(failures - THRESHOLD, 20))
