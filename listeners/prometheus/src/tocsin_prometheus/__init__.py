"""Counts alerts and deliveries with Prometheus, in the client's default registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from prometheus_client import Counter, Histogram

import tocsin

if TYPE_CHECKING:
    from tocsin import AlertCounts, SettledDelivery

SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0, 86_400.0)
"""The bounds of the histogram's buckets: a retry waits for seconds, up to a day."""

_alerts = Counter(
    "tocsin_alerts", "Calls that raised an alert, by what they returned.", ["result"]
)
for _field in attrs.fields(tocsin.AlertCounts):
    _alerts.labels(_field.name)  # a series that is there from the start has a rate
_deliveries = Counter(
    "tocsin_deliveries",
    "Deliveries that ended: delivered, or failed for a reason.",
    ["channel", "provider", "status", "reason"],
)
_duration = Histogram(
    "tocsin_delivery_duration_seconds",
    "From the call that raised an alert until its delivery ended.",
    ["channel", "provider", "status"],
    buckets=SECONDS,
)


@tocsin.hookimpl
def tocsin_alerts_counted(counts: AlertCounts) -> None:
    """Count the calls."""
    for result, count in attrs.asdict(counts).items():
        _alerts.labels(result).inc(count)


@tocsin.hookimpl
def tocsin_delivery_settled(settled: SettledDelivery) -> None:
    """Count the delivery, and what it took."""
    labels = (settled.channel, settled.provider, settled.status.value)
    _deliveries.labels(*labels, settled.cause).inc()
    _duration.labels(*labels).observe(settled.seconds)
