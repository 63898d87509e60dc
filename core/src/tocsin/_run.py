"""The surface for scripts: `init`, `alert`, `Run`. All it does goes through a notifier."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from tocsin import _places as places
from tocsin._alert import (
    DEFAULT_WAIT_DURATION,
    RESOLVED,
    Alert,
    AlertLevel,
    Origin,
    new_id,
)
from tocsin._errors import ConfigError, RunFinished, printed
from tocsin._mode import Mode
from tocsin._notifier import Notifier
from tocsin._results import Disabled
from tocsin._settings import Settings
from tocsin._terminal import echo, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import timedelta
    from types import TracebackType

    from tocsin._attachment import Attachable
    from tocsin._results import Result

_log = logging.getLogger("tocsin")

_YEAR = 365 * 86_400.0  # seconds
_FRAMES = 8  # of a traceback, the last ones


class Run:
    """One run of a program: what it raises carries the run's origin.

    Made by `init`. Use it in a ``with``, or call `finish` at the end; a script that does
    neither is finished when the interpreter exits.
    """

    def __init__(self, notifier: Notifier, origin: Origin, tags: Iterable[str]) -> None:
        self._notifier = notifier
        self._tags = tuple(tags)
        self._is_finished = False
        self._is_crashed = False
        self.origin = notifier.placed(origin)

    @property
    def id(self) -> str:
        """The run's id; alerts are throttled within it, unless there is a job."""
        return self.origin.run

    @property
    def name(self) -> str:
        """The run's name, or its id."""
        return self.origin.run_name or self.origin.run

    def __repr__(self) -> str:
        return f"<Run {self.name}{' finished' if self._is_finished else ''}>"

    def alert(
        self,
        title: str,
        text: str = "",
        level: AlertLevel | str | None = None,
        wait_duration: float | timedelta | None = None,
        *,
        kind: str = "scriptable",
        key: str = "",
        tags: Iterable[str] = (),
        fields: Mapping[str, object] | None = None,
        url: str = "",
        attachments: Iterable[Attachable] | Attachable = (),
    ) -> Result:
        """Raise an alert; the arguments are those of `Alert`.

        It returns at once: what is admitted is kept, and delivered in the background.

        Raises:
            TypeError: A title or text is no ``str``, or a `wait_duration` is no time.
            ValueError: The level is unknown, or the `wait_duration` is negative.
            RunFinished: `finish` was called.

        """
        if self._is_finished:
            raise RunFinished(
                f"the run {self.name} is finished: raise alerts before finish(), or start "
                "another run with tocsin.init()"
            )
        now, intake = self._notifier.now(), self._notifier.intake
        call = None
        is_plain = type(title) is str is type(text) and type(url) is str
        if is_plain and fields is None and tags == () == attachments:
            # what its answer depends on: one like it may be suppressed without more ado
            call = (self.origin, title, key, level or None, kind)
            wait = DEFAULT_WAIT_DURATION if wait_duration is None else wait_duration
            if isinstance(wait, float | int) and 0 < wait < _YEAR:
                suppressed = intake.glance(call, wait, now)
                if suppressed is not None:
                    return suppressed
        alert = Alert(
            title,
            text,
            level,
            wait_duration,
            kind=kind,
            key=key,
            tags=(*self._tags, *tags),
            fields=fields,
            url=url,
            attachments=attachments,
            origin=self.origin,
            id=new_id(),
            created_at=datetime.fromtimestamp(now, UTC),
        )
        result = intake.take(alert, now, is_new=True, call=call)
        if not self._notifier.settings.channels:
            echo(alert, where_to_configure=self._where_to_configure())
        return result

    def resolve(self, key_or_title: str, text: str = "") -> Result:
        """Say that what an alert of this run told of is over.

        The channels that had the last alert of this key, or title, are told; its window
        closes, so that the next one like it is admitted. With no such alert nothing
        happens, and the result is `Unrouted`.

        Raises:
            TypeError: The key, title or text is no ``str``.
            RunFinished: `finish` was called.

        """
        return self.alert(key_or_title, text, kind=RESOLVED)

    @staticmethod
    def _where_to_configure() -> str:
        """Return where a configuration would be found, if there is none."""
        is_there = places.config_file() is not None
        return "" if is_there else str(places.config_dir() / "tocsin.toml")

    def finish(self, *, timeout: float | None = None) -> None:
        """End the run: deliver what is under way for at most `timeout` seconds.

        The default is the configuration's `finish_timeout`, 5 seconds. What is left stays
        kept, for the next process with this configuration or for ``tocsin drain``. A
        second call does nothing.
        """
        if not self._is_finished:
            self._is_finished = True
            limit = (
                self._notifier.settings.finish_timeout if timeout is None else timeout
            )
            deadline = time.monotonic() + limit
            self._notifier.flush(limit)
            self._tell(max(0.05, deadline - time.monotonic()))
            self._notifier.close(max(0.0, deadline - time.monotonic()))

    def _tell(self, timeout: float) -> None:
        """Say what was suppressed and no alert told of, and what is not delivered yet."""
        if self.origin.rank:  # all ranks of a job share the counts: the first one tells
            return
        scope = self.origin.job or self.origin.run
        for title, count in self._notifier.untold(scope, timeout=timeout):
            say(f"tocsin: {count:,} more like {title!r} suppressed in this run")
        if kept := self._notifier.pending(timeout=timeout):
            say(
                f"tocsin: {kept:,} deliveries are kept: the next program with this "
                "configuration makes them, or `tocsin drain`; `tocsin log` says why"
            )

    def _crashed(self, error: BaseException) -> None:
        """Raise the one alert of an exception that ends the program."""
        if not self._is_crashed:
            self._is_crashed = True
            self._tell_crash(error, wait_duration=0)

    def _tell_crash(
        self, error: BaseException, where: str = "", wait_duration: float | None = None
    ) -> None:
        """Raise the alert of an exception that nobody caught."""
        if self._is_finished:
            return
        import traceback

        name = type(error).__name__
        frames = traceback.format_tb(error.__traceback__)[-_FRAMES:]
        try:
            self.alert(
                f"{self.name or 'The program'} crashed: {name}",
                f"{name}{where}: {printed(error)}\n\n{''.join(frames)}".rstrip(),
                AlertLevel.ERROR,
                wait_duration,
                kind="crashed",
            )
        except Exception as ours:  # noqa: BLE001 - it must not hide the error of the run
            _log.warning("the crash could not be told: %s", printed(ours))

    def __enter__(self) -> Self:
        """Return the run."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Finish; an exception that is on its way out raises the alert of a crash."""
        try:
            if error is not None and isinstance(error, Exception):
                self._crashed(error)
        finally:
            self.finish()


