"""Hands what happens to whoever listens, in a thread of its own."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from tocsin._errors import printed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tocsin._listener import Listener

    Notice = tuple[str, Mapping[str, object]]

MAX_WAITING = 10_000
"""Notices that may wait; past that they are dropped, counted and told."""

_log = logging.getLogger("tocsin")


class Listening:
    """Calls listeners with one notice after the other, in the order in which they are named.

    A notice is a hook's name, and its arguments. Nothing of theirs reaches the program: what
    they raise is told once.
    """

    def __init__(self, listeners: Iterable[Listener]) -> None:
        self._calls: dict[str, list[tuple[str, Callable[..., object]]]] = {}
        self._problems = []
        for listener in listeners:
            for hook, call in listener.hears.items():
                self._calls.setdefault(hook, []).append((listener.name, call))
            if listener.problem:
                self._problems.append((listener.name, listener.problem))
        self.dropped = 0
        self._begin()

    def _begin(self) -> None:
        self._told: set[str] = set()
        self._waiting: deque[Notice] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_busy = False
        self._is_ending = False

    def hears(self, hook: str) -> bool:
        """Say whether anybody hears this hook: else there is nothing to make for it."""
        return hook in self._calls

    @property
    def has_room(self) -> bool:
        """Whether one more notice may wait."""
        return len(self._waiting) < MAX_WAITING

    def start(self) -> None:
        """Start the thread, if anybody listens: at the end of a program none may start."""
        for problem in self._problems:
            _log.warning("the listener %r: %s", *problem)
        if self._calls:
            with self._changed:
                self._start()

    def _start(self) -> None:
        self._is_ending = False
        if self._thread is None:
            thread = threading.Thread(
                target=self._run, name="tocsin listeners", daemon=True
            )
            with contextlib.suppress(RuntimeError):  # the interpreter is shutting down
                thread.start()
                self._thread = thread

    def offer(self, hook: str, facts: Mapping[str, object]) -> None:
        """Have the listeners hear of something; it costs the caller microseconds."""
        if hook not in self._calls:
            return
        with self._changed:
            if self.has_room:
                self._put(hook, facts)
            else:
                self.dropped += 1
                self._tell_once("", "listeners are too slow, and do not hear of all")

    def insist(self, hook: str, facts: Mapping[str, object]) -> None:
        """Have them hear of what sums up, and comes seldom, however much waits."""
        with self._changed:
            self._put(hook, facts)

    def _put(self, hook: str, facts: Mapping[str, object]) -> None:
        self._waiting.append((hook, facts))
        self._start()
        self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._is_busy = False
                self._changed.notify_all()
                while not self._waiting:
                    if self._is_ending:
                        self._thread = None
                        return
                    self._changed.wait()
                notice = self._waiting.popleft()
                self._is_busy = True
            self._tell(*notice)

    def _tell(self, hook: str, facts: Mapping[str, object]) -> None:
        for name, call in self._calls[hook]:
            try:
                call(**facts)
            except BaseException as error:  # noqa: BLE001 - a plugin runs anyone's code
                self._tell_once(
                    name,
                    f"the listener {name!r} raised {type(error).__name__}: "
                    f"{printed(error)}; it is called again, and not told again",
                )

    def _tell_once(self, who: str, message: str) -> None:
        if who not in self._told:
            self._told.add(who)
            _log.warning("%s", message)

    def drain(self, timeout: float) -> int:
        """Wait `timeout` seconds until all is heard; return how much is not yet."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while self._thread is not None and (self._waiting or self._is_busy):
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    break
                self._changed.wait(remaining)
            return len(self._waiting) + self._is_busy

    def close(self, timeout: float) -> None:
        """Drain, tell what was not heard, and let the thread end."""
        unheard = self.drain(timeout) + self.dropped
        with self._changed:
            self._is_ending = True
            self._changed.notify_all()
        if unheard:
            _log.warning("listeners did not hear of %d things that happened", unheard)

    def after_fork_in_child(self) -> None:
        """Begin anew: what waits is the parent's to hear."""
        self.dropped = 0
        self._begin()
