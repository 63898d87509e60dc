"""The local memory of open windows: it answers a suppressed call without the disk."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from tocsin._throttle import NONE_SUPPRESSED, Suppression, suppressed_until

if TYPE_CHECKING:
    from tocsin._alert import AlertLevel
    from tocsin._throttle import Window

MAX_WINDOWS = 10_000
"""Keys remembered; the oldest is forgotten first, and then asks the store again."""


class Gate:
    """Remembers the last admission of each key, and counts what it suppressed since.

    What it suppresses lies within the alert's own wait of an admission by this process, or
    of one that the store told of; it does not see what other processes admit meanwhile.
    Its counts are taken from it to be written down.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a signal handler may raise an alert too
        self._windows: dict[str, Window] = {}
        self._totals: dict[str, int] = {}
        self._unwritten: dict[str, Suppression] = {}

    def suppress(
        self, key: str, level: AlertLevel, wait_duration: float, now: float
    ) -> float | None:
        """Count the alert and return until when it is suppressed; None: ask the store."""
        until = suppressed_until(self._windows.get(key), level, wait_duration, now)
        if until is not None:
            with self._lock:
                self._add(key, Suppression(1, now))
                self._totals[key] = self._totals.get(key, 0) + 1
        return until

    def total(self, key: str) -> int:
        """Return how many of this key are known to be suppressed since its admission."""
        return self._totals.get(key, 0)

    def remember(self, key: str, window: Window, suppressed: int = 0) -> None:
        """Take note of an admission, and of how many were suppressed since."""
        with self._lock:
            self._windows.pop(key, None)
            self._windows[key] = window
            self._totals[key] = suppressed
            if len(self._windows) > MAX_WINDOWS:
                oldest = next(iter(self._windows))
                del self._windows[oldest]
                self._totals.pop(oldest, None)

    def take(self, key: str) -> Suppression:
        """Hand over the unwritten count of one key."""
        with self._lock:
            return self._unwritten.pop(key, NONE_SUPPRESSED)

    def take_all(self) -> dict[str, Suppression]:
        """Hand over every unwritten count."""
        with self._lock:
            taken, self._unwritten = self._unwritten, {}
        return taken

    def give_back(self, suppressed: dict[str, Suppression]) -> None:
        """Take counts back that could not be written."""
        with self._lock:
            for key, more in suppressed.items():
                if more.count:
                    self._add(key, more)

    def _add(self, key: str, more: Suppression) -> None:
        self._unwritten[key] = self._unwritten.get(key, NONE_SUPPRESSED) + more
        if len(self._unwritten) > MAX_WINDOWS:  # the store has been down for long
            del self._unwritten[next(iter(self._unwritten))]

    def after_fork_in_child(self) -> None:
        """Keep the windows; the counts are the parent's to write."""
        self._lock = threading.RLock()
        self._unwritten = {}
