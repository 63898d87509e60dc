from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from tocsin import _run_record as run_record
from tocsin._circuit import CLOSED
from tocsin._errors import StoreBusy, StoreFull
from tocsin._retry import Delivered
from tocsin._store import _admission as admission
from tocsin._store import _circuits as circuits
from tocsin._store import _claims as claims
from tocsin._store import _outcomes as outcomes
from tocsin._store import _rows as rows
from tocsin._store._database import Database
from tocsin._store._outcomes import give_back
from tocsin._store._port import (
    MAX_PENDING,
    PATIENCE,
    Granted,
    Known,
    Namespace,
    Settled,
    Standing,
    Status,
    SuppressedKey,
    Withheld,
)
from tocsin._text import storable
from tocsin._throttle import NONE_SUPPRESSED, Suppression, Window

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable, Mapping
    from contextlib import AbstractContextManager

    from tocsin._alert import Alert
    from tocsin._circuit import Circuit
    from tocsin._provider import Receipt
    from tocsin._retry import Outcome
    from tocsin._run_record import RunRecord
    from tocsin._silence import Silence
    from tocsin._store._port import (
        Claim,
        DeliveryRecord,
        Record,
        Submission,
        Turn,
    )

_RECOUNT_AFTER = 1000  # submissions between two counts of what is pending
_PRUNED_AT_ONCE = 500  # rows, so that a caller never waits for the whole of it


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
        self._room = 0  # deliveries until those that are pending are counted again

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
        if self._may_be_first(submission) and self._database.write(
            admission.FIRST,
            admission.first(self.namespace, submission, now),
            timeout=timeout,
        ):
            self._room -= len(submission.plan)
            return Granted(window=Window(now, submission.alert.level))
        if not submission.is_new:
            self._enqueue_all(timeout)
        with self._database.transaction(timeout) as db:
            if not submission.is_new:
                known = self._known(db, submission, now)
                if known is not None:
                    return known
            if not submission.plan:
                admission.record(db, self.namespace, submission, NONE_SUPPRESSED, now)
                return Granted(window=None)
            self._check_room(db, submission)
            verdict = admission.admit(db, self.namespace, submission, now)
            if isinstance(verdict, Granted):
                self._room -= len(submission.plan)
            return verdict

    def _may_be_first(self, submission: Submission) -> bool:
        """Whether one statement is enough, if the key has no window."""
        return (
            submission.is_new
            and not submission.suppressed.count
            and not submission.alert.attachments
            and 0 < len(submission.plan) <= self._room
        )

    def _known(
        self, db: sqlite3.Connection, submission: Submission, now: float
    ) -> Known | None:
        """Return where an alert goes that was submitted before."""
        while admission.is_behind(db):  # what came in this very moment
            admission.enqueue(db)
        alert_id = submission.alert.id
        seq = rows.seq_of(db, alert_id, self.namespace)
        if seq is not None:
            kept = rows.deliveries(db, seq)
            return Known(channels=tuple(delivery.channel for delivery in kept))
        if submission.is_adopted and not rows.adopt(db, alert_id, self.namespace, now):
            return Known(channels=())
        return None

    def _check_room(self, db: sqlite3.Connection, submission: Submission) -> None:
        """Count what is pending once in so many submissions.

        Raises:
            StoreFull: Too many are.

        """
        if self._room >= len(submission.plan):
            return
        pending = self._pending(db) + admission.waiting(db, self.namespace)
        if pending >= self._max_pending:
            raise StoreFull(
                f"{self._max_pending:,} deliveries are pending in {self.path}: see "
                "`tocsin log` for why, and `tocsin drain` to send them"
            )
        self._room = min(self._max_pending - pending, _RECOUNT_AFTER)

    def resolve(
        self, submission: Submission, now: float, *, timeout: float
    ) -> tuple[str, ...]:
        """See `Store.resolve`."""
        self._enqueue_all(timeout)
        with self._database.transaction(timeout) as db:
            if self._known(db, submission, now) is not None:
                return ()
            return admission.resolve(db, self.namespace, submission, now)

    def claim(
        self, channels: Mapping[str, int], *, lease: float, now: float
    ) -> list[Claim]:
        """See `Store.claim`."""
        claimed: list[Claim] = []
        with self._database.transaction(PATIENCE) as db:
            admission.enqueue(db)
            claimer = claims.Claimer(db, self.namespace, lease=lease, now=now)
            for channel, most in channels.items():
                claimed += claimer.claim(channel, most)
        return claimed

    def settle(
        self, claim: Claim, outcome: Outcome, now: float, *, fallback: str = ""
    ) -> Settled | None:
        """See `Store.settle`."""
        if (
            isinstance(outcome, Delivered)
            and len(claim.places) == 1
            and self._database.write(
                outcomes.DELIVERED,
                outcomes.delivered(self.namespace, claim, outcome, now),
                timeout=PATIENCE,
            )
        ):
            return Settled(outcome, CLOSED, CLOSED)
        with self._database.transaction(PATIENCE) as db:
            return outcomes.settle(db, self.namespace, claim, outcome, now, fallback)

    def hand_over(
        self, channel: str, fallback: str, now: float, *, after: float, is_broken: bool
    ) -> int:
        """See `Store.hand_over`."""
        with self._enqueued(PATIENCE) as db:  # mostly nothing is to be done
            circuit = circuits.load_circuit(db, self.namespace, channel)
        if circuit == CLOSED and not is_broken:
            return 0
        with self._database.transaction(PATIENCE) as db:
            return outcomes.hand_over(
                db, self.namespace, channel, fallback, now, after, is_broken=is_broken
            )

    def join(self, claim: Claim, conversation: str, now: float) -> Receipt | Turn:
        """See `Store.join`."""
        with self._database.transaction(PATIENCE) as db:
            return outcomes.join(db, self.namespace, claim, conversation, now)

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
            for claim in claims:
                give_back(db, self.namespace, claim, now + delay, reason)

    def count(
        self, suppressed: Mapping[str, Suppression], *, timeout: float = PATIENCE
    ) -> None:
        """See `Store.count`."""
        with self._database.transaction(timeout) as db:
            for key, more in suppressed.items():
                _, known = admission.known_window(db, self.namespace, key)
                admission.recount(db, self.namespace, key, known + more)

    def next_due(
        self,
        channels: Collection[str],
        *,
        now: float | None = None,
        timeout: float = PATIENCE,
    ) -> float | None:
        """See `Store.next_due`."""
        with self._enqueued(timeout) as db:
            dues = [
                due
                for channel in channels
                if (due := self._next_due(db, channel, now)) is not None
            ]
        return min(dues, default=None)

    def _next_due(
        self, db: sqlite3.Connection, channel: str, now: float | None
    ) -> float | None:
        due = db.execute(
            "SELECT min(due) FROM deliveries "
            "WHERE status = 'pending' AND namespace = ? AND channel = ?",
            (self.namespace, channel),
        ).fetchone()[0]
        if due is None:
            return None
        circuit = circuits.load_circuit(db, self.namespace, channel)
        held_until = circuit.until
        if now is not None and now < circuit.until and not circuit.is_open(now):
            held_until = 0.0  # a clock that was ahead wrote it
        leased_until = 0.0
        if circuit.is_failing:  # it is tried with one at a time
            leased_until = circuits.leased_until(
                db, self.namespace, channel, circuit.until, math.inf
            )
        return max(float(due), held_until, leased_until)

    def pending(
        self, channels: Collection[str] | None = None, *, timeout: float = PATIENCE
    ) -> int:
        """See `Store.pending`."""
        with self._enqueued(timeout) as db:
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
        with self._enqueued(timeout) as db:
            seq = rows.seq_of(db, alert_id, self.namespace)
            return () if seq is None else rows.deliveries(db, seq)

    def knows(self, alert_id: str, *, timeout: float = PATIENCE) -> bool:
        """See `Store.knows`."""
        with self._enqueued(timeout) as db:
            is_there = rows.seq_of(db, alert_id, self.namespace) is not None
            return is_there or rows.is_adopted(db, alert_id, self.namespace)

    def history(self, *, limit: int, failed_only: bool = False) -> list[Record]:
        """See `Store.history`."""
        failed = (
            "AND seq IN (SELECT alert FROM deliveries "
            "WHERE status = 'failed' AND namespace = alerts.namespace)"
            if failed_only
            else ""
        )
        with self._enqueued(PATIENCE) as db:
            found = db.execute(
                "SELECT seq, namespace, suppressed, suppressed_since, envelope FROM alerts "  # noqa: S608 - constants
                f"WHERE namespace = ? {failed} ORDER BY seq DESC LIMIT ?",
                (self.namespace, limit),
            ).fetchall()
            records = [rows.record(db, *row) for row in reversed(found)]
        return [record for record in records if record is not None]

    def find(self, prefix: str) -> list[str]:
        """See `Store.find`."""
        alert_id, _, channel = prefix.partition(".")
        with self._enqueued(PATIENCE) as db:
            found = db.execute(
                "SELECT id, channel FROM ids JOIN deliveries USING (namespace, alert) "
                "WHERE namespace = ? AND id >= ? AND id < ? ORDER BY alert, position",
                (self.namespace, alert_id, alert_id + "~"),
            ).fetchall()
        ids = [f"{row[0]}.{row[1]}" for row in found]
        return [one for one in ids if one.startswith(prefix)] if channel else ids

    def requeue(self, delivery_id: str, now: float) -> bool:
        """See `Store.requeue`."""
        alert_id, _, channel = delivery_id.partition(".")
        self._enqueue_all(PATIENCE)
        with self._database.transaction(PATIENCE) as db:
            changed = db.execute(
                "UPDATE deliveries SET status = 'pending', due = ?, token = 0, claims = 0, "
                "attempts = 0, ambiguous = 0, first_attempt_at = NULL, settled_at = NULL, "
                "state = '{}', receipt = NULL, reason = '', remedy = '', "
                "not_before = NULL, digest = '' "
                "WHERE channel = ? AND status <> 'pending' AND alert = ?",
                (now, channel, rows.seq_of(db, alert_id, self.namespace)),
            )
            if changed.rowcount > 0:
                circuits.try_again(db, self.namespace, channel, now)
            return bool(changed.rowcount > 0)

    def untold(self, *, timeout: float = PATIENCE) -> list[SuppressedKey]:
        """See `Store.untold`."""
        with self._database.connection(timeout) as db:
            found = db.execute(
                "SELECT key, suppressed, suppressed_since FROM windows "
                "WHERE namespace = ? AND suppressed > 0 ORDER BY suppressed_since",
                (self.namespace,),
            ).fetchall()
        return [
            SuppressedKey(key=key, suppression=Suppression(count, since))
            for key, count, since in found
        ]

    def circuits(self) -> dict[str, Circuit]:
        """See `Store.circuits`."""
        with self._database.connection(PATIENCE) as db:
            names = db.execute(
                "SELECT channel FROM circuits WHERE namespace = ? ORDER BY channel",
                (self.namespace,),
            ).fetchall()
            found = {
                name: circuits.load_circuit(db, self.namespace, name)
                for (name,) in names
            }
        return {name: one for name, one in found.items() if one != CLOSED}

    def try_again(self, channel: str, now: float) -> None:
        """See `Store.try_again`."""
        with self._database.transaction(PATIENCE) as db:
            circuits.try_again(db, self.namespace, channel, now)

    def mend(self, channel: str, now: float) -> bool:
        """See `Store.mend`."""
        with self._database.transaction(PATIENCE) as db:
            return circuits.mend(db, self.namespace, channel, now)

    def silences(self, now: float) -> list[Silence]:
        """See `Store.silences`."""
        with self._database.connection(PATIENCE) as db:
            return claims.load_silences(db, self.namespace, now)

    def silence(self, silence: Silence) -> None:
        """See `Store.silence`."""
        with self._database.transaction(PATIENCE) as db:
            db.execute(
                "INSERT OR REPLACE INTO silences VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    storable(silence.id),
                    self.namespace,
                    storable(silence.title),
                    storable(silence.project),
                    storable(silence.team),
                    silence.max_level.value,
                    silence.starts_at,
                    silence.ends_at,
                    storable(silence.reason),
                    storable(silence.author),
                ),
            )

    def expire(self, silence_id: str, now: float) -> bool:
        """See `Store.expire`."""
        with self._database.transaction(PATIENCE) as db:
            ended = db.execute(
                "UPDATE silences SET ends_at = ? "
                "WHERE namespace = ? AND id = ? AND ends_at > ?",
                (now, self.namespace, silence_id, now),
            )
            db.execute(
                "UPDATE windows SET closes_at = ? WHERE namespace = ? AND closes_at > ?",
                (now, self.namespace, now),
            )
            return bool(ended.rowcount > 0)

    def standings(self, since: float = 0.0) -> list[Standing]:
        """See `Store.standings`."""
        with self._enqueued(PATIENCE) as db:
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
        start: int | None = 0
        while start is not None:
            with self._database.transaction(PATIENCE) as db:
                start, pruned = rows.prune(
                    db, self.namespace, before, start, _PRUNED_AT_ONCE
                )
            forgotten += pruned
        with self._database.transaction(PATIENCE) as db:
            rows.prune_rest(db, self.namespace, before)
        return forgotten

    def put_run(self, record: RunRecord, *, timeout: float = PATIENCE) -> None:
        """See `Store.put_run`."""
        with self._database.transaction(timeout) as db:
            db.execute(
                "INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, NULL) "
                "ON CONFLICT (namespace, scope, run, member) DO UPDATE SET "
                "beat_at = excluded.beat_at, record = excluded.record",
                (
                    *(self.namespace, *map(storable, record.address)),
                    *(record.beat_at, run_record.encode(record)),
                ),
            )

    def runs(
        self, scope: str | None = None, *, timeout: float = PATIENCE
    ) -> list[RunRecord]:
        """See `Store.runs`."""
        only = "" if scope is None else "AND scope = ?"
        with self._database.connection(timeout) as db:
            found = db.execute(
                f"SELECT record, lost_at FROM runs WHERE namespace = ? {only}",  # noqa: S608 - constants
                (self.namespace, *([] if scope is None else [storable(scope)])),
            ).fetchall()
        return run_record.decoded(found)

    def note_lost(
        self, record: RunRecord, lost_at: float | None, *, timeout: float = PATIENCE
    ) -> None:
        """See `Store.note_lost`."""
        with self._database.transaction(timeout) as db:
            db.execute(
                "UPDATE runs SET lost_at = ? "
                "WHERE namespace = ? AND scope = ? AND run = ? AND member = ?",
                (lost_at, self.namespace, *map(storable, record.address)),
            )

    def namespaces(self) -> list[Namespace]:
        """See `Store.namespaces`."""
        with self._enqueued(PATIENCE) as db:
            found = db.execute(
                "SELECT namespace, config, (SELECT count(*) FROM deliveries AS d "
                "WHERE d.status = 'pending' AND d.namespace = n.namespace) "
                "FROM namespaces AS n ORDER BY namespace"
            ).fetchall()
        return [
            Namespace(name=name, config=config, pending=pending)
            for name, config, pending in found
        ]

    def _enqueued(self, timeout: float) -> AbstractContextManager[sqlite3.Connection]:
        """Return a context to read in when the deliveries of all alerts are made."""
        self._enqueue_all(timeout)
        return self._database.connection(timeout)

    def _enqueue_all(self, timeout: float) -> None:
        """Make the deliveries of all alerts, some at a time: a caller may be waiting."""
        deadline = time.monotonic() + timeout
        while self._is_behind(max(0.0, deadline - time.monotonic())):
            left = deadline - time.monotonic()
            if left < 0:
                raise StoreBusy(f"{self.path} has much to catch up with")
            with self._database.transaction(left) as db:
                admission.enqueue(db)

    def _is_behind(self, timeout: float) -> bool:
        with self._database.connection(timeout) as db:
            return admission.is_behind(db)

    def unsettled(self) -> list[Alert]:
        """Return the alerts of which something is left to be delivered."""
        with self._enqueued(PATIENCE) as db:
            return rows.unsettled(db, self.namespace)

    def is_in_place(self) -> bool:
        """Say whether the file that is open is still the one at the path."""
        return self._database.is_in_place()

    def close(self) -> None:
        """See `Store.close`."""
        self._database.close()
