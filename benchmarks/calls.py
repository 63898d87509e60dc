"""Calls to measure: what is called, and what must be over before the next one's turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def rest_at_once(results: Sequence[object]) -> None:
    """Leave nothing behind."""


def is_any(result: object) -> bool:  # noqa: ARG001 - the shape of a check
    """Take every result for what is measured."""
    return True


@attrs.frozen
class Calls:
    """One kind of call.

    `make` makes the call of a number. `rest` waits until nothing goes on in the background;
    it is given the results. `is_meant` says whether a result is one that is measured.
    """

    make: Callable[[int], object]
    rest: Callable[[Sequence[object]], object] = rest_at_once
    is_meant: Callable[[object], bool] = is_any
