"""What is known of a run while it lives, and what is told when it does not any more."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import attrs

from tocsin import _places as places
from tocsin import _processes as processes
from tocsin import _watcher as watcher
from tocsin._alert import Alert
from tocsin._ending import GATHER, Ending, RunState
from tocsin._errors import StoreError, printed
from tocsin._failure import stack_of
from tocsin._listener import RUN_CHANGED, Change
from tocsin._report import alert_of, end_key, lasted
from tocsin._run_record import RunRecord
from tocsin._watcher import HEARTBEAT, STALLED, Found, Watcher, heartbeat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tocsin._alert import Origin
    from tocsin._listening import Listening
    from tocsin._notifier import Notifier
    from tocsin._oom import Count
    from tocsin._results import Result
    from tocsin._watcher import Finding

_FRESH = 3 * HEARTBEAT
"""Seconds since a heartbeat for which a rank is surely there."""
_WATCHING_RANKS = 8
"""Of a job in a shared folder, ranks that look after the others: each look reads a file for
each rank."""
_BRIEFLY = 1.0
"""Seconds that a heartbeat waits for the store: the next one is soon."""
_AS_ASKED = 120.0
"""Seconds within which a program ends that was asked to, and has a handler of its own."""
_JUMP = 60.0
"""Seconds by which the clock is off when it was set, and did not just go on."""

_log = logging.getLogger("tocsin")


@attrs.frozen
class Supervised:
    """By whom a program is watched from outside: a run, and its process."""

    run: str
    pid: int


class Life:
    """The heartbeats of one run in the process that started it, and its end.

    `tick` is called about once a second, in the background. `ticks` is a clock that never
    jumps.
    """

    def __init__(
        self,
        notifier: Notifier,
        origin: Origin,
        *,
        tags: Iterable[str],
        url: str = "",
        stall_after: float = 0.0,
        supervisor: Supervised | None = None,
        is_supervisor: bool = False,
        is_interactive: bool = False,
        listening: Listening | None = None,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._notifier = notifier
        self._ticks = ticks
        self._url = url
        self._is_interactive = is_interactive
        self._listening = listening
        now = notifier.now()
        is_ranked = origin.rank is not None and places.world_size() != 1
        self._is_ranked = is_ranked and not is_supervisor
        self._is_alone = not is_ranked and supervisor is None
        self._supervisor = supervisor
        self._lock = threading.RLock()
        self._main_thread = threading.main_thread().ident or 0
        self._record = RunRecord(
            origin=origin,
            started_at=now,
            beat_at=now,
            progress_at=now,
            tags=tuple(tags),
            is_supervisor=is_supervisor,
            end_key=end_key(origin.run, places.step() if is_ranked else None),
            under=supervisor.run if supervisor else "",
            pid=os.getpid(),
            place=processes.place(),
            born=processes.born(os.getpid()),
            stall_after=stall_after,
        )
        self._began = self._moved = self._noted = ticks()
        self._every = heartbeat(notifier.settings.lost_after)
        self._beat = -math.inf
        self._peers_at = self._began + self._turn()
        self._watcher = Watcher(notifier.settings.lost_after)
        self._count = _new_count() if self._is_ranked else None
        self._stalled: Alert | None = None
        self._asked: Ending | None = None
        self._asked_at = 0.0
        self._until = 0.0  # on the monotonic clock: when the end has to be over
        self.metrics: dict[str, object] = {}
        self.step: int | None = None
        self.gathers_until = 0.0
        self._offer("state", {"state": RunState.RUNNING.value})

    @property
    def ending(self) -> Ending | None:
        """How it ended; None while it runs."""
        return self._record.ending

    @property
    def end_key(self) -> str:
        """What the alert of its end has for a key."""
        return self._record.end_key

    @property
    def state(self) -> RunState:
        """What it does, or how it ended."""
        return self._record.state

    def _turn(self) -> float:
        """Return when this rank looks after the others: one after the other does."""
        size = max(places.world_size() or 1, 1)
        return self._every * ((self._record.origin.rank or 0) % size) / size

    def resume(self) -> None:
        """Go on with what is known of this run from before, and say that it is back."""
        known = self._known_before()
        if known is None:
            return
        if known.state is not RunState.FINISHED:
            self._record = attrs.evolve(self._record, started_at=known.started_at)
        is_told = known.lost_at is not None or (known.ending and known.ending.is_bad)
        if is_told:
            self._take(watcher.told(watcher.Finding(Found.BACK, known), self._now()))

    def _known_before(self) -> RunRecord | None:
        record = self._record
        with contextlib.suppress(StoreError):
            known = [
                one  # in another job, too: that is what a scheduler makes of a restart
                for one in self._notifier.state.runs(self._now())
                if (one.run, one.member) == (record.run, record.member)
            ]
            return max(known, key=lambda one: one.beat_at, default=None)
        return None

    def log(self, metrics: Mapping[str, object], step: int | None) -> None:
        """Keep the last values; it is progress."""
        self.metrics.update(metrics)
        if step is not None:
            self.step = step
        self._moved = self._ticks()
        self._offer("metrics", metrics, step)

    def emit(self, kind: str, facts: Mapping[str, object]) -> None:
        """Offer a change to whoever listens."""
        self._offer(kind, facts)

    def _offer(
        self, kind: str, facts: Mapping[str, object], step: int | None = None
    ) -> None:
        if self._listening is not None and self._record.pid == os.getpid():
            change = Change(
                kind=kind,
                facts=facts,
                step=step,
                origin=self._record.origin,
                at=datetime.fromtimestamp(self._now(), UTC),
            )
            notice = {"change": change, "notify": self._notify}
            self._listening.offer(RUN_CHANGED, notice)

    def _notify(self, alert: Alert) -> Result:
        if not isinstance(alert, Alert):
            raise TypeError(f"notify() takes an Alert, not {type(alert).__name__}")
        here = attrs.evolve(alert, origin=self._record.origin)
        return self._notifier.intake.receive(here)

    def mark_preempting(self) -> None:
        """Note that the scheduler wants the machine."""
        if self._record.pid != os.getpid():
            return
        with self._lock:
            self._record = attrs.evolve(self._record, is_preempting=True)
        self._beat = -math.inf
        self._offer("state", {"state": "preempting"})

    def tick(self) -> None:
        """Do what is due: a heartbeat, a look at the other ranks, a look at progress.

        Raises:
            StoreError: The store does not answer; it is tried again.

        """
        if self.ending is not None or self._record.pid != os.getpid():
            return
        ticks = self._ticks()
        self._check_progress(ticks)
        if ticks - self._beat >= self._every:
            self._put()
            self._beat = ticks
        if self._is_ranked and ticks >= self._peers_at:
            self._peers_at = ticks + self._every
            if self._is_on_watch():
                self.look_at_peers()

    def _put(self) -> None:
        with self._lock:  # what is older must not be written over what is newer
            now = self._now()
            self._record = attrs.evolve(
                self._record,
                beat_at=now,
                progress_at=self._progress_at(now),
                step=self.step,
                metrics=self._printed(),
            )
            self._notifier.state.put_run(self._record, now, timeout=self._patience())

    def _progress_at(self, now: float) -> float:
        """Return when it last moved: always the same, until it does or the clock is set.

        What tells of a stall has an id that is made of it.
        """
        moved, known = self._moved, self._record.progress_at
        found = now - (self._ticks() - moved)
        if moved == self._noted and abs(found - known) < _JUMP:
            return known
        self._noted = moved
        return found

    def _now(self) -> float:
        return self._notifier.now()

    def _printed(self) -> dict[str, str]:
        metrics: dict[str, object] = {} if self.step is None else {"step": self.step}
        metrics.update(self.metrics)
        return {
            name: f"{value:.6g}" if isinstance(value, float) else printed(value)
            for name, value in metrics.items()
        }

    def _check_progress(self, ticks: float) -> None:
        """Tell once that nothing is logged any more, and where the program is."""
        stall_after = self._record.stall_after
        if not stall_after:
            return
        idle = ticks - self._moved
        if idle < stall_after:
            if self._stalled is not None and not self._stall_peers():
                self._stalled = None
                self._take(watcher.told(self._moving(), self._now()))
            return
        if self._stalled is None:
            self._put()
            self._stalled = watcher.stalled(
                self._record,
                f"no progress for {lasted(idle)}",
                stack_of(self._main_thread),
            )
            self._take(self._stalled)
            self._offer("state", {"state": STALLED})

    def _stall_peers(self) -> bool:
        """Whether another rank still stalls: one alert tells of all of them."""
        if not self._is_ranked:
            return False
        return any(
            0 < peer.stall_after <= peer.beat_at - peer.progress_at
            for peer in self._peers(self._now())
            if peer.ending is None
        )

    def _moving(self) -> watcher.Finding:
        record = attrs.evolve(self._record, beat_at=self._now())
        return watcher.Finding(Found.MOVING, record)

    def _is_on_watch(self) -> bool:
        if self._notifier.state.roster is None:
            return True
        size = places.world_size() or 1
        every = max(1, -(-size // _WATCHING_RANKS))
        return (self._record.origin.rank or 0) % every == 0

    def look_at_peers(self) -> None:
        """Tell of ranks that are gone, and of those that are back.

        Raises:
            StoreError: The store does not answer.

        """
        tell(self._notifier, self._found_of_peers(), self._now())

    def _found_of_peers(self, told_since: float = math.inf) -> list[Finding]:
        now = self._now()
        found = self._watcher.look(
            self._peers(now), now, self._ticks(), told_since=told_since
        )
        return [
            self._explained(one)
            for one in found
            if one.found in {Found.GONE, Found.BACK}
        ]

    def _explained(self, finding: Finding) -> Finding:
        """Add what this machine knows of a rank that is gone from it."""
        victims = self._count.victims() if self._count is not None else None
        is_here = finding.record.place == self._record.place
        if victims is None or not victims.count or not is_here:
            return finding
        return attrs.evolve(finding, reason=f"{finding.reason}; {victims}")

    def _peers(self, now: float) -> list[RunRecord]:
        own = self._record
        return [
            record
            for record in self._notifier.state.runs(
                now, own.scope, timeout=self._patience()
            )
            if record.address != own.address and not record.is_supervisor
        ]

    def ask(self, ending: Ending) -> None:
        """Tell that the process is asked to end, which it may do in its own time."""
        with self._lock:
            if self.ending is not None or self._asked is not None:
                return
            self._asked = ending = self._completed(ending)
            self._asked_at = self._ticks()
        self._tell(ending)
        self._beat = -math.inf

    def _patience(self) -> float:
        """Return how long the store may take: the end has only so much time."""
        if self.ending is None:
            return _BRIEFLY
        return max(0.1, self._until - time.monotonic())

    def end(
        self, ending: Ending, *, timeout: float = _BRIEFLY, is_told: bool = False
    ) -> None:
        """Write the end down and tell of it; a second one changes nothing.

        With `is_told` people know already. The store may take `timeout` seconds.
        """
        with self._lock:
            if self.ending is not None:
                return
            self._until = time.monotonic() + timeout
            ending = self._completed(ending)
            if self._is_interactive and ending.signal:
                is_told = True  # whoever sits there has closed it
            if self._is_as_asked(ending):
                ending, is_told = self._asked or ending, True
            self._record = attrs.evolve(self._record, ending=ending)
        if ending.is_bad and not is_told:
            self._tell(ending)
        steps = (self._put, self._look_if_bad if ending.is_bad else self._tell_finished)
        for step in steps[:1] if is_told else steps:
            try:
                step()
            except Exception as error:  # noqa: BLE001 - the others are still to be done
                _log.debug("the end of the run is not written down: %s", error)
        facts = {"state": ending.state.value, "exit_code": ending.exit_code}
        self._offer("state", {**facts, "reason": ending.reason})

    def _is_as_asked(self, ending: Ending) -> bool:
        """Whether it ends because it was asked to, which people know: soon, and no worse."""
        if self._asked is None or ending.reason:
            return False
        return self._ticks() - self._asked_at < _AS_ASKED

    def _completed(self, ending: Ending) -> Ending:
        state = ending.state
        if self._record.is_preempting and state in {RunState.FAILED, RunState.KILLED}:
            state = RunState.PREEMPTED
        return attrs.evolve(
            ending,
            state=state,
            seconds=self._ticks() - self._began,
            metrics=self._printed(),
            is_alone=self._is_alone,
        )

    def _tell(self, ending: Ending) -> None:
        self._take(self._alert(ending))
        if not ending.is_alone:
            self.gathers_until = self._ticks() + GATHER

    def _alert(self, ending: Ending) -> Alert:
        record = self._record
        return alert_of(
            ending,
            record.origin,
            self._now(),
            tags=record.tags,
            url=self._url,
            key=record.end_key,
        )

    def _tell_finished(self) -> None:
        """Tell that all is well: the last rank does, and nobody in a notebook."""
        ending = self.ending
        if ending is None or ending.is_bad or self._is_interactive:
            return
        if self._asked is not None:  # it went on, and all is well
            self._take(
                watcher.told(watcher.Finding(Found.BACK, self._record), self._now())
            )
        alert = self._alert(ending)
        if self._notifier.intake.is_wanted(alert) and self._is_last():
            self._take(alert)

    def _is_last(self) -> bool:
        if not self._is_ranked:
            return True
        now = self._now()
        try:
            return not any(
                _is_there(peer, now) or self._has_failed(peer)
                for peer in self._peers(now)
            )
        except StoreError:  # then the first one tells
            return not self._record.origin.rank

    def _has_failed(self, peer: RunRecord) -> bool:
        """Whether a rank of this very run ended badly: then the job did not finish."""
        is_bad = peer.ending is not None and peer.ending.is_bad
        return is_bad and peer.beat_at >= self._record.started_at

    def _look_if_bad(self) -> None:
        if self._is_ranked and self._is_on_watch():
            # Who went without a word did so first: the others notice, and end. One of them
            # may have looked in between, and told it as of then.
            found = self._found_of_peers(told_since=self._now() - GATHER)
            tell(self._notifier, found, at=None)

    def _take(self, alert: Alert) -> None:
        self._notifier.intake.receive(alert)

    def listen_to_the_end(self, deadline: float) -> None:
        """Give listeners their time to hear of the end."""
        if self._listening is not None:
            left = deadline - time.monotonic()
            self._listening.drain(min(_BRIEFLY, max(0.1, left)))

    def wait_for_others(self) -> None:
        """Let the other witnesses of the end say what they know, before it is sent."""
        remaining = self.gathers_until - self._ticks()
        if remaining > 0 and not self._is_left_to_supervisor():
            threading.Event().wait(remaining)

    def _is_left_to_supervisor(self) -> bool:
        """Whether one waits for this very process, and sends what it leaves."""
        one = self._supervisor
        return one is not None and not self._is_ranked and processes.exists(one.pid)


def _new_count() -> Count:
    from tocsin._oom import Count

    return Count()


def tell(notifier: Notifier, findings: Iterable[Finding], at: float | None) -> None:
    """Tell of what was found out about runs, and note it, so that it is told once.

    It is so since the time `at`, or else since the run was last heard of.

    Raises:
        StoreError: It cannot be noted; it is the same alert when it is told again.

    """
    for finding in findings:
        since = finding.record.beat_at if at is None else at
        notifier.intake.receive(watcher.told(finding, since))
        if finding.found in {Found.GONE, Found.BACK}:
            now = notifier.now()
            is_gone = finding.found is Found.GONE
            # a clock may have been set back
            lost_at = max(since, finding.record.beat_at) if is_gone else None
            notifier.state.note_lost(finding.record, lost_at, now)


def _is_there(record: RunRecord, now: float) -> bool:
    if record.ending is not None or now - record.beat_at > _FRESH:
        return False
    return not processes.is_gone(record.pid, record.place, record.born)
