"""Raises alerts in processes that are killed at random, and counts what arrives.

    python tests/faults/chaos.py --kills 500 --alerts 10000

Some processes raise alerts and note what each call returned; some of these deliver as
well, and others only deliver. One after the other is killed in whatever it is doing, and
starts again. Now and then somebody holds the database, so that calls are deferred. In the
end the leases of the dead run out, by a clock that is ahead, and what is left is delivered.

It fails when an alert is missing whose call returned `Admitted` or `Deferred`, and when a
delivery came more often than once and once more for each process that died over it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from tocsin import Alert, Notifier, Provider, Receipt, Settings, Status, Subscription

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tocsin import Delivery, Message

LEASE = 30.0
RAISERS = {"a": "online", "b": "online", "c": "offline", "d": "offline"}
DELIVERERS = ("x", "y", "z")
PACE = 0.02  # seconds between two alerts of one process, on average
PATIENCE = 180.0

_LINE = 44  # characters of a line that notes what a call returned


def append(file: Path, line: str) -> None:
    """Append a line in one step, which no kill can tear."""
    to = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(to, f"{line}\n".encode())
    os.close(to)


def lines(file: Path) -> list[str]:
    """Return the lines so far."""
    return file.read_text().splitlines() if file.exists() else []


@attrs.frozen
class Ledger(Provider):
    """Notes what it begins and what arrives, and takes its time in between."""

    folder: Path

    name = "ledger"

    def deliver(self, message: Message, delivery: Delivery) -> Receipt:
        append(self.folder / f"begun-{os.getpid()}", delivery.id)
        time.sleep(random.uniform(0, 0.01))
        append(self.folder / "arrived", delivery.id)
        time.sleep(random.uniform(0, 0.01))
        return Receipt(reference=delivery.id)


def notifier(folder: Path, **options: object) -> Notifier:
    """Return a notifier whose one channel is the ledger."""
    settings = Settings(
        user="chaos",
        channels={"ledger": Ledger(folder)},
        subscriptions=[Subscription(channels=["ledger"])],
        state_dir=str(folder / "state"),
        finish_timeout=30,
    )
    return Notifier(settings, namespace="chaos", **options)


def raise_alerts(folder: Path, name: str, alerts: str) -> None:
    """Raise so many, and note after each call what it returned."""
    with notifier(folder, mode=RAISERS[name]) as ours:
        for _ in range(int(alerts)):
            result = ours.notify(Alert(f"{name} {os.urandom(8).hex()}"))
            kind, alert_id = type(result).__name__, getattr(result, "alert_id", "-")
            append(folder / f"raised-{name}", f"{kind:<10} {alert_id:<32}")
            time.sleep(random.uniform(0, 2 * PACE))


def deliver(folder: Path) -> None:
    """Deliver until standard input is closed."""
    with notifier(folder):
        sys.stdin.read()


def drain(folder: Path) -> None:
    """Deliver what is left, when the leases of the dead have run out."""
    deadline = time.monotonic() + PATIENCE
    with notifier(folder, clock=lambda: time.time() + LEASE + 5) as ours:
        while not (ours.flush(5) and ours.pending() == 0):
            assert time.monotonic() < deadline, f"{ours.pending()} are pending"


@attrs.define
class Worker:
    """A process that starts again when it was killed."""

    folder: Path
    name: str
    alerts: int
    """How many it is to raise in all; 0: it only delivers."""
    process: subprocess.Popen[bytes] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Start, with what is left to do."""
        role = ["raise", self.name, str(self.left)] if self.alerts else ["deliver"]
        self.process = start(self.folder, *role)

    def end(self) -> int:
        """Wait for its end, which a process that only delivers is asked for."""
        self.process.stdin.close()
        return self.process.wait(PATIENCE)

    @property
    def raised(self) -> int:
        """How many calls returned so far."""
        noted = self.folder / f"raised-{self.name}"
        return noted.stat().st_size // _LINE if noted.exists() else 0

    @property
    def left(self) -> int:
        """How many are still to be raised."""
        return self.alerts - self.raised

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None


def start(folder: Path, role: str, *words: str) -> subprocess.Popen[bytes]:
    """Start a process of this file."""
    command = [sys.executable, __file__, role, str(folder), *words]
    return subprocess.Popen(command, stdin=subprocess.PIPE)


