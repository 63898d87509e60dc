"""Log records as alerts: a handler for the standard library's ``logging``."""

from __future__ import annotations

import functools
import itertools
import logging
import re
import sys
import threading
import weakref
from typing import TYPE_CHECKING

import attrs

from tocsin import _session
from tocsin._alert import Alert, AlertLevel, Origin
from tocsin._errors import RunFinished, printed
from tocsin._failure import account, headline
from tocsin._mode import Mode
from tocsin._notifier import Notifier
from tocsin._results import Unrouted
from tocsin._run import Run
from tocsin._secrecy import blotted
from tocsin._text import longest_fit
from tocsin._throttle import throttle_key
from tocsin._told import is_told

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import timedelta
    from types import FrameType

    from tocsin._results import Result

__all__ = ["AlertHandler"]

_LEVELS: Mapping[int | str, AlertLevel | str] = {
    logging.ERROR: AlertLevel.ERROR,
    logging.WARNING: AlertLevel.WARN,
}

_LONGEST_TITLE = 200  # characters; the text has the whole line
_LONGEST_TEXT = 20_000
_LONGEST_FIELD = 200
_LONGEST_KEY = 300
_MOST_FIELDS = 20
_REMEMBERED = 1_000  # keys of one notifier

_STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}
"""What every record has; the rest came in ``extra``."""

_PLACEHOLDER = re.compile(r"%(?:\(\w*\))?[-#0 +]*[\d*]*(?:\.[\d*]+)?[a-zA-Z%]")


