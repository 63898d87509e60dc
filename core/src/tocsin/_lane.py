"""One channel in one process: the claims that wait for a worker, and the workers."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tocsin._provider import Provider
    from tocsin._settings import Channel
    from tocsin._store import Claim

MAX_WORKERS = 32
"""Deliveries under way at once in one process."""
MAX_ABANDONED = 2
"""Workers of one channel that hang past their time; with so many, the channel waits."""


@attrs.define(eq=False)
class Attempt:
    """A claim in the hands of a worker."""

    claim: Claim
    started: float
    is_over: bool = False
    is_abandoned: bool = False


class Lane:
    """The queue of one channel, under the courier's lock."""

    def __init__(
        self, channel: Channel, provider: Provider, lock: threading.RLock
    ) -> None:
        self.name = channel.name
        self.channel = channel
        self.provider = provider
        self.concurrency = max(1, min(provider.concurrency, MAX_WORKERS))
        self.workers = 0
        self.abandoned = 0
        self.blocked_until = 0.0  # on the monotonic clock
        self._lock = lock
        self._arrived = threading.Condition(lock)
        self._queue: deque[Claim] = deque()
        self._running: list[Attempt] = []

    @property
    def load(self) -> int:
        """How many claims wait or are being tried."""
        return len(self._queue) + len(self._running)

    @property
    def is_blocked(self) -> bool:
        """Whether this process cannot use the channel for now."""
        return self.abandoned >= MAX_ABANDONED or time.monotonic() < self.blocked_until

    @property
    def free(self) -> int:
        """How many more claims it can take."""
        return 0 if self.is_blocked else max(0, self.concurrency - self.load)

    def add(self, claim: Claim) -> None:
        """Let a claim wait for a worker."""
        with self._lock:
            self._queue.append(claim)
            self._arrived.notify()

    def hires(self) -> bool:
        """Say whether one more worker is needed, and count it."""
        with self._lock:
            is_staffed = self.workers >= min(self.concurrency, self.load)
            if is_staffed or not self._queue:
                return False
            self.workers += 1
            return True

    def next(self, patience: float) -> Attempt | None:
        """Wait for a claim for so many seconds; None ends the worker."""
        with self._lock:
            if not self._queue:
                self._arrived.wait(patience)
            if not self._queue:
                return None
            attempt = Attempt(self._queue.popleft(), time.monotonic())
            self._running.append(attempt)
            return attempt

    def end(self, attempt: Attempt) -> bool:
        """Note that the provider came back; say whether anybody waits for what it says."""
        with self._lock:
            if attempt.is_abandoned:
                self.abandoned -= 1
            attempt.is_over = True
            return not attempt.is_abandoned

    def close(self, attempt: Attempt) -> None:
        """Forget an attempt whose outcome is written down."""
        with self._lock:
            self._running.remove(attempt)

    def dismiss(self) -> None:
        """Count one worker less."""
        with self._lock:
            self.workers -= 1

    def abandon(self, overdue: float) -> Iterable[Claim]:
        """Give up the workers that hang since before this time; return their claims."""
        hung = []
        with self._lock:
            for attempt in list(self._running):
                if attempt.started < overdue and not attempt.is_over:
                    attempt.is_abandoned = True
                    self._running.remove(attempt)
                    self.workers -= 1
                    self.abandoned += 1
                    hung.append(attempt.claim)
        return hung

    def clear(self) -> list[Claim]:
        """Let go of what waits, and of the workers that wait for it."""
        with self._lock:
            left = list(self._queue)
            self._queue.clear()
            self._arrived.notify_all()
        return left
