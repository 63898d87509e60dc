"""What one call costs the caller."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import attrs
from peers import PEERS
from places import Home
from sinks import Sink
from table import Base, Row, Table, at_most, held_against, median, spread
from worker import Answer, Worker

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SLOW = 50  # milliseconds
PAUSE = 0.02  # seconds: longer than a delivery takes, so that the courier is idle again
MANY, SOME, FEW = 200, 40, 4  # calls in a round, by how long one takes

CALLS_IN_A_ROW = {
    "lock + dict": MANY,
    "QueueHandler": MANY,
    "WAL insert": MANY,
    "admitted, online": MANY,
    "admitted, 50 ms": SOME,
    "admitted, offline": MANY,
    "suppressed, online": MANY,
    "suppressed, offline": MANY,
    **{f"{name}, 0 ms": SOME for name in PEERS},
    **{f"{name}, 50 ms": FEW for name in PEERS},
}
CALLS_NOW_AND_THEN = dict.fromkeys(
    ["QueueHandler", "WAL insert", "admitted, online", "suppressed, online"], SOME
)


def tables(folder: Path, *, rounds: int, share: float = 1.0) -> Iterator[Table]:
    """Measure calls in a row, then calls with pauses; or only a share of them."""
    with contextlib.ExitStack() as stack:
        workers = dict(started(stack, folder))
        counts = cut(CALLS_IN_A_ROW, share)
        yield in_a_row(Answers(interleaved(workers, counts, rounds=rounds)))
        counts = cut(CALLS_NOW_AND_THEN, share)
        answers = interleaved(workers, counts, rounds=rounds, pause=PAUSE)
        yield now_and_then(Answers(answers))


def cut(counts: Mapping[str, int], share: float) -> dict[str, int]:
    """Return a share of each count, and one at least."""
    return {name: max(1, int(count * share)) for name, count in counts.items()}


def started(stack: contextlib.ExitStack, folder: Path) -> Iterator[tuple[str, Worker]]:
    """Start a process for each kind of call, each in a home of its own."""
    fast = stack.enter_context(Sink("http", 0)).url
    slow = stack.enter_context(Sink("http", SLOW)).url
    for name, url, words in kinds(fast, slow):
        home = Home(folder / name.replace(" ", "-"))
        home.path.mkdir()
        home.use_slack(url)
        yield name, stack.enter_context(Worker(home, *words))


def kinds(fast: str, slow: str) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Return the kinds of call: a name, where to post, the worker's words."""
    yield "lock + dict", fast, ("floors", "locked_dict")
    yield "QueueHandler", fast, ("floors", "log_call")
    yield "WAL insert", fast, ("floors", "wal_insert")
    yield "admitted, online", fast, ("ours", "admitted", "online")
    yield "admitted, 50 ms", slow, ("ours", "admitted", "online")
    yield "admitted, offline", fast, ("ours", "admitted", "offline")
    yield "suppressed, online", fast, ("ours", "suppressed", "online")
    yield "suppressed, offline", fast, ("ours", "suppressed", "offline")
    for peer in PEERS.values():
        if peer.version:
            yield f"{peer.name}, 0 ms", fast, ("peers", peer.name, fast)
        if peer.version and not peer.is_local:
            yield f"{peer.name}, 50 ms", slow, ("peers", peer.name, slow)


def interleaved(
    workers: Mapping[str, Worker],
    counts: Mapping[str, int],
    *,
    rounds: int,
    pause: float = 0.0,
) -> dict[str, Answer]:
    """Have each worker make its calls in turn, round for round; the first is for warmth."""
    answers = dict.fromkeys(workers, Answer())
    for number in range(rounds + 1):
        for name, worker in workers.items():
            if count := counts.get(name):
                answer = worker.calls(count, pause)
                answers[name] += answer if number else Answer()
    return answers


@attrs.frozen
class Answers:
    """What each kind of call took."""

    by_name: Mapping[str, Answer]

    def __getitem__(self, name: str) -> Answer:
        return self.by_name.get(name, Answer())

    def base(self, name: str, called: str) -> Base:
        """Return what others are held against."""
        return Base(called, median(self[name].times))

    def row(
        self, measure: str, name: str, base: Base, bound: float | None = None
    ) -> Row:
        """Return a kind's row."""
        answer = self[name]
        goal = None if bound is None else at_most(bound)
        return held_against(measure, spread(answer), median(answer.times), base, goal)


def in_a_row(answers: Answers) -> Table:
    """Return the table of calls that follow at once on one another."""
    wal = answers.base("WAL insert", "a WAL insert")
    log = answers.base("QueueHandler", "a log call")
    fast = answers.base("apprise, 0 ms", "apprise at 0 ms")
    slow = answers.base("apprise, 50 ms", "apprise at 50 ms")
    admitted, slowly = "admitted, online", "admitted, online, a sink of 50 ms"
    rows = [
        Row("lock + dict", spread(answers["lock + dict"])),
        Row("QueueHandler log call", spread(answers["QueueHandler"])),
        Row("raw WAL insert", spread(answers["WAL insert"])),
        answers.row(admitted, "admitted, online", wal, 5),
        answers.row(admitted, "admitted, online", fast, 1 / 20),
        answers.row(slowly, "admitted, 50 ms", slow, 1 / 1000),
        answers.row("admitted, offline", "admitted, offline", wal),
        answers.row("suppressed, online", "suppressed, online", log, 0.5),
        answers.row("suppressed, offline", "suppressed, offline", log),
        *(peer_row(answers, name, "0 ms", wal) for name in PEERS),
        *(peer_row(answers, p.name, "50 ms", wal) for p in PEERS.values() if not p.is_local),
    ]  # fmt: skip
    return Table("One call of many in a row", rows)


def peer_row(answers: Answers, name: str, sink: str, base: Base) -> Row:
    """Return the row of a peer's call."""
    peer = PEERS[name]
    measure = f"{peer.title}, {'offline' if peer.is_local else sink}"
    return answers.row(measure, f"{name}, {sink}", base)


def now_and_then(answers: Answers) -> Table:
    """Return the table of calls that find the courier idle, and caches cold."""
    wal = answers.base("WAL insert", "a WAL insert")
    log = answers.base("QueueHandler", "a log call")
    rows = [
        Row("QueueHandler log call", spread(answers["QueueHandler"])),
        Row("raw WAL insert", spread(answers["WAL insert"])),
        answers.row("admitted, online", "admitted, online", wal, 5),
        answers.row("suppressed, online", "suppressed, online", log, 0.5),
    ]
    return Table(f"One call every {PAUSE * 1000:.0f} ms", rows)
