"""Signals that ask a process to end: it tells of them, and ends as it would have."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from types import FrameType

_SIGNALS = ("SIGTERM", "SIGHUP")
_GRACE = 10.0
"""Seconds at most that a signal is kept from ending the process."""
_SUBMITTED = 0.5
"""Seconds at most that the program's own handler waits until the alert is sent."""
_LEAVING = 1.0
"""Seconds at most that a signal waits for our own code, in whose middle it came."""
_STUCK = 2.0
"""Seconds after which a main thread that takes no signal is in code that is not Python's."""
_OURS = __name__.rpartition(".")[0] + "._"
_WATCHING = _OURS + "watching"  # what it calls is the program's own


class Watched(Protocol):
    """What is told: the run that is current in this process."""

    def _failed(self, error: BaseException) -> None:
        """Note that the program ends with an exception."""

    def _stumbled(self, error: BaseException, where: str, *, is_grave: bool) -> None:
        """Note an exception that nobody caught; the program goes on."""

    def _stopped(self, signal_name: str, *, is_last: bool) -> None:
        """Note a signal; with `is_last` the process ends when this returns."""

    def _leave(self) -> None:
        """Deliver what there is: a process ends to which the run was sent."""

    @property
    def _is_own(self) -> bool:
        """Whether this process started it, and it has not ended."""


Current = Callable[[], Watched | None]


def install(current: Current) -> None:
    """Handle the signals that nobody handles, or whose handler is the program's own."""
    if os.name == "nt":  # it has no such signals, and ends a process without them
        return
    for name in _SIGNALS:
        _Signal.install(name, current)
    _Bell.install()


def _leave() -> None:
    """Handle no signal any more: in a child that was forked the run is the parent's."""
    _Bell.leave()
    for name in _SIGNALS:
        number = getattr(signal, name)
        handler = signal.getsignal(number)
        if isinstance(handler, _Signal):
            handler.leave(number)


class _Signal:
    """A signal that asks the process to end."""

    is_tocsin = True

    def __init__(self, name: str, previous: object, current: Current) -> None:
        self._name = name
        self._previous = previous
        self._current = current
        self._is_ending = False
        self._is_put_off = False
        self._has_come = threading.Event()
        self._began = 0.0

    @classmethod
    def install(cls, name: str, current: Current) -> None:
        number = getattr(signal, name)
        previous = signal.getsignal(number)
        is_ours = getattr(previous, "is_tocsin", False)
        # what is ignored stays so, and what is not Python's is left alone; and who handles
        # a hangup reads its configuration anew, and goes on
        if is_ours or previous in {None, signal.SIG_IGN}:
            return
        if name == "SIGHUP" and callable(previous):
            return
        if previous is signal.SIG_DFL and _is_caught(number):
            return
        with contextlib.suppress(ValueError):  # only the main thread may
            signal.signal(number, cls(name, previous, current))

    def leave(self, number: int) -> None:
        """Put back what was there before: a child that was forked has no part in it."""
        with contextlib.suppress(ValueError, TypeError):
            signal.signal(number, self._previous)  # type: ignore[arg-type]

    def insist_on(self, number: int) -> None:
        """End the process though its main thread does not take the signal."""
        run = self._current()
        if run is None or not run._is_own or not self._is_last:  # noqa: SLF001 - ours
            return
        if not self._has_come.wait(_STUCK):
            self._is_ending = True
            run._stopped(self._name, is_last=True)  # noqa: SLF001 - ours
            _die_of(number)

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self._has_come.set()
        run = self._current()
        if run is not None and run._is_own and not self._is_ending:  # noqa: SLF001 - ours
            ours = None if self._is_put_off or not self._is_last else _ours(frame)
            if ours is not None:
                self._put_off(number, ours)
                return
            self._is_ending, self._began = self._is_last, time.monotonic()
            self._tell(run, is_last=self._is_last)
        elif self._is_ending and time.monotonic() < self._began + _SUBMITTED:
            return  # the same, once more: a launcher sends it beside the terminal
        if callable(self._previous):
            self._previous(number, frame)
        elif self._is_last:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    @property
    def _is_last(self) -> bool:
        """Whether it ends the process: the first one of a container it would not."""
        return not callable(self._previous) and os.getpid() != 1

    def _put_off(self, number: int, ours: FrameType) -> None:
        """Let our own code come to its end first: whoever tells needs the locks it has."""
        self._is_put_off = True
        _once_left(ours, lambda: self(number, None))
        timer = threading.Timer(_LEAVING, self._insist, [number])
        timer.daemon = True
        with contextlib.suppress(RuntimeError):  # the interpreter is shutting down
            timer.start()

    def _insist(self, number: int) -> None:
        """Do not wait for code that waits itself."""
        if not self._is_ending:
            os.kill(os.getpid(), number)

    def _tell(self, run: Watched, *, is_last: bool) -> None:
        """Tell in another thread: what was interrupted here may hold any lock."""

        def tell() -> None:
            run._stopped(self._name, is_last=is_last)  # noqa: SLF001 - ours

        thread = threading.Thread(target=tell, name="tocsin signal", daemon=True)
        with contextlib.suppress(RuntimeError):  # the interpreter is shutting down
            thread.start()
            # whatever hangs, the process must not outlive its grace time
            thread.join(_GRACE if is_last else _SUBMITTED)


