"""Imports in a background thread, and forks, which must not meet.

A fork in the middle of an import leaves the child with half a module, or with a lock of the
import system that nobody lets go of. So a fork waits until the imports that are done in
`importing` have ended.
"""

from __future__ import annotations

import contextlib
import os
import threading

_FORK_WAITS = 2.0  # seconds at most: what takes longer hangs, and is no import


class _Imports:
    """How many threads import something just now."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._under_way = 0

    def __enter__(self) -> None:
        with self._changed:
            self._under_way += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._under_way -= 1
            self._changed.notify_all()

    def before_fork(self) -> None:
        self._changed.acquire()
        self._changed.wait_for(lambda: not self._under_way, _FORK_WAITS)

    def after_fork_in_parent(self) -> None:
        with contextlib.suppress(RuntimeError):  # this was imported during the fork
            self._changed.release()


_imports = _Imports()


def importing() -> contextlib.AbstractContextManager[None]:
    """Return a context to import in: a fork waits for its end, two seconds at most."""
    return _imports


def _before_fork() -> None:
    _imports.before_fork()


def _after_fork_in_parent() -> None:
    _imports.after_fork_in_parent()


def _after_fork_in_child() -> None:
    global _imports  # noqa: PLW0603 - another thread of the parent may be in it
    _imports = _Imports()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
