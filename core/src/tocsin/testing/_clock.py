"""Time that stands still until a test moves it."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock:
    """Seconds since the epoch, as the test says: call it to read them.

    `on_move` is called before and after each move, so that what is due at one time is done
    at that time.
    """

    def __init__(self, now: datetime | None, on_move: Callable[[], object]) -> None:
        if now is not None and now.tzinfo is None:
            raise ValueError("now must have a time zone: datetime(…, tzinfo=UTC)")
        self._seconds = time.time() if now is None else now.timestamp()
        self._moving = threading.Lock()
        self._on_move = on_move

    def __call__(self) -> float:
        return self._seconds

    @property
    def now(self) -> datetime:
        """What time it is, in UTC."""
        return datetime.fromtimestamp(self._seconds, UTC)

    def advance(
        self,
        seconds: float = 0.0,
        *,
        minutes: float = 0.0,
        hours: float = 0.0,
        days: float = 0.0,
    ) -> None:
        """Move it on, and have done what is due by then.

        What would be tried many times meanwhile, is tried once, at the end.

        Raises:
            ValueError: It would go back.

        """
        by = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        if by < timedelta():
            raise ValueError(f"the clock goes forward only, and not by {by}")
        self._on_move()
        with self._moving:
            self._seconds += by.total_seconds()
        self._on_move()

    def advance_to(self, then: datetime) -> None:
        """Move it on to a time, such as the end of quiet hours.

        Raises:
            ValueError: That is over, or has no time zone.

        """
        if then.tzinfo is None:
            raise ValueError("the time must have a time zone: datetime(…, tzinfo=UTC)")
        self.advance(then.timestamp() - self._seconds)
