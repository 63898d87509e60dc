"""Rows of the SQLite store, from and to values. Each takes an open transaction."""

from __future__ import annotations

import contextlib
import json
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import attrs

from tocsin._attachment import Attachment
from tocsin._envelope import decode
from tocsin._errors import EnvelopeError
from tocsin._provider import Receipt
from tocsin._retry import Delivered, Failed
from tocsin._store._port import DeliveryRecord, Record, Status
from tocsin._text import storable
from tocsin._throttle import Suppression

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from tocsin._alert import Alert

Place = tuple[int, int]
"""A delivery's primary key: the alert's sequence number, the position in its plan."""

CLAIMED = (
    "alert",
    "position",
    "channel",
    "claims",
    "attempts",
    "ambiguous",
    "first_attempt_at",
    "state",
    "due",
    "digest",
    "note",
    "suppressed",
    "suppressed_since",
    "resolves",
    "envelope",
)
"""The columns that a claim is made from."""


def seq_of(db: sqlite3.Connection, alert_id: str, namespace: str) -> int | None:
    """Return the sequence number of an alert whose deliveries are made."""
    row = db.execute(
        "SELECT alert FROM ids WHERE namespace = ? AND id = ?", (namespace, alert_id)
    ).fetchone()
    return None if row is None else int(row[0])


def adopt(db: sqlite3.Connection, alert_id: str, namespace: str, now: float) -> bool:
    """Note that a spilled alert was submitted; False when it was already."""
    noted = db.execute(
        "INSERT OR IGNORE INTO adopted VALUES (?, ?, ?)", (alert_id, namespace, now)
    )
    return noted.rowcount > 0


def is_adopted(db: sqlite3.Connection, alert_id: str, namespace: str) -> bool:
    """Say whether a spilled alert of this id was submitted."""
    found = db.execute(
        "SELECT 1 FROM adopted WHERE id = ? AND namespace = ?", (alert_id, namespace)
    )
    return found.fetchone() is not None


def put_attachments(db: sqlite3.Connection, seq: int, items: Iterable[object]) -> None:
    """Keep the contents of an alert's attachments."""
    db.executemany(
        "INSERT INTO attachments VALUES (?, ?, ?, ?, ?)",
        [
            (
                seq,
                position,
                storable(item.name),
                storable(item.content_type),
                item.content,
            )
            for position, item in enumerate(items)
            if isinstance(item, Attachment)
        ],
    )


def attachments(db: sqlite3.Connection, seq: int) -> list[Attachment]:
    """Return an alert's attachments."""
    found = db.execute(
        "SELECT name, content, content_type FROM attachments WHERE alert = ? "
        "ORDER BY position",
        (seq,),
    )
    return [Attachment(*row) for row in found]


def drop_attachments(db: sqlite3.Connection, seq: int) -> None:
    """Forget the contents, unless a delivery may still need them."""
    db.execute(
        "DELETE FROM attachments WHERE alert = ? AND NOT EXISTS "
        "(SELECT 1 FROM deliveries WHERE alert = ? AND status <> 'delivered')",
        (seq, seq),
    )


def unsettled(db: sqlite3.Connection, namespace: str) -> list[Alert]:
    """Return the alerts that have a pending delivery; one that is damaged is left out."""
    found = db.execute(
        "SELECT seq, envelope FROM alerts WHERE namespace = ? AND EXISTS "
        "(SELECT 1 FROM deliveries WHERE alert = seq AND status = 'pending') ORDER BY seq",
        (namespace,),
    ).fetchall()
    alerts = []
    for seq, envelope in found:
        with contextlib.suppress(EnvelopeError):
            alerts.append(decode(envelope, attachments(db, seq)))
    return alerts


def holds_lease(db: sqlite3.Connection, place: Place, token: int) -> bool:
    """Say whether this token is still the one that the delivery was claimed with."""
    found = db.execute(
        "SELECT 1 FROM deliveries WHERE alert = ? AND position = ? AND token = ? "
        "AND status = 'pending'",
        (*place, token),
    )
    return found.fetchone() is not None


def finish(
    db: sqlite3.Connection, place: Place, outcome: Delivered | Failed, now: float
) -> None:
    """Write the end of a delivery down."""
    status, reason, remedy = Status.FAILED, "", ""
    receipt: str | None = None
    if isinstance(outcome, Delivered):
        status = Status.DELIVERED
        receipt = written(outcome.receipt)
    else:
        reason, remedy = storable(outcome.reason), storable(outcome.remedy)
    db.execute(
        "UPDATE deliveries SET status = ?, receipt = ?, reason = ?, remedy = ?, "
        "due = NULL, token = 0, claims = 0, settled_at = ? WHERE alert = ? AND position = ?",
        (status.value, receipt, reason, remedy, now, *place),
    )


def written(receipt: Receipt) -> str:
    """Return a receipt as it is kept."""
    return json.dumps(attrs.asdict(receipt))


def silence(db: sqlite3.Connection, place: Place, reason: str, now: float) -> None:
    """End a delivery that is not to be made."""
    db.execute(
        "UPDATE deliveries SET status = 'silenced', reason = ?, due = NULL, token = 0, "
        "settled_at = ? WHERE alert = ? AND position = ?",
        (storable(reason), now, *place),
    )


