"""Whether the kernel killed something for want of memory: a counter that grows."""

from __future__ import annotations

import contextlib
import os
import re
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator

_KILLS = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)

_ROOT = "/sys/fs/cgroup"
_MACHINE = "/proc/vmstat"


@attrs.frozen
class Victims:
    """How many processes were killed since the count began."""

    count: int = 0
    is_ours: bool = True
    """They were of our control group, and not of the whole machine."""

    def __str__(self) -> str:
        what = "a process" if self.count == 1 else f"{self.count:,} processes"
        return f"the kernel killed {what} for want of memory"


class Count:
    """Counts, from now on, the victims in the control group that this process is in.

    A child begins in the same one. Where no group counts, the machine does.
    """

    def __init__(self) -> None:
        self._path, self._before = next(_counters(), ("", 0))

    def victims(self) -> Victims:
        """Return what was counted so far."""
        after = kills(_read(self._path))
        grown = 0 if after is None else max(0, after - self._before)
        return Victims(grown, is_ours=self._path != _MACHINE)


def _counters() -> Iterator[tuple[str, int]]:
    """Find files that count, the nearest first, with what they say."""
    for path in [*counters(_read("/proc/self/cgroup")), _MACHINE]:
        if (before := kills(_read(path))) is not None:
            yield path, before


def counters(cgroups: str) -> Iterator[str]:
    """Name the files that may count for a process of these groups. Pure.

    `cgroups` is what ``/proc/self/cgroup`` holds (cgroups(7)). In a container its paths
    may be the host's: then the group is what is mounted. Of version 2 it is
    ``memory.events``, which counts in groups that the child makes, too.
    """
    for line in cgroups.splitlines():
        _, colon, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if "memory" in controllers.split(","):
            for group in dict.fromkeys([path.rstrip("/"), ""]):
                yield f"{_ROOT}/memory{group}/memory.oom_control"
        elif colon and not controllers:
            for group in dict.fromkeys([path.rstrip("/"), ""]):
                yield f"{_ROOT}{group}/memory.events"


def kills(text: str) -> int | None:
    """Return what a counter's file says; None when it says nothing. Pure."""
    found = _KILLS.search(text)
    return int(found[1]) if found else None


def _read(path: str) -> str:
    with contextlib.suppress(OSError), open(os.fspath(path)) as file:  # noqa: PTH123 - "" is no path
        return file.read()
    return ""
