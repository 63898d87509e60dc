"""capture(): the alerts of this process, for as long as a test wants them."""

from __future__ import annotations

import builtins
import contextlib
import functools
import logging
import os
import sys
import threading
from typing import TYPE_CHECKING

from tocsin import _mode, _notifier, _session, _signals, _watching
from tocsin._mode import Mode
from tocsin.testing._alerts import Alerts
from tocsin.testing._stage import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from tocsin._settings import Settings

_HOOKS = [
    (sys, "excepthook"),
    (sys, "unraisablehook"),
    (sys, "exit"),
    (builtins, "exit"),
    (builtins, "quit"),
    (threading, "excepthook"),
]
_OURS = ("TOCSIN_MODE", "TOCSIN_RUN_ID", "TOCSIN_SUPERVISOR")


@contextlib.contextmanager
def capture(
    *,
    config: str | os.PathLike[str] | None = None,
    settings: Settings | None = None,
    now: datetime | None = None,
) -> Iterator[Alerts]:
    """Capture the alerts of this process, of all its threads, in a ``with``.

    Whatever raises them, they go the way they always go: they are throttled, routed, kept
    and rendered. But the store is in memory, and each channel's messages are handed to the
    `Alerts` that the ``with`` gives: nothing is sent, and nothing is written. Time stands
    still: see `Alerts.clock`.

    A run that the block leaves unfinished is finished at its end, as a program's is. After
    it all is as it was before: the current run, the mode, the hooks. Signals are left to
    whatever runs the tests. In a capture within another one, the inner one gets the alerts.

    Child processes are not captured. One that was forked sends nothing; one that is started
    anew finds `TOCSIN_MODE` to be ``disabled``.

    Args:
        config: A configuration file, whose routing and channels hold, wherever the program
            looks for one. Its secrets need not be there.
        settings: The same, made in code. With neither, all alerts go to the channel
            ``alerts``, and no file is read that the program does not name itself.
        now: What time it is, with its time zone; default: the time of the call.

    Raises:
        ConfigError: The file has mistakes.
        TypeError: Both `config` and `settings` are given.
        ValueError: `now` has no time zone.

    """
    stage = Stage(config, settings, now)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_as_a_new_process())
        stack.enter_context(_set(_mode, "presumed", Mode.ONLINE))
        stack.callback(stage.restore)
        stage.divert()
        stack.enter_context(_set(_notifier, "stage", stage))
        stack.callback(stage.close)
        try:
            yield Alerts(stage)
        except BaseException as error:
            _end_run(error)
            raise
        else:
            _end_run(None)


def _end_run(error: BaseException | None) -> None:
    """End the run that the block left, as the end of a program does."""
    run = _session.current()
    if run is not None:
        run.__exit__(type(error) if error else None, error, None)


@contextlib.contextmanager
def _as_a_new_process() -> Iterator[None]:
    """Begin without a run, and leave no trace of one."""
    with contextlib.ExitStack() as stack:
        for module, name in _HOOKS:
            stack.callback(setattr, module, name, getattr(module, name))
        for name, value in _FRESH.items():
            stack.enter_context(_set(_session, name, value))
        stack.enter_context(_set(_watching, "_failed", {}))
        stack.enter_context(_no_cached_notifier())
        stack.enter_context(_set(_signals, "install", _no_signals))
        stack.enter_context(_environment())
        asyncio_log = logging.getLogger("asyncio")
        stack.callback(setattr, asyncio_log, "filters", asyncio_log.filters[:])
        yield


_FRESH = {"_current": None, "_default": None, "_supervisor": None, "_started": 0}


@contextlib.contextmanager
def _set(module: object, name: str, value: object) -> Iterator[None]:
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    """Be supervised by nobody, and let no child that is started alert anybody."""
    before = {name: os.environ.pop(name, None) for name in _OURS}
    os.environ["TOCSIN_MODE"] = Mode.DISABLED.value
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _no_signals(_: object) -> None:
    """Leave signals to whatever runs the tests."""


@contextlib.contextmanager
def _no_cached_notifier() -> Iterator[None]:
    """Let what forwards a tracker's alerts make a notifier of its own here."""
    from tocsin.integrations import _forwarding

    anew = functools.cache(_forwarding._notifier.__wrapped__)  # noqa: SLF001 - ours
    with _set(_forwarding, "_notifier", anew):
        yield
