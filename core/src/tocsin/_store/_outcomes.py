"""Writing down what came of deliveries, in open transactions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tocsin._circuit import CLOSED
from tocsin._provider import Receipt
from tocsin._retry import HORIZON, Delivered, Failed, Pending
from tocsin._store import _rows as rows
from tocsin._store._circuits import load_circuit, settle_circuit
from tocsin._store._port import Claim, Settled, Turn
from tocsin._text import storable

if TYPE_CHECKING:
    import sqlite3

    from tocsin._retry import Outcome
    from tocsin._store._rows import Place

ORIGINAL_DELAY = 1.0
"""Seconds that a resolution waits for the alert that it ends."""
_TURN_DELAY = 0.5  # seconds until a delivery looks again whether its turn has come
_HANDED_AT_ONCE = 500  # deliveries, so that a caller never waits for the whole of it

DELIVERED = (
    "UPDATE deliveries SET status = 'delivered', receipt = ?1, reason = '', remedy = '', "
    "due = NULL, token = 0, claims = 0, settled_at = ?2 "
    "WHERE alert = ?3 AND position = ?4 AND token = ?5 AND status = 'pending' "
    "AND NOT EXISTS (SELECT 1 FROM circuits WHERE namespace = ?6 AND channel = ?7) "
    "AND NOT EXISTS (SELECT 1 FROM attachments WHERE alert = ?3) "
    "AND NOT EXISTS (SELECT 1 FROM conversations "
    "WHERE namespace = ?6 AND channel = ?7 AND token = ?5) "
    "AND NOT EXISTS (SELECT 1 FROM deliveries AS later JOIN alerts ON seq = later.alert "
    "WHERE later.status = 'pending' AND later.namespace = ?6 AND later.channel = ?7 "
    "AND later.due > ?2 AND later.due <= ?8 AND later.token = 0 AND resolves = ?3)"
)
"""All of `settle` for a delivery whose end touches nothing else: one statement, which other
threads need not wait for as long as for a transaction. It changes nothing where there is more
to do."""


def delivered(
    namespace: str, claim: Claim, outcome: Delivered, now: float
) -> tuple[object, ...]:
    """Return what `DELIVERED` takes, for a claim on a single delivery."""
    return (
        rows.written(outcome.receipt),
        now,
        *claim.places[0],
        claim.token,
        namespace,
        claim.channel,
        now + ORIGINAL_DELAY,
    )


def settle(  # noqa: PLR0917 - see Store.settle
    db: sqlite3.Connection,
    namespace: str,
    claim: Claim,
    outcome: Outcome,
    now: float,
    fallback: str,
) -> Settled | None:
    """Write down what came of an attempt, for the delivery and its channel."""
    places = [p for p in claim.places if rows.holds_lease(db, p, claim.token)]
    if not places:
        return None
    outcome = _excused(db, namespace, claim, outcome, now)
    for place in places:
        if isinstance(outcome, Pending):
            _retry(db, place, outcome)
            continue
        rows.finish(db, place, outcome, now)
        _call_resolution(db, namespace, claim.channel, place[0], now)
        if isinstance(outcome, Delivered):
            rows.drop_attachments(db, place[0])
        elif fallback:
            _add_fallback(db, place, claim.channel, fallback, outcome.reason, now)
    receipt = outcome.receipt if isinstance(outcome, Delivered) else None
    _settle_conversation(db, namespace, claim, receipt, now)
    before, after = settle_circuit(db, namespace, claim.channel, outcome, now)
    return Settled(outcome, before, after)


def _excused(
    db: sqlite3.Connection, namespace: str, claim: Claim, outcome: Outcome, now: float
) -> Outcome:
    """Keep what was under way when another delivery found the channel out of order."""
    if not isinstance(outcome, Failed) or not outcome.is_out_of_order:
        return outcome
    if not load_circuit(db, namespace, claim.channel).is_out_of_order:
        return outcome
    if claim.progress.is_probe:  # it was kept before, and is too old by now
        return outcome
    reason, remedy = outcome.reason, outcome.remedy
    return Pending(due=now, reason=reason, remedy=remedy, is_out_of_order=True)


def _call_resolution(
    db: sqlite3.Connection, namespace: str, channel: str, alert: int, now: float
) -> None:
    """Let what waits to say that this alert is over go after it."""
    db.execute(
        "UPDATE deliveries SET due = ? WHERE status = 'pending' AND namespace = ? "
        "AND channel = ? AND due > ? AND due <= ? AND token = 0 "
        "AND ? = (SELECT resolves FROM alerts WHERE seq = alert)",
        (now, namespace, channel, now, now + ORIGINAL_DELAY, alert),
    )


def _retry(db: sqlite3.Connection, place: Place, outcome: Pending) -> None:
    db.execute(
        "UPDATE deliveries SET due = ?, token = 0, claims = 0, "
        "ambiguous = ambiguous + ?, state = ?, reason = ?, remedy = ? "
        "WHERE alert = ? AND position = ?",
        (
            outcome.due,
            outcome.ambiguous,
            json.dumps(outcome.state, default=str),
            storable(outcome.reason),
            storable(outcome.remedy),
            *place,
        ),
    )


def _add_fallback(  # noqa: PLR0917 - what a row is made of
    db: sqlite3.Connection,
    place: Place,
    channel: str,
    fallback: str,
    reason: str,
    now: float,
) -> None:
    """Send the alert to the other channel, unless it goes there already."""
    note = f"It could not be delivered to {channel}: {reason}"
    db.execute(
        "INSERT INTO deliveries (alert, position, namespace, channel, status, due, digest, "
        "note) SELECT alert, (SELECT max(position) + 1 FROM deliveries WHERE alert = ?1), "
        "namespace, ?3, 'pending', ?4, digest, ?5 FROM deliveries "
        "WHERE alert = ?1 AND position = ?2 AND NOT EXISTS "
        "(SELECT 1 FROM deliveries WHERE alert = ?1 AND channel = ?3)",
        (*place, fallback, now, storable(note)),
    )


def hand_over(  # noqa: PLR0917 - see Store.hand_over
    db: sqlite3.Connection,
    namespace: str,
    channel: str,
    fallback: str,
    now: float,
    after: float,
    *,
    is_broken: bool,
) -> int:
    """See `Store.hand_over`."""
    circuit = load_circuit(db, namespace, channel)
    if circuit == CLOSED and not is_broken:
        return 0
    since = 0.0 if circuit.since is None or is_broken else circuit.since
    before = now - after
    found = db.execute(
        "SELECT alert, position, reason FROM deliveries JOIN alerts ON seq = alert "
        "WHERE status = 'pending' AND deliveries.namespace = ? AND channel = ? "
        "AND (token = 0 OR due <= ?) AND coalesce(not_before, 0) <= ? "
        "AND (first_attempt_at <= ? OR max(submitted_at, ?) <= ?) LIMIT ?",
        (namespace, channel, now, before, before, since, before, _HANDED_AT_ONCE),
    ).fetchall()
    for *place, reason in found:
        why = reason or circuit.reason or "the channel is out of order"
        outcome = Failed(reason=f"{why} (given to {fallback})", remedy=circuit.remedy)
        rows.finish(db, (place[0], place[1]), outcome, now)
        _add_fallback(db, (place[0], place[1]), channel, fallback, why, now)
    return len(found)


def join(
    db: sqlite3.Connection, namespace: str, claim: Claim, conversation: str, now: float
) -> Receipt | Turn:
    """See `Store.join`."""
    row = db.execute(
        "SELECT token, until, receipt FROM conversations "
        "WHERE namespace = ? AND channel = ? AND name = ?",
        (namespace, claim.channel, storable(conversation)),
    ).fetchone()
    if row is not None and row[2] is not None:
        return Receipt(**rows.parsed(row[2]))
    is_held = row is not None and now < row[1] <= now + HORIZON
    if is_held and row[0] not in {0, claim.token}:
        give_back(db, namespace, claim, now + _TURN_DELAY)
        return Turn.WAIT
    db.execute(
        "INSERT OR REPLACE INTO conversations VALUES (?, ?, ?, ?, ?, NULL, ?)",
        (
            namespace,
            claim.channel,
            storable(conversation),
            claim.token,
            min(claim.lease_until, now + HORIZON),
            now,
        ),
    )
    return Turn.BEGIN


def _settle_conversation(
    db: sqlite3.Connection,
    namespace: str,
    claim: Claim,
    receipt: Receipt | None,
    now: float,
) -> None:
    """Let those go that wait for this one to begin: to reply to it, or to begin instead."""
    place = (namespace, claim.channel, claim.token)
    if receipt is None:
        began = leave(db, *place)
    else:
        began = db.execute(
            "UPDATE conversations SET receipt = ?, token = 0 "
            "WHERE namespace = ? AND channel = ? AND token = ?",
            (rows.written(receipt), *place),
        ).rowcount
    if began:
        db.execute(
            "UPDATE deliveries SET due = ? WHERE status = 'pending' AND namespace = ? "
            "AND channel = ? AND due > ? AND due <= ? AND token = 0 AND not_before IS NULL",
            (now, namespace, claim.channel, now, now + _TURN_DELAY),
        )


def leave(db: sqlite3.Connection, namespace: str, channel: str, token: int) -> int:
    """Forget that this claim was to begin a conversation; return how many it was."""
    return db.execute(
        "DELETE FROM conversations WHERE namespace = ? AND channel = ? AND token = ?",
        (namespace, channel, token),
    ).rowcount


def give_back(
    db: sqlite3.Connection, namespace: str, claim: Claim, due: float, reason: str = ""
) -> None:
    """See `Store.release`."""
    leave(db, namespace, claim.channel, claim.token)
    why = storable(reason)
    db.executemany(
        "UPDATE deliveries SET due = ?, reason = coalesce(nullif(?, ''), reason), "
        "remedy = CASE WHEN ? = '' THEN remedy ELSE '' END, "
        "token = 0, claims = claims - 1, attempts = attempts - 1, "
        "first_attempt_at = CASE attempts WHEN 1 THEN NULL ELSE first_attempt_at END "
        "WHERE alert = ? AND position = ? AND token = ? AND status = 'pending'",
        [(due, why, why, *place, claim.token) for place in claim.places],
    )
