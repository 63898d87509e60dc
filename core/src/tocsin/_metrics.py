"""When is a metric out of bounds, and what of a logged mapping is kept? Pure."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs

from tocsin._alert import AlertLevel
from tocsin._errors import printed

if TYPE_CHECKING:
    from collections.abc import Iterator

Scalar = float | int | str | bool
"""What is kept of a metric."""

LONGEST = 200
"""Characters of a string that is kept; a longer one is no metric."""

_DEEPEST = 8  # mappings in mappings; one that holds itself ends there
_CALM = 10  # values in a row that are in bounds before a limit's alert is over
_FIRST = 10  # values before there is a best one
_GROUND = 0.01  # of where a metric began: what is less counts as zero
_MEMORY = 10  # windows over which the noise is averaged
_SPIKE = 4.0  # times its way to the limit that one value counts for at the most
_SHOWN = 5  # of the last values


@attrs.frozen(kw_only=True)
class Finding:
    """What is to be told of a metric: something is bad, or over."""

    key: str
    """The same for one condition of one metric: the alert's key."""
    is_over: bool = False
    """The metric is back: `key` is to be resolved."""
    title: str
    text: str
    level: AlertLevel


@attrs.define
class _Limit:
    """A condition on each value: bad at once, over after ten values without it."""

    is_bad: bool = False
    _calm: int = 0

    def see(self, is_out: bool) -> None:
        if is_out:
            self.is_bad, self._calm = True, 0
        else:
            self._calm += 1
            self.is_bad = self.is_bad and self._calm < _CALM


@attrs.define
class _Divergence:
    """How a metric of which less is better fares against its best.

    The smoothed value is the mean of the first `window` values, and from then on an
    exponential mean of that weight. The best is the least smoothed value since the tenth.
    A metric diverges when the smoothed value is past::

        best + (factor - 1) * max(|best|, noise, |start| / 100)

    where the noise is the mean distance of a value from the smoothed one, over ten
    windows, and the start is the tenth smoothed value. So a quiet loss diverges at factor
    times its best; a noisy one must leave its noise as well; one that is about zero must
    go back a good part of its way, and one that is negative must rise by as many times
    its size. Zeros before the first other value do not count. One value counts for four
    times the way to the limit at the most: a lone spike is no divergence. It is over
    when the smoothed value has come half of the way back.
    """

    factor: float
    window: int
    is_bad: bool = False
    best: float = math.inf
    smoothed: float = 0.0
    _start: float = 0.0
    _noise: float = 0.0
    _count: int = 0

    def see(self, value: float) -> None:
        if not self._count and not value:
            return
        self._count += 1
        way = self._way()
        is_beyond = way is not None and value > self.best + way
        if way is not None:
            value = min(value, self.best + _SPIKE * way)
        if not is_beyond:  # what is past the limit is no noise
            self._note_noise(abs(value - self.smoothed) if self._count > 1 else 0.0)
        weight = max(1 / self.window, 1 / self._count)
        self.smoothed = (1 - weight) * self.smoothed + weight * value
        self._judge()

    def _way(self) -> float | None:
        """Return how far the limit is from the best; None as long as there is none."""
        if self._count <= _FIRST:
            return None
        ground = abs(self._start) * _GROUND
        return (self.factor - 1) * max(abs(self.best), self._noise, ground)

    def _note_noise(self, distance: float) -> None:
        weight = max(1 / (self.window * _MEMORY), 1 / self._count)
        self._noise = (1 - weight) * self._noise + weight * distance

    def _judge(self) -> None:
        if self._count < _FIRST:
            return
        if self._count == _FIRST:
            self._start = self.smoothed
        self.best = min(self.best, self.smoothed)
        way = self._way()
        if way is not None:
            self.is_bad = self.smoothed > self.best + way * (0.5 if self.is_bad else 1)


def _factor(_: object, __: object, value: float | None) -> None:
    if value is not None and not value > 1:
        raise ValueError(f"diverges must be more than 1, or None, not {value!r}")


def _window(_: object, __: object, value: int) -> None:
    if value < 1:
        raise ValueError(f"window must be 1 or more values, not {value!r}")


