"""A whole line is appended to a file, or nothing is."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time
from typing import TYPE_CHECKING

from tocsin import Ambiguous, OutOfOrder, RetryLater

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tocsin import DeliveryError

_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC
_FLAGS |= os.O_NONBLOCK  # a pipe that nobody reads would hold whoever opens it
_PASSING = {
    errno.EAGAIN,
    errno.EDQUOT,
    errno.EINTR,
    errno.EIO,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.ENOSPC,
    errno.ESTALE,
    errno.ETIMEDOUT,
}
_LOCK_PAUSE = 0.01


def append(path: Path, line: bytes, *, timeout: float) -> None:
    """Append the line and have it on the disk; other processes may do so too.

    Raises:
        OutOfOrder: The file cannot be written, until somebody sees to it.
        RetryLater: It cannot now; the file is as it was.
        Ambiguous: Part of the line may be in the file.

    """
    deadline = time.monotonic() + timeout
    with _opened(path, _FLAGS | os.O_CREAT) as file, _locked(file, path, deadline):
        size = os.fstat(file).st_size
        try:
            _write(file, line, size)
        except OSError as error:
            _restore(file, size, error)
            raise _failure(path, error) from error


def inspect(path: Path) -> str:
    """Return a sentence on a file that could be appended to; it is not made.

    Raises:
        DeliveryError: It could not.

    """
    try:
        with _opened(path, _FLAGS) as file:
            return f"{path} holds {os.fstat(file).st_size:,} bytes"
    except OutOfOrder as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            raise
    if os.access(path.parent, os.W_OK | os.X_OK):
        return f"{path} will be made"
    wrong = errno.EACCES if path.parent.is_dir() else errno.ENOENT
    raise _failure(path, OSError(wrong, os.strerror(wrong)))


@contextlib.contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    try:
        file = os.open(path, flags, 0o600)
    except OSError as error:
        raise _failure(path, error) from error
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise OutOfOrder(f"{path} is no regular file", remedy="give another path")
        yield file
    finally:
        os.close(file)


@contextlib.contextmanager
def _locked(file: int, path: Path, deadline: float) -> Iterator[None]:
    _lock(file, path, deadline)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)  # a child that was forked now would keep it


def _lock(file: int, path: Path, deadline: float) -> None:
    """Wait for who else appends."""
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise RetryLater(f"another process holds {path}") from error
        time.sleep(_LOCK_PAUSE)


def _write(file: int, line: bytes, size: int) -> None:
    if size and os.pread(file, 1, size - 1) != b"\n":
        line = b"\n" + line  # the last writer was killed: what it left stands alone
    written = os.write(file, line)
    if written < len(line):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.fsync(file)


def _restore(file: int, size: int, why: OSError) -> None:
    """Cut off what was written of a line."""
    try:
        os.ftruncate(file, size)
    except OSError as error:
        raise Ambiguous(
            f"a line was not written whole ({why.strerror}), nor removed "
            f"({error.strerror})"
        ) from error


def _failure(path: Path, error: OSError) -> DeliveryError:
    reason = f"{path} cannot be written: {error.strerror}"
    if error.errno in _PASSING:
        return RetryLater(reason)
    if error.errno == errno.ENOENT:
        return OutOfOrder(reason, remedy=f"make the folder {path.parent}")
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        who = f"whoever delivers (user id {os.geteuid()})"
        return OutOfOrder(reason, remedy=f"let {who} write there, or give another path")
    return OutOfOrder(reason, remedy="see to the file, or give another path")
