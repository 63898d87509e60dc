"""What raising an alert costs, beside floors measured in the same run.

Each round measures every candidate once, in turn, so that a machine whose speed drifts
slows all of them alike. The table shows the median of a call and its ratio to the floor.
"""

from __future__ import annotations

import logging
import logging.handlers
import queue
import sqlite3
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

import tocsin

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROUNDS = 15
CALLS = 200  # of each candidate in a round


@attrs.frozen
class Nowhere(tocsin.Provider):
    """A channel that costs nothing, and is never sent to: the notifier is offline."""

    name = "nowhere"


def main() -> None:
    """Measure, and print the table."""
    with tempfile.TemporaryDirectory() as folder:
        medians = measure(candidates(Path(folder)))
    wal, log = medians["raw WAL insert"], medians["QueueHandler log call"]
    print("| one call | µs, median | ratio |\n|---|---|---|")
    for name, median in medians.items():
        ratio = ""
        if name == "alert(), admitted":
            ratio = f"{median / wal:.1f}x a raw WAL insert"
        elif name == "alert(), suppressed":
            ratio = f"{median / log:.2f}x a QueueHandler log call"
        print(f"| {name} | {median * 1e6:.1f} | {ratio} |")


def candidates(folder: Path) -> dict[str, Callable[[int], object]]:
    """Return what is measured, by name; each takes the number of the call."""
    notifier = new_notifier(folder)
    suppressed = tocsin.Alert("Loss is NaN", "step 300", "WARN", 1e6)
    notifier.notify(suppressed)
    return {
        "lock + dict": locked_dict(),
        "QueueHandler log call": log_call(),
        "raw WAL insert": wal_insert(folder / "raw.db"),
        "alert(), admitted": lambda n: notifier.notify(tocsin.Alert(f"Loss {n}", "x")),
        "alert(), suppressed": lambda _: notifier.notify(suppressed),
    }


def new_notifier(folder: Path) -> tocsin.Notifier:
    """Return a notifier that keeps what it is given and delivers nothing."""
    settings = tocsin.Settings(
        user="ada",
        channels={"out": Nowhere()},
        subscriptions=[tocsin.Subscription(channels=["out"])],
        state_dir=str(folder),
    )
    return tocsin.Notifier(settings, namespace="benchmark", mode="offline")


def locked_dict() -> Callable[[int], object]:
    """Return the least that a throttle in memory could cost."""
    lock, seen = threading.Lock(), dict[int, float]()

    def call(number: int) -> None:
        with lock:
            seen[number % 100] = time.time()

    return call


def log_call() -> Callable[[int], object]:
    """Return a log call whose handling is somebody else's."""
    logger = logging.getLogger("benchmark")
    logger.propagate = False
    logger.addHandler(logging.handlers.QueueHandler(queue.SimpleQueue()))
    return lambda number: logger.warning("Loss is NaN at %d", number)


def wal_insert(path: Path) -> Callable[[int], object]:
    """Return the least that keeping an alert in SQLite could cost."""
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    database.execute("CREATE TABLE alerts (id INTEGER PRIMARY KEY, text TEXT)")
    statement = "INSERT INTO alerts (text) VALUES (?)"
    return lambda number: database.execute(statement, (f"Loss {number}" * 20,))


def measure(calls: Mapping[str, Callable[[int], object]]) -> dict[str, float]:
    """Return the median seconds of a call of each."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for round_number in range(ROUNDS):
        for name, call in calls.items():
            for number in range(CALLS):
                began = time.perf_counter()
                call(round_number * CALLS + number)
                taken[name].append(time.perf_counter() - began)
    return {name: statistics.median(times) for name, times in taken.items()}


if __name__ == "__main__":
    main()
