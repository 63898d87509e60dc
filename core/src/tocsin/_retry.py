"""What becomes of a delivery after an attempt, and when it is tried again. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from tocsin._errors import Ambiguous, DeliveryError, OutOfOrder, RetryLater
from tocsin._provider import Receipt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FIRST_BACKOFF = 1.0
MAX_BACKOFF = 300.0
MAX_RETRY_AFTER = 3600.0
"""Seconds: a service that asks for more is asked again after an hour."""
HORIZON = 2 * MAX_RETRY_AFTER
"""Seconds: nothing is due later, but for what a route holds, unless a clock was ahead."""
MAX_AMBIGUOUS = 3
"""Attempts whose answer was lost: so many duplicates a person may see, and no more."""
MAX_CLAIMS = 20
"""Claims in a row that ended in neither success nor failure: this alert kills whoever
sends it."""


@attrs.frozen
class Delivered:
    """It is there."""

    receipt: Receipt


@attrs.frozen(kw_only=True)
class Pending:
    """It is tried again at `due` (seconds since the epoch)."""

    due: float
    reason: str
    remedy: str = ""
    state: Mapping[str, object] = attrs.field(factory=dict)
    ambiguous: bool = False
    hold_until: float | None = None
    """The service asked that nothing be sent to the channel before."""
    blames_channel: bool = False
    """The next delivery would fare no better."""
    is_out_of_order: bool = False
    """Nor would any until a person mends the channel."""


@attrs.frozen(kw_only=True)
class Failed:
    """It is given up; `replay` starts it again."""

    reason: str
    remedy: str = ""
    blames_channel: bool = False
    """The next delivery would fare no better."""
    is_out_of_order: bool = False
    """Nor would any until a person mends the channel."""


Outcome = Delivered | Pending | Failed


@attrs.frozen(kw_only=True)
class Progress:
    """What is known of a delivery when an attempt ends."""

    attempt: int
    """1 for the first."""
    ambiguous: int
    """How many earlier attempts may have arrived."""
    first_attempt_at: float
    is_probe: bool = False
    """It is tried on a channel that fails, to find out whether that still does."""
    state: Mapping[str, object] = attrs.field(factory=dict)


def outcome(
    result: Receipt | DeliveryError,
    progress: Progress,
    *,
    now: float,
    give_up_after: float,
    random: Callable[[], float],
) -> Outcome:
    """Return what becomes of a delivery.

    A delivery ends by age, never by a count of honest retries; `random` gives numbers
    from 0 up to 1 for the jitter.
    """
    if isinstance(result, Receipt):
        return Delivered(result)
    is_old = now >= progress.first_attempt_at + give_up_after
    if isinstance(result, OutOfOrder):
        return _out_of_order(result, now, is_kept=progress.is_probe and not is_old)
    if not isinstance(result, RetryLater | Ambiguous):
        return Failed(reason=result.reason, remedy=result.remedy)
    ambiguous = isinstance(result, Ambiguous)
    if ambiguous and progress.ambiguous + 1 >= MAX_AMBIGUOUS:
        return Failed(
            reason=f"{result.reason} ({MAX_AMBIGUOUS} times: it may have arrived)",
            remedy=result.remedy,
            blames_channel=True,
        )
    after = _after(result)
    pause = backoff(progress.attempt, random)
    if ambiguous and progress.ambiguous:  # outlast an outage: the next is the last one
        pause = MAX_BACKOFF * (1 + random()) / 2
    due = now + max(after or 0.0, pause)
    has_other_form = (
        after == 0 and result.state is not None and result.state != progress.state
    )
    if has_other_form:
        due = now  # the provider has another form to try; without one, 0 s would spin
    if due > progress.first_attempt_at + give_up_after:
        return Failed(
            reason=f"{result.reason} (given up after {_span(give_up_after)})",
            remedy=result.remedy,
            blames_channel=True,
        )
    return Pending(
        due=due,
        reason=result.reason,
        remedy=result.remedy,
        state=progress.state if result.state is None else result.state,
        ambiguous=ambiguous,
        hold_until=due if after else None,
        blames_channel=not after and not has_other_form,
    )


def _out_of_order(result: OutOfOrder, now: float, *, is_kept: bool) -> Outcome:
    """Fail the delivery that finds out; those that only find it unchanged are kept."""
    if not is_kept:
        return Failed(reason=result.reason, remedy=result.remedy, is_out_of_order=True)
    return Pending(
        due=now, reason=result.reason, remedy=result.remedy, is_out_of_order=True
    )


def backoff(attempt: int, random: Callable[[], float]) -> float:
    """Return how many seconds to wait after this attempt: exponential, full jitter."""
    return random() * min(MAX_BACKOFF, FIRST_BACKOFF * 2.0 ** min(attempt, 20))


def _after(error: RetryLater | Ambiguous) -> float | None:
    after = error.after if isinstance(error, RetryLater) else None
    if not isinstance(after, int | float) or not after >= 0:  # nan is no wish either
        return None
    return min(after, MAX_RETRY_AFTER)


def _span(seconds: float) -> str:
    return f"{seconds / 3600:g} h" if seconds >= 3600 else f"{seconds:g} s"  # noqa: PLR2004 - an hour
