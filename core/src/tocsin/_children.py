"""Children of multiprocessing: the exception that ends one is printed without a hook."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tocsin._hooks import Hook

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from tocsin._signals import Current, Watched


class _ChildHook(Hook):
    """Tells of an exception that ends a child of multiprocessing, which prints it."""

    def __call__(self, *args: object, **kwargs: object) -> None:
        try:
            error, run = sys.exception(), self._current()
            if run is not None and error is not None and self._is_last():
                run._failed(error)  # noqa: SLF001 - ours
        finally:
            self._previous(*args, **kwargs)

    def _is_last(self) -> bool:
        """Say whether it is multiprocessing that prints, and no program's own code."""
        caller: FrameType | None = sys._getframe(2)  # noqa: SLF001 - documented
        while caller and caller.f_globals is globals():  # the hook of another run
            caller = caller.f_back
        process = sys.modules.get("multiprocessing.process")
        return caller is not None and caller.f_globals is vars(process)


def watch_worker(run: Watched) -> None:
    """Watch this process, if it is a child of multiprocessing to which a run was sent."""
    process = sys.modules.get("multiprocessing.process")
    util = sys.modules.get("multiprocessing.util")
    if process is None or util is None:
        return

    def watch(run: Watched) -> None:
        watch_child(lambda: run, run._leave)  # noqa: SLF001 - ours

    is_made = getattr(process.current_process(), "_inheriting", False)
    if is_made or process.parent_process():
        watch(run)
    if is_made:  # a forkserver's forgets then what was to be done at the end
        util.register_after_fork(run, watch)


def watch_child(current: Current, finish: Callable[[], None]) -> None:
    """Tell of the exception that ends a child of multiprocessing, and finish its run.

    Up to Python 3.12 the child ends without atexit; but its finalizers are called while the
    exception is on its way out. From 3.13 on they are called after it is printed.
    """

    def tell() -> None:
        error, run = sys.exception(), current()
        if run is not None and error is not None:
            run._failed(error)  # noqa: SLF001 - ours

    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        import traceback

        traceback.print_exc = _ChildHook(traceback.print_exc, current)
        util.Finalize(None, tell, exitpriority=20)
        util.Finalize(None, finish, exitpriority=15)
