"""Run: what a script has in its hands. All that it does goes through a notifier."""

from __future__ import annotations

import logging
import operator
import os
import threading
import time
import weakref
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn, Self

from tocsin import _children as children
from tocsin import _places as places
from tocsin._alert import (
    DEFAULT_WAIT_DURATION,
    RESOLVED,
    Alert,
    AlertLevel,
    Origin,
    new_id,
)
from tocsin._ending import Ending, RunState
from tocsin._errors import RunFinished, printed
from tocsin._failure import account, as_exit_code, ending_of
from tocsin._mode import Mode
from tocsin._notifier import Notifier
from tocsin._report import END, name_of
from tocsin._results import Disabled
from tocsin._settings import Settings
from tocsin._terminal import echo, say
from tocsin._told import is_told, mark

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import timedelta
    from types import TracebackType

    from tocsin._attachment import Attachable
    from tocsin._life import Life
    from tocsin._metrics import Finding, Watch
    from tocsin._results import Result

_log = logging.getLogger("tocsin")

_ASKED = 0.4  # seconds, of the half that a program's own handler waits
_MAX_STEP = 2**63
_YEAR = 365 * 86_400.0  # seconds


class Run:
    """One run of a program: what it raises carries the run's origin.

    Made by `init`. Use it in a ``with``, or call `finish` at the end; a script that does
    neither is finished when the interpreter exits.
    """

    def __init__(
        self,
        notifier: Notifier,
        origin: Origin,
        tags: Iterable[str] = (),
        *,
        url: str = "",
        config: Mapping[str, object] | None = None,
        life: Life | None = None,
    ) -> None:
        self._notifier = notifier
        self._tags = tuple(tags)
        self._life = life
        self._pid = os.getpid()
        self._is_finished = False
        self._watches: dict[str, Watch] = {}
        self.url = url
        """Where people can look at the run; alerts without an own url have this one."""
        self.config = Config(config or {})
        """What `init` was given as the program's settings."""
        self.origin = notifier.placed(origin)
        if life is not None:
            _living[self.origin] = self

    @property
    def id(self) -> str:
        """The run's id; alerts are throttled within it, unless there is a job."""
        return self.origin.run

    @property
    def name(self) -> str:
        """The run's name, or its id."""
        return self.origin.run_name or self.origin.run

    @property
    def state(self) -> RunState:
        """What it does, or how it ended, as far as this process knows."""
        if self._life is not None:
            return self._life.state
        return RunState.FINISHED if self._is_finished else RunState.RUNNING

    @property
    def _is_own(self) -> bool:
        """Whether this process started it, and it has not ended."""
        return self._pid == os.getpid() and not self._is_finished

    def __repr__(self) -> str:
        return f"<Run {self.name}{' finished' if self._is_finished else ''}>"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        """Return the run: what holds it may be copied, and there is one of it."""
        return self

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle where it came from: in another process it raises the same run's alerts."""
        source, mode = self._notifier.settings.source, self._notifier.mode
        return attached, (self.origin, self._tags, self.url, source, mode)

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
            self._refuse()
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
            url=url or self.url,
            attachments=attachments,
            origin=self.origin,
            id=new_id(),
            created_at=datetime.fromtimestamp(now, UTC),
        )
        result = intake.take(alert, now, is_new=True, call=call)
        if not self._notifier.settings.channels:
            echo(alert, where_to_configure=self._where_to_configure())
        return result

    def _refuse(self) -> NoReturn:
        raise RunFinished(
            f"the run {self.name} is finished: raise alerts before finish(), or start "
            "another run with tocsin.init()"
        )

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

    @property
    def project(self) -> str:
        """What the run belongs to."""
        return self.origin.project

    @property
    def summary(self) -> dict[str, object]:
        """The last value of each metric that was logged."""
        return {} if self._life is None else dict(self._life.metrics)

    def log(
        self,
        metrics: Mapping[str, object],
        step: int | None = None,
        *,
        commit: bool | None = None,  # noqa: ARG002 - W&B's
    ) -> None:
        """Note metrics: the last values are in messages and heartbeats, and are progress.

        Numbers, short texts and what has an ``item()``, such as a tensor of one element,
        are kept; a mapping within is ``outer.inner``; anything else is left out. `commit`
        is W&B's, and changes nothing.

        Raises:
            RunFinished: `finish` was called.

        """
        if self._is_finished:
            self._refuse()
        from tocsin._metrics import scalars

        kept, step = scalars(metrics), _whole(step)
        if self._life is not None:
            self._life.log(kept, step)
        for name, watch in tuple(self._watches.items()):
            value = kept.get(name)
            if isinstance(value, float | int):
                self._tell_finding(watch.look(value, step))

    def watch_metric(
        self,
        name: str,
        *,
        above: float | None = None,
        below: float | None = None,
        diverges: float | None = 10.0,
    ) -> None:
        """Alert when a metric that is logged is not a number any more, or diverges.

        Args:
            name: As in `log`.
            above: Alert when it is more than this.
            below: Alert when it is less than this.
            diverges: Alert when its smoothed value is so many times its best one; None:
                never. It is for what should become less, such as a loss.

        An alert is resolved once the metric is back.

        """
        from tocsin._metrics import Watch

        self._watches[name] = Watch(name, above=above, below=below, diverges=diverges)

    def _tell_finding(self, finding: Finding | None) -> None:
        if finding is None:
            return
        if finding.is_over:
            self.alert(finding.key, finding.text, kind=RESOLVED, key=finding.key)
        else:
            self.alert(finding.title, finding.text, finding.level, key=finding.key)

    def emit(self, kind: str, **facts: object) -> None:
        """Offer a change of the run to the plugins that listen; it alerts nobody.

        It is for what happens beside metrics, such as an artifact that is made.

        Raises:
            RunFinished: `finish` was called.

        """
        if self._is_finished:
            self._refuse()
        if self._life is not None:
            self._life.emit(kind, facts)

    def mark_preempting(self) -> None:
        """Note that the scheduler takes the machine back.

        Unless the run finishes after all, its end is told as a preemption.
        """
        if self._life is not None:
            self._life.mark_preempting()

    def finish(
        self,
        exit_code: int | None = None,
        message: str = "",
        *,
        timeout: float | None = None,
    ) -> None:
        """End the run: deliver what is under way for at most `timeout` seconds.

        With no `exit_code`, or with 0, the run finished; with another one it failed.
        `message` is told with it. A second call does nothing.

        The default of `timeout` is the configuration's `finish_timeout`, 5 seconds. What is
        left stays kept, for the next process with this configuration or for ``tocsin
        drain``.
        """
        code = 0 if exit_code is None else as_exit_code(operator.index(exit_code))
        state = RunState.FAILED if code else RunState.FINISHED
        ending = Ending(state=state, exit_code=code, message=printed(message))
        self._end(ending, timeout=timeout)

    def _end(
        self, ending: Ending, *, timeout: float | None = None, is_told: bool = False
    ) -> None:
        if self._is_finished:
            return
        limit = self._notifier.settings.finish_timeout if timeout is None else timeout
        deadline = time.monotonic() + limit
        self._pass_away(ending, timeout=limit, is_told=is_told)
        self._is_finished = True
        if self._life is not None and self._pid == os.getpid():
            self._life.wait_for_others()
            deadline = max(deadline, time.monotonic() + limit / 2)
            self._life.listen_to_the_end(deadline)
        self._notifier.flush(max(0.0, deadline - time.monotonic()))
        self._say(max(0.05, deadline - time.monotonic()))
        self._notifier.close(max(0.0, deadline - time.monotonic()))

    def _pass_away(
        self, ending: Ending, *, timeout: float | None = None, is_told: bool = False
    ) -> None:
        """Tell of the end; a child that was forked ends without a word of its parent's."""
        if self._life is None or self._pid != os.getpid():
            return
        try:
            limit = (
                self._notifier.settings.flush_timeout if timeout is None else timeout
            )
            self._life.end(ending, timeout=limit, is_told=is_told)
        except Exception as ours:  # noqa: BLE001 - it must not hide the error of the run
            _log.warning("the end of the run could not be told: %s", printed(ours))

    def _say(self, timeout: float) -> None:
        """Say what was suppressed and no alert told of, and what is not delivered yet."""
        if self.origin.rank:  # all ranks of a job share the counts: the first one tells
            return
        scope = self.origin.job or self.origin.run
        for title, count in self._notifier.untold(scope, timeout=timeout):
            if not title.startswith(END):  # that is told by whoever is last
                say(f"tocsin: {count:,} more like {title!r} suppressed in this run")
        if self._life is not None and self._life.gathers_until:
            return  # another rank may be at it just now
        if kept := self._notifier.pending(timeout=timeout):
            say(
                f"tocsin: {kept:,} deliveries are kept: the next program with this "
                "configuration makes them, or `tocsin drain`; `tocsin log` says why"
            )

    def _failed(self, error: BaseException) -> None:
        """Tell of the exception that ends the program."""
        if self._is_finished or (self._life is not None and self._life.ending):
            return
        if self._life is not None and self._pid == os.getpid():
            self._pass_away(ending_of(error), is_told=is_told(error))
        elif not is_told(error):
            self._stumbled(error, "", is_grave=True)
        mark(error)

    def _stumbled(self, error: BaseException, where: str, *, is_grave: bool) -> None:
        """Tell of an exception that nobody caught, while the program goes on.

        It is printed already, so that nothing is where there are no channels.
        """
        if self._is_finished or not isinstance(error, Exception):
            return
        try:
            alert = Alert(
                f"{name_of(self.origin)}: unhandled {type(error).__name__}{where}",
                account(error),
                AlertLevel.ERROR if is_grave else AlertLevel.WARN,
                kind="crashed" if is_grave else "ignored",
                tags=self._tags,
                url=self.url,
                origin=self.origin,
            )
            self._notifier.intake.receive(alert)
        except Exception as ours:  # noqa: BLE001 - it must not hide the error of the run
            _log.warning("an exception could not be told: %s", printed(ours))

    def _stopped(self, signal_name: str, *, is_last: bool) -> None:
        """Tell of a signal that asks the process to end."""
        is_preempted = signal_name == "SIGTERM" and bool(places.scheduler())
        state = RunState.PREEMPTED if is_preempted else RunState.KILLED
        ending = Ending(state=state, signal=signal_name)
        if is_last:
            self._end(ending, timeout=self._notifier.settings.flush_timeout)
        elif self._life is not None:
            self._life.ask(ending)
            self._notifier.flush(_ASKED)  # the handler may end the process at once

    def _leave(self) -> None:
        """End this process' part of a run that another one started."""
        self._end(
            Ending(state=RunState.FINISHED),
            timeout=self._notifier.settings.flush_timeout,
        )

    def __enter__(self) -> Self:
        """Return the run."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Finish; an exception that is on its way out says how."""
        if error is None or isinstance(error, GeneratorExit):
            self.finish()
            return
        try:
            self._failed(error)
        finally:
            self.finish()


