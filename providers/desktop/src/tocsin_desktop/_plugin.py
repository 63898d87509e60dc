from __future__ import annotations

from typing import TYPE_CHECKING

from tocsin import hookimpl
from tocsin_desktop._provider import Desktop

if TYPE_CHECKING:
    from tocsin import Registrar


@hookimpl
def tocsin_register(registrar: Registrar) -> None:
    """Offer desktop notifications."""
    registrar.provider(Desktop)
