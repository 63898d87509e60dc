"""The state directory as one namespace uses it: its store, its spill, its journal."""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tocsin import _places as places
from tocsin._errors import StoreBusy, StoreDamaged, StoreError
from tocsin._filesystem import network_kind
from tocsin._imports import importing
from tocsin._spill import MemorySpill, Spill
from tocsin._store import PATIENCE, Status
from tocsin._store import _guard as guard

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tocsin._alert import Alert
    from tocsin._journal import Journal
    from tocsin._roster import Roster
    from tocsin._run_record import RunRecord
    from tocsin._spill import Submit
    from tocsin._store import Store, StoreProvider
    from tocsin._store.sqlite import SqliteStore

_CHECKED_EVERY = 1.0  # seconds between two looks whether the file is still there

_log = logging.getLogger("tocsin")


class State:
    """Where alerts are kept; opened at its first use.

    On a network file system SQLite is not safe: the store is on a local disk then, and what
    it holds is also in a journal in the folder that machines share.

    With a `provider`, alerts are in its store instead; the spill and the journal stay here.
    """

    def __init__(
        self,
        folder: str,
        namespace: str,
        config: str,
        *,
        is_network: bool | None = None,
        provider: StoreProvider | None = None,
    ) -> None:
        self.folder = folder
        self._namespace = namespace
        self._config = config
        self._is_network = is_network
        self._provider = provider
        self._store: Store | None = None
        self._sqlite: SqliteStore | None = None  # the same, if it is our own
        self._left_to_parent: Store | None = None
        self._opening = threading.RLock()
        self._kind = "" if folder == places.MEMORY else self._network_kind()
        self._local = places.local_dir(folder) if self._kind else folder
        self.spill: Spill | MemorySpill = self._new_spill(self._local)
        self.journal = self._new_journal()
        self.roster = self._new_roster()
        self.path = os.path.join(self._local, "tocsin.db")  # noqa: PTH118 - a str
        self._checked_at = 0.0
        self._is_tended = False  # at least once, to its end
        self._told = False

    def store(self, timeout: float, now: float) -> Store:
        """Return the store; it is opened at its first use.

        Raises:
            StoreBusy: It cannot be opened within `timeout` seconds.

        """
        if self._store is not None:
            return self._store
        if not self._opening.acquire(timeout=timeout):
            raise StoreBusy("another thread is opening the store")
        try:
            if self._store is None:
                self._store = self._open(timeout, now)
            return self._store
        finally:
            self._opening.release()

    def _open(self, timeout: float, now: float) -> Store:
        if self._provider is not None:
            with contextlib.suppress(OSError):  # the spill tells, if it comes to that
                self._make_folder()
            return guard.opened(
                self._provider, self._namespace, self._config, timeout=timeout
            )
        self._sqlite = self._open_sqlite(timeout, now)
        return self._sqlite

    def _open_sqlite(self, timeout: float, now: float) -> SqliteStore:
        if self.folder == places.MEMORY:
            return self._open_at(places.MEMORY, timeout, now)
        try:
            self._make_folder()
            return self._open_at(self.path, timeout, now)
        except (StoreBusy, StoreDamaged):
            raise
        except (OSError, StoreError) as error:
            _log.warning(
                "alerts are kept in memory only, and are lost when the program ends: %s; "
                "make the folder writable, or set TOCSIN_STATE_DIR to another",
                error,
            )
            self.spill = MemorySpill()
            return self._open_at(places.MEMORY, timeout, now)

    def _make_folder(self) -> None:
        """Make the folder that the database is in."""
        Path(self.folder).mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._kind:
            _log.info(
                "%s is on a network file system (%s): the database is in %s, and each "
                "process keeps a journal in the shared folder",
                *(self.folder, self._kind, self._local),
            )
            _make_own(self._local)

    def _new_journal(self) -> Journal | None:
        if not self._kind:
            return None
        with importing():
            from tocsin._journal import Journal

        return Journal(Path(self.folder, "journal", _digest(self._namespace)))

    def _new_roster(self) -> Roster | None:
        """Return where heartbeats are that another machine can see."""
        if not self._kind:
            return None
        with importing():
            from tocsin._roster import Roster

        return Roster(Path(self.folder, "runs", _digest(self._namespace)))

    def _network_kind(self) -> str:
        if self._is_network is None:
            return network_kind(self.folder)
        return "as configured" if self._is_network else ""

    def _open_at(self, path: str, timeout: float, now: float) -> SqliteStore:
        with importing():
            from tocsin._store.sqlite import SqliteStore

        store = SqliteStore(path, self._namespace)
        store.open(self._config, now, timeout=timeout)
        return store

    def _new_spill(self, folder: str) -> Spill | MemorySpill:
        if folder == places.MEMORY:
            return MemorySpill()
        return Spill(Path(folder, "spill", _digest(self._namespace)))

    def put_run(
        self, record: RunRecord, now: float, *, timeout: float = PATIENCE
    ) -> None:
        """Keep what is known of a member of a run where other machines can see it.

        Raises:
            StoreError: It cannot be.

        """
        if self.roster is None:
            self.store(timeout, now).put_run(record, timeout=timeout)
        else:
            with _as_store_error():
                self.roster.put_run(record)

    def runs(
        self, now: float, scope: str | None = None, *, timeout: float = PATIENCE
    ) -> list[RunRecord]:
        """Return what is known of runs, of all or of one job or run.

        Raises:
            StoreError: It cannot be read.

        """
        if self.roster is None:
            return self.store(timeout, now).runs(scope, timeout=timeout)
        with _as_store_error():
            return self.roster.runs(scope)

    def known_runs(self) -> list[RunRecord]:
        """Return what is known of runs; nothing, when it cannot be read just now."""
        try:
            return self.runs(time.time())
        except StoreError as error:
            _log.debug("what is known of runs cannot be read: %s", error)
            return []

    def note_lost(
        self,
        record: RunRecord,
        lost_at: float | None,
        now: float,
        *,
        timeout: float = PATIENCE,
    ) -> None:
        """Note that a member's heartbeat was told to be lost, or is back.

        Raises:
            StoreError: It cannot be.

        """
        if self.roster is None:
            self.store(timeout, now).note_lost(record, lost_at, timeout=timeout)
        else:
            with _as_store_error():
                self.roster.note_lost(record, lost_at)

    def prune(self, before: float, now: float) -> None:
        """Forget what is old.

        Raises:
            StoreError: It cannot be.

        """
        self.store(PATIENCE, now).prune(before)
        if self.roster is not None:
            with _as_store_error():
                self.roster.prune(before)

    def note(self, alert: Alert, timeout: float) -> None:
        """Have the alert outlive this machine, where its folder is a shared one."""
        if self.journal is None:
            return
        try:
            self.journal.write(alert, timeout)
        except OSError as error:
            if not self._told:
                self._told = True
                _log.warning(
                    "alerts are kept on this machine alone, and would be lost with it: %s",
                    error,
                )

    def maintain(self, submit: Submit, now: float) -> bool:
        """Take in what was spilled or left; say whether all of that is done.

        Raises:
            StoreError: The store does not take it; it is kept.

        """
        store = self.store(PATIENCE, now)
        if time.monotonic() >= self._checked_at + _CHECKED_EVERY:
            self._checked_at = time.monotonic()
            if self._sqlite and not self._sqlite.is_in_place():
                self._move(self._sqlite, now)  # somebody moved or removed the file
        self.spill.adopt(submit)
        if self.journal is None:
            return self.spill.is_empty
        is_tended = not self.journal.is_busy and self._is_tended
        self._is_tended = True
        self.journal.tend(submit, lambda alert_id: _is_settled(store, alert_id))
        return is_tended and self.spill.is_empty

    def _move(self, store: SqliteStore, now: float) -> None:
        """Go on with a new file; what was not settled in the old one goes along."""
        with contextlib.suppress(StoreError):
            for alert in store.unsettled():
                self.spill.write(alert, is_admitted=True)
        _log.warning("%s was moved or removed, and is made anew", self.path)
        self._reopen(store, now)

    def repair(self, now: float) -> bool:
        """Put a damaged database aside; what can be read of it is submitted again.

        Returns whether there was something to repair: nothing in a plugin's store, which
        has its own ways.
        """
        if self._provider is not None:
            return False
        from tocsin._store import damage

        saved = 0

        def save(namespace: str, alert: Alert) -> None:
            nonlocal saved
            saved += 1
            spill = Spill(Path(self.path).parent / "spill" / _digest(namespace))
            spill.write(alert, is_admitted=True)

        self.close()
        aside = damage.put_aside(self.path, now, save)
        if aside is None:  # another process did, or it is not damaged
            return False
        _log.error(
            "the database was damaged, and was put aside as %s: a new one is made; %d alerts "
            "that were not delivered could be read, and are submitted again",
            *(aside, saved),
        )
        self.store(PATIENCE, now)
        if self._sqlite is not None:
            self._reopen(self._sqlite, now)
        return True

    def _reopen(self, store: SqliteStore, now: float) -> None:
        store.close()
        store.open(self._config, now, timeout=PATIENCE)

    def close(self) -> None:
        """Let go of the store; the next use opens it again."""
        store = self._store
        if store is None:
            return
        if self.journal is not None:
            self.journal.close(lambda alert_id: _is_settled(store, alert_id))
        store.close()

    @property
    def outlives_us(self) -> bool:
        """Whether what is kept just now is there when the program has ended."""
        return self._sqlite is None or self._sqlite.path != places.MEMORY

    @property
    def is_open(self) -> bool:
        """Whether the store was used."""
        return self._store is not None

    def after_fork_in_child(self) -> None:
        """Start anew; what a process has in memory is its own."""
        self._opening = threading.RLock()
        self.spill.after_fork_in_child()
        if self.journal is not None:
            self.journal.after_fork_in_child()
        if (
            self._provider is not None
        ):  # a connection is its process's: kept, not closed
            self._left_to_parent, self._store = self._store, None
        if self._sqlite is not None and self._sqlite.path == places.MEMORY:
            self._store = self._sqlite = None