class DisabledRun(Run):
    """A run in disabled mode takes any arguments, even none, as W&B's does."""

    def alert(self, *_: Any, **__: Any) -> Result:  # noqa: ANN401 - any arguments
        """Do nothing."""
        return Disabled()

    def resolve(self, *_: Any, **__: Any) -> Result:  # noqa: ANN401 - likewise
        """Do nothing."""
        return Disabled()

    def log(self, *_: Any, **__: Any) -> None:  # noqa: ANN401 - likewise
        """Do nothing."""

    def emit(self, *_: Any, **__: Any) -> None:  # noqa: ANN401 - likewise
        """Do nothing."""

    def watch_metric(self, *_: Any, **__: Any) -> None:  # noqa: ANN401 - likewise
        """Do nothing."""

    def mark_preempting(self, *_: Any, **__: Any) -> None:  # noqa: ANN401 - likewise
        """Do nothing."""

    def _failed(self, error: BaseException) -> None:
        """Tell nobody."""

    def _stumbled(self, error: BaseException, where: str, *, is_grave: bool) -> None:
        """Tell nobody."""

    def finish(self, *_: Any, **__: Any) -> None:  # noqa: ANN401 - likewise
        """Do nothing, more than once."""
        self._is_finished = True


def notifier_for(
    origin: Origin, config: str | os.PathLike[str] | None, mode: Mode
) -> Notifier:
    """Return a notifier that has begun to deliver, for what is raised there.

    Raises:
        ConfigError: The configuration has mistakes, or the team is unknown, or the user is
            not among its members.

    """
    if mode is Mode.DISABLED:
        return Notifier(Settings(), namespace="", mode=mode)
    notifier = Notifier.from_config(config, mode=mode)
    notifier.check(origin)
    notifier.start()
    return notifier


