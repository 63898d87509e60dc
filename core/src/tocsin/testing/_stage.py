"""Where notifiers are while alerts are captured: in memory, with recorders for channels."""

from __future__ import annotations

import functools
import itertools
import json
import os
import threading
from typing import TYPE_CHECKING

import attrs

from tocsin import _notifier
from tocsin import _places as places
from tocsin._config import load
from tocsin._mode import Mode
from tocsin._notifier import Notifier
from tocsin._routing import Subscription
from tocsin._settings import Channel, Settings
from tocsin._store import Granted, Status
from tocsin._store.sqlite import SqliteStore
from tocsin.testing._clock import Clock
from tocsin.testing._diverted import Diverted
from tocsin.testing._recorder import Inbox, Recorder, recorder_for
from tocsin.testing._records import Sent, Unsent

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from datetime import datetime

    from tocsin._alert import Alert
    from tocsin._intake import Intake
    from tocsin._store import Known, Record, Submission, Withheld

CHANNEL = "alerts"
"""The one channel of a capture that was given no configuration."""

_PATIENCE = 60.0
"""Seconds that a busy machine may take for what is done in a moment."""
_EVER = 1e11
"""Seconds: longer than any test goes on."""
_ALL = 1_000_000_000


class _AnyTeam(dict[str, frozenset[str]]):
    """Every team there may be, each open to anyone."""

    def get(self, *_: object) -> frozenset[str]:
        return frozenset()


class _Anyones(Subscription):
    """A user's subscription that lets through what any user's would."""

    __slots__ = ()

    def objection(self, alert: Alert) -> str:
        """Return why this alert is not let through, whoever's it is."""
        origin = attrs.evolve(alert.origin, user=self.owner)
        return super().objection(attrs.evolve(alert, origin=origin))


class _Memory(SqliteStore):
    """The store of one namespace: notifiers come and go, it stays."""

    def __init__(self, namespace: str, note: Callable[[str], None]) -> None:
        super().__init__(places.MEMORY, namespace)
        self._note = note

    def submit(
        self, submission: Submission, now: float, *, timeout: float
    ) -> Granted | Withheld | Known:
        """See `Store.submit`."""
        verdict = super().submit(submission, now, timeout=timeout)
        if isinstance(verdict, Granted):
            self._note(submission.alert.id)
        return verdict

    def resolve(
        self, submission: Submission, now: float, *, timeout: float
    ) -> tuple[str, ...]:
        """See `Store.resolve`."""
        self._note(submission.alert.id)
        return super().resolve(submission, now, timeout=timeout)

    def close(self) -> None:
        """Stay: what one notifier leaves, the next one of the namespace has."""

    def end(self) -> None:
        """Let go of the memory."""
        super().close()


@attrs.frozen(kw_only=True)
class Seen:
    """All that is known of a capture at one time."""

    sent: tuple[Sent, ...]
    unsent: tuple[Unsent, ...]
    unrouted: tuple[Alert, ...]
    suppressed: dict[str, int]


