from __future__ import annotations

from typing import TYPE_CHECKING

from tocsin import hookimpl
from tocsin_apprise._provider import Apprise

if TYPE_CHECKING:
    from tocsin import Registrar


@hookimpl
def tocsin_register(registrar: Registrar) -> None:
    """Offer what Apprise sends to."""
    registrar.provider(Apprise)
