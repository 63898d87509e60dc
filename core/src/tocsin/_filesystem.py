"""Is a folder on a file system that other machines share? SQLite is not safe there."""

from __future__ import annotations

import os
import re

_MOUNTS = "/proc/mounts"
_REMOTE = re.compile(
    r"nfs\d?|cifs|smb\w*|lustre|gpfs|beegfs|ceph|glusterfs|afs|9p|fuse(\..+)?"
)


def network_kind(path: str) -> str:
    """Return the type of the network file system that a path is on, or ``""``.

    It is known on Linux alone.
    """
    try:
        with open(_MOUNTS, encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - pathlib costs import time
            mounts = file.read()
    except OSError:  # not Linux
        return ""
    kind = kind_of(os.path.realpath(path), mounts)
    return kind if _REMOTE.fullmatch(kind) else ""


def kind_of(path: str, mounts: str) -> str:
    """Return the type of the file system that a path is on, or ``""``. Pure.

    `mounts` is what Linux's ``/proc/mounts`` says; see proc_mounts(5), fstab(5).
    """
    found = ("", "")
    for mount in mounts.splitlines():
        _, point, kind, *_ = [*map(_unescaped, mount.split()), "", "", ""]
        is_above = f"{path}/".startswith(f"{point.rstrip('/')}/")
        if point and is_above and len(point) >= len(found[0]):  # a later one covers
            found = point, kind
    return found[1]


def _unescaped(word: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), word)
