"""One SQLite connection, shared by threads, never carried across a fork."""

from __future__ import annotations

import contextlib
import os
import threading
import time
import weakref
from typing import TYPE_CHECKING

from tocsin._errors import StoreBusy, StoreDamaged, StoreError
from tocsin._store import _schema as schema
from tocsin._store.damage import is_damage

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator

_CLOSING = 0.2  # seconds that closing waits for another thread
_PATIENT = 1.0  # seconds that a caller must have who changes the tables of an old file


class Database:
    """A SQLite file, or ``:memory:``, with the schema in place."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._visit: object = None  # whoever uses the connection
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None  # which file it is, whatever its name
        self._allowed = -1  # milliseconds that SQLite may wait for another process
        _databases.add(self)

    @contextlib.contextmanager
    def transaction(self, timeout: float) -> Iterator[sqlite3.Connection]:
        """Write within `timeout` seconds; all or nothing.

        Raises:
            StoreBusy: Another thread or process held the database all the time.
            StoreError: The database cannot be read or written.

        """
        deadline, visit = time.monotonic() + timeout, object()
        try:  # an interrupt may come between any two steps
            self._enter(visit, timeout)
            connection = self._opened(deadline)
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        except BaseException as error:
            self._roll_back(visit)
            self._raise_ours(error)
            raise
        finally:
            self._leave(visit)

    def write(
        self, statement: str, parameters: tuple[object, ...], *, timeout: float
    ) -> bool:
        """Execute one statement by itself; say whether it changed anything.

        It costs a third less than a transaction; raises as that does.
        """
        deadline, visit = time.monotonic() + timeout, object()
        try:
            self._enter(visit, timeout)
            connection = self._opened(deadline)
            before = connection.total_changes
            connection.execute(statement, parameters)
            return bool(connection.total_changes > before)
        except BaseException as error:
            self._raise_ours(error)
            raise
        finally:
            self._leave(visit)

    @contextlib.contextmanager
    def connection(self, timeout: float) -> Iterator[sqlite3.Connection]:
        """Read within `timeout` seconds; raises likewise."""
        deadline, visit = time.monotonic() + timeout, object()
        try:
            self._enter(visit, timeout)
            yield self._opened(deadline)
        except BaseException as error:
            self._raise_ours(error)
            raise
        finally:
            self._leave(visit)

    def _enter(self, visit: object, timeout: float) -> None:
        if not self._lock.acquire(timeout=timeout):
            raise StoreBusy(f"another thread holds {self.path}")
        if self._visit is not None:
            self._lock.release()
            raise StoreBusy(f"this very thread uses {self.path}: a signal handler came")
        self._visit = visit

    def _leave(self, visit: object) -> None:
        if self._visit is visit:
            self._visit = None
            self._lock.release()

    def _opened(self, deadline: float) -> sqlite3.Connection:
        if self._connection is None:
            self._allowed = -1
            self._connection = _connect(self.path, deadline)
            self._file = _file_of(self.path)
        milliseconds = max(0, int((deadline - time.monotonic()) * 1000))
        if milliseconds != self._allowed:  # asking for it costs microseconds
            self._connection.execute(f"PRAGMA busy_timeout = {milliseconds}")
            self._allowed = milliseconds
        if self._connection.in_transaction:  # an interrupt came in the middle of it
            self._connection.execute("ROLLBACK")
        return self._connection

    def _roll_back(self, visit: object) -> None:
        import sqlite3

        if self._visit is not visit:  # it never came in
            return
        # a full disk has rolled back already; what fails now is told by the first error
        with contextlib.suppress(sqlite3.Error):
            if self._connection is not None and self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _raise_ours(self, error: BaseException) -> None:
        """Raise our own error for one of SQLite's; any other is left as it is."""
        import sqlite3

        if not isinstance(error, sqlite3.Error):
            return
        if _is_busy(error):
            raise StoreBusy(f"another process holds {self.path}") from error
        if is_damage(error):
            raise StoreDamaged(f"the store {self.path} is damaged: {error}") from error
        raise StoreError(f"the store {self.path} failed: {error}") from error

    def close(self) -> None:
        """Close the connection, unless a thread is in it; the next use opens it again."""
        if not self._lock.acquire(timeout=_CLOSING):
            return
        try:
            if self._connection is not None and self._visit is None:
                self._connection.close()
                self._connection = None
        finally:
            self._lock.release()

    def is_in_place(self) -> bool:
        """Whether the file that is open is still the one at the path."""
        return self._connection is None or self._file == _file_of(self.path)

    def before_fork(self) -> None:
        """Close the file: SQLite forbids to carry a connection across a fork."""
        held = self._lock.acquire(timeout=1)
        if held and self._visit is None and self.path != ":memory:":
            self.close()

    def after_fork_in_parent(self) -> None:
        """Go on."""
        with contextlib.suppress(RuntimeError):  # it was not had before the fork
            self._lock.release()

    def after_fork_in_child(self) -> None:
        """Start anew; a child of a process with a store in memory has an empty one."""
        self._lock = threading.RLock()
        self._visit = None
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
        _until(deadline, lambda: _ensure_schema(connection, path, deadline))
    except BaseException:
        connection.close()
        raise
    return connection


def _file_of(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - a str
    except OSError:  # it is in memory, or gone
        return None
    return found.st_dev, found.st_ino


def _enter_wal(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")


def _ensure_schema(connection: sqlite3.Connection, path: str, deadline: float) -> None:
    if schema.is_old(connection) and deadline - time.monotonic() < _PATIENT:
        raise StoreBusy(f"{path} is of an older version: the background changes it")
    schema.ensure(connection, path)


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


def _is_busy(error: sqlite3.Error) -> bool:
    import sqlite3

    return getattr(error, "sqlite_errorcode", 0) & 0xFF in {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
    }
