"""Processes: where they are, and whether one that was there still is."""

from __future__ import annotations

import functools
import os
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE = Path("/proc/self/ns/pid")


@functools.cache
def place() -> str:
    """Return what two processes have in common that know each other by their pids.

    It is this boot of this machine and the namespace of its pids, which a container has for
    itself; empty where the platform does not tell.
    """
    try:
        return f"{_BOOT.read_text().strip()} {_NAMESPACE.readlink()}"
    except OSError:
        return ""


def is_outermost() -> bool:
    """Say whether pids are the machine's own here, and no container's.

    The number is that of the first namespace of pids, in Linux's ``proc_ns.h``.
    """
    return place().endswith("[4026531836]")


def born(pid: int) -> str:
    """Return when a process was started, in the kernel's ticks; empty if it is not there."""
    found = parent_and_birth(pid)
    return "" if found is None else found[1]


def parent_and_birth(pid: int) -> tuple[int, str] | None:
    """Return a process's parent, and when it was started; None if it is not there."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - bytes, and fast
            return parsed(file.read().decode(errors="replace"))
    except OSError:
        return None


def parsed(stat: str) -> tuple[int, str] | None:
    """Return what ``/proc/<pid>/stat`` says (proc(5): 22 is the start). Pure.

    None of a zombie: it has ended, and waits for its parent to ask how.
    """
    state, parent, *fields = stat.rpartition(")")[2].split()
    return None if state in {"Z", "X"} else (int(parent), fields[17])


def is_there(pid: int, at_place: str, its_birth: str) -> bool:
    """Say whether a process is surely there; False where that is unknown."""
    return bool(its_birth) and at_place == place() and born(pid) == its_birth


def exists(pid: int) -> bool:
    """Say whether there is a process of this pid here, one that has ended or not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


def is_gone(pid: int, at_place: str, its_birth: str) -> bool:
    """Say whether a process is surely not there any more; False where that is unknown."""
    if not (at_place and its_birth) or at_place != place():
        return False
    if not os.path.exists(f"/proc/{pid}"):  # noqa: PTH110 - a str
        return not exists(
            pid
        )  # what is somebody else's may be hidden (proc(5): hidepid)
    return born(pid) != its_birth
