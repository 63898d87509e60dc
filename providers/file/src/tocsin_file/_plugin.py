from __future__ import annotations

from typing import TYPE_CHECKING

from tocsin import hookimpl
from tocsin_file._provider import File

if TYPE_CHECKING:
    from tocsin import Registrar


@hookimpl
def tocsin_register(registrar: Registrar) -> None:
    """Offer files."""
    registrar.provider(File)