class AlertHandler(logging.Handler):
    """Raises log records as alerts.

    What Tocsin and its threads log is left out, and so is what is logged while an alert is
    raised: it may be attached to the root logger at any level. A record with an attribute
    ``tocsin_told`` that is true is left out, too.

    The key of an alert is the logger's name and the message before its arguments are filled
    in: ``log.error("loss is %f", loss)`` is one alert in its wait, whatever the loss. A
    message that has no words of its own, such as ``"%s"``, is known by its place in the
    code. With ``extra={"tocsin_key": …}`` you choose, and ``tocsin_url`` is where to read
    on; what else comes in ``extra`` is shown in fields.

    Args:
        level: Records below it are left out: a number, or a name.
        levels: From which logging level on an alert has which level: numbers or names to
            `AlertLevel`s or names. What is below all of them is INFO. Default: ERROR from
            ``ERROR`` on, WARN from ``WARNING`` on.
        kind: The alerts' kind, which subscriptions choose by.
        wait_duration: Seconds for which the same key is not admitted again, a timedelta,
            or a string such as ``"5m"``. Default: 60 seconds.
        tags: Added to every alert's.
        target: Whose alerts they are; default: the current run's, as with `tocsin.alert`.

    Raises:
        TypeError: The target is neither a `Run` nor a `Notifier`, or the `wait_duration` is
            no time.
        ValueError: A level is unknown, or the `wait_duration` is negative.

    """

    def __init__(
        self,
        level: int | str = logging.ERROR,
        *,
        levels: Mapping[int | str, AlertLevel | str] | None = None,
        kind: str = "log",
        wait_duration: float | timedelta | str | None = None,
        tags: Iterable[str] | str = (),
        target: Run | Notifier | None = None,
    ) -> None:
        super().__init__(level)
        if not isinstance(target, Run | Notifier | None):
            raise TypeError(
                f"target must be a Run, a Notifier or None, not {type(target).__name__}"
            )
        like = Alert("x", kind=kind, wait_duration=_wait(wait_duration), tags=tags)
        self._kind, self._wait, self._tags = like.kind, like.wait_duration, like.tags
        self._levels = _thresholds(_LEVELS if levels is None else levels)
        self._target = target
        self._memories: weakref.WeakKeyDictionary[Notifier, _Memory] = (
            weakref.WeakKeyDictionary()
        )

    def handle(self, record: logging.LogRecord) -> bool | logging.LogRecord:  # type: ignore[override]  # since 3.12 a filter may replace it
        """Raise the alert of a record that the filters let through.

        There is no lock around it, as other handlers have one: an alert may be raised by
        any thread, and a thread that waits here might hold what another one waits for.
        """
        passed: bool | logging.LogRecord = self.filter(record)
        if passed:
            self.emit(passed if isinstance(passed, logging.LogRecord) else record)
        return passed

    def emit(self, record: logging.LogRecord) -> None:
        """Raise the alert of a record; what goes wrong is left to `handleError`."""
        if _here.is_raising:
            return
        _here.is_raising = True
        try:
            if not _is_ours(record):
                self._raise(record)
        except RunFinished:  # by another thread, just now
            pass
        except Exception:  # noqa: BLE001 - logging never raises
            self.handleError(record)
        finally:
            _here.is_raising = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Print what went wrong, unless ``logging.raiseExceptions`` is false."""
        if not sys.is_finalizing():  # then there is nothing left to raise an alert with
            super().handleError(record)

    def _raise(self, record: logging.LogRecord) -> None:
        place = _place(self._target)
        if place is None:
            return
        memory = self._memory(place.notifier)
        level, now = self._level(record.levelno), place.notifier.now()
        call = (place.origin, level, _key(record))
        if memory.suppresses(call, self._wait, now) or _is_courier_at_work():
            return
        alert = self._alert(record, level)
        memory.remember(call, place, alert, place.take(alert), now)

    def _memory(self, notifier: Notifier) -> _Memory:
        memory = self._memories.get(notifier)
        if memory is None:
            memory = self._memories[notifier] = _Memory(notifier)
        return memory

    def _level(self, number: int) -> AlertLevel:
        for threshold, level in self._levels:
            if number >= threshold:
                return level
        return AlertLevel.INFO

    def _alert(self, record: logging.LogRecord, level: AlertLevel) -> Alert:
        title, text = self._words(record)
        return Alert(
            blotted(title),
            blotted(longest_fit(text, _fits, _LONGEST_TEXT)),
            level,
            self._wait,
            kind=self._kind,
            key=blotted(_key(record)),
            tags=self._tags,
            fields=dict(_fields(record)),
            url=printed(getattr(record, "tocsin_url", None) or ""),
        )

    def _words(self, record: logging.LogRecord) -> tuple[str, str]:
        message = _message(record).strip()
        title, _, rest = message.partition("\n")
        if not title:
            error = _error(record)
            title = headline(error) if error else record.name
        if len(title) > _LONGEST_TITLE:
            title, rest = f"{title[:_LONGEST_TITLE].rstrip()} …", message
        if self._has_format():
            said = self.format(record)
            return title, "" if said == title else said
        parts = (rest.strip("\n"), _exception(record), record.stack_info or "")
        return title, "\n\n".join(filter(None, parts))

    def _has_format(self) -> bool:
        """Whether there is a formatter, other than what `basicConfig` gives to each."""
        layout = getattr(self.formatter, "_fmt", "")
        return self.formatter is not None and layout != logging.BASIC_FORMAT


class _Here(threading.local):
    """What the thread that asks is doing."""

    is_raising = False


_here = _Here()


@attrs.frozen
class _Place:
    """Where an alert is raised: in a run, or at a notifier."""

    notifier: Notifier
    origin: Origin
    run: Run | None

    def take(self, alert: Alert) -> Result:
        if self.run is None:
            return self.notifier.notify(alert)
        return self.run.alert(
            alert.title,
            alert.text,
            alert.level,
            alert.wait_duration,
            kind=alert.kind,
            key=alert.key,
            tags=alert.tags,
            fields=alert.fields,
            url=alert.url,
        )


_NO_ORIGIN = Origin()


def _place(target: Run | Notifier | None) -> _Place | None:
    """Return where to raise alerts; None: nobody wants any."""
    run = _session.run_now() if target is None else target
    if isinstance(run, Notifier):
        place = _Place(run, _NO_ORIGIN, None)
    elif run._is_finished:  # noqa: SLF001 - ours
        return None
    else:
        place = _Place(run._notifier, run.origin, run)  # noqa: SLF001 - ours
    return None if place.notifier.mode is Mode.DISABLED else place


class _Memory:
    """What is known of records like one before: it spares making an alert of the next.

    It is a notifier's: whether an alert goes anywhere depends on the settings.
    """

    def __init__(self, notifier: Notifier) -> None:
        self._gate = notifier.intake.gate
        self._is_read = bool(notifier.settings.channels)
        self._keys: dict[tuple[Origin, AlertLevel, str], tuple[str, float | None]] = {}

    def suppresses(
        self, call: tuple[Origin, AlertLevel, str], wait_duration: float, now: float
    ) -> bool:
        """Whether its window is open, where it is counted, or it goes nowhere."""
        known = self._keys.get(call)
        if known is None:
            return False
        key, nowhere_at = known
        if nowhere_at is not None:
            return 0 <= now - nowhere_at < wait_duration
        return self._gate.suppress(key, call[1], wait_duration, now) is not None

    def remember(
        self,
        call: tuple[Origin, AlertLevel, str],
        place: _Place,
        alert: Alert,
        result: Result,
        now: float,
    ) -> None:
        """Take note of what became of an alert."""
        is_nowhere = isinstance(result, Unrouted)
        if is_nowhere and not self._is_read:  # it was printed, and so is the next one
            return
        here = attrs.evolve(alert, origin=place.notifier.placed(place.origin))
        if len(self._keys) >= _REMEMBERED:
            self._keys.clear()
        self._keys[call] = throttle_key(here), now if is_nowhere else None


def _is_ours(record: logging.LogRecord) -> bool:
    """Whether it is Tocsin's, of a thread of Tocsin's, or told already."""
    thread = record.threadName or threading.current_thread().name
    return (
        record.name == "tocsin"
        or record.name.startswith("tocsin.")
        or thread == "tocsin"
        or thread.startswith("tocsin ")
        or bool(getattr(record, "tocsin_told", False))
        or ((error := _error(record)) is not None and is_told(error))
    )


def _is_courier_at_work() -> bool:
    """Whether this thread, though not Tocsin's, delivers: where none can be started."""
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - what inspect uses
    while frame is not None:
        if frame.f_globals.get("__name__") == "tocsin._courier":
            return True
        frame = frame.f_back
    return False


