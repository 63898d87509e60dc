"""Discord for Tocsin: alerts to a channel, by its webhook."""

from tocsin import Registrar, hookimpl
from tocsin_discord._provider import Discord

__all__ = ["Discord", "tocsin_register"]


@hookimpl
def tocsin_register(registrar: Registrar) -> None:
    """Offer Discord."""
    registrar.provider(Discord)
