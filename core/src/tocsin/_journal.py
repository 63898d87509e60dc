"""What one process has taken in, in a folder that machines share: it outlives its machine.

SQLite is not safe on a network file system, so that the store is on a local disk there. Each
process keeps one append-only file beside it in the shared folder: every alert before the call
returns, and a mark once all of its deliveries are settled. Its owner touches the file; when
nobody does any more, another process, on any machine, makes the file its own by renaming it,
and submits what has no mark.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import socket
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from tocsin._alert import new_id
from tocsin._envelope import decode_whole, encode_whole
from tocsin._errors import EnvelopeError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from tocsin._alert import Alert
    from tocsin._spill import Submit

STALE = 60.0
"""Seconds after which a file that nobody touched has no owner any more."""
_TOUCHED_EVERY = STALE / 4
_LOOKED_EVERY = STALE / 2  # at what others left: each look costs the file server
_CLOSING = 0.5  # seconds that closing waits for the server
_LOOKED_AT = 200  # alerts that are looked at in one round, whether they are settled

_log = logging.getLogger("tocsin")


class _Line:
    """What is to be written, and whether it is."""

    def __init__(self, alert_id: str, text: str) -> None:
        self.alert_id = alert_id
        self.text = text
        self.is_written = threading.Event()
        self.error: OSError | None = None


class Journal:
    """The journal of one process, and its way to those of others that are gone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.RLock()
        self._mine = self._new_file()
        self._open: OrderedDict[str, None] = OrderedDict()
        self._lines: queue.SimpleQueue[_Line] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None
        self._keeper: threading.Thread | None = None
        self._look_at = 0.0
        self._touch_at = 0.0

    def write(self, alert: Alert, timeout: float) -> None:
        """Append the alert; the server has it once this returns.

        The writing is another thread's: a server that hangs would hang the caller.

        Raises:
            OSError: The shared folder cannot be written, or not within `timeout` seconds.

        """
        line = _Line(alert.id, encode_whole(alert, is_admitted=True))
        self._lines.put(line)
        if not self._has_writer():
            self._write_all()
        if not line.is_written.wait(timeout):
            raise TimeoutError(f"{self._folder} does not answer")
        if line.error is not None:
            raise line.error

    def _has_writer(self) -> bool:
        if self._writer is None or not self._writer.is_alive():
            writer = threading.Thread(
                target=self._write_on, name="tocsin journal", daemon=True
            )
            try:
                writer.start()
            except RuntimeError:  # the interpreter is shutting down
                return False
            self._writer = writer
        return True

    def _write_on(self) -> None:
        while True:
            self._write([self._lines.get()])

    def _write_all(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._write([self._lines.get_nowait()])

    def _write(self, lines: list[_Line]) -> None:
        with contextlib.suppress(queue.Empty):  # what came meanwhile costs no more
            while True:
                lines.append(self._lines.get_nowait())
        error: OSError | None = None
        try:
            with self._lock:
                self._append(*(line.text for line in lines))
                self._open.update(dict.fromkeys(line.alert_id for line in lines))
        except OSError as raised:
            error = raised
        for line in lines:
            line.error = error
            line.is_written.set()

    def _append(self, *lines: str) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self._mine.exists():  # a first line, or somebody took us for dead
            self._mine = self._new_file()
        with self._mine.open("ab") as file:
            # a line torn by a full disk must not take the next one along: begin a new one
            file.write("".join(f"\n{line}\n" for line in lines).encode())
            file.flush()
            os.fsync(file.fileno())

    def _new_file(self) -> Path:
        return self._folder / f"{_machine()}-{os.getpid()}-{new_id()}.jsonl"

    def tend(self, submit: Submit, is_settled: Callable[[str], bool]) -> None:
        """Adopt, mark and touch, in a thread of its own: a server that hangs hangs that."""
        if self.is_busy:
            return
        keeper = threading.Thread(
            target=self._tend,
            args=(submit, is_settled),
            name="tocsin keeper",
            daemon=True,
        )
        with contextlib.suppress(RuntimeError):  # the interpreter is shutting down
            keeper.start()
            self._keeper = keeper

    @property
    def is_busy(self) -> bool:
        """Whether it is just being tended."""
        return self._keeper is not None and self._keeper.is_alive()

    def _tend(self, submit: Submit, is_settled: Callable[[str], bool]) -> None:
        try:
            if time.monotonic() >= self._look_at:
                self._look_at = time.monotonic() + _LOOKED_EVERY
                self._adopt(submit)
            self._mark(is_settled)
        except (OSError, StoreError) as error:
            _log.debug("the journal is seen to later: %s", error)

    def close(self, is_settled: Callable[[str], bool]) -> None:
        """Mark once more what is settled, unless the server does not answer."""
        if self._keeper is not None:
            self._keeper.join(_CLOSING)
        if not self._lock.acquire(timeout=_CLOSING):
            return
        try:
            self._mark(is_settled)
        except (OSError, StoreError) as error:
            _log.debug("the journal is seen to later: %s", error)
        finally:
            self._lock.release()

    def _mark(self, is_settled: Callable[[str], bool]) -> None:
        """Mark what is settled, and touch the file, or remove it when all of it is."""
        with self._lock:
            looked_at = list(self._open)[:_LOOKED_AT]
        settled = [alert_id for alert_id in looked_at if is_settled(alert_id)]
        with self._lock:
            for alert_id in looked_at:
                self._open.move_to_end(alert_id)  # next time, the others first
            for alert_id in settled:
                del self._open[alert_id]
            self._note(settled)

    def _note(self, settled: list[str]) -> None:
        if not self._mine.exists():
            return
        if not self._open:
            self._mine.unlink(missing_ok=True)
        elif settled:
            self._append(*(json.dumps({"settled": one}) for one in settled))
        elif time.monotonic() >= self._touch_at:
            self._touch_at = time.monotonic() + _TOUCHED_EVERY
            os.utime(self._mine)

    def _adopt(self, submit: Submit) -> None:
        """Submit what processes left that are gone.

        Submitting twice must be harmless: a crash in between starts the file again.
        """
        for path in self._ownerless():
            ours = self._new_file()
            try:
                path.rename(ours)  # of several that try, one succeeds
                ours.touch()
                with ours.open("rb") as file:
                    alerts = _unsettled(file)
            except OSError as error:
                _log.debug("the journal %s is passed over: %s", path, error)
                continue
            if alerts:
                with self._lock:  # from here on they are in our own
                    self._append(*(encode_whole(a, is_admitted=True) for a in alerts))
                    self._open.update(dict.fromkeys(alert.id for alert in alerts))
            ours.unlink(missing_ok=True)
            for alert in alerts:
                submit(alert, is_admitted=True)

    def _ownerless(self) -> Iterator[Path]:
        others = [path for path in self._folder.glob("*.jsonl") if path != self._mine]
        if not others:
            return
        now = self._now()
        for path in sorted(others):
            with contextlib.suppress(OSError, ValueError):  # gone, or not of ours
                if _is_of_the_dead(path) or now - path.stat().st_mtime > STALE:
                    yield path

    def _now(self) -> float:
        """Return the time by the clock of whoever dates the files."""
        probe = self._folder / f"{new_id()}.clock"
        try:
            probe.touch()
            return probe.stat().st_mtime
        finally:
            probe.unlink(missing_ok=True)

    def after_fork_in_child(self) -> None:
        """Leave to the parent what is the parent's."""
        self._begin()


def _machine() -> str:
    """Return where process ids mean what they mean here: containers may share a name."""
    try:
        namespace = os.stat("/proc/self/ns/pid").st_ino  # noqa: PTH116 - no file
    except OSError:  # not Linux
        namespace = 0
    return f"{socket.gethostname()}.{namespace}"


def _is_of_the_dead(path: Path) -> bool:
    """Say whether the file's owner was a process of this machine, and is gone."""
    machine, pid, _ = path.name.rsplit("-", 2)
    if machine != _machine() or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:  # it is there, and somebody else's
        return False
    return False


def _unsettled(lines: Iterable[bytes]) -> list[Alert]:
    alerts: dict[str, Alert] = {}
    for line in lines:
        with contextlib.suppress(EnvelopeError, ValueError):  # blank, or torn
            text = line.decode()
            if settled := json.loads(text).get("settled"):
                alerts.pop(settled, None)
            else:
                alert, _ = decode_whole(text)
                alerts[alert.id] = alert
    return list(alerts.values())
