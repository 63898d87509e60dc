"""Where a program can be seen to end, or to fail, from within. Each hook is chained."""

from __future__ import annotations

import builtins
import logging
import sys
import threading
from typing import TYPE_CHECKING

from tocsin import _signals as signals
from tocsin._told import is_told, mark

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, TracebackType

    from tocsin._signals import Current


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
        except KeyboardInterrupt:  # a second one: somebody does not want to wait
            pass
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
            run = self._current()
            if run is not None and run._is_own and not sys.is_finalizing():  # noqa: SLF001 - ours
                what = (
                    getattr(args.object, "__qualname__", "")
                    or type(args.object).__name__
                )
                self.tell(args.exc_value, f" in {what}", is_grave=False)
        finally:
            self._previous(args)


class _Exit(Hook):
    """Notes the code that the program ends with, where it says so with ``sys.exit``."""

    last: SystemExit | None = None
    """The last one that the main thread raised."""

    def __call__(self, code: object = None, /) -> None:
        try:
            self._previous(code)
        except SystemExit as error:
            self.note(error)
            raise

    def note(self, error: SystemExit) -> None:
        if threading.current_thread() is threading.main_thread():
            self.last = error


class _Quit(Hook):
    """Notes it where the program says so with ``exit`` or ``quit``."""

    def __call__(self, code: object = None) -> None:
        try:
            self._previous(code)
        except SystemExit as error:
            note = getattr(sys.exit, "note", None)
            if note is not None:
                note(error)
            raise

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
    signals.install(current)


def _replace(
    module: object,
    name: str,
    hook: type[Hook],
    current: Current,
) -> None:
    previous = getattr(module, name, None)  # `python -S` has no exit() and quit()
    if previous is not None and not getattr(previous, "is_tocsin", False):
        ours = hook(previous, current)
        # as pickle and help() know it
        ours.__name__ = getattr(previous, "__name__", name)  # type: ignore[attr-defined]
        setattr(module, name, ours)


def what_ended_it() -> BaseException:
    """Return what left the program, which is at its end: an exception, or its exit.

    An exception gets here untold where the program put another ``sys.excepthook`` in the
    place of ours.
    """
    if is_interactive():
        return SystemExit()
    said = getattr(sys.exit, "last", None)
    if said is not None and _has_left(said):
        return said  # type: ignore[no-any-return]
    error = getattr(sys, "last_value", None)
    if isinstance(error, BaseException) and _has_left(error, is_main=True):
        return error
    return SystemExit()


def forget_exit() -> None:
    """Forget it: the program goes on, since it caught its own exit."""
    if getattr(sys.exit, "last", None) is not None:
        sys.exit.last = None  # type: ignore[attr-defined]


def _outermost(frame: FrameType) -> FrameType | None:
    """Return where the program began; None where that is no module, as in a server."""
    while frame.f_back is not None:
        frame = frame.f_back
    is_main = frame.f_globals.get("__name__") == "runpy"  # as of `python -m`
    return frame if is_main or frame.f_code.co_name == "<module>" else None


def _has_left(error: BaseException, *, is_main: bool = False) -> bool:
    """Say whether an exception left the last frame that handled it, which is over now.

    With `is_main` that has to be where the program began.
    """
    trace = error.__traceback__
    if trace is None:
        return False
    frame = trace.tb_frame
    if is_main and _outermost(frame) is not frame:
        return False
    if frame.f_globals is globals():  # we raised it, and nobody handled it since
        return True
    last = _last_instruction(frame)
    has_raised_another = last == "RAISE_VARARGS" and frame.f_lasti != trace.tb_lasti
    return not has_raised_another and not last.startswith("RETURN")


def _last_instruction(frame: FrameType) -> str:
    """Return what a frame did last that is over."""
    import opcode

    code, last = frame.f_code.co_code, frame.f_lasti
    return opcode.opname[code[last]] if last >= 0 else ""


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