@attrs.define
class Watch:
    """Looks at the values of one metric, and finds what is to be told.

    - One that is no number, or infinite, is told at once, as an error.
    - One past `above` or `below` is told at once, as a warning. Both, and a number that
      is none, are over after ten values in a row that are good.
    - With `diverges`, less is better: a warning says that the smoothed value is about so
      many times the best one. `window` is how many values are smoothed over.

    What was told is told again only after it was over.

    Raises:
        ValueError: `diverges` is not more than 1, or there is no `window`.

    """

    name: str
    above: float | None = attrs.field(default=None, kw_only=True)
    below: float | None = attrs.field(default=None, kw_only=True)
    diverges: float | None = attrs.field(default=10.0, validator=_factor, kw_only=True)
    window: int = attrs.field(default=20, validator=_window, kw_only=True)
    _last: deque[float] = attrs.field(init=False, repr=False)
    _finite: _Limit = attrs.field(factory=_Limit, init=False, repr=False)
    _above: _Limit = attrs.field(factory=_Limit, init=False, repr=False)
    _below: _Limit = attrs.field(factory=_Limit, init=False, repr=False)
    _divergence: _Divergence = attrs.field(init=False, repr=False)
    _told: set[str] = attrs.field(factory=set, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._last = deque(maxlen=_SHOWN)
        self._divergence = _Divergence(self.diverges or 2.0, self.window)

    def look(self, value: float, step: int | None = None) -> Finding | None:
        """Take the next value, and return what is to be told, one thing at the most.

        Of several changes at once, the others are found with the values that follow.
        """
        number = _number(value)
        self._last.append(number)
        is_finite = math.isfinite(number)
        self._finite.see(not is_finite)
        if is_finite:
            self._above.see(self.above is not None and number > self.above)
            self._below.see(self.below is not None and number < self.below)
            if self.diverges is not None:
                self._divergence.see(number)
        if self._is_calm:
            return None
        return next(self._changes(number, step), None)

    @property
    def _is_calm(self) -> bool:
        """Nothing is bad, and nothing was."""
        return not (
            self._told
            or self._finite.is_bad
            or self._above.is_bad
            or self._below.is_bad
            or self._divergence.is_bad
        )

    def _changes(self, value: float, step: int | None) -> Iterator[Finding]:
        for key, is_bad, title, level in self._conditions(value):
            if is_bad is (key in self._told):
                continue
            (self._told.add if is_bad else self._told.discard)(key)
            yield Finding(
                key=key,
                is_over=not is_bad,
                title=title if is_bad else f"{self.name} is back: {shown(value)}",
                text=self._text(step),
                level=level if is_bad else AlertLevel.INFO,
            )

    def _conditions(self, value: float) -> Iterator[tuple[str, bool, str, AlertLevel]]:
        """Return key, state, title and level of each."""
        name, best = self.name, shown(self._divergence.best)
        yield (
            f"{name} is not finite",
            self._finite.is_bad,
            f"{name} is {_WORDS.get(shown(value), shown(value))}",
            AlertLevel.ERROR,
        )
        yield (
            f"{name} diverges",
            self._divergence.is_bad,
            f"{name} diverges: {shown(value)}, the best was {best}",
            AlertLevel.WARN,
        )
        limits = ("above", self.above, self._above), ("below", self.below, self._below)
        for word, bound, limit in limits:
            if bound is not None:
                what = f"{name} is {word} {shown(bound)}"
                yield what, limit.is_bad, f"{what}: {shown(value)}", AlertLevel.WARN

    def _text(self, step: int | None) -> str:
        values = ", ".join(map(shown, self._last))
        where = "" if step is None else f"at step {step:,}\n"
        return f"{where}last values: {values}"


_WORDS = {"nan": "NaN", "inf": "infinite", "-inf": "negatively infinite"}


def _number(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer of more than 308 digits
        return math.inf if value > 0 else -math.inf


def shown(value: float) -> str:
    """Return a number as people read it: six digits."""
    return f"{value:.6g}"


def scalars(metrics: object) -> dict[str, Scalar]:
    """Return what is kept of a logged mapping: plain numbers, booleans and short strings.

    What has one element (a scalar of numpy, a tensor) is kept by its value, and no
    reference to it. Mappings in the mapping are flattened: ``{"a": {"b": 1}}`` is
    ``{"a.b": 1}``. Anything else is left out. It never raises.
    """
    kept: dict[str, Scalar] = {}
    _keep(kept, "", metrics, _DEEPEST)
    return kept


def _keep(kept: dict[str, Scalar], prefix: str, metrics: object, depth: int) -> None:
    try:
        if not isinstance(metrics, Mapping) or not depth:
            return
        for name, value in metrics.items():
            kind = type(value)
            if type(name) is not str:
                name = printed(name)  # noqa: PLW2901 - a name is text
            if kind is float or kind is int or kind is bool:
                kept[prefix + name] = value
            elif isinstance(value, Mapping):
                _keep(kept, f"{prefix}{name}.", value, depth - 1)
            elif (scalar := _scalar(value)) is not None:
                kept[prefix + name] = scalar
    except Exception:  # noqa: BLE001 - somebody's broken mapping must not end a training
        return


def _scalar(value: object) -> Scalar | None:
    """Return the plain value of what is, or holds, one; None of anything else."""
    try:
        if not isinstance(value, float | int | str):
            value = _held(value)
        if isinstance(value, str):
            return str(value) if len(value) <= LONGEST else None
        if isinstance(value, bool):
            return value
        if isinstance(value, int):
            return int(value)
        return float(value) if isinstance(value, float) else None
    except Exception:  # noqa: BLE001 - an array of many, a tensor on a device that is gone
        return None


def _held(value: object) -> object:
    """Return the one element that an array or a tensor holds, or a number as a float.

    Raises:
        Exception: Whatever the type has for one that holds many.

    """
    item = getattr(value, "item", None)
    if item is not None:
        return item()
    return value.__float__() if hasattr(value, "__float__") else None
