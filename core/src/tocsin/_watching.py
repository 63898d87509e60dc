"""Functions and blocks that are watched: a failure of one is told, and goes on its way."""

from __future__ import annotations

import functools
import inspect
import logging
import time
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar, overload

from tocsin import _session
from tocsin._alert import Alert, AlertLevel
from tocsin._errors import printed
from tocsin._failure import account, headline
from tocsin._report import lasted
from tocsin._results import Refused
from tocsin._told import is_told, mark

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterable
    from datetime import timedelta
    from types import TracebackType

P = ParamSpec("P")
R = TypeVar("R")

_REMEMBERED = 1_000  # watches that failed

_log = logging.getLogger("tocsin")


class watching:  # noqa: N801 - it reads as contextlib.suppress does
    """A block that is watched, in a ``with`` or an ``async with``.

    An exception that leaves the block raises an alert of kind ``crashed``; Ctrl-C one of
    kind ``interrupted`` and level WARN. What else ends a block on purpose is not told: the
    end of a generator, a task that is cancelled, ``sys.exit()`` without a code. The
    exception goes on its way, and is told once, however many blocks it leaves.

    All failures of one name are one key; a success after one of them resolves it. Nothing
    that goes wrong with an alert is raised: it is logged.

    Args:
        name: What people call the block.
        on_success: Whether to tell its success too, as an alert of kind ``scriptable``, as
            what a program raises on purpose, and level INFO.
        level: A failure's level; default: ERROR.
        wait_duration: Seconds, or a timedelta, for which the same is not told again.
            Default: 60.
        tags: Added to every alert's.

    Raises:
        TypeError: The name is no ``str``, or the `wait_duration` is no time.
        ValueError: The level is unknown, or the `wait_duration` is negative.

    """

    def __init__(
        self,
        name: str,
        *,
        on_success: bool = False,
        level: AlertLevel | str = AlertLevel.ERROR,
        wait_duration: float | timedelta | None = None,
        tags: Iterable[str] = (),
    ) -> None:
        if not isinstance(name, str):
            raise TypeError(f"name must be a str, not {type(name).__name__}")
        # an alert like those to come: a wrong argument is told here, and never there
        self._like = Alert(name, "", level, wait_duration, tags=tags)
        self._on_success = on_success
        self._began = time.monotonic()

    @property
    def name(self) -> str:
        """What people call the block."""
        return self._like.title

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return time.monotonic() - self._began

    def __enter__(self) -> Self:
        """Begin."""
        self._began = time.monotonic()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Tell how it ended; the exception goes on its way."""
        try:
            self._end(error)
        except Exception as ours:  # noqa: BLE001 - it must not take the place of theirs
            _log.warning(
                "the end of %r could not be told: %s", self.name, printed(ours)
            )

    async def __aenter__(self) -> Self:
        """Begin."""
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Tell how it ended; the exception goes on its way."""
        self.__exit__(kind, error, traceback)

    def _end(self, error: BaseException | None) -> None:
        if error is None or (isinstance(error, SystemExit) and not error.code):
            self._tell_success()
        elif isinstance(error, KeyboardInterrupt):
            self._tell(error, "was interrupted", "interrupted", AlertLevel.WARN)
        elif isinstance(error, Exception | SystemExit):
            verdict = f"failed: {headline(error)}"
            self._tell(error, verdict, "crashed", self._like.level)

    def _tell(
        self, error: BaseException, verdict: str, kind: str, level: AlertLevel
    ) -> None:
        if is_told(error, self._began):
            return
        result = _session.alert(
            f"{self.name} {verdict}",
            account(error, without=__file__),
            level,
            self._like.wait_duration,
            kind=kind,
            key=self._key,
            tags=self._like.tags,
            fields={"ran for": lasted(self.seconds)},
        )
        if not isinstance(result, Refused):
            mark(error)
            _note_failure(self._key)

    def _tell_success(self) -> None:
        said = f"finished in {lasted(self.seconds)}"
        if _failed.pop(self._key, None):
            _session.resolve(self._key, f"{self.name} {said}")
        if self._on_success:
            _session.alert(
                f"{self.name} {said}",
                "",
                AlertLevel.INFO,
                self._like.wait_duration,
                key=f"{self.name} finished",
                tags=self._like.tags,
                fields={"ran for": lasted(self.seconds)},
            )

    @property
    def _key(self) -> str:
        return f"{self.name} failed"


