"""What a plugin may offer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pluggy

if TYPE_CHECKING:
    from tocsin._provider import Provider

hookspec = pluggy.HookspecMarker("tocsin")
hookimpl = pluggy.HookimplMarker("tocsin")


class Registrar(Protocol):
    """What `tocsin_register` hands to a plugin."""

    def provider(self, provider: type[Provider], /) -> None:
        """Offer a provider. Its ``name`` must be the name of the entry point."""


@hookspec
def tocsin_register(registrar: Registrar) -> None:
    """Offer providers: call ``registrar.provider(YourProvider)``.

    Called once, when a channel first asks for this plugin's name. Offering changes
    nothing: the configuration selects.
    """
