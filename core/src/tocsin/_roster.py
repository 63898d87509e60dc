"""Heartbeats in a folder that several machines share: one small file a member."""

from __future__ import annotations

import contextlib
import hashlib
import os
from typing import TYPE_CHECKING

from tocsin import _run_record as run_record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tocsin._run_record import RunRecord


class Roster:
    """Keeps what is known of runs as files, each replaced as a whole.

    It is for a folder where SQLite is not safe. It raises `OSError`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put_run(self, record: RunRecord) -> None:
        """See `Store.put_run`."""
        self._write(self._file(record, "run"), run_record.encode(record))

    def runs(self, scope: str | None = None) -> list[RunRecord]:
        """See `Store.runs`."""
        return run_record.decoded(self._rows("" if scope is None else _digest(scope)))

    def note_lost(self, record: RunRecord, lost_at: float | None) -> None:
        """See `Store.note_lost`."""
        file = self._file(record, "lost")
        if lost_at is None:
            file.unlink(missing_ok=True)
        else:
            self._write(file, repr(lost_at))

    def prune(self, before: float) -> None:
        """Forget members whose last heartbeat was before this time."""
        for file in self._folder.glob("*.*"):
            with contextlib.suppress(OSError):  # another one forgets it just now
                if file.stat().st_mtime < before:
                    file.unlink()

    def _file(self, record: RunRecord, kind: str) -> Path:
        who = _digest(f"{record.run}\0{record.member}")
        return self._folder / f"{_digest(record.scope)}-{who}.{kind}"

    def _write(self, file: Path, text: str) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = file.with_name(f".{file.name}.{os.urandom(4).hex()}")
        beside.write_text(text, encoding="utf-8")
        beside.replace(file)

    def _rows(self, prefix: str) -> Iterator[tuple[str, float | None]]:
        for file in self._folder.glob(f"{prefix}*.run"):
            with contextlib.suppress(OSError):
                yield (
                    file.read_text(encoding="utf-8", errors="replace"),
                    _number(file.with_suffix(".lost")),
                )


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(errors="replace"), digest_size=10).hexdigest()


def _number(file: Path) -> float | None:
    try:
        return float(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
