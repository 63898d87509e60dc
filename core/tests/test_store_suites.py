"""Every store of ours keeps what `Store` promises."""

from __future__ import annotations

import contextlib
import sqlite3
import threading

import attrs

from tocsin import StoreBusy, StoreProvider
from tocsin._store.sqlite import SqliteStore
from tocsin.stores import DocumentStore
from tocsin.testing import StoreSuite


@attrs.frozen
class Sqlite(StoreProvider):
    path: str

    name = "sqlite"

    def open(self, namespace, config, *, timeout):
        store = SqliteStore(self.path, namespace)
        store.open(config, 0.0, timeout=timeout)
        return store


class TestSqlite(StoreSuite):
    examples = 60

    def provider(self, folder):
        return Sqlite(str(folder / "tocsin.db"))

    def small(self, folder, most):
        return SqliteStore(str(folder / "small.db"), "tests", max_pending=most)

    @contextlib.contextmanager
    def held(self, store):
        with contextlib.closing(
            sqlite3.connect(store.path, isolation_level=None)
        ) as other:
            other.execute("BEGIN EXCLUSIVE")
            yield


class TestSqliteInMemory(StoreSuite):
    is_shared = False

    def provider(self, folder):
        return Sqlite(":memory:")


_TEXTS: dict[str, str] = {}
_LOCK = threading.Lock()


class InMemory(DocumentStore):
    """A text in this process, for all who name the same place."""

    def __init__(self, place, namespace, config="", **more):
        super().__init__(namespace, config, **more)
        self._place = place

    def lock(self, timeout):
        return _lock(timeout)

    def load(self):
        return _TEXTS.get(self._place, "")

    def save(self, text):
        _TEXTS[self._place] = text


@contextlib.contextmanager
def _lock(timeout):
    if not _LOCK.acquire(timeout=timeout):
        raise StoreBusy("somebody has it")
    try:
        yield
    finally:
        _LOCK.release()


@attrs.frozen
class Memory(StoreProvider):
    place: str

    name = "memory"

    def open(self, namespace, config, *, timeout):
        return InMemory(self.place, namespace, config)


class TestDocument(StoreSuite):
    outlives_processes = False

    def provider(self, folder):
        return Memory(str(folder))

    def small(self, folder, most):
        return InMemory(str(folder), "tests", max_pending=most)
