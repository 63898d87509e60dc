"""Where a program can be seen to end, or to fail, from within. Each hook is chained."""

from __future__ import annotations

import builtins
import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tocsin._told import is_told, mark

if TYPE_CHECKING:
    from types import FrameType, TracebackType

_SIGNALS = ("SIGTERM", "SIGHUP")
_GRACE = 10.0
"""Seconds at most that a signal is kept from ending the process."""
_SUBMITTED = 0.5
"""Seconds at most that the program's own handler waits until the alert is kept."""
_LEAVING = 1.0
"""Seconds at most that a signal waits for our own code, in whose middle it came."""
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


class Hook:
    """A hook in place of another one, which is called after it."""

    is_tocsin = True  # so that ours is known again when a module is reloaded

    def __init__(self, previous: Callable[..., object], current: Current) -> None:
        self._previous = previous
        self._current = current

    def tell(self, error: BaseException | None, where: str, *, is_grave: bool) -> bool:
        """Tell of it, unless that was done; say whether it is told by now."""
        run = self._current()
        if run is None or not isinstance(error, Exception):
            return False
        if not is_told(error):
            mark(error)
            run._stumbled(error, where, is_grave=is_grave)  # noqa: SLF001 - ours
        return True


class _MainHook(Hook):
    """Tells of an exception that ends the program."""

    def __call__(
        self,
        kind: type[BaseException],
        error: BaseException,
        trace: TracebackType | None,
    ) -> None:
        try:
            run = self._current()
            if run is not None and is_interactive():
                self.tell(error, " at the prompt", is_grave=True)
            elif run is not None:
                run._failed(error)  # noqa: SLF001 - ours
        finally:
            self._previous(kind, error, trace)


class _ThreadHook(Hook):
    """Tells of an exception that ends a thread, which the program outlives."""

    def __call__(self, args: threading.ExceptHookArgs) -> None:
        try:
            where = f" in thread {args.thread.name}" if args.thread else " in a thread"
            self.tell(args.exc_value, where, is_grave=True)
        finally:
            self._previous(args)


class _UnraisableHook(Hook):
    """Tells of an exception where none can be raised, such as in a ``__del__``."""

    def __call__(self, args: sys.UnraisableHookArgs) -> None:
        try:
            if not sys.is_finalizing():
                what = (
                    getattr(args.object, "__qualname__", "")
                    or type(args.object).__name__
                )
                self.tell(args.exc_value, f" in {what}", is_grave=False)
        finally:
            self._previous(args)


class _Exit(Hook):
    """Notes the code that the program ends with, where it says so with ``sys.exit``."""

    code: object = None
    main: FrameType | None = None
    """Where the program began that said so."""

    def __call__(self, code: object = None, /) -> None:
        self.note(code)
        self._previous(code)

    def note(self, code: object) -> None:
        if threading.current_thread() is threading.main_thread():
            self.code, self.main = code, _outermost(sys._getframe())  # noqa: SLF001 - documented


class _Quit(Hook):
    """Notes it where the program says so with ``exit`` or ``quit``."""

    def __call__(self, code: object = None) -> None:
        note = getattr(sys.exit, "note", None)
        if note is not None:
            note(code)
        self._previous(code)

    def __repr__(self) -> str:
        return repr(self._previous)


