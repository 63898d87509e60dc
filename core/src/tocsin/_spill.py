"""Where alerts wait that the store did not take in time: one append-only file a process."""

from __future__ import annotations

import contextlib
import logging
import os
from collections import deque
from typing import TYPE_CHECKING, Protocol

from tocsin._alert import new_id
from tocsin._envelope import decode_whole, encode_whole
from tocsin._errors import EnvelopeError, EnvelopeTooNew

try:
    import fcntl
except ImportError:  # Windows: a process adopts only what no other has open
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from tocsin._alert import Alert


class Submit(Protocol):
    """Submits an alert that was kept beside the store."""

    def __call__(self, alert: Alert, /, *, is_admitted: bool) -> None:
        """Submit; with `is_admitted` it passed the throttle before."""


_MAX_IN_MEMORY = 10_000
_SUFFIXES = (".jsonl", ".taken", ".newer")  # written; being adopted; of a newer tocsin

_log = logging.getLogger("tocsin")


class Spill:
    """The spill files of one namespace in one folder.

    A file is written by one process until another takes it over: it renames the file
    while it holds its lock, so that no line is written to a file that was read already.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mine = self._new_file()
        self._is_first_time = True

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits here, nor is just being adopted by someone."""
        return not any(self._waiting())

    def write(self, alert: Alert, *, is_admitted: bool = False) -> None:
        """Append the alert. It survives this process once this returns.

        With `is_admitted` it passed the throttle, and will not be asked to again.

        Raises:
            OSError: The folder cannot be written, or the disk is full.

        """
        # a line torn by a full disk must not take the next one along: begin a new one
        line = b"\n" + encode_whole(alert, is_admitted=is_admitted).encode() + b"\n"
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        while not self._append(line):
            self._mine = self._new_file()

    def _append(self, line: bytes) -> bool:
        """Append to the file, unless it is being taken over."""
        try:
            with self._mine.open("ab") as file, _locked(file):
                if not _is_at(file, self._mine):
                    return False
                file.write(line)
                return True
        except BlockingIOError:
            return False

    def _new_file(self) -> Path:
        return self._folder / f"{os.getpid()}-{new_id()}.jsonl"

    def adopt(self, submit: Submit) -> int:
        """Submit what waits here and forget it; return how many alerts that were.

        Submitting twice must be harmless: a crash in between starts the file again.
        """
        adopted = 0
        for path in sorted(self._waiting()):
            try:
                adopted += _adopt_file(path, submit)
            except OSError as error:  # gone, taken by another, not ours to read
                _log.debug("the spill file %s is passed over: %s", path, error)
        self._is_first_time = False
        return adopted

    def _waiting(self) -> Iterator[Path]:
        # at first also those set aside: we may be the newer version that they wait for
        suffixes = _SUFFIXES if self._is_first_time else _SUFFIXES[:2]
        for suffix in suffixes:
            yield from self._folder.glob(f"*{suffix}")

    def after_fork_in_child(self) -> None:
        """Write to a file of the child's own."""
        self._mine = self._new_file()


def waiting_files(beside: Path) -> list[Path]:
    """Return the spill files of all namespaces in the folder of a store."""
    folder = beside / "spill"
    return sorted(file for s in _SUFFIXES for file in folder.glob(f"*/*{s}"))


class MemorySpill:
    """Where alerts wait beside a store that is in memory itself."""

    def __init__(self) -> None:
        self._alerts: deque[Alert] = deque()

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits here."""
        return not self._alerts

    def write(self, alert: Alert, *, is_admitted: bool = False) -> None:  # noqa: ARG002 - of a file
        """Append the alert.

        Raises:
            OSError: Too many wait already.

        """
        if len(self._alerts) >= _MAX_IN_MEMORY:
            raise OSError(f"{_MAX_IN_MEMORY:,} alerts wait in memory already")
        self._alerts.append(alert)

    def adopt(self, submit: Submit) -> int:
        """Submit what waits here and forget it; return how many alerts that were."""
        adopted = 0
        while self._alerts:
            submit(self._alerts[0], is_admitted=False)
            self._alerts.popleft()
            adopted += 1
        return adopted

    def after_fork_in_child(self) -> None:
        """Leave to the parent what is the parent's."""
        self._alerts.clear()


def _adopt_file(path: Path, submit: Submit) -> int:
    # a name of its own: the writer may begin a file of the old name again
    taken = path.with_name(f"{new_id()}.taken")
    with path.open("rb") as file, _locked(file):
        if not _is_at(file, path):
            return 0
        path.rename(taken)
        try:
            alerts = _submit_lines(file, submit)
        except EnvelopeTooNew as error:
            taken.rename(taken.with_suffix(".newer"))
            _log.warning("spilled alerts are set aside: %s", error)
            return 0
        taken.unlink()
        return alerts


def _submit_lines(file: BinaryIO, submit: Submit) -> int:
    alerts = 0
    for line in file:
        for alert, is_admitted in _read(line):
            submit(alert, is_admitted=is_admitted)
            alerts += 1
    return alerts


def _read(line: bytes) -> Iterator[tuple[Alert, bool]]:
    try:
        yield decode_whole(line.decode(errors="replace"))
    except EnvelopeTooNew:
        raise
    except EnvelopeError:  # a blank line, or one torn by a full disk
        return


def _is_at(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def _locked(file: BinaryIO) -> Iterator[None]:
    """Hold the file's lock, or raise BlockingIOError; closing or dying lets go of it."""
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    yield