class Stage:
    """Owns the notifiers of a capture, and their stores; it is the `Stage` of all of them."""

    def __init__(
        self,
        config: str | os.PathLike[str] | None,
        settings: Settings | None,
        now: datetime | None,
    ) -> None:
        if config is not None and settings is not None:
            raise TypeError("give config or settings, and not both")
        self.clock = Clock(now, self.flush)
        self.inbox = Inbox()
        self._lock = threading.RLock()
        self._notifiers: list[Notifier] = []
        self._stores: dict[str, _Memory] = {}
        self._order: dict[str, int] = {}
        self._numbers = itertools.count()
        self._diverted: list[tuple[Notifier, Intake]] = []
        self._last: Seen | None = None
        self._config = config
        self._given = settings if config is None else load(config)

    @property
    def default(self) -> Settings:
        """What holds where the program names no configuration."""
        return self.settings(self._given or self._plain())

    def _plain(self) -> Settings:
        return Settings(
            channels={CHANNEL: Recorder(self.inbox)},
            subscriptions=[_Anyones(channels=[CHANNEL])],
            teams=_AnyTeam(),
        )

    def load(self, path: str | os.PathLike[str] | None) -> Settings:
        """Return the capture's own configuration, or else the one that the program names."""
        if self._given is not None or path is None:
            return self.default
        return load(path)

    def settings(self, given: Settings) -> Settings:
        """Return the same with recorders for channels, in memory, and with much patience."""
        return attrs.evolve(
            given,
            channels=[
                self._recording(channel, turn)
                for turn, channel in enumerate(given.channels.values())
            ],
            state_dir=places.MEMORY,
            store=None,
            network_state=False,
            submit_timeout=_PATIENCE,
            flush_timeout=_PATIENCE,
            finish_timeout=_PATIENCE,
            retention=_EVER,
        )

    def _recording(self, channel: Channel, turn: int) -> Channel:
        if channel.provider is None:  # its plugin is broken
            return channel
        recorder = recorder_for(channel.provider, self.inbox, turn)
        return attrs.evolve(channel, provider=recorder)

    def adopt(self, notifier: Notifier) -> None:
        """Keep a notifier, and give it the store of its namespace."""
        with self._lock:
            store = self._stores.get(notifier.namespace)
            if store is None:
                store = _Memory(notifier.namespace, self._note)
                store.open(notifier.settings.source, self.clock(), timeout=_PATIENCE)
                self._stores[notifier.namespace] = store
            notifier.state._store = store  # noqa: SLF001 - ours
            self._notifiers.append(notifier)

    def _note(self, alert_id: str) -> None:
        self._order.setdefault(alert_id, next(self._numbers))

    def divert(self) -> None:
        """Take what is raised at notifiers that were made before, too."""
        for notifier in list(_notifier._notifiers):  # noqa: SLF001 - ours
            if notifier.mode is not Mode.DISABLED:
                self._diverted.append((notifier, notifier.intake))
                double = functools.partial(self._double_of, notifier)
                diverted = Diverted(notifier, double, self.clock)
                notifier.intake = diverted  # type: ignore[assignment]  # stands in for it

    def _double_of(self, notifier: Notifier) -> Notifier:
        """Return a notifier of the capture in the place of one that was made before."""
        given = notifier.settings
        is_found = not given.channels or given.source == _found()
        if is_found or (given.source and self._given is not None):
            given = self.default
        return Notifier(given, namespace=notifier.namespace, mode=notifier.mode)

    def restore(self) -> None:
        """Give the notifiers back what they had."""
        while self._diverted:
            notifier, intake = self._diverted.pop()
            notifier.intake = intake

    def flush(self) -> None:
        """Have all done that is due by the clock."""
        if self._last is not None:
            return
        with self._lock:
            notifiers = list(self._notifiers)
        _listen_out()
        used = [one for one in notifiers if one._is_used]  # noqa: SLF001 - ours
        for notifier in used:
            notifier.flush(_PATIENCE)
        for notifier in self._heirs(notifiers, used):
            notifier.flush(_PATIENCE)
        self.inbox.note_look()

    def _heirs(
        self, notifiers: list[Notifier], used: list[Notifier]
    ) -> Collection[Notifier]:
        """Return who takes care of what notifiers left that are closed."""
        cared_for = {one.namespace for one in used}
        heirs = {
            one.namespace: one
            for one in notifiers
            if one.namespace not in cared_for and one.mode is Mode.ONLINE
        }
        return [
            heir for name, heir in heirs.items() if self._stores[name].pending() > 0
        ]

    def look(self) -> Seen:
        """Have all done that is due, and return what came of it."""
        if self._last is not None:
            return self._last
        self.flush()
        return self._seen()

    def _seen(self) -> Seen:
        with self._lock:
            stores = list(self._stores.values())
        order = dict(self._order)
        records = [one for store in stores for one in store.history(limit=_ALL)]
        records.sort(key=lambda one: order.get(one.alert.id, _ALL))
        return Seen(
            sent=self._sent(order),
            unsent=tuple(_unsent(records)),
            unrouted=tuple(one.alert for one in records if not one.deliveries),
            suppressed=_suppressed(records, stores),
        )

    def _sent(self, order: dict[str, int]) -> tuple[Sent, ...]:
        """Return the messages as the alerts were raised, however fast each channel was."""
        arrived = sorted(
            self.inbox.arrived(),
            key=lambda one: (
                one.look,
                order.get(one.sent.alert.id, _ALL),
                one.turn,
            ),
        )
        return tuple(one.sent for one in arrived)

    def close(self) -> None:
        """Have all done that is due, remember what came of it, and let go of all."""
        self._last = self.look()
        for notifier in self._notifiers:
            notifier.close(_PATIENCE)
        for store in self._stores.values():
            store.end()


def _found() -> str | None:
    """Return the configuration that a program finds that names none."""
    file = places.config_file()
    return None if file is None else os.path.realpath(file)


def _listen_out() -> None:
    """Let listeners hear what the run has to say: they may alert of it."""
    from tocsin import _session

    life = getattr(_session.current(), "_life", None)
    listening = getattr(life, "_listening", None)
    if listening:
        listening.drain(_PATIENCE)


def _unsent(records: list[Record]) -> list[Unsent]:
    return [
        Unsent(
            alert=record.alert,
            channel=one.channel,
            status=one.status,
            reason=one.reason or _held(one.due_at),
        )
        for record in records
        for one in record.deliveries
        if one.status is not Status.DELIVERED
    ]


def _held(due_at: datetime | None) -> str:
    return "" if due_at is None else f"held until {due_at:%Y-%m-%d %H:%M:%S} UTC"


def _suppressed(records: list[Record], stores: list[_Memory]) -> dict[str, int]:
    """Return how many were suppressed, by title or key: told by a later one or not."""
    counts: dict[str, int] = {}
    for record in records:
        if record.suppressed.count:
            key = record.alert.key or record.alert.title
            counts[key] = counts.get(key, 0) + record.suppressed.count
    for store in stores:
        for one in store.untold():
            key = str(json.loads(one.key)[-1])
            counts[key] = counts.get(key, 0) + one.suppression.count
    return counts
