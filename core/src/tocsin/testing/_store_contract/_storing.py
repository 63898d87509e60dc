"""How alerts get into a store, and out of it again."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import attrs
import pytest

from tocsin._alert import new_id
from tocsin._provider import Receipt
from tocsin._retry import Delivered
from tocsin._routing import Route
from tocsin._store import Known, Submission
from tocsin._throttle import NONE_SUPPRESSED, Suppression, throttle_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tocsin._alert import Alert
    from tocsin._store import Claim, Granted, Resolved, Settled, Store, Withheld

P = ParamSpec("P")
T = TypeVar("T")

NOW = 1_800_000_000.0
DAY = 86_400.0
HOUR = 3600.0


def advise(what: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Have a check that fails say what the author of the store is to do."""

    def wrap(check: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(check)
        def run(*args: P.args, **more: P.kwargs) -> T:
            __tracebackhide__ = True
            try:
                return check(*args, **more)
            except (Exception, pytest.fail.Exception) as error:
                error.add_note(f"What to do: {what}.")
                raise

        return run

    return wrap


def submission(  # a test says what matters to it
    alert: Alert,
    *plan: Route | str,
    suppressed: Suppression = NONE_SUPPRESSED,
    is_new: bool = False,
    is_admitted: bool = False,
    is_adopted: bool = False,
) -> Submission:
    """Return an alert on its way to these channels."""
    return Submission(
        alert=alert if alert.id else attrs.evolve(alert, id=new_id()),
        key=throttle_key(alert),
        plan=tuple(r if isinstance(r, Route) else Route(r) for r in plan),
        suppressed=suppressed,
        is_new=is_new,
        is_admitted=is_admitted,
        is_adopted=is_adopted,
    )


def submit(
    store: Store,
    alert: Alert,
    now: float = NOW,
    *,
    plan: Iterable[Route | str] = ("inbox",),
    suppressed: Suppression = NONE_SUPPRESSED,
) -> Granted | Withheld | Known:
    """Submit an alert."""
    made = submission(alert, *plan, suppressed=suppressed, is_new=not alert.id)
    return store.submit(made, now, timeout=5)


def claims(
    store: Store, now: float = NOW, channel: str = "inbox", most: int = 9
) -> list[Claim]:
    """Take what is due on a channel."""
    return store.claim({channel: most}, lease=30, now=now)


def claim_one(store: Store, now: float = NOW, channel: str = "inbox") -> Claim:
    """Take the one delivery that is due on a channel."""
    found = claims(store, now, channel, 1)
    assert len(found) == 1, f"nothing is due on {channel}, and there should be"
    return found[0]


def deliver(
    store: Store, claim: Claim, now: float = NOW, reference: str = ""
) -> Settled | None:
    """Settle a claim as delivered."""
    return store.settle(claim, Delivered(Receipt(reference=reference)), now)


def status(store: Store, alert_id: str) -> dict[str, str]:
    """Return what became of an alert, by channel."""
    found = store.deliveries(alert_id, timeout=5)
    return {delivery.channel: delivery.status.value for delivery in found}


def suppressed_by(verdict: Granted | Withheld | Known) -> Suppression:
    """Return what a verdict tells of."""
    assert not isinstance(verdict, Known), "an alert that is new is no Known one"
    return verdict.suppressed


def resolved_by(claim: Claim) -> Resolved:
    """Return the alert that a claim says is over."""
    assert claim.resolves is not None, "the claim of a resolution has no original"
    return claim.resolves
