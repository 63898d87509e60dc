"""Handing deliveries out, and writing down what came of them, in open transactions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tocsin import _circuit as circuit_rules
from tocsin._alert import AlertLevel
from tocsin._circuit import CLOSED, Circuit
from tocsin._envelope import decode
from tocsin._errors import EnvelopeError, EnvelopeTooNew
from tocsin._imports import importing
from tocsin._provider import Receipt
from tocsin._retry import HORIZON, MAX_CLAIMS, Delivered, Failed, Pending, Progress
from tocsin._silence import Silence
from tocsin._store import _rows as rows
from tocsin._store._port import Claim, Member, Resolved, Settled, Turn
from tocsin._text import storable
from tocsin._throttle import Suppression, throttle_key

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

    from tocsin._alert import Alert
    from tocsin._retry import Outcome
    from tocsin._store._rows import Place

_UNREADABLE_DELAY = (
    3600.0  # seconds until an alert of a newer version is looked at again
)
_ORIGINAL_DELAY = 1.0  # seconds that a resolution waits for the alert that it ends
_TURN_DELAY = 0.5  # seconds until a delivery looks again whether its turn has come
_LONGEST_HOLD = 31 * 86_400.0  # seconds: neither a night nor a digest is longer
_MEMBERS = 500  # deliveries that go as one message


class Claimer:
    """Hands out one namespace's deliveries for one lease."""

    def __init__(
        self, db: sqlite3.Connection, namespace: str, *, lease: float, now: float
    ) -> None:
        self._db = db
        self._namespace = namespace
        self._lease_until = now + lease
        self._now = now
        self._silences = load_silences(db, namespace, now)

    def claim(self, channel: str, most: int) -> Iterator[Claim]:
        """Take what is due on one channel, oldest first."""
        circuit = load_circuit(self._db, self._namespace, channel)
        if circuit.is_open(self._now):
            return
        if circuit.is_failing:
            most = 0 if self._is_under_way(channel) else min(most, 1)
        taken: set[Place] = set()
        for row in self._due(channel, most):
            if _place(row) not in taken:  # else it goes along with one before it
                claim = self._claim(row, is_probe=circuit.is_failing)
                if claim is not None:
                    taken.update(claim.places)
                    yield claim

    def _is_under_way(self, channel: str) -> bool:
        # no lease ends later than that, unless it was taken by a clock that was ahead
        latest = self._lease_until + HORIZON
        return bool(leased_until(self._db, self._namespace, channel, self._now, latest))

    def _due(self, channel: str, most: int) -> list[dict[str, Any]]:
        found = self._select("due <= ?", channel, self._now, most)
        if len(found) < most:  # what only a clock that was ahead can have put so far
            found += self._select(
                "due > ? AND (not_before IS NULL OR due > ?)",
                channel,
                self._lease_until + HORIZON,
                most - len(found),
                self._now + _LONGEST_HOLD,
            )
        return found

    def _select(
        self, which: str, channel: str, due: float, most: int, *more: object
    ) -> list[dict[str, Any]]:
        found = self._db.execute(
            f"SELECT {', '.join(rows.CLAIMED)} FROM deliveries "  # noqa: S608 - constants
            "JOIN alerts ON seq = alert WHERE status = 'pending' "
            f"AND deliveries.namespace = ? AND channel = ? AND {which} "
            "ORDER BY due, alert LIMIT ?",
            (self._namespace, channel, due, *more, most),
        )
        return [dict(zip(rows.CLAIMED, row, strict=True)) for row in found.fetchall()]

    def _claim(self, row: dict[str, Any], *, is_probe: bool) -> Claim | None:
        """Claim a delivery with all that goes along with it; None when it must not go."""
        members = [
            (member, alert)
            for member in self._gathered(row)
            if (alert := self._readable(member)) is not None
            and not self._is_silenced(member, alert)
            and not self._waits_for_original(member)
        ]
        if not members:
            return None
        first, alert = members[0]
        try:
            claim = self._made(first, alert, members, is_probe=is_probe)
        except (ValueError, TypeError, AttributeError) as error:
            for member, _ in members:
                self._finish(member, Failed(reason=f"its row is damaged: {error}"))
            return None
        for member, _ in members:
            self._mark(claim, member, is_alone=len(members) == 1)
        return claim

    def _gathered(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        if not row["digest"]:
            return [row]
        self._reopen(row)
        due = max(self._now, row["due"])
        return self._select(
            "due <= ? AND digest = ?", row["channel"], due, _MEMBERS, row["digest"]
        )

    def _reopen(self, row: dict[str, Any]) -> None:
        """Gather again from now on what comes after this message."""
        if row["attempts"] == 0:
            self._db.execute(
                "UPDATE digests SET until = ? + seconds, id = ? "
                "WHERE namespace = ? AND channel = ?",
                (self._now, f"{rows.token():x}", self._namespace, row["channel"]),
            )

    def _readable(self, row: dict[str, Any]) -> Alert | None:
        if row["claims"] >= MAX_CLAIMS:
            reason = f"claimed {MAX_CLAIMS} times without an outcome: it ends whoever sends it"
            self._finish(row, Failed(reason=reason))
            return None
        try:
            return decode(row["envelope"], rows.attachments(self._db, row["alert"]))
        except EnvelopeTooNew:
            self._postpone(row, self._now + _UNREADABLE_DELAY)
        except EnvelopeError as error:
            self._finish(row, Failed(reason=str(error)))
        return None

    def _is_silenced(self, row: dict[str, Any], alert: Alert) -> bool:
        silence = next((s for s in self._silences if s.matches(alert, self._now)), None)
        if silence is None:
            return False
        rows.silence(
            self._db, _place(row), f"silenced: {silence.description}", self._now
        )
        self._end_digest(row, alert)
        # when it is over, the next alert is the first that anybody hears
        self._db.execute(
            "UPDATE windows SET closes_at = ? WHERE namespace = ? AND key = ? AND alert = ?",
            (silence.ends_at, self._namespace, throttle_key(alert), row["alert"]),
        )
        return True

    def _end_digest(self, row: dict[str, Any], alert: Alert) -> None:
        """Let what is gathered behind a message that is not sent go by itself."""
        place = (self._namespace, row["channel"], alert.id)
        self._db.execute(
            "DELETE FROM digests WHERE namespace = ? AND channel = ? AND id = ?", place
        )
        self._db.execute(
            "UPDATE deliveries SET due = ? WHERE status = 'pending' AND namespace = ? "
            "AND channel = ? AND digest = ?",
            (self._now, *place),
        )

    def _waits_for_original(self, row: dict[str, Any]) -> bool:
        """Keep a resolution back while the alert that it ends is not delivered."""
        if row["resolves"] is None:
            return False
        found = rows.fate(self._db, row["resolves"], row["channel"])
        if found is None:  # it is forgotten, or this is another channel's fallback
            return False
        if found.status == "pending":
            due = self._now if found.token or found.due is None else found.due
            due = max(self._now, min(due, self._now + HORIZON))
            self._postpone(row, due + _ORIGINAL_DELAY)
            return True
        if found.status != "delivered":
            reason = "the alert that is over was not delivered here"
            rows.silence(self._db, _place(row), reason, self._now)
            self._follow(row)
            return True
        return False

    def _follow(self, row: dict[str, Any]) -> None:
        """Send a resolution after its alert, if that went to a fallback meanwhile."""
        self._db.execute(
            "INSERT INTO deliveries (alert, position, namespace, channel, status, due) "
            "SELECT ?1, (SELECT max(position) + 1 FROM deliveries WHERE alert = ?1), "
            "namespace, channel, 'pending', ?3 FROM deliveries WHERE alert = ?2 "
            "AND status IN ('pending', 'delivered') AND channel NOT IN "
            "(SELECT channel FROM deliveries WHERE alert = ?1) ORDER BY position LIMIT 1",
            (row["alert"], row["resolves"], self._now),
        )

    def _made(
        self,
        row: dict[str, Any],
        alert: Alert,
        members: Sequence[tuple[dict[str, Any], Alert]],
        *,
        is_probe: bool,
    ) -> Claim:
        began = row["first_attempt_at"]
        return Claim(
            delivery_id=f"{alert.id}.{row['channel']}",
            channel=row["channel"],
            places=tuple(_place(member) for member, _ in members),
            token=rows.token(),
            lease_until=self._lease_until,
            alert=alert,
            progress=Progress(
                attempt=row["attempts"] + 1,
                ambiguous=row["ambiguous"],
                first_attempt_at=self._now if began is None else began,
                is_probe=is_probe,
                state=rows.parsed(row["state"]),
            ),
            suppressed=_suppression(row),
            members=tuple(
                Member(alert=one, suppressed=_suppression(member))
                for member, one in members
            )
            if len(members) > 1
            else (),
            resolves=self._resolved(row),
            note=row["note"],
        )

    def _resolved(self, row: dict[str, Any]) -> Resolved | None:
        if row["resolves"] is None:
            return None
        found = rows.fate(self._db, row["resolves"], row["channel"])
        if found is None:
            return None
        try:
            alert = decode(found.envelope)
        except EnvelopeError:
            return None
        return Resolved(
            alert=alert,
            receipt=Receipt(**rows.parsed(found.receipt or "{}")),
            is_alone=not found.digest,
        )

    def _mark(self, claim: Claim, row: dict[str, Any], *, is_alone: bool) -> None:
        self._db.execute(
            "UPDATE deliveries SET due = ?, token = ?, claims = claims + 1, "
            "attempts = attempts + 1, first_attempt_at = coalesce(first_attempt_at, ?), "
            "not_before = NULL, digest = CASE WHEN ? THEN '' ELSE digest END "
            "WHERE alert = ? AND position = ?",
            (claim.lease_until, claim.token, self._now, is_alone, *_place(row)),
        )

    def _postpone(self, row: dict[str, Any], due: float) -> None:
        self._db.execute(
            "UPDATE deliveries SET due = ?, not_before = ? "
            "WHERE alert = ? AND position = ?",
            (due, due, *_place(row)),
        )

    def _finish(self, row: dict[str, Any], outcome: Failed) -> None:
        rows.finish(self._db, _place(row), outcome, self._now)


def _place(row: dict[str, Any]) -> Place:
    return row["alert"], row["position"]


def _suppression(row: dict[str, Any]) -> Suppression:
    return Suppression(row["suppressed"], row["suppressed_since"])


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
    before, after = _settle_circuit(db, namespace, claim.channel, outcome, now)
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
        (now, namespace, channel, now, now + _ORIGINAL_DELAY, alert),
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


def _settle_circuit(
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
        (namespace, channel, now, before, before, since, before, _MEMBERS),
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


def load_silences(db: sqlite3.Connection, namespace: str, now: float) -> list[Silence]:
    """Return the silences that are not over, in the order of their ends."""
    found = db.execute(
        "SELECT id, title, project, team, max_level, starts_at, ends_at, reason, author "
        "FROM silences WHERE namespace = ? AND ends_at > ? "
        "AND ends_at > starts_at ORDER BY ends_at",  # else it was ended before it began
        (namespace, now),
    )
    return [
        Silence(
            id=row[0],
            title=row[1],
            project=row[2],
            team=row[3],
            max_level=AlertLevel(row[4]),
            starts_at=row[5],
            ends_at=row[6],
            reason=row[7],
            author=row[8],
        )
        for row in found.fetchall()
    ]
