"""Taking alerts in. Each function takes an open transaction."""

from __future__ import annotations

import functools
import json
import math
from typing import TYPE_CHECKING

import attrs

from tocsin._alert import AlertLevel
from tocsin._ending import GATHER
from tocsin._envelope import encode
from tocsin._routing import Route
from tocsin._store import _rows as rows
from tocsin._store._port import Granted, Withheld
from tocsin._throttle import (
    NONE_SUPPRESSED,
    Suppression,
    Window,
    suppressed_until,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from tocsin._store._port import Submission

_INSERTED_AT_ONCE = 64  # rows: with seven values each, fewer than any SQLite takes
_ENQUEUED_AT_ONCE = 500  # alerts, so that a caller never waits for the whole of it


FIRST = (
    "INSERT INTO admissions (id, namespace, submitted_at, suppressed, suppressed_since, "
    "envelope, plan, key, level) VALUES (?, ?, ?, 0, NULL, ?, ?, ?, ?)"
)
"""Admits an alert of a key that has no window, in one statement; else it does nothing."""


def first(namespace: str, submission: Submission, now: float) -> tuple[object, ...]:
    """Return what `FIRST` is executed with."""
    alert = submission.alert
    return (
        alert.id,
        namespace,
        now,
        encode(alert),
        _written(submission.plan),
        submission.key,
        alert.level.value,
    )


def admit(
    db: sqlite3.Connection, namespace: str, submission: Submission, now: float
) -> Granted | Withheld:
    """Admit the alert and write it down, or count it, in a transaction."""
    alert = submission.alert
    window, suppressed = known_window(db, namespace, submission.key)
    if submission.suppressed.count:
        suppressed += submission.suppressed
    until = suppressed_until(window, alert.level, alert.wait_duration, now)
    if submission.is_admitted:
        until = None
    if window is not None and until is not None:
        if _joins(db, namespace, submission):
            _hasten(db, namespace, submission, now)
        else:
            suppressed += Suppression(1, now)
        recount(db, namespace, submission.key, suppressed)
        return Withheld(window=window, until=until, suppressed=suppressed)
    seq = record(db, namespace, submission, suppressed, now)
    db.execute(
        "INSERT OR REPLACE INTO windows (namespace, key, admitted_at, level, alert) "
        "VALUES (?, ?, ?, ?, ?)",
        (namespace, submission.key, now, alert.level.value, seq),
    )
    return Granted(window=Window(now, alert.level), suppressed=suppressed)


def _joins(db: sqlite3.Connection, namespace: str, submission: Submission) -> bool:
    """Let what another witness of an end tells go along, while nothing of it is sent."""
    alert = submission.alert
    if alert.ending is None:
        return False
    joined = db.execute(
        "INSERT OR REPLACE INTO echoes SELECT alert, ?, ? FROM windows "
        "WHERE namespace = ? AND key = ? AND alert IS NOT NULL AND NOT EXISTS "
        "(SELECT 1 FROM deliveries WHERE deliveries.alert = windows.alert "
        "AND (attempts > 0 OR status <> 'pending'))",
        (alert.id, encode(alert), namespace, submission.key),
    )
    return joined.rowcount > 0


def _hasten(
    db: sqlite3.Connection, namespace: str, submission: Submission, now: float
) -> None:
    """Let it be sent, if nobody can have anything to add any more."""
    ending = submission.alert.ending
    if ending is None or not ending.is_last:
        return
    while is_behind(db):
        enqueue(db)
    db.execute(
        "UPDATE deliveries SET due = ?1, not_before = NULL WHERE status = 'pending' "
        "AND not_before <= ?1 + ?2 AND alert = "
        "(SELECT alert FROM windows WHERE namespace = ?3 AND key = ?4)",
        (now, GATHER, namespace, submission.key),
    )


def known_window(
    db: sqlite3.Connection, namespace: str, key: str
) -> tuple[Window | None, Suppression]:
    """Return the last admission of a key, and what was suppressed since."""
    row = db.execute(
        "SELECT admitted_at, level, closes_at, suppressed, suppressed_since FROM windows "
        "WHERE namespace = ? AND key = ?",
        (namespace, key),
    ).fetchone()
    if row is None:
        return None, NONE_SUPPRESSED
    return Window(row[0], AlertLevel(row[1]), row[2]), Suppression(row[3], row[4])


def recount(
    db: sqlite3.Connection, namespace: str, key: str, suppressed: Suppression
) -> None:
    """Write down how many were suppressed; a key that is unknown suppresses nothing."""
    db.execute(
        "INSERT INTO windows (namespace, key, admitted_at, level, suppressed, "
        "suppressed_since) VALUES (?, ?, 0, 'INFO', ?, ?) ON CONFLICT (namespace, key) "
        "DO UPDATE SET suppressed = excluded.suppressed, "
        "suppressed_since = excluded.suppressed_since",
        (namespace, key, suppressed.count, suppressed.since),
    )


def record(  # noqa: PLR0917 - what a row is made of
    db: sqlite3.Connection,
    namespace: str,
    submission: Submission,
    suppressed: Suppression,
    now: float,
    resolves: int | None = None,
) -> int:
    """Write the alert and its plan down; return its sequence number."""
    alert = submission.alert
    seq = db.execute(
        "INSERT INTO alerts (id, namespace, submitted_at, suppressed, suppressed_since, "
        "envelope, plan, resolves) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            alert.id,
            namespace,
            now,
            suppressed.count,
            suppressed.since,
            encode(alert),
            _written(submission.plan),
            resolves,
        ),
    ).lastrowid
    assert seq is not None
    if alert.attachments:
        rows.put_attachments(db, seq, alert.attachments)
    return seq


