"""How channels fare, in the database: each function takes an open transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tocsin import _circuit as circuit_rules
from tocsin._circuit import CLOSED, Circuit
from tocsin._imports import importing
from tocsin._retry import Delivered
from tocsin._text import storable

if TYPE_CHECKING:
    import sqlite3

    from tocsin._retry import Outcome


def settle_circuit(
    db: sqlite3.Connection, namespace: str, channel: str, outcome: Outcome, now: float
) -> tuple[Circuit, Circuit]:
    """Return how the channel fared before, and how it fares by now."""
    before = load_circuit(db, namespace, channel)
    if before == CLOSED and isinstance(outcome, Delivered):
        return CLOSED, CLOSED
    with importing():
        import random

    after = circuit_rules.after(before, outcome, now, random.random)
    if after == CLOSED and before != CLOSED:
        mend(db, namespace, channel, now)
    elif after != before:
        db.execute(
            "INSERT OR REPLACE INTO circuits VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                namespace,
                channel,
                after.failures,
                after.until,
                after.since,
                after.is_out_of_order,
                storable(after.reason),
                storable(after.remedy),
            ),
        )
    return before, after


def load_circuit(db: sqlite3.Connection, namespace: str, channel: str) -> Circuit:
    """Return how a channel fares."""
    row = db.execute(
        "SELECT failures, until, since, is_out_of_order, reason, remedy FROM circuits "
        "WHERE namespace = ? AND channel = ?",
        (namespace, channel),
    ).fetchone()
    return CLOSED if row is None else circuit(*row)


def circuit(  # noqa: PLR0917 - the columns, in their order
    failures: int,
    until: float,
    since: float | None,
    is_out_of_order: int,
    reason: str,
    remedy: str,
) -> Circuit:
    """Return a row of the table as a value."""
    return Circuit(
        failures=failures,
        until=until,
        since=since,
        is_out_of_order=bool(is_out_of_order),
        reason=reason,
        remedy=remedy,
    )


def leased_until(
    db: sqlite3.Connection, namespace: str, channel: str, after: float, latest: float
) -> float:
    """Return when the last lease on a channel ends, of those in this span; 0: none."""
    found = db.execute(
        "SELECT max(due) FROM deliveries WHERE status = 'pending' AND namespace = ? "
        "AND channel = ? AND token <> 0 AND due > ? AND due <= ?",
        (namespace, channel, after, latest),
    )
    return float(found.fetchone()[0] or 0.0)


def mend(db: sqlite3.Connection, namespace: str, channel: str, now: float) -> bool:
    """Take a channel to be in order, and what waits for its next try to be due."""
    before = load_circuit(db, namespace, channel)
    if before == CLOSED:
        return False
    db.execute(
        "DELETE FROM circuits WHERE namespace = ? AND channel = ?", (namespace, channel)
    )
    if before.is_failing:
        db.execute(
            "UPDATE deliveries SET due = ? WHERE status = 'pending' AND namespace = ? "
            "AND channel = ? AND due > ? AND token = 0 AND not_before IS NULL",
            (now, namespace, channel, now),
        )
    return True


def try_again(db: sqlite3.Connection, namespace: str, channel: str, now: float) -> None:
    """Try a channel that fails with one delivery, now; that decides for the others."""
    db.execute(
        "UPDATE circuits SET until = ?, failures = max(failures, ?) "
        "WHERE namespace = ? AND channel = ? AND (failures >= ? OR is_out_of_order)",
        (now, circuit_rules.THRESHOLD, namespace, channel, circuit_rules.THRESHOLD),
    )
