"""Which runs are gone, hang, or are back? It is told the time and what is known of them."""

from __future__ import annotations

import hashlib
import math
from enum import Enum
from typing import TYPE_CHECKING

import attrs

from tocsin import _processes as processes
from tocsin._alert import RESOLVED, Alert
from tocsin._ending import Ending, RunState
from tocsin._report import END, alert_of, lasted, name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tocsin._run_record import Address, RunRecord

HEARTBEAT = 30.0
"""Seconds between two heartbeats of a run."""

_BEATS = 3
"""Heartbeats at least that a run may miss before it is told as gone."""

_SURE = 2 * HEARTBEAT
"""Seconds for which a watcher itself must see no heartbeat: a clock may have jumped."""

_STALE = 86_400.0
"""Seconds after which nobody wants to hear of a run that is gone: a first look finds many."""

STALLED = "stalled"
"""The kind, and the key, of the alert of a run that makes no progress."""


def heartbeat(lost_after: float) -> float:
    """Return the seconds between two heartbeats of runs that are told after so many."""
    return min(HEARTBEAT, lost_after / _BEATS)


class Found(Enum):
    """What a watcher finds out about a run."""

    GONE = "gone"
    BACK = "back"
    STALLED = "stalled"
    MOVING = "moving"


@attrs.frozen
class Finding:
    """What was found out, about whom, and why."""

    found: Found
    record: RunRecord
    reason: str = ""


@attrs.define
class _Seen:
    beat_at: float
    since: float
    """On the watcher's own clock, which never jumps."""


class Watcher:
    """Looks at what is known of runs, again and again; tells each thing once.

    `lost_after` is how many seconds a run may be without a heartbeat. With `is_sure` one
    look is enough; else it waits until it saw no heartbeat for a minute itself, so that a
    clock that jumps raises no alarm.
    """

    def __init__(
        self,
        lost_after: float,
        *,
        is_sure: bool = False,
        is_gone: Callable[[int, str, str], bool] = processes.is_gone,
        is_there: Callable[[int, str, str], bool] = processes.is_there,
    ) -> None:
        self._lost_after = lost_after
        self._sure = 0.0 if is_sure else min(_SURE, lost_after)
        self._is_gone = is_gone
        self._is_there = is_there
        self._seen: dict[Address, _Seen] = {}
        self._stalled: set[Address] = set()

    def look(
        self,
        records: Iterable[RunRecord],
        now: float,
        ticks: float,
        *,
        told_since: float = math.inf,
    ) -> list[Finding]:
        """Return what is new. `now` is the time, `ticks` a clock that never jumps.

        Those are found again that were told as gone since `told_since`, when they were
        found, and not as gone since they were last heard of.
        """
        records = list(records)
        watched = {one.under for one in records if one.ending is None}
        return [
            finding
            for record in records
            # what a supervisor watches is told of, and not the supervisor
            if not (record.is_supervisor and record.run in watched)
            for finding in self._about(record, now, ticks, told_since)
        ]

    def _about(
        self, record: RunRecord, now: float, ticks: float, told_since: float
    ) -> Iterator[Finding]:
        who = record.address
        seen = self._seen.get(who)
        if seen is None or seen.beat_at != record.beat_at:
            seen = self._seen[who] = _Seen(record.beat_at, ticks)
        is_told = record.lost_at is not None and record.lost_at >= record.beat_at
        if record.lost_at is not None and not is_told:
            yield Finding(Found.BACK, record)
        is_anew = is_told and (record.lost_at or 0.0) > max(record.beat_at, told_since)
        if record.ending is not None or (is_told and not is_anew):
            return
        reason = self._gone(record, now, ticks - seen.since)
        if reason:
            yield Finding(Found.GONE, record, reason)
            return
        is_hung = self._is_silent(record, now, ticks - seen.since)
        yield from self._progress(who, record, now if is_hung else None)

    def _gone(self, record: RunRecord, now: float, unseen: float) -> str:
        if now - record.beat_at > _STALE:
            return ""
        if self._is_gone(record.pid, record.place, record.born):
            return "its process ended without a word"
        if self._is_silent(record, now, unseen) and not self._is_known(record):
            return f"no heartbeat for {lasted(now - record.beat_at)}"
        return ""

    def _is_silent(self, record: RunRecord, now: float, unseen: float) -> bool:
        return now - record.beat_at >= self._lost_after and unseen >= self._sure

    def _is_known(self, record: RunRecord) -> bool:
        """Whether its process is surely there: it is stopped, or in one call for long."""
        return self._is_there(record.pid, record.place, record.born)

    def _progress(
        self, who: Address, record: RunRecord, hung_at: float | None
    ) -> Iterator[Finding]:
        # by its own clock: what it logged since its last heartbeat is not known here
        idle = record.beat_at - record.progress_at
        is_stalled = hung_at is not None or 0 < record.stall_after <= idle
        if is_stalled and who not in self._stalled:
            self._stalled.add(who)
            reason = f"no progress for {lasted(idle)}"
            if hung_at is not None:
                reason = f"no heartbeat for {lasted(hung_at - record.beat_at)}"
            yield Finding(Found.STALLED, record, reason)
        elif not is_stalled and who in self._stalled:
            self._stalled.remove(who)
            yield Finding(Found.MOVING, record)


def told(finding: Finding, now: float) -> Alert:
    """Return the alert that tells of a finding; it is the same whoever finds it.

    But who is gone since the last word of it is told apart from who was found gone now.
    """
    record = finding.record
    if finding.found is Found.GONE:
        ending = Ending(
            state=RunState.CRASHED,
            reason=finding.reason,
            seconds=max(0.0, record.beat_at - record.started_at),
            metrics=record.metrics,
            is_alone=False,
        )
        what = "gone-since" if now == record.beat_at else "gone"
        own = _id(what, record, record.beat_at)
        return alert_of(
            ending,
            record.origin,
            now,
            tags=record.tags,
            key=record.end_key,
            id=own,
        )
    if finding.found is Found.STALLED:
        return stalled(record, finding.reason)
    is_back = finding.found is Found.BACK
    key = (record.end_key or END) if is_back else STALLED
    return Alert(
        key,
        "It is back." if is_back else "It makes progress again.",
        kind=RESOLVED,
        key=key,
        origin=record.origin,
        id=_id(finding.found.value, record, record.beat_at),
    )


def stalled(record: RunRecord, reason: str, where: str = "") -> Alert:
    """Return the alert of a run that logs nothing any more."""
    fields = {
        "host": record.origin.host,
        "last step": "" if record.step is None else str(record.step),
        "last metrics": ", ".join(f"{n}={v}" for n, v in record.metrics.items()),
    }
    return Alert(
        f"{name_of(record.origin)} stalls: {reason}",
        f"It is here:\n\n{where}" if where else "",
        "ERROR",
        kind=STALLED,
        key=STALLED,
        tags=record.tags,
        fields={name: value for name, value in fields.items() if value},
        origin=record.origin,
        id=_id("stalled", record, record.progress_at),
    )


def _id(what: str, record: RunRecord, at: float) -> str:
    who = f"{record.run}\0{record.member}\0{at!r}".encode(errors="replace")
    return f"{what}-{hashlib.blake2b(who, digest_size=12).hexdigest()}"
