"""The only sequencer of the deliver path: claim, attempt, settle."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from typing import TYPE_CHECKING

from tocsin._errors import (
    Ambiguous,
    DeliveryError,
    SecretUnavailable,
    StoreDamaged,
    StoreError,
)
from tocsin._imports import importing
from tocsin._lane import MAX_ABANDONED, MAX_WORKERS, Lane
from tocsin._listener import DELIVERY_SETTLED
from tocsin._retry import HORIZON, Delivered, Failed, Pending, outcome
from tocsin._settlement import settlements
from tocsin._store import PATIENCE, Turn

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from tocsin._attempt import AttemptResult, Session
    from tocsin._lane import Attempt
    from tocsin._listening import Listening
    from tocsin._provider import Receipt
    from tocsin._retry import Outcome
    from tocsin._settings import Channel, Settings
    from tocsin._store import Claim, Settled, Store

LEASE = 30.0
"""Seconds for which a claim is a worker's own, and never less than twice one attempt's."""
POLL = 5.0
"""Seconds at most between two looks at what other processes left in the store."""
TICK = 1.0
"""Seconds at most between two rounds of the chores."""
LINGER = 0.005
"""Seconds between an alert and the look at the store: a burst of them costs one look, and
its caller is not disturbed at each."""
ASK_AGAIN = 0.05
"""Seconds between two looks that a flush asks for."""
SOON = 0.1
"""Seconds until chores are done that somebody wants to be done soon."""
GRACE = 1.0
"""Seconds past its time limit after which an attempt is taken for hung."""
IDLE = 2.0
"""Seconds after which a worker without work closes its sender and ends."""
UNAVAILABLE_DELAY = 60.0
"""Seconds until a channel whose secret did not resolve is tried again by this process."""

_log = logging.getLogger("tocsin")
_outcomes = logging.getLogger("tocsin.deliveries")
"""How deliveries fare: a logger of its own, for whoever shows that otherwise."""


class Courier:
    """Delivers what is due in a store, from background threads that it starts itself.

    It sends to `channels` alone. `chores` is called about once a second, and says whether
    all of them are done; `on_settled` is called after each settled claim, and `repair` when
    the store is damaged. Whoever is `listening` hears of each delivery that ended.
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
        repair: Callable[[], bool],
        listening: Listening,
    ) -> None:
        self._store = store
        self._settings = settings
        self._channels = tuple(channels)
        self._clock = clock
        self._chores = chores
        self._on_settled = on_settled
        self._repair = repair
        self._listening = listening
        self._lease = max(LEASE, 2 * settings.timeout)
        self._lock = threading.RLock()
        self._called = threading.Condition(self._lock)  # the courier waits for it
        self._changed = threading.Condition(self._lock)  # whoever flushes does
        self._thread: threading.Thread | None = None
        self._is_stopping = False
        self._next_look = 0.0  # on the monotonic clock; 0: now
        self._next_chores = 0.0
        self._asked = 0  # how often a flush asked for chores
        self._done = 0  # the last of these that was begun after it was asked, and done
        self._has_more = False  # the last look took all that there was room for
        self._claiming = 0  # rounds that hold claims which are in no lane yet
        self._claimed = 0  # claims so far
        self._lanes = {
            channel.name: Lane(channel, channel.provider, self._lock)
            for channel in self._channels
            if channel.provider is not None
        }
        self._told: set[str] = set()

    @property
    def has_started(self) -> bool:
        """Whether the background thread was started."""
        return self._thread is not None

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

    def wake(self, linger: float = LINGER) -> None:
        """Look at the store so many seconds from now, or sooner."""
        then = time.monotonic() + linger
        if self._next_look <= then or not self._lanes:
            return
        with self._lock:
            self._next_look = min(self._next_look, then)
            self._called.notify_all()

    def hurry(self) -> None:
        """Do the chores soon: not in the very moment in which a program starts."""
        with self._lock:
            self._next_chores = min(self._next_chores, time.monotonic() + SOON)
            self._called.notify_all()

    def flush(self, timeout: float) -> bool:
        """Wait until what is due now has been tried; False when time is up.

        What others raise meanwhile is not waited for: they never stop.
        """
        deadline, now = time.monotonic() + timeout, self._clock()
        self.start()
        with self._lock:
            self._asked += 1
        ask_at = 0.0
        while True:
            if time.monotonic() >= ask_at:  # what the courier does wakes us, too
                ask_at = time.monotonic() + ASK_AGAIN
                with self._lock:
                    self._next_chores = self._next_look = 0.0
                    self._called.notify_all()
            if not self.is_running:
                self._round_or_repair()
            remaining = deadline - time.monotonic()
            if self._is_idle(max(0.05, remaining), now):
                return not self._leaves_something(now)
            if remaining <= 0:
                return False
            with self._lock:
                self._changed.wait(min(remaining, ASK_AGAIN))

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
            self._wait_for_workers(deadline)
            if self._thread is not None:
                self._thread.join(max(0.2, deadline - time.monotonic()))

    def _wait_for_workers(self, deadline: float) -> None:
        """Let end what is under way: broken off, it would be sent once more."""
        with self._lock:
            while self._load() and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(min(left, ASK_AGAIN))

    def _stop(self) -> list[Claim]:
        with self._lock:
            self._is_stopping = True
            left = [claim for lane in self._lanes.values() for claim in lane.clear()]
            self._called.notify_all()
            self._changed.notify_all()
        return left

    def _is_idle(self, timeout: float, now: float) -> bool:
        with self._lock:
            claimed = self._claimed
            if self._load() or self._claiming or self._done < self._asked:
                return False
            usable = [name for name, lane in self._lanes.items() if lane.free]
        if self._is_due(usable, timeout, now):
            return False
        with self._lock:  # what is not due may be so because it was claimed meanwhile
            return claimed == self._claimed and not self._claiming

    def _leaves_something(self, now: float) -> bool:
        """Whether something is due on a channel that this process cannot use for now."""
        blocked = [name for name, lane in self._lanes.items() if lane.is_blocked]
        return bool(blocked) and self._is_due(blocked, TICK, now)

    def _is_worth_claiming(self, channels: Collection[str]) -> bool:
        due = self._store().next_due(channels, now=self._clock(), timeout=PATIENCE)
        if due is None:
            return False
        ahead = due - self._clock()
        # a clock that was ahead may have put it so
        return ahead <= 0 or ahead > HORIZON

    def _is_due(self, channels: Collection[str], timeout: float, now: float) -> bool:
        try:
            due = self._store().next_due(channels, now=now, timeout=timeout)
        except StoreError:  # another process holds it: there may be something
            return True
        return due is not None and due <= now

    def _load(self) -> int:
        return sum(lane.load for lane in self._lanes.values())

    def _run(self) -> None:
        while not self._is_stopping:
            try:
                self._round_or_repair()
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
                due = min(self._next_look, self._next_chores)
                pause = min(TICK, due - time.monotonic())
                if pause > 0 and not self._is_stopping:
                    self._called.wait(pause)

    def _round_or_repair(self) -> None:
        try:
            self._round()
        except StoreDamaged:
            if not self._repair():
                raise
            self._next_look = self._next_chores = 0.0

    def _round(self) -> None:
        self._reap()
        if time.monotonic() >= self._next_look:
            self._look()
        self._staff()
        if time.monotonic() >= self._next_chores:  # last: they must not stop deliveries
            self._next_chores = time.monotonic() + TICK
            asked = self._asked
            self._hand_over()
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
        wanted = {name: most for name, most in free.items() if most > 0}
        try:
            # looking takes no lock; hundreds of processes may look at one store
            if wanted and (self._has_more or self._is_worth_claiming(wanted)):
                claims = self._store().claim(
                    wanted, lease=self._lease, now=self._clock()
                )
        finally:
            with self._lock:
                self._claiming -= 1
                self._claimed += len(claims)
                is_late = self._is_stopping
                for claim in claims if not is_late else ():
                    self._lanes[claim.channel].add(claim)
                self._changed.notify_all()
        if is_late and claims:
            self._store().release(claims, self._clock())
        short = dict(wanted)
        for claim in claims:
            short[claim.channel] -= 1
        full = {name for name, less in short.items() if less <= 0}
        self._has_more = bool(full)
        self._plan_next_look(full)

    def _plan_next_look(self, full: Collection[str]) -> None:
        """Ask when more is due, but not on lanes that took all they could.

        Whoever is ready first there looks again.
        """
        with self._lock:
            if self._load() >= MAX_WORKERS:  # likewise
                return
            usable = [
                name
                for name, lane in self._lanes.items()
                if lane.free and name not in full
            ]
        due = self._store().next_due(usable, now=self._clock()) if usable else None
        if due is not None:
            self.wake(max(LINGER, due - self._clock()))

    def _hand_over(self) -> None:
        """Give to its fallback what waits too long for a channel that fails."""
        for channel in self._channels:
            if channel.fallback:
                lane = self._lanes.get(channel.name)
                handed = self._store().hand_over(
                    channel.name,
                    channel.fallback,
                    self._clock(),
                    after=channel.fallback_after,
                    is_broken=lane is None or lane.is_blocked,
                )
                if handed:
                    _outcomes.warning(
                        "%d deliveries to channel %r go to %r instead",
                        *(handed, channel.name, channel.fallback),
                    )
                    self.wake(0)

    def _staff(self) -> None:
        """Start the workers that are missing."""
        for lane in self._lanes.values():
            while self._has_desk() and lane.hires():
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

    def _has_desk(self) -> bool:
        with self._lock:
            return sum(lane.workers for lane in self._lanes.values()) < MAX_WORKERS

    def _work(self, lane: Lane, patience: float = IDLE) -> None:
        with importing():
            from tocsin._attempt import Session

        session = Session(lane.provider, self._settings)
        attempt: Attempt | None = None
        try:
            while (attempt := lane.next(patience)) is not None:
                self._carry_out(lane, session, attempt)
                if attempt.is_abandoned:
                    return
        finally:
            if attempt is None or not attempt.is_abandoned:
                lane.dismiss()
            session.close()

    def _carry_out(self, lane: Lane, session: Session, attempt: Attempt) -> None:
        result: AttemptResult | Turn | None = None
        if not self._is_late(attempt.claim):
            result = self._attempt(session, attempt.claim)
        if lane.end(attempt):
            try:
                seconds = time.monotonic() - attempt.started
                self._conclude(lane, attempt.claim, result, seconds)
            finally:
                lane.close(attempt)
        self.wake(0)
        if self._is_stopping:  # nobody looks any more, which would tell
            with self._lock:
                self._changed.notify_all()

    def _is_late(self, claim: Claim) -> bool:
        """Whether it waited so long that its lease may end before the attempt does."""
        left = claim.lease_until - self._clock()
        return left < self._settings.timeout + GRACE

    def _attempt(self, session: Session, claim: Claim) -> AttemptResult | Turn:
        thread: Receipt | None = None
        conversation = session.conversation(claim)
        if conversation:
            try:
                turn = self._store().join(claim, conversation, self._clock())
            except (StoreError, TypeError):  # the message matters more than its place
                turn = Turn.BEGIN
            if turn is Turn.WAIT:
                return turn
            thread = None if turn is Turn.BEGIN else turn
        return session.attempt(claim, self._clock(), thread)

    def _reap(self) -> None:
        """Give up the workers that hang in an attempt."""
        seconds = self._settings.timeout + GRACE
        for lane in self._lanes.values():
            for claim in lane.abandon(time.monotonic() - seconds):
                reason = f"no answer within {self._settings.timeout:g} s"
                self._conclude(lane, claim, Ambiguous(reason), seconds)
                if lane.abandoned >= MAX_ABANDONED:
                    self._tell_once(
                        f"channel {lane.name!r} waits until an attempt that hangs ends"
                    )

    def _conclude(
        self,
        lane: Lane,
        claim: Claim,
        result: AttemptResult | Turn | None,
        seconds: float,
    ) -> None:
        """Write down what came of an attempt that took so many seconds, and tell it."""
        try:
            if result is None:
                self._store().release([claim], self._clock())
            elif isinstance(result, SecretUnavailable):
                self._block(lane, claim, result)
            elif not isinstance(result, Turn):  # else the store has it back already
                self._settle(lane, claim, result, seconds)
        except Exception as error:  # noqa: BLE001 - no outcome may cost us the worker
            # the lease runs out, and the delivery is made once more
            _log.warning("the outcome of %s is not kept: %s", claim.delivery_id, error)
        self._on_settled()

    def _block(self, lane: Lane, claim: Claim, error: SecretUnavailable) -> None:
        """Leave a channel alone that this process cannot use: another one may."""
        lane.blocked_until = time.monotonic() + UNAVAILABLE_DELAY
        left = [claim, *lane.clear()]
        self._store().release(left, self._clock(), reason=str(error))
        self._tell_once(f"channel {claim.channel!r} is out of order: {error}")

    def _settle(
        self,
        lane: Lane,
        claim: Claim,
        result: Receipt | DeliveryError,
        seconds: float,
    ) -> None:
        with importing():
            import random

        channel, now = lane.channel, self._clock()
        give_up_after = self._settings.give_up_after
        if channel.fallback:
            give_up_after = min(give_up_after, channel.fallback_after)
        ending = outcome(
            result,
            claim.progress,
            now=now,
            give_up_after=give_up_after,
            random=random.random,
        )
        settled = self._store().settle(claim, ending, now, fallback=channel.fallback)
        if settled is not None:
            self._tell(claim, settled.outcome, channel.fallback)
            self._tell_circuit(claim.channel, settled)
            if not isinstance(settled.outcome, Pending):
                self._offer(lane, claim, settled.outcome, result, seconds, now)

    def _offer(  # noqa: PLR0917 - what is known of an attempt
        self,
        lane: Lane,
        claim: Claim,
        ending: Delivered | Failed,
        result: Receipt | DeliveryError,
        seconds: float,
        now: float,
    ) -> None:
        """Have whoever listens hear of what ended."""
        if not self._listening.hears(DELIVERY_SETTLED):
            return
        for settled in settlements(
            claim,
            ending,
            provider=lane.provider.name,
            error=result if isinstance(result, DeliveryError) else None,
            attempt_seconds=seconds,
            now=now,
        ):
            self._listening.offer(DELIVERY_SETTLED, {"settled": settled})

    def _tell_circuit(self, channel: str, settled: Settled) -> None:
        before, after = settled.before, settled.after
        remedy = f" ({after.remedy})" if after.remedy else ""
        if after.is_out_of_order and not before.is_out_of_order:
            _outcomes.error(
                "channel %r is out of order: %s%s; what goes there waits, and it is tried "
                "every few minutes, or by `tocsin test`",
                *(channel, after.reason, remedy),
            )
        elif after.is_failing and not before.is_failing:
            _outcomes.warning(
                "channel %r fails, and is tried with one delivery at a time: %s%s",
                *(channel, after.reason, remedy),
            )
        elif before.is_failing and not after.is_failing:
            _outcomes.warning("channel %r works again", channel)

    def _tell(self, claim: Claim, ending: Outcome, fallback: str) -> None:
        if isinstance(ending, Delivered):
            _outcomes.debug("delivered %s", claim.delivery_id)
            return
        remedy = f" ({ending.remedy})" if ending.remedy else ""
        if isinstance(ending, Failed):
            then = f"; it goes to {fallback!r} instead" if fallback else ""
            _outcomes.error(
                "not delivered to channel %r: %s%s%s; `tocsin replay %s` tries again",
                *(claim.channel, ending.reason, remedy, then, claim.delivery_id),
            )
        else:
            _outcomes.info(
                "%s is tried again: %s%s", claim.delivery_id, ending.reason, remedy
            )

    def _tell_once(self, message: str) -> None:
        if message not in self._told:
            self._told.add(message)
            _outcomes.warning("%s", message)