class Fate(NamedTuple):
    """What became of another delivery, and the alert that it was of."""

    status: str
    due: float | None
    token: int
    receipt: str | None
    digest: str
    envelope: str


def fate(db: sqlite3.Connection, seq: int, channel: str) -> Fate | None:
    """Return what became of an alert on a channel."""
    row = db.execute(
        "SELECT status, due, token, receipt, digest, envelope FROM deliveries "
        "JOIN alerts ON seq = alert WHERE alert = ? AND channel = ?",
        (seq, channel),
    ).fetchone()
    return None if row is None else Fate(*row)


def record(  # noqa: PLR0917 - the columns, in their order
    db: sqlite3.Connection,
    seq: int,
    namespace: str,
    count: int,
    since: float | None,
    envelope: str,
) -> Record | None:
    """Return an alert of the history, or None when it cannot be read."""
    try:
        alert = decode(envelope)
    except EnvelopeError:
        return None
    return Record(
        alert=alert,
        namespace=namespace,
        deliveries=deliveries(db, seq),
        suppressed=Suppression(count, since),
    )


def deliveries(db: sqlite3.Connection, seq: int) -> tuple[DeliveryRecord, ...]:
    """Return what is known of an alert's deliveries."""
    found = db.execute(
        "SELECT id, channel, status, attempts, due, settled_at, receipt, reason, remedy "
        "FROM alerts JOIN deliveries ON alert = seq WHERE seq = ? ORDER BY position",
        (seq,),
    )
    return tuple(_delivery(*row) for row in found.fetchall())


def _delivery(  # noqa: PLR0917 - the columns, in their order
    alert_id: str,
    channel: str,
    status: str,
    attempts: int,
    due: float | None,
    settled_at: float | None,
    receipt: str | None,
    reason: str,
    remedy: str,
) -> DeliveryRecord:
    return DeliveryRecord(
        id=f"{alert_id}.{channel}",
        channel=channel,
        status=Status(status),
        attempts=attempts,
        due_at=_moment(due),
        settled_at=_moment(settled_at),
        receipt=None if receipt is None else Receipt(**parsed(receipt)),
        reason=reason,
        remedy=remedy,
    )


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def parsed(text: str) -> dict[str, Any]:
    """Return a JSON object that was kept; of a damaged one, nothing."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def parsed_plan(text: str) -> list[tuple[str, float, float]]:
    """Return a plan that was kept: channels, each with its times; of a damaged one, none."""
    try:
        value = json.loads(text)
        return [(str(name), float(start), float(wait)) for name, start, wait in value]
    except (ValueError, TypeError, RecursionError):
        return []


def token() -> int:
    """Return a number that nobody else has."""
    return int.from_bytes(os.urandom(7)) + 1


def prune(
    db: sqlite3.Connection, namespace: str, before: float, start: int, most: int
) -> tuple[int | None, int]:
    """Forget what is old among so many alerts after `start`.

    Returns where to go on, and how many were forgotten. Alerts lie in the order of their
    time, so that it ends with the first that are young; the newest is kept, so that none
    gets its number again.
    """
    found = db.execute(
        "SELECT seq, id, namespace = ? AND seq < (SELECT max(seq) FROM alerts) "
        "AND seq <= (SELECT alert FROM enqueued) AND NOT EXISTS "
        "(SELECT 1 FROM deliveries WHERE alert = seq AND status = 'pending'), "
        "submitted_at < ? FROM alerts WHERE seq > ? ORDER BY seq LIMIT ?",
        (namespace, before, start, most),
    ).fetchall()
    old = [(seq, alert_id) for seq, alert_id, *are in found if all(are)]
    seqs = [(seq,) for seq, _ in old]
    db.executemany("DELETE FROM attachments WHERE alert = ?", seqs)
    db.executemany("DELETE FROM deliveries WHERE alert = ?", seqs)
    db.executemany("DELETE FROM echoes WHERE alert = ?", seqs)
    db.executemany("DELETE FROM alerts WHERE seq = ?", seqs)
    db.executemany(
        "DELETE FROM ids WHERE namespace = ? AND id = ?",
        [(namespace, alert_id) for _, alert_id in old],
    )
    is_done = len(found) < most or not any(row[-1] for row in found)
    return None if is_done else found[-1][0], len(old)


def prune_rest(db: sqlite3.Connection, namespace: str, before: float) -> None:
    """Forget old windows, and what else is known of old alerts."""
    for table, when in (
        ("adopted", "at"),
        ("conversations", "at"),
        ("silences", "ends_at"),
        ("runs", "beat_at"),
    ):
        db.execute(
            f"DELETE FROM {table} WHERE namespace = ? AND {when} < ?",  # noqa: S608 - constants
            (namespace, before),
        )
    db.execute(
        "DELETE FROM windows WHERE namespace = ? AND admitted_at < ? "
        "AND coalesce(suppressed_since, 0) < ?",
        (namespace, before, before),
    )
