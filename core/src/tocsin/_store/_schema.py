"""The tables of the SQLite store, and what makes an older file like a new one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tocsin._errors import StoreError

if TYPE_CHECKING:
    import sqlite3

VERSION = 3
APPLICATION_ID = 0x746F6373  # "tocs", so that file(1) and we know the file again

_TABLES = """
-- what a caller writes is this row and its window's: all else is made from it later
CREATE TABLE alerts (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    namespace TEXT NOT NULL,
    submitted_at REAL NOT NULL,
    suppressed INTEGER NOT NULL,
    suppressed_since REAL,
    envelope TEXT NOT NULL,
    plan TEXT NOT NULL DEFAULT '[]',
    resolves INTEGER
);
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
    not_before REAL,
    digest TEXT NOT NULL DEFAULT '',
    note TEXT NOT NULL DEFAULT '',
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
    alert INTEGER,
    closes_at REAL,
    PRIMARY KEY (namespace, key)
) WITHOUT ROWID;
CREATE TABLE adopted (
    id TEXT NOT NULL,
    namespace TEXT NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (id, namespace)
) WITHOUT ROWID;
CREATE TABLE namespaces (
    namespace TEXT PRIMARY KEY,
    config TEXT NOT NULL,
    seen_at REAL NOT NULL
) WITHOUT ROWID
"""

_SINCE_2 = """
CREATE TABLE ids (
    namespace TEXT NOT NULL,
    id TEXT NOT NULL,
    alert INTEGER NOT NULL,
    PRIMARY KEY (namespace, id)
) WITHOUT ROWID;
-- the last alert whose deliveries are made
CREATE TABLE enqueued (alert INTEGER NOT NULL);
CREATE TABLE circuits (
    namespace TEXT NOT NULL,
    channel TEXT NOT NULL,
    failures INTEGER NOT NULL,
    until REAL NOT NULL,
    since REAL,
    is_out_of_order INTEGER NOT NULL,
    reason TEXT NOT NULL,
    remedy TEXT NOT NULL,
    PRIMARY KEY (namespace, channel)
) WITHOUT ROWID;
CREATE TABLE digests (
    namespace TEXT NOT NULL,
    channel TEXT NOT NULL,
    id TEXT NOT NULL,
    until REAL NOT NULL,
    seconds REAL NOT NULL,
    PRIMARY KEY (namespace, channel)
) WITHOUT ROWID;
CREATE TABLE conversations (
    namespace TEXT NOT NULL,
    channel TEXT NOT NULL,
    name TEXT NOT NULL,
    token INTEGER NOT NULL,
    until REAL NOT NULL,
    receipt TEXT,
    at REAL NOT NULL,
    PRIMARY KEY (namespace, channel, name)
) WITHOUT ROWID;
CREATE TABLE silences (
    id TEXT NOT NULL,
    namespace TEXT NOT NULL,
    title TEXT NOT NULL,
    project TEXT NOT NULL,
    team TEXT NOT NULL,
    max_level TEXT NOT NULL,
    starts_at REAL NOT NULL,
    ends_at REAL NOT NULL,
    reason TEXT NOT NULL,
    author TEXT NOT NULL,
    PRIMARY KEY (namespace, id)
) WITHOUT ROWID
"""

_SINCE_3 = """
-- what other witnesses of a run's end tell: it goes along with the first one's alert
CREATE TABLE echoes (
    alert INTEGER NOT NULL,
    id TEXT NOT NULL,
    envelope TEXT NOT NULL,
    PRIMARY KEY (alert, id)
) WITHOUT ROWID;
CREATE TABLE runs (
    namespace TEXT NOT NULL,
    scope TEXT NOT NULL,
    run TEXT NOT NULL,
    member TEXT NOT NULL,
    beat_at REAL NOT NULL,
    record TEXT NOT NULL,
    lost_at REAL,
    PRIMARY KEY (namespace, scope, run, member)
) WITHOUT ROWID
"""

_ADMISSIONS = [
    """
    CREATE VIEW admissions AS SELECT
        id, namespace, submitted_at, suppressed, suppressed_since, envelope, plan,
        NULL AS key, NULL AS level
    FROM alerts
    """,
    # one statement costs the caller half of what a transaction of several does
    """
    CREATE TRIGGER admit INSTEAD OF INSERT ON admissions BEGIN
        SELECT RAISE(IGNORE) WHERE EXISTS (
            SELECT 1 FROM windows WHERE namespace = NEW.namespace AND key = NEW.key
        );
        INSERT INTO alerts (
            id, namespace, submitted_at, suppressed, suppressed_since, envelope, plan
        ) VALUES (
            NEW.id, NEW.namespace, NEW.submitted_at, NEW.suppressed,
            NEW.suppressed_since, NEW.envelope, NEW.plan
        );
        INSERT OR REPLACE INTO windows (namespace, key, admitted_at, level, alert)
        VALUES (
            NEW.namespace, NEW.key, NEW.submitted_at, NEW.level, last_insert_rowid()
        );
    END
    """,
]

_CHANGED_IN_2 = """
DROP INDEX alerts_submitted;
ALTER TABLE alerts ADD COLUMN plan TEXT NOT NULL DEFAULT '[]';
ALTER TABLE alerts ADD COLUMN resolves INTEGER;
ALTER TABLE deliveries ADD COLUMN not_before REAL;
ALTER TABLE deliveries ADD COLUMN digest TEXT NOT NULL DEFAULT '';
ALTER TABLE deliveries ADD COLUMN note TEXT NOT NULL DEFAULT '';
ALTER TABLE windows ADD COLUMN alert INTEGER;
ALTER TABLE windows ADD COLUMN closes_at REAL
"""

_KEPT_IN_2 = """
INSERT INTO ids SELECT namespace, id, seq FROM alerts;
INSERT INTO enqueued SELECT coalesce(max(seq), 0) FROM alerts;
INSERT INTO circuits SELECT namespace, channel, 0, until, NULL, 0, '', '' FROM holds;
DROP TABLE holds
"""

_TO_3 = _SINCE_3.split(";")

_STEPS = {
    0: [
        *(*_TABLES.split(";"), *_SINCE_2.split(";"), *_ADMISSIONS, *_TO_3),
        "INSERT INTO enqueued VALUES (0)",
    ],
    1: [
        *(*_CHANGED_IN_2.split(";"), *_SINCE_2.split(";"), *_KEPT_IN_2.split(";")),
        *(*_ADMISSIONS, *_TO_3),
    ],
    2: _TO_3,
}
"""What turns a file of each version into one of a later version."""


def version(connection: sqlite3.Connection) -> int:
    """Return the version of a file's tables; 0 when it has none."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def is_old(connection: sqlite3.Connection) -> bool:
    """Whether there are tables, and they have to be changed: it may take a while."""
    return 0 < version(connection) < VERSION


def ensure(connection: sqlite3.Connection, path: str) -> None:
    """Make the tables, or make those of an older version like them.

    Raises:
        StoreError: A newer version made them.

    """
    if version(connection) < VERSION:
        connection.execute("BEGIN IMMEDIATE")
        try:
            _upgrade(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    if (newer := version(connection)) > VERSION:
        raise StoreError(
            f"{path} was made by a newer tocsin (schema {newer}; this one knows "
            f"{VERSION}): upgrade tocsin, or set TOCSIN_STATE_DIR to another folder"
        )


def _upgrade(connection: sqlite3.Connection) -> None:
    known = version(connection)
    if known >= VERSION:  # another process was first
        return
    for statement in _STEPS[known]:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")
