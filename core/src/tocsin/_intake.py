"""The only sequencer of the raise path: throttle, route, keep. It never raises."""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

import attrs

from tocsin._alert import RESOLVED, new_id
from tocsin._attachment import copy_all
from tocsin._ending import GATHER
from tocsin._errors import StoreBusy, StoreError, StoreFull
from tocsin._gate import Gate
from tocsin._results import Admitted, Deferred, Refused, Suppressed, Unrouted
from tocsin._routing import matching, routes
from tocsin._store import PATIENCE, Granted, Known, Submission, Withheld
from tocsin._throttle import Window, throttle_key

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from tocsin._alert import Alert, AlertLevel
    from tocsin._results import Result
    from tocsin._routing import Route, Subscription
    from tocsin._settings import Settings
    from tocsin._state import State
    from tocsin._store import DeliveryRecord, Store
    from tocsin._tally import Tally
    from tocsin._throttle import Suppression

    Wait = Callable[[float | None], tuple[DeliveryRecord, ...]]

K = TypeVar("K")
V = TypeVar("V")

_REMEMBERED = 10_000  # calls of a kind, and alerts that go nowhere
_TELL_EVERY = 10.0  # seconds between two lines about alerts that are lost

_log = logging.getLogger("tocsin")


class Intake:
    """Takes alerts in, decides on them, and has them kept.

    `store` opens the store within so many seconds; `on_kept` is called after each alert
    that there is something to deliver of; `waiter` makes what waits for an alert's
    deliveries; `clock` gives seconds since the epoch; `tally`, if there is one, counts the
    calls.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        store: Callable[[float], Store],
        state: State,
        on_kept: Callable[[], None],
        waiter: Callable[[str], Wait],
        clock: Callable[[], float],
        tally: Tally | None = None,
    ) -> None:
        self.gate = Gate()
        self._clock = clock
        self._tally = tally
        self._state = state
        self._settings = settings
        self._store = store
        self._on_kept = on_kept
        self._waiter = waiter
        self._known: dict[Hashable, tuple[str, AlertLevel]] = {}
        self._wishes: dict[Hashable, tuple[Subscription, ...]] = {}
        self._plans: dict[tuple[Subscription, ...], tuple[Route, ...]] = {}
        self._unrouted: dict[str, tuple[float, str]] = {}
        self._writing = threading.RLock()
        self._lost = 0
        self._told = 0
        self._reason = ""
        self._told_at = -_TELL_EVERY

    def glance(
        self, call: Hashable, wait_duration: float, now: float
    ) -> Suppressed | None:
        """Suppress a call like one before, if its window is known to be open.

        `call` is all that the key, the level and the route depend on. It costs a
        microsecond: no alert is made.
        """
        try:
            known = self._known.get(call)
        except TypeError:  # a wrong argument, as the alert will say
            return None
        if known is None:
            return None
        key, level = known
        suppressed = self.gate.suppress(key, level, wait_duration, now)
        if suppressed is None:
            return None
        if self._tally is not None:
            self._tally.add(Suppressed)
        return _suppressed(*suppressed)

    def receive(self, alert: Alert) -> Result:
        """Take an alert whose origin is whole and was checked, with whatever else it lacks."""
        now = self._clock()
        here = attrs.evolve(
            alert,
            id=alert.id or new_id(),
            created_at=alert.created_at or datetime.fromtimestamp(now, UTC),
        )
        return self.take(here, now, is_new=not alert.id)

    def is_wanted(self, alert: Alert) -> bool:
        """Say whether an alert goes anywhere."""
        return bool(self._matching(alert))

    def take(
        self, alert: Alert, now: float, *, is_new: bool, call: Hashable = None
    ) -> Result:
        """Throttle, route and keep an alert that has an id, a time and its whole origin.

        With `is_new` its id was made for it just now. Later calls like `call` may be
        answered by `glance`.
        """
        result = self._take(alert, now, is_new=is_new, call=call)
        if self._tally is not None:
            self._tally.add(type(result))
        return result

    def _take(
        self, alert: Alert, now: float, *, is_new: bool, call: Hashable
    ) -> Result:
        key = throttle_key(alert)
        try:
            if alert.kind == RESOLVED:
                return self._resolve(alert, key, now)
            wishes = self._matching(alert)
            if not wishes:
                return self._record(alert, key, now, is_new=is_new)
            if call is not None:
                _put(self._known, call, (key, alert.level))
            plan = _held(self._routes(wishes, alert.level, now), alert, now)
            return self._throttle(alert, key, plan, now, is_new=is_new)
        except StoreFull as error:
            return self._refuse(str(error))
        except StoreError as error:
            return self._defer(alert, key, now, error)
        except Exception as error:  # noqa: BLE001 - ours or a disk's: never the caller's
            _log.debug("an alert could not be kept", exc_info=True)
            return self._refuse(f"{type(error).__name__}: {error}")

    def _matching(self, alert: Alert) -> tuple[Subscription, ...]:
        like = (alert.origin, alert.kind, alert.level, alert.tags)
        wishes = self._wishes.get(like)
        if wishes is None:
            wishes = matching(alert, self._settings.subscriptions)
            _put(self._wishes, like, wishes)
        return wishes

    def _routes(
        self, wishes: tuple[Subscription, ...], level: AlertLevel, now: float
    ) -> tuple[Route, ...]:
        """Return where an alert goes: always the same, but for quiet hours."""
        plan = self._plans.get(wishes)
        if plan is None:
            plan = routes(wishes, level, now)
            if not any(wish.quiet_hours for wish in wishes):
                _put(self._plans, wishes, plan)
        return plan

    def _throttle(
        self,
        alert: Alert,
        key: str,
        plan: tuple[Route, ...],
        now: float,
        *,
        is_new: bool,
    ) -> Result:
        # with an id of its own it may be one that the store has; and what another witness
        # of an end tells may join the first
        if is_new and alert.ending is None:
            known = self.gate.suppress(key, alert.level, alert.wait_duration, now)
            if known is not None:
                return _suppressed(*known)
        suppressed = self.gate.take(key)
        verdict: Granted | Withheld | Known | None = None
        try:
            submission = Submission(
                alert=with_copies(alert),
                key=key,
                plan=plan,
                suppressed=suppressed,
                is_new=is_new,
            )
            deadline = time.monotonic() + self._settings.submit_timeout
            store = self._store(self._settings.submit_timeout)
            left = max(0.0, deadline - time.monotonic())
            verdict = store.submit(submission, now, timeout=left)
        finally:
            if verdict is None or isinstance(verdict, Known):  # nobody took the count
                self.gate.give_back({key: suppressed})
        return self._answer(alert, key, plan, verdict, now)

    def _answer(
        self,
        alert: Alert,
        key: str,
        plan: tuple[Route, ...],
        verdict: Granted | Withheld | Known,
        now: float,
    ) -> Result:
        if isinstance(verdict, Withheld):
            count = verdict.suppressed.count
            self.gate.remember(key, verdict.window, now, count)
            return _suppressed(verdict.until, count)
        if isinstance(verdict, Known):
            return self._admitted(alert, verdict.channels)
        if verdict.window is not None:
            self.gate.remember(key, verdict.window, now)
        channels = tuple([route.channel for route in plan])
        return self._admitted(alert, channels, verdict.suppressed.count)

    def _admitted(
        self, alert: Alert, channels: tuple[str, ...], suppressed: int = 0
    ) -> Result:
        if not channels:
            return Unrouted(alert_id=alert.id)
        if self._state.journal is not None:
            self._state.note(with_copies(alert), self._settings.submit_timeout)
        self._on_kept()
        return Admitted(
            alert_id=alert.id,
            channels=channels,
            suppressed=suppressed,
            wait=self._waiter(alert.id),
        )

    def _record(self, alert: Alert, key: str, now: float, *, is_new: bool) -> Result:
        """Keep an alert that goes nowhere in the history, once in its own wait."""
        at, alert_id = self._unrouted.get(key, (0.0, ""))
        if alert_id and 0 <= now - at < alert.wait_duration:
            return Unrouted(alert_id=alert_id)
        submission = Submission(
            alert=with_copies(alert), key=key, plan=(), is_new=is_new
        )
        timeout = self._settings.submit_timeout
        self._store(timeout).submit(submission, now, timeout=timeout)
        _put(self._unrouted, key, (now, alert.id))
        self._on_kept()
        return self._admitted(alert, ())

    def _resolve(self, alert: Alert, key: str, now: float) -> Result:
        """Tell whoever had the last alert of this key that it is over."""
        self.gate.forget(key)
        self.write_counts(self._settings.submit_timeout, only=key)
        timeout = self._settings.submit_timeout
        submission = self._resolution(alert, key, now)
        channels = self._store(timeout).resolve(submission, now, timeout=timeout)
        return self._admitted(alert, channels)

    def _resolution(self, alert: Alert, key: str, now: float) -> Submission:
        wishes = self._matching(alert)
        plan = routes(wishes, alert.level, now)
        return Submission(alert=with_copies(alert), key=key, plan=plan)

    def _defer(self, alert: Alert, key: str, now: float, error: StoreError) -> Result:
        try:
            alert = with_copies(alert)
            self._state.spill.write(alert)
        except OSError as spilled:
            return self._refuse(f"{error}; and the alert cannot be spilled: {spilled}")
        self._state.note(alert, self._settings.submit_timeout)
        if alert.kind != RESOLVED and self._matching(alert):
            self.gate.remember(key, Window(now, alert.level), now)
        self._on_kept()
        return Deferred(alert_id=alert.id, wait=self._waiter(alert.id))

    def _refuse(self, reason: str) -> Refused:
        self._lost += 1
        self._reason = reason
        if time.monotonic() - self._told_at >= _TELL_EVERY:
            self.tell_losses()
        return Refused(reason=reason)

    def tell_losses(self) -> None:
        """Say how many alerts are lost, if that was not said yet."""
        if self._lost > self._told:
            self._told, self._told_at = self._lost, time.monotonic()
            _log.error("alerts are lost (%d so far): %s", self._lost, self._reason)

    def write_counts(self, timeout: float = PATIENCE, *, only: str = "") -> None:
        """Write down what was suppressed, of one key or of all.

        Raises:
            StoreError: It could not be; the counts are kept.

        """
        # one at a time, so that whoever asks next finds them written
        if not self._writing.acquire(timeout=timeout):
            raise StoreBusy("another thread is writing the counts")
        try:
            counts = {only: self.gate.take(only)} if only else self.gate.take_all()
            self._write(counts, timeout)
        finally:
            self._writing.release()

    def _write(self, counts: dict[str, Suppression], timeout: float) -> None:
        if not any(count.count for count in counts.values()):
            return
        try:
            self._store(timeout).count(counts, timeout=timeout)
        except BaseException:
            self.gate.give_back(counts)
            raise

    def take_in(self, now: float) -> bool:
        """Submit what was spilled or left; say whether nothing waits any more.

        What finds no room waits until there is some.
        """

        def submit(alert: Alert, /, *, is_admitted: bool) -> None:
            self._adopt(alert, now, is_admitted=is_admitted)

        try:
            return self._state.maintain(submit, now)
        except StoreFull:
            return False

    def _adopt(self, alert: Alert, now: float, *, is_admitted: bool) -> None:
        store, key = self._store(PATIENCE), throttle_key(alert)
        if alert.kind == RESOLVED:
            resolution = attrs.evolve(
                self._resolution(alert, key, now),
                is_adopted=True,
                is_admitted=is_admitted,
            )
            store.resolve(resolution, now, timeout=PATIENCE)
        else:
            wishes = self._matching(alert)
            plan = _held(self._routes(wishes, alert.level, now), alert, now)
            submission = Submission(
                alert=alert,
                key=key,
                plan=plan,
                is_adopted=True,
                is_admitted=is_admitted,
            )
            store.submit(submission, now, timeout=PATIENCE)
        self._on_kept()

    def after_fork_in_child(self) -> None:
        """Leave to the parent what is the parent's."""
        self._writing = threading.RLock()
        self.gate.after_fork_in_child()
        if self._tally is not None:
            self._tally.after_fork_in_child()


def _suppressed(until: float, count: int) -> Suppressed:
    return Suppressed(count=count, until=datetime.fromtimestamp(until, UTC))


def _held(plan: tuple[Route, ...], alert: Alert, now: float) -> tuple[Route, ...]:
    """Return the plan of an alert that waits for what other witnesses of an end know."""
    ending = alert.ending
    if ending is None or ending.is_alone or ending.is_last or not ending.is_bad:
        return plan
    return tuple(
        attrs.evolve(route, not_before=max(route.not_before, now + GATHER))
        for route in plan
    )


def _put(memory: dict[K, V], key: K, value: V) -> None:
    if len(memory) >= _REMEMBERED:
        memory.clear()
    memory[key] = value


def with_copies(alert: Alert) -> Alert:
    """Return the alert with copies of what is attached; the text tells what is left out."""
    if not alert.attachments:
        return alert
    copies, left_out = copy_all(alert.attachments)
    told = [f"(attachment left out: {reason})" for reason in left_out]
    text = "\n\n".join(filter(None, [alert.text, *told]))
    return attrs.evolve(alert, attachments=copies, text=text)
