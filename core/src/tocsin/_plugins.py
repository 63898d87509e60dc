"""Discovery: which providers are installed, and the class of one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from tocsin._errors import PluginError
from tocsin._provider import Provider

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "tocsin"
"""The entry-point group that plugins register in."""


@attrs.frozen
class Offer:
    """A name that an installed package registers, before anything of it is imported."""

    name: str
    distribution: str
    version: str


def offers() -> list[Offer]:
    """Return every name on offer, sorted; nothing of a plugin is imported."""
    return sorted(
        (Offer(entry.name, *_distribution(entry)) for entry in _entry_points()),
        key=lambda offer: offer.name,
    )


def load(name: str) -> type[Provider]:
    """Import the one plugin that registers this name and return its provider.

    Raises:
        PluginError: No installed package registers the name, two do, or the one that
            does is broken. The message names the packages.

    """
    entries = _entry_points(name)
    if not entries:
        raise PluginError(
            f"no installed provider is called {name!r}: pip install tocsin-{name}"
        )
    owners = sorted({" ".join(_distribution(entry)) for entry in entries})
    if len(owners) > 1:
        raise PluginError(
            f"the provider {name!r} is registered by {' and '.join(owners)}: "
            "uninstall one of them"
        )
    return _load(entries[0], owners[0])


def _entry_points(name: str | None = None) -> list[EntryPoint]:
    from importlib.metadata import entry_points

    return list(
        entry_points(group=GROUP)
        if name is None
        else entry_points(group=GROUP, name=name)
    )


def _distribution(entry: EntryPoint) -> tuple[str, str]:
    return (entry.dist.name, entry.dist.version) if entry.dist else ("unknown", "")


@attrs.define
class _Registrar:
    providers: list[type[Provider]] = attrs.field(factory=list)

    def provider(self, provider: type[Provider], /) -> None:
        if not issubclass(provider, Provider):
            raise TypeError(f"{provider!r} does not derive from tocsin.Provider")
        if "__attrs_attrs__" not in vars(provider):
            raise TypeError(f"{provider.__name__} is no attrs class: @attrs.frozen")
        self.providers.append(provider)


def _load(entry: EntryPoint, owner: str) -> type[Provider]:
    registrar = _Registrar()
    try:
        _call_register(entry.load(), registrar)
    except Exception as error:
        raise PluginError(
            f"the provider {entry.name!r} of {owner} is broken "
            f"({type(error).__name__}: {error}): upgrade or uninstall {owner}"
        ) from error
    for provider in registrar.providers:
        if provider.name == entry.name:
            return provider
    offered = ", ".join(repr(p.name) for p in registrar.providers) or "nothing"
    raise PluginError(
        f"the entry point {entry.name!r} of {owner} offers {offered}: "
        "its provider must bear the entry point's name"
    )


def _call_register(plugin: object, registrar: _Registrar) -> None:
    """Call this plugin's hook alone: one that raises must not starve the others."""
    import pluggy

    from tocsin import _hookspecs

    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(_hookspecs)
    manager.register(plugin)
    manager.check_pending()
    manager.hook.tocsin_register(registrar=registrar)
