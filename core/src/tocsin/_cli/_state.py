"""The state directory, looked at from outside: looking makes nothing in it."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from tocsin import _places as places
from tocsin import _state as files
from tocsin._cli._faults import without_troubles
from tocsin._errors import StoreDamaged, StoreError
from tocsin._mode import Mode
from tocsin._notifier import Notifier
from tocsin._spill import waiting_files
from tocsin._store import PATIENCE
from tocsin._store import _guard as guard

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tocsin._circuit import Circuit
    from tocsin._silence import Silence
    from tocsin._store import Namespace, Store, StoreProvider


@attrs.frozen
class State:
    """A folder that holds a store, or ``:memory:``; or what is kept beside one elsewhere."""

    folder: str
    is_network: bool | None = None
    """Whether the configuration says that other machines share the folder."""
    provider: StoreProvider | None = None
    """What the configuration says of the store, if that is a plugin's."""
    own: str = ""
    """The configuration."""

    @property
    def is_kept(self) -> bool:
        """Whether it outlives the program."""
        return self.folder != places.MEMORY

    @property
    def place(self) -> str:
        """Where the store is, for people."""
        if self.provider is not None:
            return f"the store {self.provider.name!r}"
        return str(self.database)

    @property
    def database(self) -> Path:
        """The store's file, there or not: not in the folder, if machines share that."""
        return Path(self._files.path)

    @property
    def _files(self) -> files.State:
        return files.State(
            self.folder,
            "",
            "",
            is_network=self.is_network,
            provider=self.provider,
        )

    @contextlib.contextmanager
    def store(self, namespace: str) -> Iterator[Store]:
        """Open the store as one namespace sees it; empty when there is none yet."""
        if self.provider is not None:
            with contextlib.closing(self._opened(self.provider, namespace)) as store:
                yield store
            return
        from tocsin._store.sqlite import SqliteStore

        is_there = self.is_kept and self.database.is_file()
        path = str(self.database) if is_there else places.MEMORY
        with contextlib.closing(SqliteStore(path, namespace)) as sqlite:
            yield sqlite

    def _opened(self, provider: StoreProvider, namespace: str) -> Store:
        """Open a plugin's store, which is to know the namespace by its configuration."""
        config = namespace
        if namespace != self.own:
            known = {one.name: one.config for one in self.namespaces()}
            config = known.get(namespace, "")
        return guard.opened(provider, namespace, config, timeout=PATIENCE)

    def circuits(self, namespace: str) -> dict[str, Circuit]:
        """Return which channels fail or have to wait; none if the store does not tell."""
        try:
            with self.store(namespace) as store:
                return store.circuits()
        except StoreError:  # the folder's own check tells
            return {}

    def silences(self, namespace: str, now: float) -> list[Silence]:
        """Return the silences that are not over; none if the store does not tell."""
        try:
            with self.store(namespace) as store:
                return store.silences(now)
        except StoreError:  # likewise
            return []

    def namespaces(self) -> list[Namespace]:
        """Return everyone who has used the store."""
        with self.store(self.own) as store:
            return store.namespaces()

    def repaired(self) -> list[Namespace]:
        """Return the same; a damaged store is put aside, and what is readable is saved."""
        try:
            return self.namespaces()
        except StoreDamaged:
            self._files.repair(time.time())
            return self.namespaces()

    def notifier(self, namespace: Namespace) -> Notifier | None:
        """Return a notifier of a namespace; None when its settings were made in code.

        Raises:
            ConfigError: Its configuration has mistakes, or is gone.

        """
        from tocsin._config import load

        if not namespace.config:
            return None
        settings = attrs.evolve(
            load(namespace.config), state_dir=self.folder, store=self.provider
        )
        settings = without_troubles(settings)
        return Notifier(settings, namespace=namespace.name, mode=Mode.ONLINE)

    def spilled(self) -> list[Path]:
        """Return the files of alerts that the store did not take in time."""
        return waiting_files(self.database.parent)

    def journals(self) -> list[Path]:
        """Return what processes, those of other machines too, keep in a shared folder."""
        return sorted(Path(self.folder, "journal").glob("*/*.jsonl"))
