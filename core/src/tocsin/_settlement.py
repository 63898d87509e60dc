"""Pure: what listeners hear of deliveries that ended."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import attrs

from tocsin._errors import Ambiguous, DeliveryError, OutOfOrder, RetryLater
from tocsin._retry import MAX_AMBIGUOUS, Delivered
from tocsin._store import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tocsin._alert import Alert
    from tocsin._provider import Receipt
    from tocsin._retry import Failed
    from tocsin._store import Claim


@attrs.frozen(kw_only=True)
class SettledDelivery:
    """A delivery that ended: it is there, or it is given up."""

    id: str
    alert: Alert
    """Without its attachments."""
    channel: str
    provider: str
    """Its name."""
    status: Status
    """`Status.DELIVERED` or `Status.FAILED`."""
    attempts: int
    cause: str
    """Why it failed, in one word of few, for metrics: ``rejected``, ``out_of_order``,
    ``gave_up`` (it was tried for too long) or ``ambiguous`` (no answer, three times).
    Empty when it is delivered."""
    reason: str
    """Why it failed, in the words of the last attempt; no two need be alike."""
    error: type[DeliveryError] | None
    """What the last attempt raised: `Rejected`, `OutOfOrder`, `RetryLater` or `Ambiguous`,
    or what a provider derives from one of them."""
    receipt: Receipt | None
    """What the service said, when it is delivered."""
    seconds: float
    """From the call that raised the alert until now; what a subscription held counts."""
    attempt_seconds: float
    """How long the last attempt took."""
    at: datetime


def settlements(
    claim: Claim,
    outcome: Delivered | Failed,
    *,
    provider: str,
    error: DeliveryError | None,
    attempt_seconds: float,
    now: float,
) -> Iterator[SettledDelivery]:
    """Return what ended with an attempt: of a digest, each delivery that is in it."""
    is_there = isinstance(outcome, Delivered)
    for alert in [member.alert for member in claim.members] or [claim.alert]:
        raised = now if alert.created_at is None else alert.created_at.timestamp()
        yield SettledDelivery(
            id=f"{alert.id}.{claim.channel}",
            alert=attrs.evolve(alert, attachments=()),
            channel=claim.channel,
            provider=provider,
            status=Status.DELIVERED if is_there else Status.FAILED,
            attempts=claim.progress.attempt,
            cause="" if error is None else _cause(error, claim),
            reason=outcome.reason if not isinstance(outcome, Delivered) else "",
            error=None if error is None else type(error),
            receipt=outcome.receipt if isinstance(outcome, Delivered) else None,
            seconds=max(0.0, now - raised),  # a clock may have been set back
            attempt_seconds=attempt_seconds,
            at=datetime.fromtimestamp(now, UTC),
        )


def _cause(error: DeliveryError, claim: Claim) -> str:
    if isinstance(error, OutOfOrder):
        return "out_of_order"
    if not isinstance(error, RetryLater | Ambiguous):
        return "rejected"
    is_third = claim.progress.ambiguous + 1 >= MAX_AMBIGUOUS
    return "ambiguous" if isinstance(error, Ambiguous) and is_third else "gave_up"
