"""The life of a notifier: it owns the intake, the store and the courier."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import sys
import threading
import time
import weakref
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

import attrs

from tocsin import _places as places
from tocsin._courier import Courier
from tocsin._errors import StoreBusy, StoreError
from tocsin._intake import Intake
from tocsin._listener import ALERTS_COUNTED
from tocsin._listening import Listening
from tocsin._mode import Mode
from tocsin._results import Disabled
from tocsin._state import State
from tocsin._store import PATIENCE, Status
from tocsin._tally import Tally
from tocsin._text import storable
from tocsin._throttle import title_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from tocsin._alert import Alert, Origin
    from tocsin._results import Result
    from tocsin._settings import Settings
    from tocsin._store import DeliveryRecord, Store, SuppressedKey

_PRUNE_EVERY = 3600.0  # seconds

T = TypeVar("T")

_log = logging.getLogger("tocsin")
_outcomes = logging.getLogger("tocsin.deliveries")


class Stage(Protocol):
    """What a test puts in the place of configuration, channels, state and time."""

    @property
    def clock(self) -> Callable[[], float]:
        """Seconds since the epoch, as the test says; they never jump back."""

    def load(self, path: str | os.PathLike[str] | None) -> Settings:
        """Return what a configuration says."""

    def settings(self, given: Settings) -> Settings:
        """Return settings by which nothing leaves the process."""

    def adopt(self, notifier: Notifier) -> None:
        """Take a notifier that was just made."""


stage: Stage | None = None
"""Where the notifiers are that are made while alerts are captured: see `tocsin.testing`."""


class Notifier:
    """Takes alerts, decides on them, keeps them, and has them delivered.

    It raises for mistakes in code and configuration, and for nothing else: a provider, a
    network or a disk that fails is recorded and told. It is safe to use from any thread.
    Close it, or use it in a ``with``, so that what is under way gets its time.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        namespace: str,
        mode: Mode | str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Make a notifier from settings made in code; nothing is opened yet.

        `namespace` sets its deliveries apart from those of others that share the state
        directory: choose a word of your own, and keep it. `clock` gives seconds since the
        epoch.
        """
        self.ticks: Callable[[], float] = time.monotonic
        """A clock that never jumps."""
        if stage is not None:
            settings, clock = stage.settings(settings), stage.clock
            self.ticks = clock
        self.settings = settings
        self.namespace = storable(namespace)
        self.mode = Mode.parse(mode)
        self._clock = clock
        self.state = State(
            places.state_dir(settings.state_dir),
            self.namespace,
            settings.source,
            is_network=settings.network_state,
            provider=settings.store,
        )
        self._pruned_at = 0.0
        self._more_chores: list[Callable[[], object]] = []
        self.listening = Listening(settings.listeners)
        self._tally = Tally() if self.listening.hears(ALERTS_COUNTED) else None
        self.intake = Intake(
            settings,
            store=self.store,
            state=self.state,
            on_kept=self._note_kept,
            waiter=self._waiter,
            clock=clock,
            tally=self._tally,
        )
        self._begin()
        _notifiers.add(self)
        if stage is not None:
            stage.adopt(self)

    def _begin(self) -> None:
        self._settled = threading.Condition()
        self._is_used = False
        self._courier = self._new_courier()

    def _new_courier(self) -> Courier:
        is_online = self.mode is Mode.ONLINE
        return Courier(
            self.store,
            self.settings,
            channels=self.settings.channels.values() if is_online else (),
            clock=self._clock,
            chores=self._do_chores,
            on_settled=self._note_settled,
            repair=self._repair,
            listening=self.listening,
        )

    @classmethod
    def from_config(
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        mode: Mode | str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> Self:
        """Make a notifier from a configuration file.

        Without a path it is `TOCSIN_CONFIG`, else the user's own file, else no channels.

        Raises:
            ConfigError: The file has mistakes; the error holds all of them.

        """
        from tocsin._config import load

        settings = load(path) if stage is None else stage.load(path)
        return cls(settings, namespace=settings.source, mode=mode, clock=clock)

    def __enter__(self) -> Self:
        """Start delivering what earlier processes left."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def __repr__(self) -> str:
        return f"<Notifier {self.namespace or '(no configuration)'} {self.mode.value}>"

    def check(self, origin: Origin) -> None:
        """Make sure that alerts from there may be raised, before one is.

        Raises:
            ConfigError: The team is unknown, or the user is not among its members.

        """
        self.settings.check(self.placed(origin))

    def start(self) -> None:
        """Deliver in the background from now on, beginning with what was left over."""
        if self.mode is Mode.DISABLED:
            return
        if not self._is_used:
            self._use()
            for channel in self.settings.channels.values():
                if channel.problem:
                    _outcomes.warning(
                        "channel %r is out of order: %s", channel.name, channel.problem
                    )
            self.listening.start()
            # here, so that the first alert need not wait for the courier to open it
            self._quietly(lambda: self.store(self.settings.submit_timeout))
        self._courier.start()

    def _use(self) -> None:
        if not self._is_used:
            self._is_used = True
            _close_with_worker()

    def notify(self, alert: Alert, *, team: str = "", project: str = "") -> Result:
        """Raise an alert: throttle, route and keep it; it is delivered in the background.

        `team` and `project`, where given, become the alert's; its user and host are
        filled in. The call takes microseconds, and `Settings.submit_timeout` at the most.

        Raises:
            ConfigError: The team is unknown, or the user is not among its members.

        """
        if self.mode is Mode.DISABLED:
            return Disabled()
        origin = self.placed(alert.origin, team=team, project=project)
        self.settings.check(origin)
        return self.intake.receive(attrs.evolve(alert, origin=origin))

    def placed(self, origin: Origin, *, team: str = "", project: str = "") -> Origin:
        """Return the origin with the user, the host and what else is given filled in."""
        return attrs.evolve(
            origin,
            user=origin.user or self.settings.user,
            host=origin.host or places.host(),
            team=team or origin.team,
            project=project or origin.project,
        )

    def now(self) -> float:
        """Return the time by this notifier's clock."""
        return self._clock()

    def add_chore(self, chore: Callable[[], object]) -> None:
        """Have something done about once a second, in the background; and at once."""
        self._more_chores.append(chore)
        self._courier.hurry()

    def _note_kept(self) -> None:
        if not self._courier.has_started:
            self.start()
        self._courier.wake()

    def store(self, timeout: float = PATIENCE) -> Store:
        """Return the store; it is opened at its first use.

        Raises:
            StoreBusy: It cannot be opened within `timeout` seconds.

        """
        return self.state.store(timeout, self._clock())

    def _do_chores(self) -> bool:
        """Write counts, take in what was left, prune; say whether nothing is left."""
        if self.listening.has_room:  # else the counts grow until there is
            self._offer_counts()
        self.intake.write_counts()
        now = self._clock()
        is_done = self.intake.take_in(now)
        if now - self._pruned_at > _PRUNE_EVERY:
            self._pruned_at = now
            self.state.prune(now - self.settings.retention, now)
        for chore in tuple(self._more_chores):
            self._quietly(chore)
        return is_done

    def _offer_counts(self) -> None:
        """Have listeners hear what was counted since the last time."""
        if self._tally is not None:
            counts = self._tally.take()
            if counts is not None:
                self.listening.insist(ALERTS_COUNTED, {"counts": counts})

    @property
    def unheard(self) -> int:
        """How often listeners were too slow to hear of something, which was dropped."""
        return self.listening.dropped

    def _repair(self) -> bool:
        return self.state.repair(self._clock())

    def _note_settled(self) -> None:
        with self._settled:
            self._settled.notify_all()

    def _waiter(
        self, alert_id: str
    ) -> Callable[[float | None], tuple[DeliveryRecord, ...]]:
        def wait(timeout: float | None) -> tuple[DeliveryRecord, ...]:
            return self._wait(alert_id, timeout)

        return wait

    def _wait(self, alert_id: str, timeout: float | None) -> tuple[DeliveryRecord, ...]:
        deadline = time.monotonic() + (
            threading.TIMEOUT_MAX if timeout is None else timeout
        )
        deliveries: tuple[DeliveryRecord, ...] = ()
        while True:
            patience = min(PATIENCE, max(0.05, deadline - time.monotonic()))
            with contextlib.suppress(StoreError):  # another process holds it: ask again
                store = self.store(patience)
                is_known = store.knows(alert_id, timeout=patience)
                deliveries = store.deliveries(alert_id, timeout=patience)
                if is_known and not deliveries:
                    return ()  # it was spilled, and came to be suppressed or unrouted
            if deliveries and all(d.status is not Status.PENDING for d in deliveries):
                return deliveries
            remaining = deadline - time.monotonic()
            if remaining <= 0 or self.mode is not Mode.ONLINE or not self._is_used:
                return deliveries
            with self._settled:
                self._settled.wait(min(remaining, 0.05))

    def untold(
        self, scope: str, *, timeout: float | None = None
    ) -> list[tuple[str, int]]:
        """Return titles, and how often each was suppressed, that no alert told of yet.

        `scope` is the job's id, or else the run's. It takes `timeout` seconds at most.
        """
        if not self._is_used:
            return []
        limit = PATIENCE if timeout is None else timeout

        def ask() -> list[SuppressedKey]:
            self.intake.write_counts(limit)
            return self.store(limit).untold(timeout=limit)

        return [
            (title, one.suppression.count)
            for one in self._quietly(ask) or []
            if (title := title_of(one.key, scope)) is not None
        ]

    def pending(self, *, timeout: float = PATIENCE) -> int:
        """Return how many deliveries are kept, neither made nor failed."""
        if not self._is_used:
            return 0
        return self._quietly(lambda: self.store(timeout).pending(timeout=timeout)) or 0

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until what is due has been tried; False when `timeout` seconds are over.

        A delivery that the service asked to try later is not due: it stays kept.
        """
        if self.mode is Mode.DISABLED:
            return True
        self.start()
        limit = self.settings.flush_timeout if timeout is None else timeout
        return bool(self._quietly(lambda: self._courier.flush(limit)))

    def close(self, timeout: float | None = None) -> None:
        """Flush, stop the background threads and close the store.

        It takes `timeout` seconds at the most; the default is `Settings.finish_timeout`.
        What is left stays kept for the next process with this configuration.
        """
        limit = self.settings.finish_timeout if timeout is None else timeout
        deadline = time.monotonic() + limit
        if self._is_used:
            courier, self._courier = self._courier, self._new_courier()
            self._quietly(lambda: courier.close(limit))
        self.intake.tell_losses()
        if self.state.is_open:
            remaining = max(0.05, deadline - time.monotonic())
            self._quietly(lambda: self.intake.write_counts(remaining))
            self.state.close()
        self._offer_counts()
        self.listening.close(max(0.1, deadline - time.monotonic()))
        self._is_used = False

    def _quietly(self, step: Callable[[], T]) -> T | None:
        """Take a step that must not disturb the caller when the store fails."""
        try:
            return step()
        except StoreBusy as error:
            _log.debug("%s", error)
            return None
        except StoreError as error:
            _log.warning("the store failed; what it holds is kept: %s", error)
            return None

    def _close_at_exit(self) -> None:
        if self._is_used or self._tally is not None:  # it may have only refused
            self.close(self.settings.flush_timeout)

    def _after_fork_in_child(self) -> None:
        self.intake.after_fork_in_child()
        self.state.after_fork_in_child()
        self.listening.after_fork_in_child()
        self._begin()


_notifiers: weakref.WeakSet[Notifier] = weakref.WeakSet()


def _close_all() -> None:
    for notifier in list(_notifiers):
        notifier._close_at_exit()  # noqa: SLF001 - ours


def _after_fork_in_child() -> None:
    for notifier in list(_notifiers):
        notifier._after_fork_in_child()  # noqa: SLF001 - ours


def _close_with_worker() -> None:
    """Close at the end of a multiprocessing worker too: it ends without atexit."""
    util = sys.modules.get("multiprocessing.util")
    process = sys.modules.get("multiprocessing.process")
    if util is not None and process is not None and process.parent_process():
        util.Finalize(None, _close_all, exitpriority=10)


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
