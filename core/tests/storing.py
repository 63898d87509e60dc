"""What the tests of the store share: how alerts get into it and out of it again."""

from __future__ import annotations

import attrs

from tocsin import Receipt
from tocsin._alert import new_id
from tocsin._retry import Delivered
from tocsin._routing import Route
from tocsin._store import Submission
from tocsin._throttle import Suppression, throttle_key

NOW = 1_800_000_000.0


def submission(alert, *plan, **more):
    return Submission(
        alert=alert if alert.id else attrs.evolve(alert, id=new_id()),
        key=throttle_key(alert),
        plan=tuple(r if isinstance(r, Route) else Route(r) for r in plan),
        **more,
    )


def submit(store, alert, now=NOW, *, plan=("inbox",), suppressed=None):
    suppressed = suppressed or Suppression()
    made = submission(alert, *plan, suppressed=suppressed, is_new=not alert.id)
    return store.submit(made, now, timeout=5)


def claims(store, now=NOW, channel="inbox", most=9):
    return store.claim({channel: most}, lease=30, now=now)


def claim_one(store, now=NOW, channel="inbox"):
    (claim,) = claims(store, now, channel, 1)
    return claim


def deliver(store, claim, now=NOW, reference=""):
    return store.settle(claim, Delivered(Receipt(reference=reference)), now)


def status(store, alert_id):
    """Return what became of an alert, by channel."""
    found = store.deliveries(alert_id, timeout=5)
    return {delivery.channel: delivery.status.value for delivery in found}
