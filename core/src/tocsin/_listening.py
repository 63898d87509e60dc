"""Hands changes of a run to whoever listens, in a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from tocsin._errors import printed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tocsin._listener import Change, Listener, Notify

MAX_WAITING = 10_000
"""Changes that may wait; past that they are dropped, and counted."""

_log = logging.getLogger("tocsin")


class Listening:
    """Calls listeners with one change after the other, in the order in which they are named.

    Nothing of theirs reaches the program: what they raise is told once.
    """

    def __init__(self, listeners: Iterable[Listener], notify: Notify) -> None:
        self._listeners = [one for one in listeners if one.hear is not None]
        self._notify = notify
        self._told: set[str] = set()
        self._waiting: deque[Change] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_busy = False
        self.dropped = 0

    def __bool__(self) -> bool:
        """Say whether anybody listens."""
        return bool(self._listeners)

    def offer(self, change: Change) -> None:
        """Have the listeners hear of a change; it costs the caller microseconds."""
        with self._changed:
            if len(self._waiting) >= MAX_WAITING:
                self.dropped += 1
                return
            self._waiting.append(change)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="tocsin listeners", daemon=True
                )
                try:
                    self._thread.start()
                except RuntimeError:  # the interpreter is shutting down
                    self._thread = None
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._is_busy = False
                self._changed.notify_all()
                while not self._waiting:
                    self._changed.wait()
                change = self._waiting.popleft()
                self._is_busy = True
            self._tell(change)

    def _tell(self, change: Change) -> None:
        for listener in self._listeners:
            try:
                assert listener.hear is not None
                listener.hear(change, self._notify)
            except BaseException as error:  # noqa: BLE001 - a plugin runs anyone's code
                self._tell_once(listener.name, error)

    def _tell_once(self, name: str, error: BaseException) -> None:
        if name not in self._told:
            self._told.add(name)
            _log.warning(
                "the listener %r raised %s: %s; it is called again, and not told again",
                *(name, type(error).__name__, printed(error)),
            )

    def drain(self, timeout: float) -> None:
        """Wait until all that was offered is heard, for so many seconds at most."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while self._thread is not None and (self._waiting or self._is_busy):
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    break
                self._changed.wait(remaining)
            left = len(self._waiting) + self._is_busy + self.dropped
        if left:
            _log.warning("%d changes of the run were not heard by the listeners", left)