class _Unretrieved(logging.Filter):
    """Tells of what asyncio logs: an exception of a task that nobody asked."""

    is_tocsin = True

    def __init__(self, current: Current) -> None:
        super().__init__()
        self._hook = Hook(print, current)

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record through."""
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and record.levelno >= logging.ERROR:
            lines = str(record.msg).splitlines()
            what = lines[0] if lines else "in asyncio"
            record.tocsin_told = self._hook.tell(error, f" ({what})", is_grave=True)
        return True


def install(current: Current) -> None:
    """Install what hooks into everything that tells of an end, unless that was done."""
    _replace(sys, "excepthook", _MainHook, current)
    _replace(threading, "excepthook", _ThreadHook, current)
    _replace(sys, "unraisablehook", _UnraisableHook, current)
    _replace(sys, "exit", _Exit, current)
    if not is_interactive():  # at a prompt they are looked at, too
        _replace(builtins, "exit", _Quit, current)
        _replace(builtins, "quit", _Quit, current)
    asyncio_log = logging.getLogger("asyncio")
    if not any(getattr(one, "is_tocsin", False) for one in asyncio_log.filters):
        asyncio_log.addFilter(_Unretrieved(current))
    _install_in_notebook(current)
    if os.name != "nt":  # Windows has no such signals, and ends a process without them
        for name in _SIGNALS:
            _Signal.install(name, current)


def _replace(
    module: object,
    name: str,
    hook: type[Hook],
    current: Current,
) -> None:
    previous = getattr(module, name, None)  # `python -S` has no exit() and quit()
    if previous is not None and not getattr(previous, "is_tocsin", False):
        setattr(module, name, hook(previous, current))


def what_ended_it() -> BaseException:
    """Return what left the program, which is at its end: an exception, or its exit.

    An exception gets here untold where the program put another ``sys.excepthook`` in the
    place of ours.
    """
    if is_interactive():
        return SystemExit()
    error = getattr(sys, "last_value", None)
    if isinstance(error, BaseException):
        trace = error.__traceback__
        if trace is not None and _was_left(trace.tb_frame):
            return error
    main = getattr(sys.exit, "main", None)
    is_caught = main is not None and _has_returned(main)
    return SystemExit(None if is_caught else getattr(sys.exit, "code", None))


def forget_exit_code() -> None:
    """Forget it: the program goes on, since it caught its own exit."""
    if getattr(sys.exit, "code", None) is not None:
        sys.exit.code = sys.exit.main = None  # type: ignore[attr-defined]


def _outermost(frame: FrameType) -> FrameType | None:
    """Return where the program began; None where that is no module, as in a server."""
    while frame.f_back is not None:
        frame = frame.f_back
    is_main = frame.f_globals.get("__name__") == "runpy"  # as of `python -m`
    return frame if is_main or frame.f_code.co_name == "<module>" else None


def _was_left(frame: FrameType) -> bool:
    """Say whether an exception left this frame, and with it the program."""
    return _outermost(frame) is frame and not _has_returned(frame)


def _has_returned(frame: FrameType) -> bool:
    """Say whether a frame that is over came to its end: its last instruction says so."""
    import opcode

    code, last = frame.f_code.co_code, frame.f_lasti
    return last >= 0 and opcode.opname[code[last]].startswith("RETURN")


class _Signal:
    """A signal that asks the process to end."""

    is_tocsin = True

    def __init__(self, name: str, previous: object, current: Current) -> None:
        self._name = name
        self._previous = previous
        self._current = current
        self._is_ending = False
        self._is_put_off = False

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

    def __call__(self, number: int, frame: FrameType | None) -> None:
        run = self._current()
        if run is not None and run._is_own and not self._is_ending:  # noqa: SLF001 - ours
            ours = None if self._is_put_off or not self._is_last else _ours(frame)
            if ours is not None:
                self._put_off(number, ours)
                return
            self._is_ending = self._is_last
            self._tell(run, is_last=self._is_last)
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
    """Call something as soon as a frame, that is under way in this thread, comes to its end."""
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


def is_interactive() -> bool:
    """Say whether a person types at this program, which does not end with an error."""
    return hasattr(sys, "ps1") or bool(sys.flags.interactive) or _shell() is not None


def _shell() -> object | None:
    """Return IPython's shell, which a notebook has too."""
    ipython = sys.modules.get("IPython")
    found = getattr(ipython, "get_ipython", None)
    shell: object | None = found() if found is not None else None
    return shell


def _install_in_notebook(current: Current) -> None:
    events = getattr(_shell(), "events", None)
    if events is None:
        return
    known = events.callbacks.get("post_run_cell", [])
    if any(getattr(one, "is_tocsin", False) for one in known):
        return
    hook = Hook(print, current)

    def after_cell(result: object) -> None:
        error = getattr(result, "error_in_exec", None)
        hook.tell(error, " in a cell", is_grave=True)

    after_cell.is_tocsin = True  # type: ignore[attr-defined]
    events.register("post_run_cell", after_cell)
