from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from tocsin._errors import StoreError, TocsinError, printed

if TYPE_CHECKING:
    from collections.abc import Callable

    from tocsin._store._port import Store, StoreProvider


class Guard:
    """Anybody's store, of which everything that goes wrong is a `StoreError`.

    So a mistake in a plugin defers an alert, and never raises where one is raised.
    """

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._name = name

    def __getattr__(self, name: str) -> object:
        found = getattr(self._store, name)
        if not callable(found):
            return found
        guarded = _guarded(found, self._name)
        setattr(self, name, guarded)  # the next time it is found at once
        return guarded

    def __repr__(self) -> str:
        return repr(self._store)


def opened(
    provider: StoreProvider, namespace: str, config: str, *, timeout: float
) -> Store:
    """Open a plugin's store.

    Raises:
        StoreError: It cannot be, for whatever reason.

    """
    name = provider.name
    store: Any = _guarded(provider.open, name)(namespace, config, timeout=timeout)
    guard: Any = Guard(store, name)
    return guard  # type: ignore[no-any-return]  # it has what the store has


def _guarded(method: Callable[..., object], name: str) -> Callable[..., object]:
    @functools.wraps(method)
    def call(*args: object, **more: object) -> object:
        try:
            return method(*args, **more)
        except TocsinError:
            raise
        except Exception as error:
            raise StoreError(
                f"the store {name!r} failed ({type(error).__name__}: {printed(error)})"
            ) from error

    return call
