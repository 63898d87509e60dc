from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import attrs

from tocsin._attempt import key_of, own_forms
from tocsin._errors import ConfigError
from tocsin._provider import Delivery
from tocsin._rendering import Circumstances, render
from tocsin._structure import Structure
from tocsin._toml import Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tocsin._alert import Alert
    from tocsin._errors import Problem
    from tocsin._provider import Message, Provider, Receipt, Sender

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
"""When a test's alerts are raised."""


def attempt(
    provider: Provider,
    alert: Alert,
    delivery: Delivery | None = None,
    *,
    suppressed: int = 0,
) -> Receipt:
    """Render an alert as core does, and make one attempt to deliver it.

    Raises:
        DeliveryError: It did not succeed.

    """
    sender = provider.open()
    try:
        delivery = delivery or Delivery(id="d-1", channel="tests")
        delivery = attrs.evolve(delivery, key=delivery.key or key_of(alert))
        message = rendered(provider, alert, suppressed=suppressed, sender=sender)
        return sender.deliver(message, delivery)
    finally:
        if sender is not provider:
            sender.close()


def rendered(
    provider: Provider,
    alert: Alert,
    *,
    suppressed: int = 0,
    sender: Sender | None = None,
) -> Message:
    """Render an alert as core does, for a sender of the provider's."""
    if alert.created_at is None:
        alert = attrs.evolve(alert, created_at=NOW)
    circumstances = Circumstances(now=NOW, suppressed=suppressed)
    return render(type(provider), alert, circumstances, **own_forms(sender))


def configured(provider: type[Provider], table: Mapping[str, object]) -> Provider:
    """Return the provider that a channel's table makes.

    Raises:
        ConfigError: The table has mistakes.

    """
    problems: list[Problem] = []
    where = Table("tocsin.toml", "channels.tests", table, "tests")
    made = Structure(problems).provider(where, provider)
    if made is None:
        raise ConfigError(problems)
    return made
