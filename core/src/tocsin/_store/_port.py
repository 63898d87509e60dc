from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Protocol

import attrs

from tocsin._throttle import NONE_SUPPRESSED

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from tocsin._alert import Alert
    from tocsin._provider import Receipt
    from tocsin._retry import Outcome, Progress
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


@attrs.frozen(kw_only=True)
class Submission:
    """An alert on its way into the store."""

    alert: Alert
    """Its attachments are copies."""
    key: str
    """The throttle's key."""
    plan: Sequence[str]
    """The channels it goes to; with none, it is recorded and opens no window."""
    suppressed: Suppression = NONE_SUPPRESSED
    """What was suppressed under this key and is not counted in the store yet."""
    lease: float = 0.0
    """Seconds for which the submitter keeps the deliveries for itself; 0: anyone's."""
    is_adopted: bool = False
    """It comes from a spill file, which is read again after a crash: count it once."""


@attrs.frozen(kw_only=True)
class Claim:
    """A delivery in the hands of one worker, until its lease runs out."""

    delivery_id: str
    channel: str
    place: tuple[int, int]
    """The store's own address of it."""
    token: int
    """Proves the lease when the delivery is settled."""
    lease_until: float
    alert: Alert
    progress: Progress
    suppressed: Suppression = NONE_SUPPRESSED
    """What was suppressed before this alert was admitted."""


@attrs.frozen(kw_only=True)
class Granted:
    """The alert is admitted, and its deliveries are kept."""

    window: Window | None
    claims: tuple[Claim, ...] = ()
    """The deliveries, when the submitter asked for a lease."""
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
class Namespace:
    """A configuration, or an embedding program, that has used a store."""

    name: str
    config: str
    """The configuration file; empty for an embedding program."""
    pending: int
    """Deliveries that are neither delivered nor failed."""


class Store(Protocol):
    """Keeps one namespace's alerts.

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

    def claim(
        self, channels: Mapping[str, int], *, lease: float, now: float
    ) -> list[Claim]:
        """Take deliveries that are due, oldest first, at most so many for each channel.

        A delivery that was claimed `MAX_CLAIMS` times without an outcome is failed.
        """

    def settle(self, claim: Claim, outcome: Outcome, now: float) -> bool:
        """Write down what became of a claim; False when its lease was lost: refused."""

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
        self, channels: Collection[str], *, timeout: float = PATIENCE
    ) -> float | None:
        """Return when a delivery on one of the channels may be claimed next."""

    def pending(
        self, channels: Collection[str] | None = None, *, timeout: float = PATIENCE
    ) -> int:
        """Return how many deliveries are neither delivered nor failed."""

    def deliveries(
        self, alert_id: str, *, timeout: float
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

        Attachments are kept until all deliveries of the alert have succeeded: one that is
        requeued after that goes without them.
        """

    def untold(self, *, timeout: float = PATIENCE) -> list[SuppressedKey]:
        """Return the suppressed alerts that no later alert has told of."""

    def prune(self, before: float) -> int:
        """Forget what was settled, and windows that were opened, before this time."""

    def close(self) -> None:
        """Let go of files and connections; the store may not be used again."""