def _is_settled(store: Store, alert_id: str) -> bool:
    """Say whether nothing of the alert is left to be delivered."""
    kept = store.deliveries(alert_id, timeout=PATIENCE)
    is_pending = any(delivery.status is Status.PENDING for delivery in kept)
    return not is_pending and store.knows(alert_id)


@contextlib.contextmanager
def _as_store_error() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"the shared folder does not answer: {error}") from error


def _digest(namespace: str) -> str:
    import hashlib

    return hashlib.blake2b(namespace.encode(), digest_size=8).hexdigest()


def _make_own(path: str) -> None:
    """Make a folder where everybody can, and be sure that it is ours alone.

    Raises:
        OSError: It, or the one around it, is somebody else's.

    """
    own = os.path.dirname(path)  # noqa: PTH120 - a str
    os.makedirs(os.path.dirname(own), exist_ok=True)  # noqa: PTH103, PTH120 - likewise
    for folder in (own, path):
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, 0o700)  # noqa: PTH102 - likewise
        found = os.lstat(folder)
        if not stat.S_ISDIR(found.st_mode):
            raise NotADirectoryError(f"{folder} is no folder")
        if os.name != "nt" and (found.st_uid != os.getuid() or found.st_mode & 0o077):
            raise PermissionError(f"{folder} is not ours alone: remove it")
