"""How many alerts were raised, and what became of the calls."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from tocsin._results import Result


@attrs.frozen(kw_only=True)
class AlertCounts:
    """How many calls raised an alert, by what they returned."""

    admitted: int = 0
    suppressed: int = 0
    unrouted: int = 0
    deferred: int = 0
    refused: int = 0

    @property
    def raised(self) -> int:
        """All of them."""
        return sum(attrs.astuple(self))


class Tally:
    """Counts calls, until somebody takes the counts."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a signal handler may raise an alert too
        self._counts: dict[type[Result], int] = {}

    def add(self, kind: type[Result]) -> None:
        """Count one call more that returned one of these."""
        with self._lock:
            self._counts[kind] = self._counts.get(kind, 0) + 1

    def take(self) -> AlertCounts | None:
        """Hand over what was counted; None when nothing was."""
        with self._lock:
            counts, self._counts = self._counts, {}
        if not counts:
            return None
        return AlertCounts(**{kind.__name__.lower(): n for kind, n in counts.items()})

    def after_fork_in_child(self) -> None:
        """Leave the counts to the parent."""
        self._lock, self._counts = threading.RLock(), {}
