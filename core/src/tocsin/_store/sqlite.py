from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs

from tocsin._alert import AlertLevel
from tocsin._envelope import decode, encode
from tocsin._errors import EnvelopeError, EnvelopeTooNew, StoreFull
from tocsin._retry import (
    MAX_CLAIMS,
    MAX_RETRY_AFTER,
    Delivered,
    Failed,
    Pending,
    Progress,
)
from tocsin._store import _rows as rows
from tocsin._store._database import Database
from tocsin._store._port import (
    MAX_PENDING,
    PATIENCE,
    Claim,
    DeliveryRecord,
    Granted,
    Known,
    Namespace,
    Record,
    Status,
    SuppressedKey,
    Withheld,
)
from tocsin._text import storable
from tocsin._throttle import NONE_SUPPRESSED, Suppression, Window, suppressed_until

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from tocsin._retry import Outcome
    from tocsin._store._port import Submission

_HORIZON = 2 * MAX_RETRY_AFTER  # seconds; nothing is due later, unless a clock jumped
_RECOUNT_AFTER = 1000  # submissions between two counts of what is pending
_UNREADABLE_DELAY = (
    3600.0  # seconds until an alert of a newer version is looked at again
)
_PRUNED_AT_ONCE = 500  # rows, so that a caller never waits for the whole of it


@attrs.frozen(kw_only=True)
class Standing:
    """How many deliveries to one channel stand alike. Times are seconds since the epoch."""

    channel: str
    status: Status
    reason: str
    remedy: str
    count: int
    oldest: float
    """When the first of their alerts was submitted."""
    newest: float


