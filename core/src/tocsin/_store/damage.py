"""A database file that is damaged: it is put aside, and what can be read of it is saved."""

from __future__ import annotations

import contextlib
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tocsin._envelope import decode
from tocsin._errors import EnvelopeError

try:
    import fcntl
except ImportError:  # Windows: one of several that try may find nothing left to do
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator

    from tocsin._alert import Alert

    Save = Callable[[str, Alert], None]

_FILES = ("", "-wal", "-shm")
_UNSETTLED = """
SELECT namespace, envelope FROM alerts WHERE seq = ? AND (
    seq > (SELECT alert FROM enqueued)
    OR EXISTS (SELECT 1 FROM deliveries WHERE alert = seq AND status = 'pending'))
"""


def put_aside(path: str, now: float, save: Save) -> str | None:
    """Rename a damaged database with all of its files; None when it is in order.

    Before, `save` gets what can be read of the alerts that are not settled, and whose they
    are.
    """
    with open(f"{path}.lock", "ab") as lock:  # noqa: PTH123 - a str throughout
        if fcntl is not None:
            fcntl.flock(lock, fcntl.LOCK_EX)
        if _is_whole(path):
            return None
        for namespace, alert in _salvaged(path):
            save(namespace, alert)
        when = datetime.fromtimestamp(now, UTC)
        aside = f"{path}.damaged-{when:%Y%m%dT%H%M%S}-{os.getpid()}"
        for suffix in _FILES:
            with contextlib.suppress(FileNotFoundError):
                Path(path + suffix).rename(aside + suffix)
        return aside


def _is_whole(path: str) -> bool:
    import sqlite3

    try:
        with contextlib.closing(sqlite3.connect(path, timeout=1)) as db:
            return bool(db.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok")
    except sqlite3.DatabaseError as error:
        return not is_damage(error)


def is_damage(error: sqlite3.Error) -> bool:
    """Say whether SQLite's error means that the file is damaged."""
    import sqlite3

    return getattr(error, "sqlite_errorcode", 0) & 0xFF in {
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
    }


def _salvaged(path: str) -> Iterator[tuple[str, Alert]]:
    """Return what can be read of the alerts that are not settled, and whose they are.

    Their attachments are left behind.
    """
    import sqlite3

    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(sqlite3.connect(path, timeout=1)) as db,
    ):
        newest = db.execute("SELECT max(seq) FROM alerts").fetchone()[0] or 0
        for seq in range(1, newest + 1):  # one at a time: around a damaged page
            with contextlib.suppress(sqlite3.Error, EnvelopeError):
                row = db.execute(_UNSETTLED, (seq,)).fetchone()
                if row is not None:
                    yield row[0], decode(row[1])