class _DisabledRun(Run):
    """A run in disabled mode takes any arguments, even none, as W&B's does."""

    def alert(self, *_: Any, **__: Any) -> Result:  # noqa: ANN401 - any arguments
        return Disabled()


_lock = threading.RLock()
_current: Run | None = None
_default: Run | None = None
_is_finished_at_exit = False


def init(
    project: str = "",
    *,
    name: str = "",
    team: str = "",
    job: str = "",
    id: str = "",  # noqa: A002 - W&B's own name
    tags: Iterable[str] = (),
    config: str | os.PathLike[str] | None = None,
    mode: Mode | str | None = None,
) -> Run:
    """Start a run and make it the current one; a run before it is finished.

    Args:
        project: What the run belongs to; subscriptions can choose by it.
        name: What people call the run; default: its id.
        team: Whose settings hold beside your own.
        job: What all ranks and restarts of one job share: suppression then holds over
            all of them. Default: `TORCHELASTIC_RUN_ID` (unless ``none``), or
            `SLURM_JOB_ID`.
        id: The run's id; give the same one to a run that is resumed, so that suppression
            holds over the restart. Default: a random one.
        tags: Added to every alert's.
        config: A configuration file; default: `TOCSIN_CONFIG`, else the user's own.
        mode: ``online``, ``offline`` (keep, deliver later) or ``disabled``; default:
            `TOCSIN_MODE`, else online.

    Raises:
        ConfigError: The configuration has mistakes; the error holds all of them. Or the
            team is unknown, or you are not among its members.
        ValueError: The mode is none of the three.

    """
    global _current
    chosen = Mode.parse(mode)
    origin = Origin(
        project=project,
        team=team,
        run=id or _new_run_id(),
        run_name=name,
        job=job or places.job(),
        host=places.host(),
        rank=places.rank(),
    )
    run = _start(origin, tags, config, chosen)
    with _lock:
        previous, _current = _current, run
    if previous is not None:
        previous.finish()
    _install_hooks()
    return run


def _start(
    origin: Origin,
    tags: Iterable[str],
    config: str | os.PathLike[str] | None,
    mode: Mode,
) -> Run:
    if mode is Mode.DISABLED:
        return _DisabledRun(Notifier(Settings(), namespace="", mode=mode), origin, tags)
    notifier = Notifier.from_config(config, mode=mode)
    notifier.check(origin)
    notifier.start()
    return Run(notifier, origin, tags)


