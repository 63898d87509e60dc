"""The only sequencer of the deliver path: claim, attempt, settle."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

import attrs

from tocsin._attempt import Session
from tocsin._errors import Ambiguous, DeliveryError, SecretUnavailable, StoreError
from tocsin._retry import Delivered, Failed, outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tocsin._attempt import AttemptResult
    from tocsin._provider import Provider, Receipt
    from tocsin._retry import Outcome
    from tocsin._settings import Channel, Settings
    from tocsin._store import Claim, Store

LEASE = 30.0
"""Seconds for which a claim is a worker's own, and never less than twice one attempt's."""
MAX_WORKERS = 32
"""Deliveries under way at once in one process."""
MAX_ABANDONED = 2
"""Workers of one channel that hang past their time; with so many, the channel waits."""
POLL = 5.0
"""Seconds at most between two looks at what other processes left in the store."""
TICK = 1.0
"""Seconds at most between two rounds of the chores."""
GRACE = 1.0
"""Seconds past its time limit after which an attempt is taken for hung."""
IDLE = 2.0
"""Seconds after which a worker without work closes its sender and ends."""
UNAVAILABLE_DELAY = 60.0
"""Seconds until a channel whose secret did not resolve is tried again."""

_log = logging.getLogger("tocsin")
_outcomes = logging.getLogger("tocsin.deliveries")
"""How deliveries fare: a logger of its own, for whoever shows that otherwise."""


@attrs.define(eq=False)
class _Attempt:
    claim: Claim
    started: float
    is_over: bool = False
    is_abandoned: bool = False


class _Lane:
    """One channel: the claims that wait for a worker, and the workers."""

    def __init__(self, name: str, provider: Provider, lock: threading.RLock) -> None:
        self.name = name
        self.provider = provider
        self.concurrency = max(1, min(provider.concurrency, MAX_WORKERS))
        self.arrived = threading.Condition(lock)
        self.queue: deque[Claim] = deque()
        self.running: list[_Attempt] = []
        self.workers = 0
        self.abandoned = 0

    @property
    def load(self) -> int:
        return len(self.queue) + len(self.running)

    @property
    def free(self) -> int:
        is_blocked = self.abandoned >= MAX_ABANDONED
        return 0 if is_blocked else max(0, self.concurrency - self.load)


class Courier:
    """Delivers what is due in a store, from background threads that it starts itself.

    It sends to `channels` alone. `chores` is called about once a second, and says whether
    all of them are done; `on_settled` is called after each settled claim.
    """

    def __init__(
        self,
        store: Callable[[], Store],
        settings: Settings,
        *,
        channels: Iterable[Channel],
        clock: Callable[[], float],
        chores: Callable[[], bool],
        on_settled: Callable[[], None],
    ) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self._chores = chores
        self._on_settled = on_settled
        self.lease = max(LEASE, 2 * settings.timeout)
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._thread: threading.Thread | None = None
        self._is_stopping = False
        self._next_look = 0.0  # on the monotonic clock; 0: now
        self._next_chores = 0.0
        self._asked = 0  # how often a flush asked for chores
        self._done = 0  # the last of these that was begun after it was asked, and done
        self._claiming = 0  # rounds that hold claims which are in no lane yet
        self._lanes = {
            channel.name: _Lane(channel.name, channel.provider, self._lock)
            for channel in channels
            if channel.provider is not None
        }
        self._told: set[str] = set()

    @property
    def is_running(self) -> bool:
        """Whether the background thread is there."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Start the background thread, unless the interpreter no longer allows it."""
        with self._lock:
            if self._thread is not None or self._is_stopping:
                return
            thread = threading.Thread(target=self._run, name="tocsin", daemon=True)
            with contextlib.suppress(RuntimeError):  # the interpreter is shutting down
                thread.start()
                self._thread = thread

    def has_room(self, channels: Iterable[str]) -> bool:
        """Say whether deliveries to all of these channels could start at once."""
        with self._lock:
            lanes = [self._lanes.get(name) for name in channels]
            return (
                not self._is_stopping
                and self._load() + len(lanes) <= MAX_WORKERS
                and all(lane is not None and lane.free for lane in lanes)
            )

    def offer(self, claims: Iterable[Claim]) -> None:
        """Take over deliveries that were claimed as they were submitted."""
        with self._lock:
            self._enqueue(claims)

    def wake(self) -> None:
        """Look at the store now."""
        with self._lock:
            self._next_look = 0.0
            self._changed.notify_all()

    def flush(self, timeout: float) -> bool:
        """Wait until nothing is under way and nothing is due; False when time is up."""
        deadline = time.monotonic() + timeout
        self.start()
        with self._lock:
            self._asked += 1
        while True:
            with self._lock:
                self._next_chores = 0.0
            self.wake()
            if not self.is_running:
                self._round()
            remaining = deadline - time.monotonic()
            if self._is_idle(max(0.05, remaining)):
                return True
            if remaining <= 0:
                return False
            with self._lock:
                self._changed.wait(min(remaining, 0.05))

    def close(self, timeout: float) -> bool:
        """Flush, then stop; what is left stays in the store for the next process."""
        deadline = time.monotonic() + timeout
        try:
            return self.flush(timeout)
        finally:
            left = self._stop()
            remaining = max(0.2, deadline - time.monotonic())
            if left:
                self._store().release(left, self._clock(), timeout=remaining)
            if self._thread is not None:
                self._thread.join(remaining)

    def _stop(self) -> list[Claim]:
        with self._lock:
            self._is_stopping = True
            left = [claim for lane in self._lanes.values() for claim in lane.queue]
            for lane in self._lanes.values():
                lane.queue.clear()
                lane.arrived.notify_all()
            self._changed.notify_all()
        return left

    def _is_idle(self, timeout: float) -> bool:
        with self._lock:
            if self._load() or self._claiming or self._done < self._asked:
                return False
            usable = [name for name, lane in self._lanes.items() if lane.free]
        try:
            due = self._store().next_due(usable, timeout=timeout)
        except StoreError:  # another process holds it: there may be something
            return False
        return due is None or due > self._clock()

    def _load(self) -> int:
        return sum(lane.load for lane in self._lanes.values())

    def _run(self) -> None:
        while not self._is_stopping:
            try:
                self._round()
            except StoreError as error:
                self._tell_once(
                    f"the store does not answer, and is asked again: {error}"
                )
                self._next_look = time.monotonic() + TICK
            except Exception as error:  # noqa: BLE001 - the thread must outlive any mistake
                _log.debug("the courier stumbled", exc_info=True)
                self._tell_once(
                    f"the courier stumbled, and goes on: {type(error).__name__}"
                )
                self._next_look = time.monotonic() + TICK
            with self._lock:
                pause = min(TICK, self._next_look - time.monotonic())
                if pause > 0 and not self._is_stopping:
                    self._changed.wait(pause)

    def _round(self) -> None:
        self._reap()
        if time.monotonic() >= self._next_look:
            self._look()
        self._staff()
        if time.monotonic() >= self._next_chores:  # last: they must not stop deliveries
            self._next_chores = time.monotonic() + TICK
            asked = self._asked
            if self._chores():
                self._done = max(self._done, asked)

    def _look(self) -> None:
        """Claim what is due, and note when to look again."""
        self._next_look = time.monotonic() + POLL
        with self._lock:
            self._claiming += 1
            spare = MAX_WORKERS - self._load()
            free = {name: min(lane.free, spare) for name, lane in self._lanes.items()}
        claims: list[Claim] = []
        try:
            wanted = {name: most for name, most in free.items() if most > 0}
            if wanted:
                claims = self._store().claim(
                    wanted, lease=self.lease, now=self._clock()
                )
        finally:
            with self._lock:
                self._claiming -= 1
                self._enqueue(claims)
        self._plan_next_look()

    def _plan_next_look(self) -> None:
        with self._lock:
            usable = [name for name, lane in self._lanes.items() if lane.free]
        due = self._store().next_due(usable)
        if due is not None:
            again = time.monotonic() + max(0.0, due - self._clock())
            with self._lock:
                self._next_look = min(self._next_look, again)

    def _enqueue(self, claims: Iterable[Claim]) -> None:
        for claim in claims:
            lane = self._lanes[claim.channel]
            lane.queue.append(claim)
            lane.arrived.notify()
        self._changed.notify_all()

    def _staff(self) -> None:
        """Start the workers that are missing."""
        for lane in self._lanes.values():
            while self._hires(lane):
                worker = threading.Thread(
                    target=self._work,
                    args=(lane,),
                    name=f"tocsin {lane.name}",
                    daemon=True,
                )
                try:
                    worker.start()
                except RuntimeError:  # the interpreter is shutting down: work here
                    self._work(lane, patience=0)

    def _hires(self, lane: _Lane) -> bool:
        with self._lock:
            if lane.workers >= min(lane.concurrency, lane.load) or not lane.queue:
                return False
            if sum(lane.workers for lane in self._lanes.values()) >= MAX_WORKERS:
                return False
            lane.workers += 1
            return True

    def _work(self, lane: _Lane, patience: float = IDLE) -> None:
        session = Session(lane.provider, self._settings)
        running: _Attempt | None = None
        try:
            while (running := self._next(lane, patience)) is not None:
                self._carry_out(lane, session, running)
                if running.is_abandoned:
                    return
        finally:
            with self._lock:
                if running is None or not running.is_abandoned:
                    lane.workers -= 1
            session.close()

    def _next(self, lane: _Lane, patience: float) -> _Attempt | None:
        """Wait for a claim for so many seconds; None ends the worker."""
        with self._lock:
            lane.arrived.wait_for(lambda: lane.queue or self._is_stopping, patience)
            if not lane.queue:
                return None
            running = _Attempt(lane.queue.popleft(), time.monotonic())
            lane.running.append(running)
            return running

    def _carry_out(self, lane: _Lane, session: Session, running: _Attempt) -> None:
        claim, now = running.claim, self._clock()
        if (
            claim.lease_until - now < self._settings.timeout + GRACE
        ):  # it waited too long
            result: AttemptResult | None = None
        else:
            result = session.attempt(claim, now)
        with self._lock:
            if running.is_abandoned:
                lane.abandoned -= 1
                return
            running.is_over = True
        try:
            self._conclude(claim, result)
        finally:
            with self._lock:
                lane.running.remove(running)
                self.wake()

    def _reap(self) -> None:
        """Give up the workers that hang in an attempt."""
        overdue = time.monotonic() - self._settings.timeout - GRACE
        hung: list[_Attempt] = []
        with self._lock:
            for lane in self._lanes.values():
                for running in list(lane.running):
                    if running.started < overdue and not running.is_over:
                        running.is_abandoned = True
                        lane.running.remove(running)
                        lane.workers -= 1
                        lane.abandoned += 1
                        hung.append(running)
        for running in hung:
            seconds = f"{self._settings.timeout:g} s"
            self._conclude(running.claim, Ambiguous(f"no answer within {seconds}"))

    def _conclude(self, claim: Claim, result: AttemptResult | None) -> None:
        """Write down what came of an attempt, and tell it."""
        try:
            if result is None:
                self._store().release([claim], self._clock())
            elif isinstance(result, SecretUnavailable):
                self._store().release(
                    [claim], self._clock(), delay=UNAVAILABLE_DELAY, reason=str(result)
                )
                self._tell_once(f"channel {claim.channel!r} is out of order: {result}")
            else:
                self._settle(claim, result)
        except Exception as error:  # noqa: BLE001 - no outcome may cost us the worker
            # the lease runs out, and the delivery is made once more
            _log.warning("the outcome of %s is not kept: %s", claim.delivery_id, error)
        self._on_settled()

    def _settle(self, claim: Claim, result: Receipt | DeliveryError) -> None:
        import random

        now = self._clock()
        ending = outcome(
            result,
            claim.progress,
            now=now,
            give_up_after=self._settings.give_up_after,
            random=random.random,
        )
        if self._store().settle(claim, ending, now):
            self._tell(claim, ending)

    def _tell(self, claim: Claim, ending: Outcome) -> None:
        if isinstance(ending, Delivered):
            _outcomes.debug("delivered %s", claim.delivery_id)
            return
        remedy = f" ({ending.remedy})" if ending.remedy else ""
        if isinstance(ending, Failed):
            _outcomes.error(
                "not delivered to channel %r: %s%s; `tocsin replay %s` tries again",
                claim.channel,
                ending.reason,
                remedy,
                claim.delivery_id,
            )
        else:
            _outcomes.info(
                "%s is tried again: %s%s", claim.delivery_id, ending.reason, remedy
            )

    def _tell_once(self, message: str) -> None:
        if message not in self._told:
            self._told.add(message)
            _outcomes.warning("%s", message)