@attrs.define
class Chaos:
    """One round of it."""

    folder: Path
    alerts: int
    kills: int
    random: random.Random
    workers: list[Worker] = attrs.field(init=False)
    killed: Counter[str] = attrs.field(factory=Counter)
    """Processes, by what they did."""
    in_flight: Counter[str] = attrs.field(factory=Counter)
    """Deliveries that were begun and not settled when their process was killed."""
    left_behind: Counter[str] = attrs.field(factory=Counter)
    """… and when it ended by itself."""

    def run(self) -> None:
        """Let them raise, deliver and die; then deliver what is left."""
        with notifier(self.folder, mode="offline") as ours:
            ours.store()
        share = self.alerts // len(RAISERS)
        self.workers = [Worker(self.folder, name, share) for name in RAISERS]
        self.workers += [Worker(self.folder, name, 0) for name in DELIVERERS]
        with _meddling(self.folder, self.random.random()):
            while self._goes_on():
                if self._is_time_to_kill():
                    time.sleep(self.random.uniform(0, 0.05))
                    self._kill()
                time.sleep(0.002)
        for worker in self.workers:
            assert worker.end() in {0, -signal.SIGKILL}, worker.name
            self.left_behind += self._unsettled(worker)
        assert start(self.folder, "drain").wait(PATIENCE) == 0

    def _goes_on(self) -> bool:
        is_raising = any(worker.alerts and worker.is_alive for worker in self.workers)
        return is_raising or self.killed.total() < self.kills

    def _is_time_to_kill(self) -> bool:
        """Whether the share of the alerts that is due before the next kill is raised."""
        done = self.killed.total()
        raised = sum(worker.raised for worker in self.workers)
        return done < self.kills and raised >= self.alerts * done / self.kills

    def _kill(self) -> None:
        alive = [worker for worker in self.workers if worker.is_alive]
        worker = self.random.choice(alive)
        worker.process.kill()
        if worker.end() != -signal.SIGKILL:  # it was done just before
            return
        self.killed["raising" if worker.alerts else "delivering"] += 1
        self.in_flight += self._unsettled(worker)
        if worker.left or not worker.alerts:
            worker.start()

    def _unsettled(self, worker: Worker) -> Counter[str]:
        """Return what a process that is dead had begun, and nobody has settled."""
        noted = self.folder / f"begun-{worker.process.pid}"
        begun = set(lines(noted))
        noted.unlink(missing_ok=True)  # the next process may get the same number
        store = notifier(self.folder, mode="offline").store()
        records = [
            record
            for one in begun
            for record in store.deliveries(one.partition(".")[0])
        ]
        store.close()
        return Counter(one.id for one in records if one.status is Status.PENDING)


@contextlib.contextmanager
def _meddling(folder: Path, seed: float) -> Iterator[None]:
    """Hold the database now and then, for longer than a call waits."""
    chance = random.Random(seed)
    is_over = threading.Event()

    def meddle() -> None:
        while not is_over.wait(chance.uniform(0.05, 0.5)):
            path = folder / "state" / "tocsin.db"
            with contextlib.closing(sqlite3.connect(path, timeout=10)) as database:
                database.execute("BEGIN IMMEDIATE")
                is_over.wait(chance.uniform(0.05, 0.4))

    thread = threading.Thread(target=meddle)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


@attrs.frozen(kw_only=True)
class Account:
    """What came of it."""

    returned: Counter[str]
    """What the calls returned."""
    arrived: Counter[str]
    """How often each delivery came."""
    missing: frozenset[str]
    """Deliveries that should have come."""
    unexplained: Counter[str]
    """Those that came more often than processes died over them."""

    @classmethod
    def of(cls, chaos: Chaos) -> Account:
        """Count."""
        noted = [
            line.split()
            for name in RAISERS
            for line in lines(chaos.folder / f"raised-{name}")
        ]
        arrived = Counter(lines(chaos.folder / "arrived"))
        kept = {
            f"{alert_id}.ledger"
            for kind, alert_id in noted
            if kind in {"Admitted", "Deferred"}
        }
        return cls(
            returned=Counter(kind for kind, _ in noted),
            arrived=arrived,
            missing=frozenset(kept - set(arrived)),
            unexplained=arrived
            - Counter(set(arrived))
            - chaos.in_flight
            - chaos.left_behind,
        )

    @property
    def is_good(self) -> bool:
        """Whether everything that was kept came, and nothing without a reason twice."""
        is_kept = set(self.returned) <= {"Admitted", "Deferred"}
        return is_kept and not self.missing and not self.unexplained

    def summary(self, chaos: Chaos, seconds: float) -> str:
        """Say it in lines."""
        twice = self.arrived.total() - len(self.arrived)
        rows = {
            "kills": f"{chaos.killed.total()} {dict(chaos.killed)}",
            "alerts": f"{self.returned.total()} {dict(self.returned)}",
            "delivered": len(self.arrived),
            "missing": f"{len(self.missing)} {sorted(self.missing)[:5] or ''}",
            "duplicates": twice,
            "in flight at kills": chaos.in_flight.total(),
            "in flight at ends": chaos.left_behind.total(),
            "unexplained": f"{self.unexplained.total()} {dict(self.unexplained) or ''}",
            "seconds": f"{seconds:.0f}",
        }
        return "\n".join(f"{name:<19} {value}" for name, value in rows.items())


def main() -> int:
    """Do what the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--alerts", type=int, default=800)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        chance = random.Random(options.seed)
        chaos = Chaos(Path(folder), options.alerts, options.kills, chance)
        chaos.run()
        account = Account.of(chaos)
    summary = account.summary(chaos, time.monotonic() - began)
    sys.stdout.write(f"{'seed':<19} {options.seed}\n{summary}\n")
    return 0 if account.is_good else 1


ROLES = {"raise": raise_alerts, "deliver": deliver, "drain": drain}

if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] in ROLES:
        ROLES[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
    else:
        sys.exit(main())