def _ours(frame: FrameType | None) -> FrameType | None:
    """Return where our code begins that is under way there; None if none is."""
    found = None
    while frame is not None:
        name = str(frame.f_globals.get("__name__"))
        if name == _WATCHING:
            return found
        if name.startswith(_OURS):
            found = frame
        frame = frame.f_back
    return found


def _once_left(frame: FrameType, then: Callable[[], None]) -> None:
    """Call something as soon as a frame, that is under way in this thread, comes to its end.

    To send the signal again a little later, until it comes at another place, is simpler and
    does not do: a loop that logs and alerts was told 2 times of 8 so, and takes seconds.
    """
    previous = sys.gettrace()

    def see(_: FrameType, event: str, __: object) -> Callable[..., object]:
        if event == "return":
            sys.settrace(previous)
            then()
        return see

    frame.f_trace, frame.f_trace_lines = see, False
    sys.settrace(lambda *_: None)


def _is_caught(number: int) -> bool:
    """Say whether something that is not Python handles a signal, as faulthandler does."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:  # no Linux
        return False
    _, _, rest = status.partition("SigCgt:")
    return bool(rest) and bool(int(rest.split()[0], 16) >> (number - 1) & 1)


class _Bell:
    """Hears of a signal at once, in a thread: the main one may be in C code for long.

    Python's own handlers wait for the main thread. A collective operation that hangs would
    keep the process from ending.
    """

    _pipe: tuple[int, int] | None = None

    @classmethod
    def install(cls) -> None:
        """Listen, unless somebody does already, as asyncio may."""
        if cls._pipe is not None:
            return
        if threading.current_thread() is not threading.main_thread():
            return  # who else may not
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        if before != -1:
            signal.set_wakeup_fd(before)
            os.close(reading)
            os.close(writing)
            return
        cls._pipe = reading, writing
        threading.Thread(
            target=cls._listen, args=[reading], name="tocsin signals", daemon=True
        ).start()

    @classmethod
    def leave(cls) -> None:
        """Let go of what a forked child shares with its parent."""
        if cls._pipe is None:
            return
        with contextlib.suppress(ValueError):
            if (now := signal.set_wakeup_fd(-1)) not in {-1, cls._pipe[1]}:
                signal.set_wakeup_fd(now)
        for end in cls._pipe:
            with contextlib.suppress(OSError):
                os.close(end)
        cls._pipe = None

    @staticmethod
    def _listen(reading: int) -> None:
        with contextlib.suppress(OSError):
            while numbers := os.read(reading, 64):
                for number in numbers:
                    handler = signal.getsignal(number)
                    if isinstance(handler, _Signal):
                        handler.insist_on(number)


def _die_of(number: int) -> None:
    """End by a signal, from whatever thread: signal.signal() is the main one's alone."""
    import ctypes

    with contextlib.suppress(AttributeError, OSError):
        ctypes.pythonapi.PyOS_setsig(number, None)  # SIG_DFL
    os.kill(os.getpid(), number)


class _Masked(threading.local):
    """What a thread that forks has blocked before."""

    before: set[int] | None = None


_masked = _Masked()


def _before_fork() -> None:
    """Let no signal come to a child that has still what is its parent's: its bell, too."""
    numbers = [getattr(signal, name) for name in _SIGNALS]
    _masked.before = set(signal.pthread_sigmask(signal.SIG_BLOCK, numbers))


def _unmask() -> None:
    if _masked.before is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, _masked.before)
        _masked.before = None


def _after_fork_in_child() -> None:
    _leave()
    _unmask()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_unmask,
        after_in_child=_after_fork_in_child,
    )