_failed: dict[str, bool] = {}
"""The keys under which this process told a failure that was not followed by a success."""


def _note_failure(key: str) -> None:
    if len(_failed) >= _REMEMBERED:
        _failed.clear()
    _failed[key] = True


@overload
def watch(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def watch(
    *,
    name: str = "",
    on_success: bool = False,
    level: AlertLevel | str = AlertLevel.ERROR,
    wait_duration: float | timedelta | None = None,
    tags: Iterable[str] = (),
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def watch(
    function: Callable[P, R] | None = None,
    /,
    *,
    name: str = "",
    on_success: bool = False,
    level: AlertLevel | str = AlertLevel.ERROR,
    wait_duration: float | timedelta | None = None,
    tags: Iterable[str] = (),
) -> Callable[P, R] | Callable[[Callable[P, R]], Callable[P, R]]:
    """Watch each call of a function, as `watching` does; its name is the function's own.

    Use it as ``@tocsin.watch`` or ``@tocsin.watch(name="nightly export")``. A coroutine is
    watched while it is awaited; a generator, of either sort, from its first item to its
    end, with what is done between two items.

    Raises:
        TypeError: What is decorated is no function, the name is no ``str``, or the
            `wait_duration` is no time.
        ValueError: The level is unknown, or the `wait_duration` is negative.

    """
    if isinstance(tags, str):
        tags = (tags,)
    begin = functools.partial(
        watching,
        on_success=on_success,
        level=level,
        wait_duration=wait_duration,
        tags=tuple(tags),
    )

    def watched(function: Callable[P, R]) -> Callable[P, R]:
        if not callable(function):
            raise TypeError(f"watch() takes a function, not {type(function).__name__}")
        return _watched(function, functools.partial(begin, name or _name(function)))

    if function is not None:
        return watched(function)
    begin(name or "x")  # a wrong argument is told where it stands
    return watched


def _name(function: Callable[..., Any]) -> str:
    qualified = getattr(function, "__qualname__", "") or type(function).__name__
    return str(qualified).replace("<locals>.", "")


def _watched(
    function: Callable[..., Any], begin: Callable[[], watching]
) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(function):
        return _coroutine(function, begin)
    if inspect.isasyncgenfunction(function):
        return _async_generator(function, begin)
    if inspect.isgeneratorfunction(function):
        return _generator(function, begin)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as the function has it
        with begin():
            return function(*args, **kwargs)

    return call


def _coroutine(
    function: Callable[..., Any], begin: Callable[[], watching]
) -> Callable[..., Any]:
    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - likewise
        with begin():
            return await function(*args, **kwargs)

    return call


def _generator(
    function: Callable[..., Any], begin: Callable[[], watching]
) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:  # noqa: ANN401 - likewise
        with begin():
            return (yield from function(*args, **kwargs))

    return call


def _async_generator(
    function: Callable[..., Any], begin: Callable[[], watching]
) -> Callable[..., Any]:
    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:  # noqa: ANN401 - likewise
        with begin():
            items = function(*args, **kwargs)
            step = items.__anext__()
            while True:  # there is no `async yield from`
                try:
                    item = await step
                except StopAsyncIteration:
                    return
                try:
                    sent = yield item
                except GeneratorExit:
                    await items.aclose()
                    raise
                except BaseException as thrown:  # noqa: BLE001 - it is theirs
                    step = items.athrow(thrown)
                else:
                    step = items.asend(sent)

    return call