@functools.lru_cache(maxsize=64)
def _written(plan: tuple[Route, ...]) -> str:
    return json.dumps([[r.channel, r.not_before, r.digest] for r in plan])


def waiting(db: sqlite3.Connection, namespace: str) -> int:
    """Return how many alerts there are whose deliveries are not made."""
    found = db.execute(
        "SELECT count(*) FROM alerts WHERE seq > (SELECT alert FROM enqueued) "
        "AND namespace = ? AND plan <> '[]'",
        (namespace,),
    )
    return int(found.fetchone()[0])


def is_behind(db: sqlite3.Connection) -> bool:
    """Say whether there are alerts whose deliveries are not made."""
    found = db.execute(
        "SELECT EXISTS (SELECT 1 FROM alerts WHERE seq > (SELECT alert FROM enqueued))"
    )
    return bool(found.fetchone()[0])


def enqueue(db: sqlite3.Connection) -> None:
    """Make the deliveries of the alerts that came in since the last time, of all namespaces."""
    found = db.execute(
        "SELECT seq, namespace, id, submitted_at, plan FROM alerts "
        "WHERE seq > (SELECT alert FROM enqueued) ORDER BY seq LIMIT ?",
        (_ENQUEUED_AT_ONCE,),
    ).fetchall()
    _insert(
        db,
        "INSERT OR IGNORE INTO ids",
        "(?, ?, ?)",
        [(namespace, alert_id, seq) for seq, namespace, alert_id, *_ in found],
    )
    _insert(
        db,
        "INSERT INTO deliveries "
        "(alert, position, namespace, channel, status, due, not_before, digest)",
        "(?, ?, ?, ?, 'pending', ?, ?, ?)",
        [
            (
                *(seq, position, namespace, route[0]),
                *_due(db, namespace, route, alert_id, submitted_at),
            )
            for seq, namespace, alert_id, submitted_at, plan in found
            for position, route in enumerate(rows.parsed_plan(plan))
        ],
    )
    if found:
        db.execute("UPDATE enqueued SET alert = ?", (found[-1][0],))