def _wait(duration: float | timedelta | str | None) -> float | timedelta | None:
    if not isinstance(duration, str):
        return duration
    from tocsin._structure import duration as seconds

    return seconds(duration)


def _thresholds(
    levels: Mapping[int | str, AlertLevel | str],
) -> tuple[tuple[int, AlertLevel], ...]:
    parsed = {_number(name): AlertLevel.parse(level) for name, level in levels.items()}
    return tuple(sorted(parsed.items(), key=lambda one: one[0], reverse=True))


def _number(level: int | str) -> int:
    if isinstance(level, int):
        return level
    if level.isdecimal():  # a key in JSON
        return int(level)
    names = logging.getLevelNamesMapping()
    if level.upper() not in names:
        raise ValueError(f"{level!r} is no logging level; there are {', '.join(names)}")
    return names[level.upper()]


def _fits(text: str) -> bool:
    return len(text) <= _LONGEST_TEXT


def _key(record: logging.LogRecord) -> str:
    """Return what is the same for records that say the same."""
    if chosen := getattr(record, "tocsin_key", None):
        return printed(chosen)[:_LONGEST_KEY]
    said = record.msg
    if not isinstance(said, str) or not _has_words(said[:_LONGEST_KEY]):
        said = f"{record.filename}:{record.lineno}"
    error = _error(record)
    kind = f" ({type(error).__name__})" if error else ""
    return f"{record.name}: {said[:_LONGEST_KEY]}{kind}"


@functools.lru_cache(maxsize=1_000)
def _has_words(template: str) -> bool:
    return any(map(str.isalpha, _PLACEHOLDER.sub("", template)))


def _error(record: logging.LogRecord) -> BaseException | None:
    return record.exc_info[1] if isinstance(record.exc_info, tuple) else None


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - a mistake in the call: what it meant matters
        return f"{printed(record.msg)} {printed(record.args)}"


def _exception(record: logging.LogRecord) -> str:
    error = _error(record)
    return account(error) if error else record.exc_text or ""


def _fields(record: logging.LogRecord) -> Iterator[tuple[str, str]]:
    yield "logger", record.name
    yield "where", f"{record.filename}:{record.lineno}, {record.funcName}"
    more = (
        (name, value)
        for name, value in vars(record).items()
        if name not in _STANDARD
        and value is not None
        and not name.startswith(("_", "tocsin_"))
    )
    for name, value in itertools.islice(more, _MOST_FIELDS):
        # with its name before it, so that what is called a password is blotted
        said = blotted(f"{name}={_short(printed(value))}")
        yield name, said.removeprefix(f"{name}=")


def _short(text: str) -> str:
    is_long = len(text) > _LONGEST_FIELD
    return f"{text[:_LONGEST_FIELD].rstrip()} …" if is_long else text
