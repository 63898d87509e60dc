"""Signals, waited for one at a time, with what is known of their senders.

A signal that the terminal sends is for its whole foreground process group, so that a child
in it has that signal, too; one that somebody sends to this process is for this process
alone, and must be passed on. Linux tells the two apart (``si_code``, sigaction(2)), as
sudo does it; elsewhere the terminal is taken for the sender when we are in its foreground.
"""

from __future__ import annotations

import collections
import contextlib
import os
import select
import signal
import sys
import time
from typing import TYPE_CHECKING, Self

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType, TracebackType

_NAMES = (
    *("SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGALRM"),
    *("SIGCONT", "SIGTSTP", "SIGWINCH", "SIGXCPU"),
)
_KEYS = {"SIGINT", "SIGQUIT", "SIGTSTP"}
"""Those that a terminal sends when a key is pressed."""
_PR_SET_DUMPABLE = 4  # prctl(2)
_LONGEST = 3600.0  # seconds: then one looks again


@attrs.frozen(kw_only=True)
class Caught:
    """A signal that came."""

    name: str
    is_ours_alone: bool
    """Whether the child has not got it from whoever sent it."""

    @property
    def number(self) -> int:
        """The signal's number here."""
        return signal.Signals[self.name]


class Signals:
    """Holds back signals while it is entered, and hands them out.

    What was ignored before stays ignored, here and in a child, as under nohup. Enter it
    before any thread is started; a child is to be started with the mask `before`.
    """

    before: Iterable[int] = ()
    """The signals that were held back already."""

    def __init__(self) -> None:
        self._taken = {
            number
            for name in _NAMES
            if signal.getsignal(number := signal.Signals[name]) != signal.SIG_IGN
        }
        self._taken.add(signal.SIGCHLD)

    def __enter__(self) -> Self:
        signal.signal(
            signal.SIGCHLD, signal.SIG_DFL
        )  # ignored, it would reap the child
        self.before = signal.pthread_sigmask(signal.SIG_BLOCK, self._taken)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        while self.wait(0):  # it was for the child, which has ended
            pass
        signal.pthread_sigmask(signal.SIG_SETMASK, self.before)

    def wait(self, timeout: float, child: int = 0) -> Caught | None:
        """Return the next signal, or None when there is none for `timeout` seconds."""
        info = signal.sigtimedwait(self._taken, min(timeout, _LONGEST))
        if info is None:
            return None
        name = signal.Signals(info.si_signo).name
        is_sent = info.si_code <= 0 and info.si_pid != child
        # a terminal that hangs up tells the leader of its session alone, perhaps
        return Caught(name=name, is_ours_alone=is_sent or name == "SIGHUP")

    def waiting(self) -> set[str]:
        """Name the signals that came and were not handed out."""
        return {signal.Signals(number).name for number in signal.sigpending()}


class HandledSignals(Signals):
    """Likewise where nobody tells who sent a signal, as on macOS."""

    def __enter__(self) -> Self:
        self._came: collections.deque[str] = collections.deque()
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._wakes = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        self._handlers = {
            number: signal.signal(number, self._note) for number in self._taken
        }
        self.before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakes)
        os.close(self._read)
        os.close(self._write)

    def _note(self, number: int, _: FrameType | None) -> None:
        self._came.append(signal.Signals(number).name)

    def wait(self, timeout: float, child: int = 0) -> Caught | None:  # noqa: ARG002 - nobody tells the sender
        until = time.monotonic() + min(timeout, _LONGEST)
        while not self._came:
            left = until - time.monotonic()
            if left <= 0:
                return None
            if select.select([self._read], [], [], left)[0]:
                os.read(self._read, 512)
        name = self._came.popleft()
        is_everyones = name in _KEYS and _is_in_foreground()
        return Caught(name=name, is_ours_alone=not is_everyones)

    def waiting(self) -> set[str]:
        return set(self._came)


def _is_in_foreground() -> bool:
    with contextlib.suppress(OSError):
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
        try:
            return os.tcgetpgrp(terminal) == os.getpgrp()
        finally:
            os.close(terminal)
    return False


def held_back() -> Signals:
    """Return what holds signals back on this system."""
    return Signals() if sys.platform == "linux" else HandledSignals()


def die_by(name: str) -> None:
    """End this process by a signal, without a core dump of its own.

    It returns where that is not possible: as the first process of a container.
    """
    number = signal.Signals[name]
    _forbid_core_dump()
    with contextlib.suppress(OSError):  # SIGKILL has no handler
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
    os.kill(os.getpid(), number)


def _forbid_core_dump() -> None:
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    if (
        sys.platform == "linux"
    ):  # a program that takes core dumps is started all the same
        import ctypes

        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
