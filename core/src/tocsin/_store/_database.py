"""One SQLite connection, shared by threads, never carried across a fork."""

from __future__ import annotations

import contextlib
import os
import threading
import time
import weakref
from typing import TYPE_CHECKING

from tocsin._errors import StoreBusy, StoreError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator

SCHEMA_VERSION = 1
APPLICATION_ID = 0x746F6373  # "tocs", so that file(1) and we know the file again

_CLOSING = 0.2  # seconds that closing waits for another thread

_SCHEMA = """
CREATE TABLE alerts (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    namespace TEXT NOT NULL,
    submitted_at REAL NOT NULL,
    suppressed INTEGER NOT NULL,
    suppressed_since REAL,
    envelope TEXT NOT NULL,
    UNIQUE (id, namespace)
);
CREATE INDEX alerts_submitted ON alerts (namespace, submitted_at);
CREATE TABLE attachments (
    alert INTEGER NOT NULL,
    position INTEGER NOT NULL,
    name TEXT NOT NULL,
    content_type TEXT NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (alert, position)
) WITHOUT ROWID;
-- due is when it may be claimed next: for a claimed one, when its lease runs out
CREATE TABLE deliveries (
    alert INTEGER NOT NULL,
    position INTEGER NOT NULL,
    namespace TEXT NOT NULL,
    channel TEXT NOT NULL,
    status TEXT NOT NULL,
    due REAL,
    token INTEGER NOT NULL DEFAULT 0,
    claims INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    ambiguous INTEGER NOT NULL DEFAULT 0,
    first_attempt_at REAL,
    settled_at REAL,
    state TEXT NOT NULL DEFAULT '{}',
    receipt TEXT,
    reason TEXT NOT NULL DEFAULT '',
    remedy TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (alert, position)
) WITHOUT ROWID;
CREATE INDEX deliveries_due ON deliveries (namespace, channel, due)
    WHERE status = 'pending';
CREATE INDEX deliveries_failed ON deliveries (namespace, alert)
    WHERE status = 'failed';
CREATE TABLE windows (
    namespace TEXT NOT NULL,
    key TEXT NOT NULL,
    admitted_at REAL NOT NULL,
    level TEXT NOT NULL,
    suppressed INTEGER NOT NULL DEFAULT 0,
    suppressed_since REAL,
    PRIMARY KEY (namespace, key)
) WITHOUT ROWID;
CREATE TABLE adopted (
    id TEXT NOT NULL,
    namespace TEXT NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (id, namespace)
) WITHOUT ROWID;
CREATE TABLE holds (
    namespace TEXT NOT NULL,
    channel TEXT NOT NULL,
    until REAL NOT NULL,
    PRIMARY KEY (namespace, channel)
) WITHOUT ROWID;
CREATE TABLE namespaces (
    namespace TEXT PRIMARY KEY,
    config TEXT NOT NULL,
    seen_at REAL NOT NULL
) WITHOUT ROWID;
"""


