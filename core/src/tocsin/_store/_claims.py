"""Handing deliveries out, in open transactions."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from tocsin._alert import AlertLevel
from tocsin._envelope import decode
from tocsin._errors import EnvelopeError, EnvelopeTooNew
from tocsin._provider import Receipt
from tocsin._retry import HORIZON, MAX_CLAIMS, Failed, Progress
from tocsin._silence import Silence
from tocsin._store import _rows as rows
from tocsin._store._circuits import leased_until, load_circuit
from tocsin._store._outcomes import ORIGINAL_DELAY
from tocsin._store._port import Claim, Member, Resolved
from tocsin._throttle import Suppression, throttle_key

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

    from tocsin._alert import Alert
    from tocsin._attachment import Attachment
    from tocsin._store._rows import Place

_UNREADABLE_DELAY = 3600.0  # seconds until an alert of a newer version is read again
_LONGEST_HOLD = 31 * 86_400.0  # seconds: neither a night nor a digest is longer
_HAS_ATTACHMENTS = "EXISTS (SELECT 1 FROM attachments WHERE attachments.alert = seq)"
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
            f"SELECT {', '.join(rows.CLAIMED)}, {_HAS_ATTACHMENTS} FROM deliveries "  # noqa: S608 - constants
            "JOIN alerts ON seq = alert WHERE status = 'pending' "
            f"AND deliveries.namespace = ? AND channel = ? AND {which} "
            "ORDER BY due, alert LIMIT ?",
            (self._namespace, channel, due, *more, most),
        )
        names = (*rows.CLAIMED, "has_attachments")
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

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
            return decode(row["envelope"], self._attachments(row))
        except EnvelopeTooNew:
            self._postpone(row, self._now + _UNREADABLE_DELAY)
        except EnvelopeError as error:
            self._finish(row, Failed(reason=str(error)))
        return None

    def _attachments(self, row: dict[str, Any]) -> Sequence[Attachment]:
        return (
            rows.attachments(self._db, row["alert"]) if row["has_attachments"] else ()
        )

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
            self._postpone(row, due + ORIGINAL_DELAY)
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
                Member(
                    alert=one,
                    suppressed=_suppression(member),
                    echoes=self._echoes(member, one),
                )
                for member, one in members
            )
            if len(members) > 1
            else (),
            resolves=self._resolved(row),
            note=row["note"],
            echoes=self._echoes(row, alert),
        )

    def _echoes(self, row: dict[str, Any], alert: Alert) -> tuple[Alert, ...]:
        if alert.ending is None:
            return ()
        found = self._db.execute(
            "SELECT envelope FROM echoes WHERE alert = ? ORDER BY id", (row["alert"],)
        )
        echoes = []
        for (envelope,) in found.fetchall():
            with contextlib.suppress(EnvelopeError):
                echoes.append(decode(envelope))
        return tuple(echo for echo in echoes if echo.ending is not None)

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
