"""Discovery: which plugins are installed, and what one of them offers."""

from __future__ import annotations

import functools
from difflib import get_close_matches
from typing import TYPE_CHECKING

import attrs

from tocsin._errors import PluginBroken, PluginError, printed
from tocsin._listener import HOOKS, RUN_CHANGED, Listener
from tocsin._provider import Provider
from tocsin._store import StoreProvider

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.metadata import EntryPoint

    import pluggy

    from tocsin._listener import Change, Notify

    Hears = dict[str, Callable[..., object]]

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
        PluginError: No installed package registers the name, or two do.
        PluginBroken: The package that does is broken; the message names it.

    """
    entry, owner = _only(name, "provider")
    registrar, plugin = _registered_by(entry, owner, "provider")
    for provider in registrar.providers:
        if provider.name == entry.name:
            return provider
    if not registrar.providers and _hears(plugin):
        raise PluginError(
            f"{entry.name!r} of {owner} is a listener, no provider: name it in `listeners`"
        )
    if registrar.stores and not registrar.providers:
        raise PluginError(
            f"{entry.name!r} of {owner} is a store, no provider: name it in [store]"
        )
    raise _misnamed("provider", entry, owner, registrar.providers)


def load_store(name: str) -> type[StoreProvider]:
    """Import the one plugin that registers this name and return its store's settings.

    Raises:
        PluginError: No installed package registers the name, or two do.
        PluginBroken: The package that does is broken; the message names it.

    """
    entry, owner = _only(name, "store")
    registrar, _ = _registered_by(entry, owner, "store")
    for store in registrar.stores:
        if store.name == entry.name:
            return store
    if registrar.providers:
        raise PluginError(
            f"{entry.name!r} of {owner} is a provider of channels, no store: name it in "
            "[channels.NAME]"
        )
    raise _misnamed("store", entry, owner, registrar.stores)


def load_listener(name: str) -> Listener:
    """Import the one plugin that registers this name and return what it hears.

    Raises:
        PluginError: No installed package registers the name, or two do.
        PluginBroken: The package that does is broken, or does not listen.

    """
    entry, owner = _only(name, "listener")
    try:
        hears = _hears(entry.load())
    except BaseException as error:
        raise _broken("listener", entry, owner, error) from error
    if not hears:
        raise PluginBroken(
            f"the listener {name!r} of {owner} does not listen: {_HEARS_NOTHING}"
        )
    return Listener(name, hears)


def listener(name: str, plugin: object) -> Listener:
    """Return what an object, a module or a function of the program's own hears.

    Raises:
        TypeError: It hears nothing, or a hook of it takes what there is not.

    """
    import pluggy

    try:
        hears = _hears(plugin)
    except pluggy.PluginValidationError as error:
        raise TypeError(f"the listener {name!r}: {error}") from error
    if not hears and callable(plugin):
        hears = {RUN_CHANGED: _positional(plugin)}
    if not hears:
        raise TypeError(f"the listener {name!r} does not listen: {_HEARS_NOTHING}")
    return Listener(name, hears)


_HEARS_NOTHING = f"it has none of {', '.join(HOOKS)} decorated with @tocsin.hookimpl"


def _hears(plugin: object) -> Hears:
    hook = _manager(plugin).hook
    calls = {name: getattr(hook, name) for name in HOOKS}
    return {name: call for name, call in calls.items() if call.get_hookimpls()}


def _positional(function: Callable[..., object]) -> Callable[..., object]:
    def hear(*, change: Change, notify: Notify) -> None:
        function(change, notify)

    return hear


def listens(name: str) -> bool:
    """Say whether the plugin that registers this name is a listener."""
    try:
        load_listener(name)
    except PluginError:
        return False
    return True


def keeps(name: str) -> bool:
    """Say whether the plugin that registers this name is a store."""
    try:
        load_store(name)
    except PluginError:
        return False
    return True


def _only(name: str, what: str) -> tuple[EntryPoint, str]:
    """Return the entry point of this name, and the package that has it."""
    entries = _registered(name)
    if not entries:
        _entry_points.cache_clear()  # it may be installed while we run, in a notebook
        entries = _registered(name)
    if not entries:
        raise PluginError(_not_installed(name, what))
    owners = sorted({" ".join(_distribution(entry)) for entry in entries})
    if len(owners) > 1:
        raise PluginError(
            f"the {what} {name!r} is registered by {' and '.join(owners)}: "
            "uninstall one of them"
        )
    return entries[0], owners[0]


def _registered(name: str) -> list[EntryPoint]:
    return [entry for entry in _entry_points() if entry.name == name]


def _not_installed(name: str, what: str) -> str:
    close = get_close_matches(name, {entry.name for entry in _entry_points()}, n=1)
    remedy = f"did you mean {close[0]!r}?" if close else f"pip install tocsin-{name}"
    return f"no {what} {name!r} is installed: {remedy}"


@functools.cache
def _entry_points() -> tuple[EntryPoint, ...]:
    """Look through everything that is installed: tens of milliseconds."""
    from importlib.metadata import entry_points

    return tuple(entry_points(group=GROUP))


def _distribution(entry: EntryPoint) -> tuple[str, str]:
    if entry.dist is None or "Name" not in entry.dist.metadata:
        return "an unnamed package", ""
    return entry.dist.metadata["Name"], entry.dist.version


@attrs.define
class _Registrar:
    providers: list[type[Provider]] = attrs.field(factory=list)
    stores: list[type[StoreProvider]] = attrs.field(factory=list)

    def provider(self, provider: type[Provider], /) -> None:
        _check(provider, Provider)
        self.providers.append(provider)

    def store(self, store: type[StoreProvider], /) -> None:
        _check(store, StoreProvider)
        self.stores.append(store)


def _check(offered: type, base: type) -> None:
    if not issubclass(offered, base):
        raise TypeError(f"{offered!r} does not derive from tocsin.{base.__name__}")
    if not isinstance(getattr(offered, "name", None), str):
        raise TypeError(f'{offered.__name__} has no name: name = "…"')
    if "__attrs_attrs__" not in vars(offered):
        raise TypeError(f"{offered.__name__} is no attrs class: @attrs.frozen")


def _registered_by(
    entry: EntryPoint, owner: str, what: str
) -> tuple[_Registrar, object]:
    """Return what a plugin offers, and the plugin."""
    registrar = _Registrar()
    try:
        plugin = entry.load()
        _call_register(plugin, registrar)
    except BaseException as error:
        raise _broken(what, entry, owner, error) from error
    return registrar, plugin


def _misnamed(
    what: str,
    entry: EntryPoint,
    owner: str,
    found: Sequence[type[Provider | StoreProvider]],
) -> PluginBroken:
    offered = ", ".join(repr(one.name) for one in found) or "nothing"
    remedy = (
        f"its {what} must bear the entry point's name"
        if found
        else "decorate its tocsin_register with @tocsin.hookimpl"
    )
    return PluginBroken(
        f"the entry point {entry.name!r} of {owner} offers {offered}: {remedy}"
    )


def _broken(
    what: str, entry: EntryPoint, owner: str, error: BaseException
) -> PluginBroken:
    return PluginBroken(
        f"the {what} {entry.name!r} of {owner} is broken "
        f"({type(error).__name__}: {printed(error)}): upgrade or uninstall {owner}"
    )


def _call_register(plugin: object, registrar: _Registrar) -> None:
    _manager(plugin).hook.tocsin_register(registrar=registrar)


def _manager(plugin: object) -> pluggy.PluginManager:
    """Return a manager of this plugin alone: one that raises must not starve the others."""
    import pluggy

    from tocsin import _hookspecs

    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(_hookspecs)
    manager.register(plugin)
    manager.check_pending()
    return manager