class Database:
    """A SQLite file, or ``:memory:``, with the schema in place."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._is_in_use = False
        self._connection: sqlite3.Connection | None = None
        _databases.add(self)

    @contextlib.contextmanager
    def transaction(self, timeout: float) -> Iterator[sqlite3.Connection]:
        """Write within `timeout` seconds; all or nothing.

        Raises:
            StoreBusy: Another thread or process held the database all the time.
            StoreError: The database cannot be read or written.

        """
        with self._ready(timeout) as connection:
            try:  # an interrupt may come between any two steps
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # a full disk has rolled back already
                    connection.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def reading(self, timeout: float) -> Iterator[sqlite3.Connection]:
        """Read within `timeout` seconds; raises as `transaction` does."""
        with self._ready(timeout) as connection:
            yield connection

    def close(self) -> None:
        """Close the connection, unless a thread is in it; the next use opens it again."""
        if not self._lock.acquire(timeout=_CLOSING):
            return
        try:
            if self._connection is not None and not self._is_in_use:
                self._connection.close()
                self._connection = None
        finally:
            self._lock.release()

    @contextlib.contextmanager
    def _ready(self, timeout: float) -> Iterator[sqlite3.Connection]:
        import sqlite3

        deadline = time.monotonic() + timeout
        if not self._lock.acquire(timeout=timeout):
            raise StoreBusy(f"another thread holds {self.path}")
        if self._is_in_use:
            self._lock.release()
            raise StoreBusy(f"this very thread uses {self.path}: a signal handler came")
        self._is_in_use = True
        try:
            if self._connection is None:
                self._connection = _connect(self.path, deadline)
            _allow(self._connection, deadline)
            yield self._connection
        except sqlite3.Error as error:
            raise _translated(error, self.path) from error
        finally:
            self._is_in_use = False
            self._lock.release()

    def before_fork(self) -> None:
        """Close the file: SQLite forbids to carry a connection across a fork."""
        held = self._lock.acquire(timeout=1)
        if held and not self._is_in_use and self.path != ":memory:":
            self.close()

    def after_fork_in_parent(self) -> None:
        """Go on."""
        with contextlib.suppress(RuntimeError):  # it was not had before the fork
            self._lock.release()

    def after_fork_in_child(self) -> None:
        """Start anew; a child of a process with a store in memory has an empty one."""
        self._lock = threading.RLock()
        self._is_in_use = False
        self._connection = None


_databases: weakref.WeakSet[Database] = weakref.WeakSet()


def _before_fork() -> None:
    for database in list(_databases):
        database.before_fork()


def _after_fork_in_parent() -> None:
    for database in list(_databases):
        database.after_fork_in_parent()


def _after_fork_in_child() -> None:
    for database in list(_databases):
        database.after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )


def _connect(path: str, deadline: float) -> sqlite3.Connection:
    import sqlite3

    connection = sqlite3.connect(
        path,
        timeout=max(0.0, deadline - time.monotonic()),
        isolation_level=None,
        check_same_thread=False,
    )
    # text that somebody damaged must not keep the rows around it from being read
    connection.text_factory = lambda raw: raw.decode(errors="replace")
    try:
        connection.execute("PRAGMA synchronous = NORMAL")
        if path != ":memory:":
            _until(deadline, lambda: _enter_wal(connection))
        _until(deadline, lambda: _ensure_schema(connection, path))
    except BaseException:
        connection.close()
        raise
    return connection


def _enter_wal(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")


def _ensure_schema(connection: sqlite3.Connection, path: str) -> None:
    if _version(connection) == 0:
        connection.execute("BEGIN IMMEDIATE")
        try:
            if _version(connection) == 0:
                _create(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    if (version := _version(connection)) > SCHEMA_VERSION:
        raise StoreError(
            f"{path} was made by a newer tocsin (schema {version}; this one knows "
            f"{SCHEMA_VERSION}): upgrade tocsin, or set TOCSIN_STATE_DIR to another folder"
        )


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _create(connection: sqlite3.Connection) -> None:
    for statement in _SCHEMA.split(";"):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _until(deadline: float, step: Callable[[], None]) -> None:
    """Repeat a step that SQLite refuses at once, whatever the timeout, while busy."""
    import sqlite3

    while True:
        try:
            step()
        except sqlite3.OperationalError as error:
            if not _is_busy(error) or time.monotonic() >= deadline:
                raise
        else:
            return
        time.sleep(0.002)


def _allow(connection: sqlite3.Connection, deadline: float) -> None:
    milliseconds = max(0, int((deadline - time.monotonic()) * 1000))
    connection.execute(f"PRAGMA busy_timeout = {milliseconds}")


def _is_busy(error: sqlite3.Error) -> bool:
    import sqlite3

    return getattr(error, "sqlite_errorcode", 0) & 0xFF in {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
    }


def _translated(error: sqlite3.Error, path: str) -> StoreError:
    if _is_busy(error):
        return StoreBusy(f"another process holds {path}")
    return StoreError(f"the store {path} failed: {error}")
