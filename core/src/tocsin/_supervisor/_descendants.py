"""A process and all that it started, as far as /proc tells."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

import attrs

from tocsin import _processes as processes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@attrs.frozen
class Process:
    """One process; its number may be another's later, but not with this start."""

    id: int
    parent: int
    start: str

    @property
    def is_alive(self) -> bool:
        """Whether it is there, and does something."""
        found = _process(self.id)
        return found is not None and found.start == self.start


def family(root: int) -> set[Process]:
    """Return a process and its descendants; empty where there is no /proc."""
    return set(descendants(root, _all()))


def descendants(root: int, known: Iterable[Process]) -> Iterator[Process]:
    """Return a process of these and its descendants among them. Pure."""
    children: dict[int, list[Process]] = {}
    for one in known:
        children.setdefault(one.parent, []).append(one)
        if one.id == root:
            yield one
    left = [root]
    while left:
        for one in children.get(left.pop(), ()):
            yield one
            left.append(one.id)


def _all() -> Iterator[Process]:
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc"):  # noqa: PTH208 - names, and no paths
            if name.isdecimal() and (found := _process(int(name))):
                yield found


def _process(number: int) -> Process | None:
    found = processes.parent_and_birth(number)
    return None if found is None else Process(number, *found)


def signal_all(those: Iterable[Process], number: int) -> None:
    """Send a signal to those that are still there."""
    for one in those:
        if one.is_alive:
            with contextlib.suppress(OSError):
                os.kill(one.id, number)
                if number == signal.SIGTERM:  # one that is stopped would not hear it
                    os.kill(one.id, signal.SIGCONT)
