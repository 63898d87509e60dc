from __future__ import annotations

from typing import TYPE_CHECKING

from tocsin import hookimpl
from tocsin_slack._provider import Slack

if TYPE_CHECKING:
    from tocsin import Registrar


@hookimpl
def tocsin_register(registrar: Registrar) -> None:
    """Offer Slack."""
    registrar.provider(Slack)
