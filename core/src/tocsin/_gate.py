"""The local memory of open windows: it answers a suppressed call without the disk."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from tocsin._throttle import NONE_SUPPRESSED, Suppression, suppressed_until

if TYPE_CHECKING:
    from tocsin._alert import AlertLevel
    from tocsin._throttle import Window

MAX_WINDOWS = 10_000
"""Keys remembered; the oldest is forgotten first, and then asks the store again."""
MEMORY = 10.0
"""Seconds after which the store is asked again: what other processes admitted meanwhile,
or ended, is known here so much later at most."""


class _Key:
    """What is remembered of a key."""

    __slots__ = ("asked_at", "total", "window")

    def __init__(self, window: Window, total: int, asked_at: float) -> None:
        self.window = window
        self.total = total
        self.asked_at = asked_at


class _Count:
    """How many alerts of a key were suppressed, and since when."""

    __slots__ = ("count", "since")

    def __init__(self) -> None:
        self.count = 0
        self.since: float | None = None

    def add(self, count: int, since: float | None) -> None:
        self.count += count
        if self.since is None or (since is not None and since < self.since):
            self.since = since

    @property
    def value(self) -> Suppression:
        return Suppression(self.count, self.since)


class Gate:
    """Remembers the last admission of each key, and counts what it suppressed since.

    What it suppresses lies within the alert's own wait of an admission by this process, or
    of one that the store told of. Its counts are taken from it to be written down.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a signal handler may raise an alert too
        # a dict would look for its first item past all that were deleted before it
        self._keys: OrderedDict[str, _Key] = OrderedDict()
        self._unwritten: OrderedDict[str, _Count] = OrderedDict()

    def suppress(
        self, key: str, level: AlertLevel, wait_duration: float, now: float
    ) -> tuple[float, int] | None:
        """Count the alert; return until when it is suppressed, and how many are by now.

        None: ask the store.
        """
        with self._lock:
            known = self._keys.get(key)
            if known is None or abs(now - known.asked_at) > MEMORY:
                return None
            until = suppressed_until(known.window, level, wait_duration, now)
            if until is None:
                return None
            known.total += 1
            self._add(key, 1, now)
            return until, known.total

    def remember(
        self, key: str, window: Window, now: float, suppressed: int = 0
    ) -> None:
        """Take note of an admission, and of how many were suppressed since."""
        counted = self._unwritten.get(key)  # by other threads meanwhile
        suppressed += 0 if counted is None else counted.count
        with self._lock:
            self._keys[key] = _Key(window, suppressed, now)
            self._keys.move_to_end(key)
            if len(self._keys) > MAX_WINDOWS:
                self._keys.popitem(last=False)

    def forget(self, key: str) -> None:
        """Ask the store next time."""
        with self._lock:
            self._keys.pop(key, None)

    def take(self, key: str) -> Suppression:
        """Hand over the unwritten count of one key."""
        with self._lock:
            count = self._unwritten.pop(key, None)
        return NONE_SUPPRESSED if count is None else count.value

    def take_all(self) -> dict[str, Suppression]:
        """Hand over every unwritten count."""
        with self._lock:
            taken, self._unwritten = self._unwritten, OrderedDict()
        return {key: count.value for key, count in taken.items()}

    def give_back(self, suppressed: dict[str, Suppression]) -> None:
        """Take counts back that could not be written."""
        with self._lock:
            for key, more in suppressed.items():
                if more.count:
                    self._add(key, more.count, more.since)

    def _add(self, key: str, count: int, since: float | None) -> None:
        known = self._unwritten.get(key)
        if known is None:
            known = self._unwritten[key] = _Count()
            if len(self._unwritten) > MAX_WINDOWS:  # the store has been down for long
                self._unwritten.popitem(last=False)
        known.add(count, since)

    def after_fork_in_child(self) -> None:
        """Keep the windows; the counts are the parent's to write."""
        self._lock = threading.RLock()
        self._unwritten = OrderedDict()