def alert(
    title: str,
    text: str = "",
    level: AlertLevel | str | None = None,
    wait_duration: float | timedelta | None = None,
    *,
    kind: str = "scriptable",
    key: str = "",
    tags: Iterable[str] = (),
    fields: Mapping[str, object] | None = None,
    url: str = "",
    attachments: Iterable[Attachable] | Attachable = (),
) -> Result:
    """Raise an alert in the current run, or in none.

    The arguments are those of `Alert`. Without `init` it uses the configuration that it
    finds; a configuration with mistakes is told once, and the alert is printed and kept.

    Raises:
        TypeError: A title or text is no ``str``, or a `wait_duration` is no time.
        ValueError: The level is unknown, or the `wait_duration` is negative.

    """
    return _run().alert(
        title,
        text,
        level,
        wait_duration,
        kind=kind,
        key=key,
        tags=tags,
        fields=fields,
        url=url,
        attachments=attachments,
    )


def resolve(key_or_title: str, text: str = "") -> Result:
    """Say that what an alert of the current run told of is over; see `Run.resolve`.

    Raises:
        TypeError: The key, title or text is no ``str``.

    """
    return _run().resolve(key_or_title, text)


def _run() -> Run:
    global _default  # noqa: PLW0603 - made once, at the first alert
    with _lock:
        if _current is not None and not _current._is_finished:  # noqa: SLF001 - ours
            return _current
        if _default is None:
            _default = _default_run()
        return _default


def _default_run() -> Run:
    origin = Origin(job=places.job(), host=places.host(), rank=places.rank())
    try:
        return _start(origin, (), None, Mode.parse(None))
    except (ConfigError, ValueError) as error:
        _log.warning("alerts are only printed and kept: %s", error)
        notifier = Notifier(Settings(), namespace="", mode=Mode.ONLINE)
        return Run(notifier, origin, ())


def _new_run_id() -> str:
    """Return eight letters and digits, as W&B's ids are."""
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    return "".join(digits[byte % 36] for byte in os.urandom(8))


class _CrashHook:
    """Tells of an exception that nobody caught, then does what was done before."""

    def __init__(self, previous: Callable[..., object]) -> None:
        self._previous = previous

    def __call__(
        self,
        kind: type[BaseException],
        error: BaseException,
        trace: TracebackType | None,
    ) -> None:
        try:
            if _current is not None and isinstance(error, Exception):
                _current._crashed(error)  # noqa: SLF001 - ours
        finally:
            self._previous(kind, error, trace)


class _ThreadHook:
    """Likewise for a thread, which the program outlives."""

    def __init__(self, previous: Callable[..., object]) -> None:
        self._previous = previous

    def __call__(self, args: threading.ExceptHookArgs) -> None:
        try:
            if _current is not None and isinstance(args.exc_value, Exception):
                where = f" in thread {args.thread.name}" if args.thread else ""
                _current._tell_crash(args.exc_value, where)  # noqa: SLF001 - ours
        finally:
            self._previous(args)


def _tell_of_child() -> None:
    """Tell of the exception that ends a child of multiprocessing.

    It is printed there without a hook; but what is to be done at the end is done while it
    is on its way out.
    """
    error = sys.exception()
    if _current is not None and isinstance(error, Exception):
        _current._crashed(error)  # noqa: SLF001 - ours


def _watch_child(_: object = None) -> None:
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.Finalize(None, _tell_of_child, exitpriority=20)


def _install_hooks() -> None:
    global _is_finished_at_exit  # noqa: PLW0603 - once a process
    if not isinstance(sys.excepthook, _CrashHook):
        sys.excepthook = _CrashHook(sys.excepthook)
    if not isinstance(threading.excepthook, _ThreadHook):
        threading.excepthook = _ThreadHook(threading.excepthook)
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process():
        _watch_child()
    if not _is_finished_at_exit:
        _is_finished_at_exit = True
        atexit.register(_finish_current)


def _after_fork_in_child() -> None:
    global _lock  # noqa: PLW0603 - another thread of the parent may hold it
    _lock = threading.RLock()
    util = sys.modules.get("multiprocessing.util")
    if util is not None and _current is not None:
        # a child of multiprocessing forgets what its parent had to do at the end; it does
        # this first, and has a place where it says so
        util.register_after_fork(_current, _watch_child)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def _finish_current() -> None:
    """Finish the run of a script that did not."""
    if _current is not None:
        _current.finish(timeout=_current._notifier.settings.flush_timeout)  # noqa: SLF001 - ours
