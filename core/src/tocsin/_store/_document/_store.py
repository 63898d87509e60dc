from __future__ import annotations

import contextlib
import math
import os
import threading
import time
import weakref
from abc import ABC, abstractmethod
from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tocsin import _run_record as run_record
from tocsin._circuit import CLOSED
from tocsin._envelope import decode
from tocsin._errors import EnvelopeError, StoreBusy, StoreError, StoreFull, printed
from tocsin._provider import Receipt
from tocsin._store._document import _admission as admission
from tocsin._store._document import _circuits as circuits
from tocsin._store._document import _claims as claims
from tocsin._store._document import _outcomes as outcomes
from tocsin._store._document import _tables as tables
from tocsin._store._port import (
    MAX_PENDING,
    PATIENCE,
    DeliveryRecord,
    Granted,
    Known,
    Namespace,
    Record,
    Standing,
    Status,
    SuppressedKey,
    Withheld,
)
from tocsin._throttle import NONE_SUPPRESSED

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from tocsin._circuit import Circuit
    from tocsin._retry import Outcome
    from tocsin._run_record import RunRecord
    from tocsin._silence import Silence
    from tocsin._store._document._tables import AlertRow, Book, DeliveryRow, Document
    from tocsin._store._port import Claim, Settled, Submission, Turn
    from tocsin._throttle import Suppression


