"""Webhooks for Tocsin: signed JSON to any address."""

from tocsin import Registrar, hookimpl
from tocsin_webhook._provider import Webhook

__all__ = ["Webhook", "tocsin_register"]


@hookimpl
def tocsin_register(registrar: Registrar) -> None:
    """Offer webhooks."""
    registrar.provider(Webhook)
