"""Counts alerts and deliveries with OpenTelemetry, by the meter provider that is set."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

import attrs
from opentelemetry import metrics

import tocsin

if TYPE_CHECKING:
    from tocsin import AlertCounts, SettledDelivery

SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0, 86_400.0)
"""The advised bounds of the histogram's buckets: a retry waits for seconds, up to a day."""

_meter = metrics.get_meter("tocsin_otel", version("tocsin-otel"))
_alerts = _meter.create_counter(
    "tocsin.alerts",
    unit="{alert}",
    description="Calls that raised an alert, by what they returned.",
)
_deliveries = _meter.create_counter(
    "tocsin.deliveries",
    unit="{delivery}",
    description="Deliveries that ended: delivered, or failed.",
)
_duration = _meter.create_histogram(
    "tocsin.delivery.duration",
    unit="s",
    description="From the call that raised an alert until its delivery ended.",
    explicit_bucket_boundaries_advisory=SECONDS,
)


@tocsin.hookimpl
def tocsin_alerts_counted(counts: AlertCounts) -> None:
    """Count the calls."""
    for result, count in attrs.asdict(counts).items():
        if count:
            _alerts.add(count, {"tocsin.result": result})


@tocsin.hookimpl
def tocsin_delivery_settled(settled: SettledDelivery) -> None:
    """Count the delivery, and what it took; a failure has an ``error.type``."""
    attributes = {
        "tocsin.channel": settled.channel,
        "tocsin.provider": settled.provider,
        "tocsin.status": settled.status.value,
    }
    if settled.cause:
        attributes["error.type"] = settled.cause
    _deliveries.add(1, attributes)
    _duration.record(settled.seconds, attributes)
