"""Whether a long history slows the store: raise and claim beside an empty one."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import time
from typing import TYPE_CHECKING

import attrs
from table import Base, Row, Table, at_most, duration, held_against, median

import tocsin
from tocsin._retry import Delivered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

SEEDS = 500
CALLS = 100  # in a round
SLOWEST = 1.2

COPIES = {
    "alerts": {"seq": "seq + :shift", "id": "printf('%032x', seq + :shift)"},
    "ids": {"id": "printf('%032x', alert + :shift)", "alert": "alert + :shift"},
    "deliveries": {"alert": "alert + :shift"},
    "windows": {
        "key": "replace(key, 'seed ', 'seed ' || :shift || ' ')",
        "alert": "alert + :shift",
    },
}
"""The tables that grow with the history, and what tells a copy of a row from the row.

It is all that is known here of the schema, together with `AFTERWARDS`; other columns are
copied as they are, and a table that a version does not have is passed over."""
AFTERWARDS = {"enqueued": "UPDATE enqueued SET alert = (SELECT max(seq) FROM alerts)"}


@attrs.frozen
class Nowhere(tocsin.Provider):
    """A channel that nothing is sent to: the notifier is offline."""

    name = "nowhere"


def tables(folder: Path, *, rounds: int, rows: int) -> Iterator[Table]:
    """Measure a store with so many rows of history beside one with next to none."""
    with contextlib.ExitStack() as stack:
        full, empty = (
            stack.enter_context(notifier(folder / name)) for name in ("full", "empty")
        )
        seed(full)
        full.close()
        kept = fill(folder / "full" / "tocsin.db", rows)
        assert not full.store().pending(), "the copies are to be history"
        taken = interleaved({"full": full, "empty": empty}, rounds)
    yield compared({name: median(times) or 0.0 for name, times in taken.items()}, kept)


def notifier(state: Path) -> tocsin.Notifier:
    """Return a notifier that keeps what it is given."""
    settings = tocsin.Settings(
        user="ada",
        channels={"out": Nowhere()},
        subscriptions=[tocsin.Subscription(channels=["out"])],
        state_dir=str(state),
        submit_timeout=30.0,
    )
    return tocsin.Notifier(settings, namespace="benchmark", mode="offline")


def seed(notifier: tocsin.Notifier) -> None:
    """Raise what the history is copied from, and settle it."""
    for number in range(SEEDS):
        raise_one(notifier, f"seed {number}")
    for _ in range(SEEDS):
        claim_and_settle(notifier)


def raise_one(notifier: tocsin.Notifier, title: str) -> None:
    """Raise an alert that is admitted."""
    result = notifier.notify(tocsin.Alert(title, "at step 12,400", "WARN"))
    assert isinstance(result, tocsin.Admitted), result


def claim_and_settle(notifier: tocsin.Notifier) -> None:
    """Do to a delivery what the courier does before and after its attempt."""
    store, now = notifier.store(), time.time()
    (claim,) = store.claim({"out": 1}, lease=30.0, now=now)
    assert store.settle(claim, Delivered(tocsin.Receipt()), now)


def fill(file: Path, rows: int) -> int:
    """Copy what is kept until there are so many alerts; return how many there are."""
    database = sqlite3.connect(file, isolation_level=None)
    with contextlib.closing(database):
        database.execute("PRAGMA cache_size = -200000")  # kB
        database.execute("BEGIN")
        for table in there(database, COPIES):
            copy(database, table, range(SEEDS, rows, SEEDS))
        for table in there(database, AFTERWARDS):
            database.execute(AFTERWARDS[table])
        database.execute("COMMIT")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return int(database.execute("SELECT count(*) FROM alerts").fetchone()[0])


def there(database: sqlite3.Connection, tables: Iterable[str]) -> list[str]:
    """Return those of the tables that this version of the schema has."""
    found = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    names = {name for (name,) in found}
    return [table for table in tables if table in names]


def copy(database: sqlite3.Connection, table: str, shifts: Iterable[int]) -> None:
    """Copy a table's rows once for each shift."""
    columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
    values = ", ".join(COPIES[table].get(column, column) for column in columns)
    database.execute(f"CREATE TEMP TABLE seeds AS SELECT * FROM {table}")
    database.executemany(
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM seeds",
        ({"shift": shift} for shift in shifts),
    )
    database.execute("DROP TABLE seeds")


def interleaved(
    notifiers: Mapping[str, tocsin.Notifier], rounds: int
) -> dict[str, list[float]]:
    """Return what each raise, and each claim with its settling, took, in seconds."""
    taken: dict[str, list[float]] = {
        f"{step}, {name}": [] for step in ("raise", "claim") for name in notifiers
    }
    for number in range(rounds + 1):
        titles = [f"Loss {number}.{call}" for call in range(CALLS)]
        for title, (name, one) in itertools.product(titles, notifiers.items()):
            seconds = timed(raise_one, one, title)
            taken[f"raise, {name}"] += [seconds] if number else []
        for _, (name, one) in itertools.product(titles, notifiers.items()):
            seconds = timed(claim_and_settle, one)
            taken[f"claim, {name}"] += [seconds] if number else []
    return taken


def timed(step: Callable[..., None], *arguments: object) -> float:
    """Return what a step takes."""
    began = time.perf_counter()
    step(*arguments)
    return time.perf_counter() - began


def compared(medians: Mapping[str, float], kept: int) -> Table:
    """Return the table."""
    rows = []
    for step, measure in (("raise", "raise"), ("claim", "claim and settle")):
        base, value = medians[f"{step}, empty"], medians[f"{step}, full"]
        rows += [
            Row(f"{measure}, empty store", duration(base)),
            held_against(
                f"{measure}, {kept:,} alerts in the store",
                duration(value),
                value,
                Base("the empty store", base),
                at_most(SLOWEST),
            ),
        ]
    return Table("A long history", rows)
