"""Telegram for Tocsin: alerts to a chat, by a bot."""

from tocsin import Registrar, hookimpl
from tocsin_telegram._provider import Telegram

__all__ = ["Telegram", "tocsin_register"]


@hookimpl
def tocsin_register(registrar: Registrar) -> None:
    """Offer Telegram."""
    registrar.provider(Telegram)
