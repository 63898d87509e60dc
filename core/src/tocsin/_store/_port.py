from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum
from typing import TYPE_CHECKING, ClassVar, Protocol

import attrs

from tocsin._throttle import NONE_SUPPRESSED

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import datetime

    from tocsin._alert import Alert
    from tocsin._circuit import Circuit
    from tocsin._provider import Receipt
    from tocsin._retry import Outcome, Progress
    from tocsin._routing import Route
    from tocsin._run_record import RunRecord
    from tocsin._silence import Silence
    from tocsin._throttle import Suppression, Window

PATIENCE = 5.0
"""Seconds that background work waits for a store that another process holds."""

MAX_PENDING = 100_000
"""Deliveries of one namespace that may be pending; past that, alerts are refused and told."""


class Status(Enum):
    """Where a delivery stands."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    SILENCED = "silenced"
    """Not sent, on purpose: the reason says why."""


@attrs.frozen(kw_only=True)
class Submission:
    """An alert on its way into the store."""

    alert: Alert
    """Its attachments are copies."""
    key: str
    """The throttle's key."""
    plan: tuple[Route, ...]
    """Where it goes, and when; with none, it is recorded and opens no window."""
    suppressed: Suppression = NONE_SUPPRESSED
    """What was suppressed under this key and is not counted in the store yet."""
    is_new: bool = False
    """Its id was made for it just now: nobody can have submitted it before."""
    is_admitted: bool = False
    """It passed the throttle before, in a store that is damaged or gone."""
    is_adopted: bool = False
    """It comes from a spill file, which is read again after a crash: count it once."""


@attrs.frozen(kw_only=True)
class Member:
    """One alert of several that go as one message."""

    alert: Alert
    suppressed: Suppression
    echoes: tuple[Alert, ...] = ()


@attrs.frozen(kw_only=True)
class Resolved:
    """The alert that a delivery says is over, and what its own delivery got."""

    alert: Alert
    receipt: Receipt
    is_alone: bool
    """Its message told of no other alert."""


@attrs.frozen(kw_only=True)
class Claim:
    """A delivery in the hands of one worker, until its lease runs out."""

    delivery_id: str
    channel: str
    places: tuple[tuple[int, int], ...]
    """The store's own address of it, and of all that go along with it."""
    token: int
    """Proves the lease when the delivery is settled."""
    lease_until: float
    alert: Alert
    progress: Progress
    suppressed: Suppression = NONE_SUPPRESSED
    """What was suppressed before this alert was admitted."""
    members: tuple[Member, ...] = ()
    """With two and more, they go as one message; this alert is the first of them."""
    resolves: Resolved | None = None
    note: str = ""
    """Why it goes to this channel, if it was not planned to."""
    echoes: tuple[Alert, ...] = ()
    """What other witnesses tell of the end that the alert is of."""


@attrs.frozen(kw_only=True)
class Granted:
    """The alert is admitted, and its deliveries are kept."""

    window: Window | None
    suppressed: Suppression = NONE_SUPPRESSED


@attrs.frozen(kw_only=True)
class Known:
    """An alert of this id is there already: nothing new is kept."""

    channels: tuple[str, ...]
    """Where it goes, as it was first planned."""


@attrs.frozen(kw_only=True)
class Withheld:
    """The alert is one too many; it is counted."""

    window: Window
    until: float
    suppressed: Suppression


@attrs.frozen
class Settled:
    """What was written down, and how the channel fared before an attempt and after it."""

    outcome: Outcome
    before: Circuit
    after: Circuit


class Turn(Enum):
    """What a delivery is to do that belongs to a conversation which nobody began."""

    BEGIN = "begin"
    """Be the first: the others wait for what becomes of it."""
    WAIT = "wait"
    """Another is just being the first: the claim is given back until that is settled."""


@attrs.frozen(kw_only=True)
class DeliveryRecord:
    """What is known of one alert to one channel."""

    id: str
    channel: str
    status: Status
    attempts: int
    due_at: datetime | None
    """When it may be tried next; None when it is settled."""
    settled_at: datetime | None
    receipt: Receipt | None
    """What the service said, when it is delivered."""
    reason: str
    """Why it is not delivered yet, or failed; empty when nothing was tried."""
    remedy: str


@attrs.frozen(kw_only=True)
class Record:
    """An alert in the history."""

    alert: Alert
    """Without its attachments' contents."""
    namespace: str
    deliveries: tuple[DeliveryRecord, ...]
    suppressed: Suppression


@attrs.frozen(kw_only=True)
class SuppressedKey:
    """A key under which alerts were suppressed that no later alert has told of yet."""

    key: str
    suppression: Suppression


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


@attrs.frozen(kw_only=True)
class Namespace:
    """A configuration, or an embedding program, that has used a store."""

    name: str
    config: str
    """The configuration file; empty for an embedding program."""
    pending: int
    """Deliveries that are neither delivered nor failed."""