_lock = threading.RLock()
_attached: dict[object, Run] = {}
_living: weakref.WeakValueDictionary[Origin, Run] = weakref.WeakValueDictionary()
"""The runs that this process started."""


def attached(
    origin: Origin, tags: tuple[str, ...], url: str, source: str, mode: Mode
) -> Run:
    """Return a run of another process: its alerts are raised here, its end is its own.

    Raises:
        ConfigError: The configuration has mistakes by now.

    """
    own = _living.get(origin)
    if own is not None and own._pid == os.getpid():  # noqa: SLF001 - ours
        return own
    whose = (origin, tags, url, source, mode, os.getpid())
    with _lock:
        known = _attached.get(whose)
        if known is None or known._is_finished:  # noqa: SLF001 - ours
            kind = DisabledRun if mode is Mode.DISABLED else Run
            notifier = notifier_for(origin, source or None, mode)
            known = _attached[whose] = kind(notifier, origin, tags, url=url)
            children.watch_worker(known)
        return known


def _whole(step: object) -> int | None:
    """Return a step as an int; one that is none is no step."""
    try:
        number = operator.index(step)  # type: ignore[arg-type]
    except Exception:  # noqa: BLE001 - anyone's code; a metric must not cost a training
        number = -1
    return number if 0 <= number < _MAX_STEP else None


class Config(dict[str, Any]):
    """A program's settings; an item is an attribute, too."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever was given
        """Return an item."""
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"the run's config has no {name!r}") from None

    def __setattr__(self, name: str, value: object) -> None:
        self[name] = value
