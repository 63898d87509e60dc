"""What is SQLite's own; what every store promises is in test_store_suites.py."""

from __future__ import annotations

import sqlite3

import pytest
from storing import NOW

from tocsin import (
    StoreError,
)
from tocsin._store.sqlite import SqliteStore


def test_newer_schema_is_left_alone(tmp_path):
    """A file of a newer version is refused with a remedy, and not changed."""
    path = tmp_path / "s.db"
    SqliteStore(str(path), "tests").open("", NOW, timeout=5)
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()

    with pytest.raises(StoreError, match="upgrade tocsin"):
        SqliteStore(str(path), "tests").open("", NOW, timeout=5)