class SqliteStore:
    """The store in a SQLite file, shared by processes, or in memory (``:memory:``).

    A write survives the process at once, and a power cut after a moment: WAL mode with
    ``synchronous = NORMAL``.
    """

    def __init__(
        self, path: str, namespace: str, *, max_pending: int = MAX_PENDING
    ) -> None:
        self.path = path
        self.namespace = namespace
        self._database = Database(path)
        self._max_pending = max_pending
        self._room = 0  # submissions until pending deliveries are counted again

    def open(self, config: str, now: float, *, timeout: float) -> None:
        """Make the file if need be, and record which configuration the namespace has."""
        with self._database.transaction(timeout) as db:
            db.execute(
                "INSERT INTO namespaces VALUES (?, ?, ?) ON CONFLICT (namespace) "
                "DO UPDATE SET config = excluded.config, seen_at = excluded.seen_at",
                (self.namespace, storable(config), now),
            )

    def submit(
        self, submission: Submission, now: float, *, timeout: float
    ) -> Granted | Withheld | Known:
        """See `Store.submit`."""
        alert_id = submission.alert.id
        with self._database.transaction(timeout) as db:
            if rows.is_known(db, alert_id, self.namespace):
                kept = rows.deliveries(db, alert_id, self.namespace)
                return Known(channels=tuple(delivery.channel for delivery in kept))
            if submission.is_adopted and not rows.adopt(
                db, alert_id, self.namespace, now
            ):
                return Known(channels=())
            if not submission.plan:
                self._record(db, submission, NONE_SUPPRESSED, now)
                return Granted(window=None)
            return self._admit(db, submission, now)

    def _admit(
        self, db: sqlite3.Connection, submission: Submission, now: float
    ) -> Granted | Withheld:
        alert = submission.alert
        window, suppressed = self._window(db, submission.key)
        suppressed += submission.suppressed
        until = suppressed_until(window, alert.level, alert.wait_duration, now)
        if window is not None and until is not None:
            suppressed += Suppression(1, now)
            self._put_window(db, submission.key, window, suppressed)
            return Withheld(window=window, until=until, suppressed=suppressed)
        self._make_room(db, len(submission.plan))
        opened = Window(now, alert.level)
        self._put_window(db, submission.key, opened, NONE_SUPPRESSED)
        seq = self._record(db, submission, suppressed, now)
        claims = self._enqueue(db, seq, submission, suppressed, now)
        return Granted(window=opened, claims=claims, suppressed=suppressed)

    def _window(
        self, db: sqlite3.Connection, key: str
    ) -> tuple[Window | None, Suppression]:
        row = db.execute(
            "SELECT admitted_at, level, suppressed, suppressed_since FROM windows "
            "WHERE namespace = ? AND key = ?",
            (self.namespace, key),
        ).fetchone()
        if row is None:
            return None, NONE_SUPPRESSED
        return Window(row[0], AlertLevel(row[1])), Suppression(row[2], row[3])

    def _put_window(
        self,
        db: sqlite3.Connection,
        key: str,
        window: Window,
        suppressed: Suppression,
    ) -> None:
        db.execute(
            "INSERT OR REPLACE INTO windows VALUES (?, ?, ?, ?, ?, ?)",
            (
                self.namespace,
                key,
                window.admitted_at,
                window.level.value,
                suppressed.count,
                suppressed.since,
            ),
        )

    def _make_room(self, db: sqlite3.Connection, wanted: int) -> None:
        if self._room < wanted:
            self._room = min(self._max_pending - self._pending(db), _RECOUNT_AFTER)
        if self._room < wanted:
            raise StoreFull(
                f"{self._max_pending:,} deliveries are pending in {self.path}: see "
                "`tocsin log` for why, and `tocsin drain` to send them"
            )
        self._room -= wanted

    def _record(
        self,
        db: sqlite3.Connection,
        submission: Submission,
        suppressed: Suppression,
        now: float,
    ) -> int:
        alert = submission.alert
        seq = db.execute(
            "INSERT INTO alerts (id, namespace, submitted_at, suppressed, "
            "suppressed_since, envelope) VALUES (?, ?, ?, ?, ?, ?)",
            (
                alert.id,
                self.namespace,
                now,
                suppressed.count,
                suppressed.since,
                encode(alert),
            ),
        ).lastrowid
        assert seq is not None
        if alert.attachments:
            rows.put_attachments(db, seq, alert.attachments)
        return seq

    def _enqueue(
        self,
        db: sqlite3.Connection,
        seq: int,
        submission: Submission,
        suppressed: Suppression,
        now: float,
    ) -> tuple[Claim, ...]:
        planned = list(enumerate(submission.plan))
        kept = planned
        if submission.lease:  # the submitter's own, but for the channels that must wait
            kept = [item for item in planned if self._is_held(db, item[1], now)]
        db.executemany(
            "INSERT INTO deliveries (alert, position, namespace, channel, status, due) "
            "VALUES (?, ?, ?, ?, 'pending', ?)",
            [
                (seq, position, self.namespace, channel, now)
                for position, channel in kept
            ],
        )
        claims = tuple(
            Claim(
                delivery_id=f"{submission.alert.id}.{channel}",
                channel=channel,
                place=(seq, position),
                token=rows.token(),
                lease_until=now + submission.lease,
                alert=submission.alert,
                progress=Progress(attempt=1, ambiguous=0, first_attempt_at=now),
                suppressed=suppressed,
            )
            for position, channel in planned
            if (position, channel) not in kept
        )
        self._put_claims(db, claims, now)
        return claims

    def _put_claims(
        self, db: sqlite3.Connection, claims: Iterable[Claim], now: float
    ) -> None:
        db.executemany(
            "INSERT INTO deliveries (alert, position, namespace, channel, status, due, "
            "token, claims, attempts, first_attempt_at) "
            "VALUES (?, ?, ?, ?, 'pending', ?, ?, 1, 1, ?)",
            [
                (
                    *claim.place,
                    self.namespace,
                    claim.channel,
                    claim.lease_until,
                    claim.token,
                    now,
                )
                for claim in claims
            ],
        )

    def claim(
        self, channels: Mapping[str, int], *, lease: float, now: float
    ) -> list[Claim]:
        """See `Store.claim`."""
        claims: list[Claim] = []
        with self._database.transaction(PATIENCE) as db:
            for channel, most in channels.items():
                if most > 0 and not self._is_held(db, channel, now):
                    claims += self._claim_channel(db, channel, most, lease, now)
        return claims

    def _is_held(self, db: sqlite3.Connection, channel: str, now: float) -> bool:
        found = db.execute(
            "SELECT 1 FROM holds WHERE namespace = ? AND channel = ? "
            "AND until > ? AND until <= ?",
            (self.namespace, channel, now, now + _HORIZON),
        )
        return found.fetchone() is not None

    def _claim_channel(
        self,
        db: sqlite3.Connection,
        channel: str,
        most: int,
        lease: float,
        now: float,
    ) -> Iterator[Claim]:
        found = db.execute(
            f"SELECT {', '.join(rows.CLAIMED)} FROM deliveries JOIN alerts ON alerts.seq = alert "  # noqa: S608 - a constant
            "WHERE status = 'pending' AND deliveries.namespace = ? AND channel = ? "
            "AND (due <= ? OR due > ?) ORDER BY due, alert LIMIT ?",
            (self.namespace, channel, now, now + lease + _HORIZON, most),
        ).fetchall()
        for row in found:
            named = dict(zip(rows.CLAIMED, row, strict=True))
            try:
                claim = self._claim_row(db, named, lease, now)
            except (ValueError, TypeError, AttributeError) as error:
                place = (named["alert"], named["position"])
                reason = f"its row is damaged: {error}"
                rows.finish(db, place, Failed(reason=reason), now)
                continue
            if claim is not None:
                yield claim

    def _claim_row(
        self, db: sqlite3.Connection, row: dict[str, Any], lease: float, now: float
    ) -> Claim | None:
        place = (row["alert"], row["position"])
        if row["claims"] >= MAX_CLAIMS:
            reason = f"claimed {MAX_CLAIMS} times without an outcome: it ends whoever sends it"
            rows.finish(db, place, Failed(reason=reason), now)
            return None
        try:
            alert = decode(row["envelope"], rows.attachments(db, row["alert"]))
        except EnvelopeTooNew:
            db.execute(
                "UPDATE deliveries SET due = ? WHERE alert = ? AND position = ?",
                (now + _UNREADABLE_DELAY, *place),
            )
            return None
        except EnvelopeError as error:
            rows.finish(db, place, Failed(reason=str(error)), now)
            return None
        claim = Claim(
            delivery_id=f"{alert.id}.{row['channel']}",
            channel=row["channel"],
            place=place,
            token=rows.token(),
            lease_until=now + lease,
            alert=alert,
            progress=Progress(
                attempt=row["attempts"] + 1,
                ambiguous=row["ambiguous"],
                first_attempt_at=now
                if row["first_attempt_at"] is None
                else row["first_attempt_at"],
                state=rows.parsed(row["state"]),
            ),
            suppressed=Suppression(row["suppressed"], row["suppressed_since"]),
        )
        db.execute(
            "UPDATE deliveries SET due = ?, token = ?, claims = claims + 1, "
            "attempts = attempts + 1, first_attempt_at = ? WHERE alert = ? AND position = ?",
            (claim.lease_until, claim.token, claim.progress.first_attempt_at, *place),
        )
        return claim

    def settle(self, claim: Claim, outcome: Outcome, now: float) -> bool:
        """See `Store.settle`."""
        with self._database.transaction(PATIENCE) as db:
            if not rows.holds_lease(db, claim.place, claim.token):
                return False
            if isinstance(outcome, Pending):
                self._postpone(db, claim, outcome)
            else:
                rows.finish(db, claim.place, outcome, now)
                if isinstance(outcome, Delivered) and claim.alert.attachments:
                    rows.drop_attachments(db, claim.place[0])
            return True

    def _postpone(self, db: sqlite3.Connection, claim: Claim, outcome: Pending) -> None:
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
                *claim.place,
            ),
        )
        if outcome.hold_until is not None:
            db.execute(
                "INSERT INTO holds VALUES (?, ?, ?) ON CONFLICT (namespace, channel) "
                "DO UPDATE SET until = max(until, excluded.until)",
                (self.namespace, claim.channel, outcome.hold_until),
            )

    def release(
        self,
        claims: Iterable[Claim],
        now: float,
        *,
        delay: float = 0,
        reason: str = "",
        timeout: float = PATIENCE,
    ) -> None:
        """See `Store.release`."""
        with self._database.transaction(timeout) as db:
            db.executemany(
                "UPDATE deliveries SET due = ?, reason = coalesce(nullif(?, ''), reason), "
                "remedy = CASE WHEN ? = '' THEN remedy ELSE '' END, "
                "token = 0, claims = claims - 1, attempts = attempts - 1, "
                "first_attempt_at = CASE attempts WHEN 1 THEN NULL ELSE first_attempt_at END "
                "WHERE alert = ? AND position = ? AND token = ? AND status = 'pending'",
                [
                    (
                        now + delay,
                        storable(reason),
                        storable(reason),
                        *claim.place,
                        claim.token,
                    )
                    for claim in claims
                ],
            )

    def count(
        self, suppressed: Mapping[str, Suppression], *, timeout: float = PATIENCE
    ) -> None:
        """See `Store.count`."""
        with self._database.transaction(timeout) as db:
            for key, more in suppressed.items():
                window, known = self._window(db, key)
                if window is None:  # nothing was admitted: one that suppresses nothing
                    window = Window(0.0, AlertLevel.INFO)
                self._put_window(db, key, window, known + more)

    def next_due(
        self, channels: Collection[str], *, timeout: float = PATIENCE
    ) -> float | None:
        """See `Store.next_due`."""
        with self._database.reading(timeout) as db:
            dues = [
                due
                for channel in channels
                if (due := self._next_due(db, channel)) is not None
            ]
        return min(dues, default=None)

    def _next_due(self, db: sqlite3.Connection, channel: str) -> float | None:
        due = db.execute(
            "SELECT min(due) FROM deliveries "
            "WHERE status = 'pending' AND namespace = ? AND channel = ?",
            (self.namespace, channel),
        ).fetchone()[0]
        held = db.execute(
            "SELECT until FROM holds WHERE namespace = ? AND channel = ?",
            (self.namespace, channel),
        ).fetchone()
        return None if due is None else max(due, held[0] if held else due)

    def pending(
        self, channels: Collection[str] | None = None, *, timeout: float = PATIENCE
    ) -> int:
        """See `Store.pending`."""
        with self._database.reading(timeout) as db:
            if channels is None:
                return self._pending(db)
            return sum(self._pending(db, channel) for channel in channels)

    def _pending(self, db: sqlite3.Connection, channel: str | None = None) -> int:
        found = db.execute(
            "SELECT count(*) FROM deliveries WHERE status = 'pending' "
            "AND namespace = ? AND channel = coalesce(?, channel)",
            (self.namespace, channel),
        )
        return int(found.fetchone()[0])

    def deliveries(
        self, alert_id: str, *, timeout: float = PATIENCE
    ) -> tuple[DeliveryRecord, ...]:
        """See `Store.deliveries`."""
        with self._database.reading(timeout) as db:
            return rows.deliveries(db, alert_id, self.namespace)

    def knows(self, alert_id: str, *, timeout: float = PATIENCE) -> bool:
        """See `Store.knows`."""
        with self._database.reading(timeout) as db:
            return rows.is_known(db, alert_id, self.namespace) or rows.is_adopted(
                db, alert_id, self.namespace
            )

    def history(self, *, limit: int, failed_only: bool = False) -> list[Record]:
        """See `Store.history`."""
        failed = (
            "AND seq IN (SELECT alert FROM deliveries "
            "WHERE status = 'failed' AND namespace = alerts.namespace)"
            if failed_only
            else ""
        )
        with self._database.reading(PATIENCE) as db:
            found = db.execute(
                "SELECT id, namespace, suppressed, suppressed_since, envelope FROM alerts "  # noqa: S608 - constants
                f"WHERE namespace = ? {failed} ORDER BY seq DESC LIMIT ?",
                (self.namespace, limit),
            ).fetchall()
            records = [rows.record(db, *row) for row in reversed(found)]
        return [record for record in records if record is not None]

    def find(self, prefix: str) -> list[str]:
        """See `Store.find`."""
        alert_id, _, channel = prefix.partition(".")
        with self._database.reading(PATIENCE) as db:
            found = db.execute(
                "SELECT id, channel FROM alerts JOIN deliveries ON alert = seq "
                "WHERE alerts.namespace = ? AND id >= ? AND id < ? ORDER BY seq, position",
                (self.namespace, alert_id, alert_id + "~"),
            ).fetchall()
        ids = [f"{row[0]}.{row[1]}" for row in found]
        return [one for one in ids if one.startswith(prefix)] if channel else ids

    def requeue(self, delivery_id: str, now: float) -> bool:
        """See `Store.requeue`."""
        alert_id, _, channel = delivery_id.partition(".")
        with self._database.transaction(PATIENCE) as db:
            changed = db.execute(
                "UPDATE deliveries SET status = 'pending', due = ?, token = 0, claims = 0, "
                "attempts = 0, ambiguous = 0, first_attempt_at = NULL, settled_at = NULL, "
                "state = '{}', receipt = NULL, reason = '', remedy = '' "
                "WHERE channel = ? AND status <> 'pending' "
                "AND alert = (SELECT seq FROM alerts WHERE id = ? AND namespace = ?)",
                (now, channel, alert_id, self.namespace),
            )
            return changed.rowcount > 0

    def untold(self, *, timeout: float = PATIENCE) -> list[SuppressedKey]:
        """See `Store.untold`."""
        with self._database.reading(timeout) as db:
            found = db.execute(
                "SELECT key, suppressed, suppressed_since FROM windows "
                "WHERE namespace = ? AND suppressed > 0 ORDER BY suppressed_since",
                (self.namespace,),
            ).fetchall()
        return [
            SuppressedKey(key=key, suppression=Suppression(count, since))
            for key, count, since in found
        ]

    def standings(self, since: float = 0.0) -> list[Standing]:
        """Count what is pending, and what was settled since then, by what became of it."""
        with self._database.reading(PATIENCE) as db:
            found = db.execute(
                "SELECT channel, status, reason, remedy, count(*), min(submitted_at), "
                "max(submitted_at) FROM deliveries JOIN alerts ON seq = alert "
                "WHERE deliveries.namespace = ? "
                "AND (status = 'pending' OR settled_at >= ?) "
                "GROUP BY channel, status, reason, remedy ORDER BY channel, status",
                (self.namespace, since),
            ).fetchall()
        return [
            Standing(
                channel=channel,
                status=Status(status),
                reason=reason,
                remedy=remedy,
                count=count,
                oldest=oldest,
                newest=newest,
            )
            for channel, status, reason, remedy, count, oldest, newest in found
        ]

    def prune(self, before: float) -> int:
        """See `Store.prune`."""
        forgotten = 0
        while pruned := self._prune_some(before):
            forgotten += pruned
        return forgotten

    def _prune_some(self, before: float) -> int:
        with self._database.transaction(PATIENCE) as db:
            old = db.execute(
                "SELECT seq FROM alerts WHERE namespace = ? AND submitted_at < ? "
                "AND NOT EXISTS (SELECT 1 FROM deliveries "
                "WHERE alert = seq AND status = 'pending') LIMIT ?",
                (self.namespace, before, _PRUNED_AT_ONCE),
            ).fetchall()
            for table, column in (
                ("attachments", "alert"),
                ("deliveries", "alert"),
                ("alerts", "seq"),
            ):
                db.executemany(f"DELETE FROM {table} WHERE {column} = ?", old)  # noqa: S608 - constants
            db.execute("DELETE FROM adopted WHERE at < ?", (before,))
            db.execute(
                "DELETE FROM windows WHERE namespace = ? AND admitted_at < ? "
                "AND coalesce(suppressed_since, 0) < ?",
                (self.namespace, before, before),
            )
            return len(old)

    def namespaces(self) -> list[Namespace]:
        """Return everyone who uses this file."""
        with self._database.reading(PATIENCE) as db:
            found = db.execute(
                "SELECT namespace, config, (SELECT count(*) FROM deliveries AS d "
                "WHERE d.status = 'pending' AND d.namespace = n.namespace) "
                "FROM namespaces AS n ORDER BY namespace"
            ).fetchall()
        return [
            Namespace(name=name, config=config, pending=pending)
            for name, config, pending in found
        ]

    def close(self) -> None:
        """See `Store.close`."""
        self._database.close()
