"""The surface for scripts: the run that is current in this process."""

from __future__ import annotations

import atexit
import contextlib
import functools
import inspect
import logging
import math
import os
import sys
import threading
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from tocsin import _children as children
from tocsin import _hooks as hooks
from tocsin import _places as places
from tocsin._alert import Origin
from tocsin._errors import ConfigError, StoreError, printed
from tocsin._failure import ending_of
from tocsin._life import Life, Supervised
from tocsin._listener import RUN_CHANGED
from tocsin._mode import Mode
from tocsin._notifier import Notifier
from tocsin._run import Config, DisabledRun, Run, notifier_for
from tocsin._run_id import known_or_new
from tocsin._settings import Settings
from tocsin._told import is_told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

P = ParamSpec("P")
R = TypeVar("R")

_log = logging.getLogger("tocsin")

_lock = threading.RLock()
_current: Run | None = None
_default: Run | None = None
_is_finished_at_exit = False
_started = 0
"""Runs so far in this process."""
_supervisor: Supervised | None = None
"""Who watches this process."""
_PID = 10  # digits


def init(
    project: str = "",
    *,
    name: str = "",
    team: str = "",
    group: str = "",
    job: str = "",
    id: str = "",  # noqa: A002 - W&B's own name
    tags: Iterable[str] = (),
    config: Mapping[str, object] | str | os.PathLike[str] | None = None,
    mode: Mode | str | None = None,
    resume: bool | str | None = None,
    url: str = "",
    stall_after: float | timedelta | None = None,
) -> Run:
    """Start a run and make it the current one; a run before it is finished.

    Args:
        project: What the run belongs to; subscriptions can choose by it.
        name: What people call the run; default: its id.
        team: Whose settings hold beside your own.
        group: What several runs belong to, such as a sweep.
        job: What all ranks and restarts of one job share: suppression then holds over
            all of them. Default: `TORCHELASTIC_RUN_ID` (unless ``none``), or
            `SLURM_JOB_ID`.
        id: The run's id; give the same one to a run that is resumed, so that suppression
            holds over the restart. Default: a random one, which ranks share that one
            launcher started on a machine.
        tags: Added to every alert's.
        config: A configuration file; default: `TOCSIN_CONFIG`, else the user's own. A
            mapping is no configuration but the program's own settings, as with W&B: it
            becomes `Run.config`.
        mode: ``online``, ``offline`` (keep, deliver later) or ``disabled``; default:
            `TOCSIN_MODE`, else online.
        resume: What to do about an earlier run of this id: ``allow`` goes on with it, and
            says that it is back, if it was told to have ended badly; that is the default
            where an id is given. ``must`` wants one to be there, ``never`` wants none.
            True, or ``auto``, looks for the last run of this project and name that did not
            finish, and takes its id.
        url: Where people can look at the run.
        stall_after: Seconds, or a timedelta, without `Run.log` after which the run is told
            as stalled; default: the configuration's.

    Raises:
        ConfigError: The configuration has mistakes; the error holds all of them. Or the
            team is unknown, or you are not among its members.
        ValueError: The mode is none of the three, or `resume` is none of its words, or
            there is an earlier run and must not be, or the other way round, or
            `stall_after` is negative.

    """
    global _current, _started, _supervisor  # noqa: PLW0603 - there is one in a process
    chosen = Mode.parse(mode)
    wish = _resume(resume)
    given, supervisor = _given()
    own, file = _told_apart(config)
    origin = Origin(
        project=project,
        team=team,
        group=group,
        run=id or given,
        run_name=name,
        job=job or places.job(),
        host=places.host(),
        rank=places.rank(),
    )
    stalls = _seconds(stall_after)
    words = (tags,) if isinstance(tags, str) else tuple(map(printed, tags))
    notifier = notifier_for(origin, file, chosen)
    try:
        origin = known_or_new(notifier, origin, wish, started=_started)
    except ValueError:
        notifier.close(0)
        raise
    with _lock:
        previous, _current = _current, None
    if previous is not None:
        previous.finish()
    if chosen is Mode.DISABLED:
        run: Run = DisabledRun(notifier, origin, words, url=url, config=own)
    else:
        run = _living(
            notifier,
            notifier.placed(origin),
            words,
            url,
            own,
            notifier.settings.stall_after if stalls is None else stalls,
            supervisor=supervisor,
            is_resumed=wish != "never" and bool(id or wish == "auto"),
        )
    with _lock:
        _current = run
        _started += 1
        _supervisor = supervisor
    os.environ.pop("TOCSIN_RUN_ID", None)  # what this program starts is another run
    if chosen is not Mode.DISABLED:
        _install()
    return run


_WISHES = {None: "", False: "", True: "auto", "allow": "allow", "auto": "auto"}
_WISHES |= {"must": "must", "never": "never"}


def _resume(resume: bool | str | None) -> str:
    if resume not in _WISHES:
        raise ValueError(
            f"resume must be one of 'allow', 'must', 'never', 'auto', not {resume!r}"
        )
    return _WISHES[resume]


def _told_apart(
    config: Mapping[str, object] | str | os.PathLike[str] | None,
) -> tuple[Mapping[str, object] | None, str | os.PathLike[str] | None]:
    """Return a program's own settings, or else the file of a configuration."""
    return (config, None) if isinstance(config, Mapping) else (None, config)