class Store(Protocol):
    """Keeps one namespace's alerts.

    What a caller waits for is `submit` alone, so that it does the least: the alert, its
    plan, and its window. Everything else makes deliveries of the plans first.

    Times are seconds since the epoch; `timeout` is how many seconds a call may wait.

    Every method may be called from any thread, and raises `StoreError` (`StoreBusy` when
    another process holds the store for too long).
    """

    def submit(
        self, submission: Submission, now: float, *, timeout: float
    ) -> Granted | Withheld | Known:
        """Admit the alert and keep its deliveries, or count it: one atomic step.

        Raises:
            StoreBusy: It did not answer within `timeout` seconds.
            StoreFull: `MAX_PENDING` deliveries are pending.

        """

    def resolve(
        self, submission: Submission, now: float, *, timeout: float
    ) -> tuple[str, ...]:
        """Tell that the last alert of this key is over, on the channels that had it.

        Returns these; with none, nothing is kept. The plan says what else is known of the
        channels: when they may be told. It closes the window.

        Raises:
            StoreBusy: It did not answer within `timeout` seconds.

        """

    def claim(
        self, channels: Mapping[str, int], *, lease: float, now: float
    ) -> list[Claim]:
        """Take deliveries that are due, oldest first, at most so many for each channel.

        A delivery that was claimed `MAX_CLAIMS` times without an outcome is failed, one
        that a silence matches is silenced. From a channel that fails, one is handed out at
        a time.
        """

    def settle(
        self, claim: Claim, outcome: Outcome, now: float, *, fallback: str = ""
    ) -> Settled | None:
        """Write down what became of a claim; None when its lease was lost: refused.

        With a `fallback`, what ends as failed goes to that channel.
        """

    def hand_over(
        self, channel: str, fallback: str, now: float, *, after: float, is_broken: bool
    ) -> int:
        """Give what has waited `after` seconds for a channel that fails to another one.

        With `is_broken` it fails whatever the attempts said. Returns how many deliveries.
        """

    def join(self, claim: Claim, conversation: str, now: float) -> Receipt | Turn:
        """Return what the first message of a conversation got, or what to do without."""

    def release(
        self,
        claims: Iterable[Claim],
        now: float,
        *,
        delay: float = 0,
        reason: str = "",
        timeout: float = PATIENCE,
    ) -> None:
        """Give claims back that were never tried; they do not count.

        They are due in `delay` seconds; `reason` says what keeps them.
        """

    def count(
        self, suppressed: Mapping[str, Suppression], *, timeout: float = PATIENCE
    ) -> None:
        """Add to the counts of what was suppressed, by key."""

    def next_due(
        self,
        channels: Collection[str],
        *,
        now: float | None = None,
        timeout: float = PATIENCE,
    ) -> float | None:
        """Return when a delivery on one of the channels may be claimed next.

        With `now` it leaves out what only a clock that was ahead can have put off.
        """

    def pending(
        self, channels: Collection[str] | None = None, *, timeout: float = PATIENCE
    ) -> int:
        """Return how many deliveries are neither delivered nor failed."""

    def deliveries(
        self, alert_id: str, *, timeout: float = PATIENCE
    ) -> tuple[DeliveryRecord, ...]:
        """Return the deliveries of one alert, in the order of the plan.

        Raises:
            StoreBusy: It did not answer within `timeout` seconds.

        """

    def knows(self, alert_id: str, *, timeout: float = PATIENCE) -> bool:
        """Say whether the alert was submitted, whatever became of it."""

    def history(self, *, limit: int, failed_only: bool = False) -> list[Record]:
        """Return the newest alerts, oldest first."""

    def find(self, prefix: str) -> list[str]:
        """Return the ids of the deliveries whose id, or whose alert's, begins so."""

    def requeue(self, delivery_id: str, now: float) -> bool:
        """Make a settled delivery pending again, as if it had never been tried.

        Its channel is tried at once, if it fails: with one delivery. Attachments are kept
        until all deliveries of the alert have succeeded: one that is requeued after that
        goes without them.
        """

    def untold(self, *, timeout: float = PATIENCE) -> list[SuppressedKey]:
        """Return the suppressed alerts that no later alert has told of."""

    def circuits(self) -> dict[str, Circuit]:
        """Return the channels that fail or have to wait, and how."""

    def try_again(self, channel: str, now: float) -> None:
        """Try a channel that fails now, with one delivery: that decides for the others."""

    def mend(self, channel: str, now: float) -> bool:
        """Take a channel to be in order again; False when it was."""

    def silences(self, now: float) -> list[Silence]:
        """Return the silences that are not over, in the order of their ends."""

    def silence(self, silence: Silence) -> None:
        """Keep a silence; it holds for what is not sent yet, too."""

    def expire(self, silence_id: str, now: float) -> bool:
        """End a silence; False when none that is not over has this id."""

    def standings(self, since: float = 0.0) -> list[Standing]:
        """Count what is pending, and what was settled since then, by what became of it."""

    def put_run(self, record: RunRecord, *, timeout: float = PATIENCE) -> None:
        """Keep what is known of one member of a run, in place of what was."""

    def runs(
        self, scope: str | None = None, *, timeout: float = PATIENCE
    ) -> list[RunRecord]:
        """Return the members of runs, of all or of one job or run, by their start."""

    def note_lost(
        self, record: RunRecord, lost_at: float | None, *, timeout: float = PATIENCE
    ) -> None:
        """Note that a member's heartbeat was told to be lost, or is back."""

    def namespaces(self) -> list[Namespace]:
        """Return everyone who uses this store."""

    def prune(self, before: float) -> int:
        """Forget what was settled, and windows that were opened, before this time."""

    def close(self) -> None:
        """Let go of files and connections; the next use, if any, opens them again."""


@attrs.frozen
class StoreProvider(ABC):
    """A kind of store: its settings, and how a store is opened.

    Derive an attrs class from it. Its fields are the settings in the table ``[store]`` of
    the configuration; a validator that raises ``ValueError`` or ``TypeError`` is a mistake
    in the configuration.
    """

    name: ClassVar[str]
    """The word in ``provider = "…"``, and the name of the entry point."""

    @abstractmethod
    def open(self, namespace: str, config: str, *, timeout: float) -> Store:
        """Open what is `namespace`'s own, for a process; import SDKs here.

        `config` is the file of that namespace's configuration, and empty for a program
        that made its settings in code: `Store.namespaces` tells it to others. Whatever it
        raises is told, and it is called again: alerts are kept in a file until then.

        Raises:
            StoreError: It cannot be opened, within `timeout` seconds.

        """
