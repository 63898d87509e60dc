"""Figures become rows, and rows Markdown. Pure."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from worker import Answer

HEAD = "| | figure | beside | goal | |\n|---|---|---|---|---|\n"
NOT_INSTALLED = "not installed"
_FEW = 10  # a ratio from here on is told without decimals


@attrs.frozen
class Row:
    """One line of a table."""

    measure: str
    figure: str
    ratio: str = ""
    goal: str = ""
    is_met: bool | None = None
    """None where there is no goal, or nothing to hold it against."""

    @property
    def verdict(self) -> str:
        """Whether the goal is met."""
        if self.is_met is None:
            return "not measured" if self.goal else ""
        return "met" if self.is_met else "**missed**"

    def __str__(self) -> str:
        cells = (self.measure, self.figure, self.ratio, self.goal, self.verdict)
        return "| " + " | ".join(cells) + " |\n"


@attrs.frozen
class Table:
    """What was measured together."""

    title: str
    rows: Sequence[Row]

    def __str__(self) -> str:
        return f"## {self.title}\n\n{HEAD}{''.join(map(str, self.rows))}"


@attrs.frozen
class Base:
    """What a figure is held against; the value is None when it was not measured."""

    name: str
    value: float | None


@attrs.frozen
class Goal:
    """A bound on the ratio of a figure to its base."""

    bound: float
    is_least: bool = False

    def __str__(self) -> str:
        return f"{'≥' if self.is_least else '≤'} {times(self.bound)}"

    def is_met(self, ratio: float) -> bool:
        """Say whether the ratio keeps to it."""
        return ratio >= self.bound if self.is_least else ratio <= self.bound


def at_most(bound: float) -> Goal:
    """Return a goal that is kept by a small ratio."""
    return Goal(bound)


def at_least(bound: float) -> Goal:
    """Return a goal that is kept by a large ratio."""
    return Goal(bound, is_least=True)


def held_against(
    measure: str, figure: str, value: float | None, base: Base, goal: Goal | None = None
) -> Row:
    """Return the row of a figure beside another."""
    told = "" if goal is None else str(goal)
    if value is None:
        return Row(measure, figure, goal=told)
    if base.value is None:
        return Row(measure, figure, f"{base.name}: {NOT_INSTALLED}", told)
    ratio = value / base.value
    is_met = None if goal is None else goal.is_met(ratio)
    return Row(measure, figure, beside(ratio, base.name), told, is_met)


def beside(ratio: float, name: str) -> str:
    """Return a ratio with what it is to."""
    told = times(ratio)
    return f"{told} {name}" if told.endswith("x") else f"{told} of {name}"


def times(ratio: float) -> str:
    """Return a ratio as people say it: 26x, 4.2x, 0.35x, 1/24."""
    if ratio >= _FEW:
        return f"{ratio:,.0f}x"
    if ratio > 1 / _FEW or ratio <= 0:
        return f"{ratio:.2g}x"
    return f"1/{1 / ratio:,.0f}"


def median(values: Iterable[float]) -> float | None:
    """Return the middle one, or None when there is none."""
    some = list(values)
    return statistics.median(some) if some else None


def spread(answer: Answer) -> str:
    """Return the median and the ninetieth percentile of calls."""
    if not answer.times:
        return NOT_INSTALLED
    ordered = sorted(answer.times)
    ninetieth = ordered[len(ordered) * 9 // 10]
    others = f", {answer.others} other than that" if answer.others else ""
    middle = statistics.median(ordered)
    return f"{duration(middle)}, p90 {duration(ninetieth)}{others}"


def duration(seconds: float) -> str:
    """Return a time with three digits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{digits(seconds / size)} {unit}"
    return f"{digits(seconds * 1e6)} µs"


def digits(value: float) -> str:
    """Return three digits, or all before the point."""
    if value >= 100:  # noqa: PLR2004 - three digits
        return f"{value:.0f}"
    return f"{value:.3g}"
