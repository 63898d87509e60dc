"""What the callback of any framework tells of one training."""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any, ParamSpec

import attrs

import tocsin
from tocsin._errors import printed
from tocsin._metrics import Scalar, scalars, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_P = ParamSpec("_P")

_log = logging.getLogger("tocsin")

_SHOWN = 8  # of the final metrics


def quiet(hook: Callable[_P, None]) -> Callable[_P, None]:
    """Return a hook that lets no exception of its own reach the training.

    The first one is logged as a warning: what fails may fail at every step.
    """
    levels = iter([logging.WARNING])

    @functools.wraps(hook)
    def quieted(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            hook(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - it must not end a training
            level = next(levels, logging.DEBUG)
            _log.log(level, "%s: %s", hook.__module__, printed(error))

    return quieted


@attrs.define
class Training:
    """One training: it logs into the current run, or else into one that it starts."""

    watch: Mapping[str, Mapping[str, Any]]
    """Metric -> the options of `Run.watch_metric`."""
    options: Mapping[str, Any]
    """Those of `tocsin.init`, for a run that it starts."""
    _run: Any = attrs.field(default=None, init=False)  # a Run, or None
    _is_ours: bool = attrs.field(default=False, init=False)
    _last: dict[str, Scalar] = attrs.field(factory=dict, init=False)

    def begin(self, **defaults: str) -> None:
        """Take the current run, or start one, and watch its metrics.

        `defaults` are options that those of the callback come before.
        """
        run: Any = tocsin.run
        if run is not None and run is self._run:  # one that went on after a failure
            return
        self._is_ours = run is None
        self._run = run or tocsin.init(**{**defaults, **self.options})
        for metric, options in self.watch.items():
            self._run.watch_metric(metric, **options)

    def log(self, metrics: object, step: int | None) -> None:
        """Log what of the metrics is a number, or a short string."""
        if self._run is not None and (kept := scalars(metrics)):
            self._last.update(kept)
            self._run.log(kept, step)

    def end(self, what: str) -> None:
        """Say that it is over, with the last metrics; finish the run that it started."""
        run, last = self._forget()
        if run is not None:
            message = f"{what}: {_listed(last)}" if last else what
            run.finish(message=message)

    def fail(self, error: BaseException) -> None:
        """Let the run that it started tell of an exception; another is left to others."""
        run, _ = self._forget()
        if run is not None:
            run.__exit__(type(error), error, error.__traceback__)

    def _forget(self) -> tuple[Any, dict[str, Scalar]]:
        """Let go of the run; return it if it is to be finished, and the last metrics."""
        run, last = self._run if self._is_ours else None, self._last
        self._run, self._is_ours, self._last = None, False, {}
        return run, last


def _listed(metrics: Mapping[str, Scalar]) -> str:
    names = sorted(metrics, key=lambda name: "loss" not in name)[:_SHOWN]
    return ", ".join(f"{name}={_shown(metrics[name])}" for name in names)


def _shown(value: Scalar) -> str:
    return shown(value) if type(value) is float else str(value)


def counted(number: int, noun: str) -> str:
    """Return ``1 step`` or ``2 steps``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def derived(hooks: type, *bases: type) -> type:
    """Return a framework's callback: our hooks on the class that it asks for."""
    names = {"__doc__": hooks.__doc__, "__module__": hooks.__module__}
    return type("TocsinCallback", (hooks, *bases), names)
