from __future__ import annotations

from typing import TYPE_CHECKING

from tocsin import hookimpl
from tocsin_email._provider import Email

if TYPE_CHECKING:
    from tocsin import Registrar


@hookimpl
def tocsin_register(registrar: Registrar) -> None:
    """Offer Email."""
    registrar.provider(Email)