def _insert(
    db: sqlite3.Connection, into: str, form: str, values: Sequence[tuple[object, ...]]
) -> None:
    """Insert rows, many in a statement: at each, another thread takes the interpreter.

    Their numbers are powers of two, so that the few statements there are stay prepared.
    """
    start = 0
    while left := len(values) - start:
        count = min(_INSERTED_AT_ONCE, 1 << (left.bit_length() - 1))
        some = values[start : start + count]
        db.execute(
            f"{into} VALUES {', '.join([form] * count)}",
            tuple(value for row in some for value in row),
        )
        start += count


def _due(
    db: sqlite3.Connection,
    namespace: str,
    route: tuple[str, float, float],
    alert_id: str,
    now: float,
) -> tuple[float, float | None, str]:
    """Return when a delivery is due, until when it is held, and what it is gathered in."""
    channel, not_before, seconds = route
    if not_before > now:  # all that is held until then goes together
        return not_before, not_before, f"held {not_before:.0f}" if seconds else ""
    if not seconds:
        return now, None, ""
    gathering = db.execute(
        "SELECT until, id FROM digests WHERE namespace = ? AND channel = ? "
        "AND until > ? AND until <= ?",
        (namespace, channel, now, now + seconds),
    ).fetchone()
    if gathering is not None:
        return float(gathering[0]), float(gathering[0]), str(gathering[1])
    db.execute(
        "INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?, ?)",
        (namespace, channel, alert_id, now + seconds, seconds),
    )
    return now, None, ""


def resolve(
    db: sqlite3.Connection, namespace: str, submission: Submission, now: float
) -> tuple[str, ...]:
    """Plan that the channels which had the last alert of a key hear that it is over."""
    found = db.execute(
        "SELECT alert, suppressed, suppressed_since FROM windows "
        "WHERE namespace = ? AND key = ? AND alert IS NOT NULL AND admitted_at <= ?",
        (namespace, submission.key, _happened(submission)),
    ).fetchone()
    if found is None:
        return _resolve_unknown(db, namespace, submission, now)
    alert, *suppressed = found
    while not _is_enqueued(db, alert):
        enqueue(db)
    close_window(db, namespace, submission.key)
    channels = tuple(
        channel
        for (channel,) in db.execute(
            "SELECT channel FROM deliveries WHERE alert = ? "
            "AND status IN ('pending', 'delivered') ORDER BY position",
            (alert,),
        )
    )
    if channels:
        plan = _retold(channels, submission.plan)
        record(
            db,
            namespace,
            attrs.evolve(submission, plan=plan),
            Suppression(*suppressed),
            now,
            resolves=alert,
        )
    return channels


def _happened(submission: Submission) -> float:
    """Return when it was over: one that comes late ends nothing that began since."""
    created_at = submission.alert.created_at
    if not submission.is_adopted or created_at is None:
        return math.inf
    return created_at.timestamp()


def _resolve_unknown(
    db: sqlite3.Connection, namespace: str, submission: Submission, now: float
) -> tuple[str, ...]:
    """Tell by the plan what was to be told of an alert that another store had."""
    if not submission.is_admitted or not submission.plan:
        return ()
    record(db, namespace, submission, NONE_SUPPRESSED, now)
    return tuple(route.channel for route in submission.plan)


def _is_enqueued(db: sqlite3.Connection, seq: int) -> bool:
    found = db.execute("SELECT alert FROM enqueued").fetchone()
    return bool(found[0] >= seq)


def close_window(db: sqlite3.Connection, namespace: str, key: str) -> None:
    """Forget the last admission of a key."""
    db.execute("DELETE FROM windows WHERE namespace = ? AND key = ?", (namespace, key))


def _retold(channels: Iterable[str], plan: Iterable[Route]) -> tuple[Route, ...]:
    held = {route.channel: route.not_before for route in plan}
    return tuple(Route(name, not_before=held.get(name, 0.0)) for name in channels)