def _seconds(given: float | timedelta | None) -> float | None:
    if given is None:
        return None
    seconds = given.total_seconds() if isinstance(given, timedelta) else float(given)
    if not 0 <= seconds < math.inf:
        raise ValueError(f"stall_after must be zero or more seconds, not {given}")
    return seconds


def _given() -> tuple[str, Supervised | None]:
    """Return the id that somebody gave to this program's run, and who watches it.

    A second run of the program has another id, and is watched as well.
    """
    run = os.environ.get("TOCSIN_RUN_ID", "")
    pid = os.environ.get("TOCSIN_SUPERVISOR", "")
    if run and pid.isdecimal() and len(pid) <= _PID:
        return run, Supervised(run, int(pid))
    return run, _supervisor


def _living(  # noqa: PLR0917 - what a run is made of
    notifier: Notifier,
    origin: Origin,
    tags: tuple[str, ...],
    url: str,
    config: Mapping[str, object] | None,
    stall_after: float,
    *,
    supervisor: Supervised | None,
    is_resumed: bool,
) -> Run:
    listening = notifier.listening
    life = Life(
        notifier,
        origin,
        tags=tags,
        url=url,
        stall_after=stall_after,
        supervisor=supervisor,
        is_interactive=hooks.is_interactive(),
        listening=listening if listening.hears(RUN_CHANGED) else None,
        ticks=notifier.ticks,
    )
    if is_resumed:
        life.resume()
    if supervisor is not None:  # who watches is to know it, however soon it ends
        with contextlib.suppress(StoreError):
            life.tick()
    notifier.add_chore(life.tick)
    return Run(notifier, origin, tags, url=url, config=config, life=life)


def _of_current(
    method: Callable[Concatenate[Run, P], R],
) -> Callable[P, R]:
    """Return a function that does with the current run, or with none, what a method does."""
    name = method.__name__

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        result: R = getattr(run_now(), name)(*args, **kwargs)
        return result

    call.__module__, call.__qualname__ = "tocsin", name
    signature = inspect.signature(method)
    _, *parameters = signature.parameters.values()
    call.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return call


alert = _of_current(Run.alert)
alert.__doc__ = """Raise an alert in the current run, or in none.

The arguments are those of `Alert`. Without `init` it uses the configuration that it finds; a
configuration with mistakes is told once, and the alert is printed and kept.

Raises:
    TypeError: A title or text is no ``str``, or a `wait_duration` is no time.
    ValueError: The level is unknown, or the `wait_duration` is negative.

"""

resolve = _of_current(Run.resolve)
resolve.__doc__ = """Say that what an alert of the current run told of is over; see `Run.resolve`.

Raises:
    TypeError: The key, title or text is no ``str``.

"""

log = _of_current(Run.log)
log.__doc__ = """Note metrics of the current run; see `Run.log`."""


def finish(
    exit_code: int | None = None, message: str = "", *, timeout: float | None = None
) -> None:
    """End the current run; see `Run.finish`. Without a run it does nothing."""
    run = current()
    if run is not None:
        run.finish(exit_code, message, timeout=timeout)


def current() -> Run | None:
    """Return the run that `init` started, unless it is finished."""
    run = _current
    return None if run is None or run._is_finished else run  # noqa: SLF001 - ours


def run_config() -> Config:
    """Return the current run's `Run.config`; an empty one, if there is none."""
    run = current()
    return Config() if run is None else run.config


def run_now() -> Run:
    """Return the current run, or the one of programs that start none."""
    global _default  # noqa: PLW0603 - made once, at the first alert
    with _lock:
        run = current()
        if run is not None:
            return run
        if _default is None:
            _default = _default_run()
        return _default


def _default_run() -> Run:
    origin = Origin(job=places.job(), host=places.host(), rank=places.rank())
    try:
        mode = Mode.parse(None)
        notifier = notifier_for(origin, None, mode)
    except (ConfigError, ValueError) as error:
        _log.warning("alerts are only printed and kept: %s", error)
        return Run(Notifier(Settings(), namespace="", mode=Mode.ONLINE), origin)
    return (DisabledRun if mode is Mode.DISABLED else Run)(notifier, origin)


def _install() -> None:
    global _is_finished_at_exit  # noqa: PLW0603 - once a process
    hooks.install(current)
    hooks.forget_exit()
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process():
        children.watch_child(current, _finish_current)
    if not _is_finished_at_exit:
        _is_finished_at_exit = True
        atexit.register(_finish_current)


def _after_fork_in_child() -> None:
    global _lock, _supervisor  # noqa: PLW0603 - another thread of the parent may hold it
    _supervisor = None
    _lock = threading.RLock()
    util = sys.modules.get("multiprocessing.util")
    if util is not None and _current is not None:
        # a child of multiprocessing forgets what its parent had to do at the end; it does
        # this first, and has a place where it says so
        util.register_after_fork(_current, _watch_child)


def _watch_child(_: object) -> None:
    children.watch_child(current, _finish_current)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def _finish_current() -> None:
    """Finish the run of a script that did not."""
    run = current()
    if run is not None:
        error = hooks.what_ended_it()
        run._end(  # noqa: SLF001 - ours
            ending_of(error),
            timeout=run._notifier.settings.flush_timeout,  # noqa: SLF001 - ours
            is_told=is_told(error),
        )