class DocumentStore(ABC):
    """A store that keeps everything in one text: say where, and how it is locked.

    All rules of `Store` are here. Each call locks, loads, decides, saves what has changed,
    and unlocks; so it takes the longer the more there is, and suits thousands of alerts,
    not millions. Any number of stores, in any number of processes, may have one text.
    """

    def __init__(
        self, namespace: str, config: str, *, max_pending: int = MAX_PENDING
    ) -> None:
        """Open what is `namespace`'s own; nothing is loaded yet.

        `config` is the file of that namespace's configuration, which goes along with what
        is kept. Past `max_pending` pending deliveries, alerts are refused.
        """
        self.namespace = namespace
        self._config = config
        self._max_pending = max_pending
        self._begin()
        _stores.add(self)

    def _begin(self) -> None:
        self._turn = threading.RLock()
        self._is_entered = False
        self._loaded: tuple[str, Document] | None = None

    @abstractmethod
    def lock(self, timeout: float) -> AbstractContextManager[object]:
        """Return a context in which nobody else, of any process, loads or saves.

        Threads of this store come one at a time without it.

        Raises:
            StoreBusy: Somebody else has it for more than `timeout` seconds.

        """

    @abstractmethod
    def load(self) -> str:
        """Return what was saved last, and ``""`` when nothing ever was."""

    @abstractmethod
    def save(self, text: str) -> None:
        """Keep this text, which is ASCII, in place of what was: all of it or nothing.

        It must outlive the process when this returns.
        """

    def close(self) -> None:  # noqa: B027 - there may be nothing to let go of
        """Let go of connections, if there are any; the next use, if any, opens them again."""

    @property
    def _where(self) -> str:
        return f"the store {type(self).__name__}"

    @contextlib.contextmanager
    def _document(self, timeout: float) -> Iterator[Document]:
        """Lock and load, to look at what there is."""
        deadline = time.monotonic() + timeout
        with (
            self._alone(timeout),
            self._told(),
            self.lock(max(0.0, deadline - time.monotonic())),
        ):
            text = self.load()
            if self._loaded is None or self._loaded[0] != text:
                self._loaded = text, tables.read(text, self._where)
            yield self._loaded[1]

    @contextlib.contextmanager
    def _look(self, timeout: float) -> Iterator[Book]:
        """Lock and load, to look at what is the namespace's."""
        with self._document(timeout) as document:
            yield document["namespaces"].get(self.namespace) or tables.new_book()

    @contextlib.contextmanager
    def _book(self, timeout: float) -> Iterator[Book]:
        """Lock, load, and save if anything was changed: all of it or nothing."""
        with self._document(timeout) as document:
            books, known, self._loaded = document["namespaces"], self._loaded, None
            book = books.get(self.namespace) or tables.new_book()
            yield book
            if self.namespace not in books and book == tables.new_book():
                return
            book["config"] = self._config
            books[self.namespace] = book
            changed = tables.written(document)
            if known is None or changed != known[0]:
                self.save(changed)
            self._loaded = changed, document

    @contextlib.contextmanager
    def _alone(self, timeout: float) -> Iterator[None]:
        if not self._turn.acquire(timeout=timeout):
            raise StoreBusy(f"another thread uses {self._where}")
        try:
            if self._is_entered:
                raise StoreBusy(
                    f"this very thread uses {self._where}: a signal handler came"
                )
            self._is_entered = True
            try:
                yield
            finally:
                self._is_entered = False
        finally:
            self._turn.release()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Raise our own error for whatever the place of the text raises."""
        try:
            yield
        except StoreError:
            raise
        except Exception as error:
            raise StoreError(
                f"{self._where} failed ({type(error).__name__}: {printed(error)})"
            ) from error

    def submit(
        self, submission: Submission, now: float, *, timeout: float
    ) -> Granted | Withheld | Known:
        """See `Store.submit`."""
        with self._book(timeout) as book:
            if not submission.is_new:
                known = admission.known(book, submission, now)
                if known is not None:
                    return known
            if not submission.plan:
                admission.record(book, submission, NONE_SUPPRESSED, now)
                return Granted(window=None)
            if sum(1 for _ in tables.pending(book)) >= self._max_pending:
                raise StoreFull(
                    f"{self._max_pending:,} deliveries are pending in {self._where}: see "
                    "`tocsin log` for why, and `tocsin drain` to send them"
                )
            return admission.admit(book, submission, now)

    def resolve(
        self, submission: Submission, now: float, *, timeout: float
    ) -> tuple[str, ...]:
        """See `Store.resolve`."""
        with self._book(timeout) as book:
            if admission.known(book, submission, now) is not None:
                return ()
            return admission.resolve(book, submission, now)

    def claim(
        self, channels: Mapping[str, int], *, lease: float, now: float
    ) -> list[Claim]:
        """See `Store.claim`."""
        claimed: list[Claim] = []
        with self._book(PATIENCE) as book:
            claimer = claims.Claimer(book, lease=lease, now=now)
            for channel, most in channels.items():
                claimed += claimer.claim(channel, most)
        return claimed

    def settle(
        self, claim: Claim, outcome: Outcome, now: float, *, fallback: str = ""
    ) -> Settled | None:
        """See `Store.settle`."""
        with self._book(PATIENCE) as book:
            return outcomes.settle(book, claim, outcome, now, fallback)

    def hand_over(
        self, channel: str, fallback: str, now: float, *, after: float, is_broken: bool
    ) -> int:
        """See `Store.hand_over`."""
        with self._book(PATIENCE) as book:
            return outcomes.hand_over(
                book, channel, fallback, now, after, is_broken=is_broken
            )

    def join(self, claim: Claim, conversation: str, now: float) -> Receipt | Turn:
        """See `Store.join`."""
        with self._book(PATIENCE) as book:
            return outcomes.join(book, claim, conversation, now)

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
        with self._book(timeout) as book:
            for claim in claims:
                outcomes.give_back(book, claim, now + delay, reason)

    def count(
        self, suppressed: Mapping[str, Suppression], *, timeout: float = PATIENCE
    ) -> None:
        """See `Store.count`."""
        with self._book(timeout) as book:
            admission.count(book, suppressed)

    def next_due(
        self,
        channels: Collection[str],
        *,
        now: float | None = None,
        timeout: float = PATIENCE,
    ) -> float | None:
        """See `Store.next_due`."""
        with self._look(timeout) as book:
            dues = [_next_due(book, channel, now) for channel in channels]
        return min((due for due in dues if due is not None), default=None)

    def pending(
        self, channels: Collection[str] | None = None, *, timeout: float = PATIENCE
    ) -> int:
        """See `Store.pending`."""
        with self._look(timeout) as book:
            return sum(
                channels is None or delivery["channel"] in channels
                for _, delivery in tables.pending(book)
            )

    def deliveries(
        self, alert_id: str, *, timeout: float = PATIENCE
    ) -> tuple[DeliveryRecord, ...]:
        """See `Store.deliveries`."""
        with self._look(timeout) as book:
            alert = tables.of_id(book, alert_id)
            return () if alert is None else _deliveries(alert)

    def knows(self, alert_id: str, *, timeout: float = PATIENCE) -> bool:
        """See `Store.knows`."""
        with self._look(timeout) as book:
            return alert_id in book["ids"] or alert_id in book["adopted"]

    def history(self, *, limit: int, failed_only: bool = False) -> list[Record]:
        """See `Store.history`."""
        with self._look(PATIENCE) as book:
            found = [
                alert
                for alert in book["alerts"].values()
                if not failed_only or _has_failed(alert)
            ]
            records = [
                self._record(alert) for alert in found[max(0, len(found) - limit) :]
            ]
        return [record for record in records if record is not None]

    def _record(self, alert: AlertRow) -> Record | None:
        try:
            read = decode(alert["envelope"])
        except EnvelopeError:
            return None
        return Record(
            alert=read,
            namespace=self.namespace,
            deliveries=_deliveries(alert),
            suppressed=tables.suppression(alert),
        )

    def find(self, prefix: str) -> list[str]:
        """See `Store.find`."""
        with self._look(PATIENCE) as book:
            ids = [
                f"{alert['id']}.{delivery['channel']}"
                for alert, delivery in tables.pairs(book)
            ]
        return [one for one in ids if one.startswith(prefix)]

    def requeue(self, delivery_id: str, now: float) -> bool:
        """See `Store.requeue`."""
        alert_id, _, channel = delivery_id.partition(".")
        with self._book(PATIENCE) as book:
            alert = tables.of_id(book, alert_id)
            if alert is None or not outcomes.requeue(alert, channel, now):
                return False
            circuits.try_again(book, channel, now)
            return True

    def untold(self, *, timeout: float = PATIENCE) -> list[SuppressedKey]:
        """See `Store.untold`."""
        with self._look(timeout) as book:
            found = [
                SuppressedKey(key=key, suppression=tables.suppression(row))
                for key, row in book["windows"].items()
                if row["suppressed"]
            ]
        return sorted(found, key=lambda one: one.suppression.since or 0.0)

    def circuits(self) -> dict[str, Circuit]:
        """See `Store.circuits`."""
        with self._look(PATIENCE) as book:
            found = {
                name: circuits.circuit_of(book, name)
                for name in sorted(book["circuits"])
            }
        return {name: one for name, one in found.items() if one != CLOSED}

    def try_again(self, channel: str, now: float) -> None:
        """See `Store.try_again`."""
        with self._book(PATIENCE) as book:
            circuits.try_again(book, channel, now)

    def mend(self, channel: str, now: float) -> bool:
        """See `Store.mend`."""
        with self._book(PATIENCE) as book:
            return circuits.mend(book, channel, now)

    def silences(self, now: float) -> list[Silence]:
        """See `Store.silences`."""
        with self._look(PATIENCE) as book:
            return claims.silences_of(book, now)

    def silence(self, silence: Silence) -> None:
        """See `Store.silence`."""
        with self._book(PATIENCE) as book:
            book["silences"][silence.id] = tables.silence_row(silence)

    def expire(self, silence_id: str, now: float) -> bool:
        """See `Store.expire`."""
        with self._book(PATIENCE) as book:
            for window in book["windows"].values():
                if (window["closes_at"] or now) > now:
                    window["closes_at"] = now
            row = book["silences"].get(silence_id)
            if row is None or row["ends_at"] <= now:
                return False
            row["ends_at"] = now
            return True

    def standings(self, since: float = 0.0) -> list[Standing]:
        """See `Store.standings`."""
        times: defaultdict[tuple[str, str, str, str], list[float]] = defaultdict(list)
        with self._look(PATIENCE) as book:
            for alert, one in tables.pairs(book):
                if one["status"] == "pending" or (one["settled_at"] or 0.0) >= since:
                    alike = one["channel"], one["status"], one["reason"], one["remedy"]
                    times[alike].append(alert["submitted_at"])
        return [
            Standing(
                channel=channel,
                status=Status(status),
                reason=reason,
                remedy=remedy,
                count=len(found),
                oldest=min(found),
                newest=max(found),
            )
            for (channel, status, reason, remedy), found in sorted(times.items())
        ]

    def put_run(self, record: RunRecord, *, timeout: float = PATIENCE) -> None:
        """See `Store.put_run`."""
        row = tables.RunRow(
            address=list(record.address),
            beat_at=record.beat_at,
            record=run_record.encode(record),
            lost_at=None,
        )
        with self._book(timeout) as book:
            for position, known in enumerate(book["runs"]):
                if known["address"] == row["address"]:
                    row["lost_at"] = known["lost_at"]
                    book["runs"][position] = row
                    return
            book["runs"].append(row)

    def runs(
        self, scope: str | None = None, *, timeout: float = PATIENCE
    ) -> list[RunRecord]:
        """See `Store.runs`."""
        with self._look(timeout) as book:
            found = [
                (row["record"], row["lost_at"])
                for row in book["runs"]
                if scope in {None, row["address"][0]}
            ]
        return run_record.decoded(found)

    def note_lost(
        self, record: RunRecord, lost_at: float | None, *, timeout: float = PATIENCE
    ) -> None:
        """See `Store.note_lost`."""
        with self._book(timeout) as book:
            for row in book["runs"]:
                if row["address"] == list(record.address):
                    row["lost_at"] = lost_at

    def namespaces(self) -> list[Namespace]:
        """See `Store.namespaces`."""
        with self._document(PATIENCE) as document:
            return [
                Namespace(
                    name=name,
                    config=book["config"],
                    pending=sum(1 for _ in tables.pending(book)),
                )
                for name, book in sorted(document["namespaces"].items())
            ]

    def prune(self, before: float) -> int:
        """See `Store.prune`."""
        with self._book(PATIENCE) as book:
            return outcomes.forget(book, before)

    def _before_fork(self) -> None:
        """Let no child be born in the middle of a call: it would inherit the lock."""
        self._turn.acquire(timeout=1)

    def _after_fork_in_parent(self) -> None:
        with contextlib.suppress(RuntimeError):  # it was not had before the fork
            self._turn.release()


def _next_due(book: Book, channel: str, now: float | None) -> float | None:
    dues = [tables.due_of(delivery) for _, delivery in tables.pending(book, channel)]
    if not dues:
        return None
    circuit = circuits.circuit_of(book, channel)
    held_until = circuit.until
    if now is not None and now < circuit.until and not circuit.is_open(now):
        held_until = 0.0  # a clock that was ahead wrote it
    leased_until = 0.0
    if circuit.is_failing:  # it is tried with one at a time
        leased_until = circuits.leased_until(book, channel, circuit.until, math.inf)
    return max(min(dues), held_until, leased_until)


def _has_failed(alert: AlertRow) -> bool:
    return any(delivery["status"] == "failed" for delivery in alert["deliveries"])


def _deliveries(alert: AlertRow) -> tuple[DeliveryRecord, ...]:
    return tuple(_delivery(alert["id"], one) for one in alert["deliveries"])


def _delivery(alert_id: str, row: DeliveryRow) -> DeliveryRecord:
    receipt = row["receipt"]
    return DeliveryRecord(
        id=f"{alert_id}.{row['channel']}",
        channel=row["channel"],
        status=Status(row["status"]),
        attempts=row["attempts"],
        due_at=_moment(row["due"]),
        settled_at=_moment(row["settled_at"]),
        receipt=None if receipt is None else Receipt(**receipt),
        reason=row["reason"],
        remedy=row["remedy"],
    )


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


_stores: weakref.WeakSet[DocumentStore] = weakref.WeakSet()


def _before_fork() -> None:
    for store in list(_stores):
        store._before_fork()  # noqa: SLF001 - ours


def _after_fork_in_parent() -> None:
    for store in list(_stores):
        store._after_fork_in_parent()  # noqa: SLF001 - ours


def _after_fork_in_child() -> None:
    for store in list(_stores):
        store._begin()  # noqa: SLF001 - ours


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
