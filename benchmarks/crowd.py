"""Many processes raise one alert: how many are sent, and how long each waits for the others."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from peers import PEERS
from places import Home
from sinks import Sink
from table import NOT_INSTALLED, Row, Table, duration, median, spread
from worker import Answer, Worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROCESSES = 8
LONGEST = 1e-3  # seconds, of the median call


def tables(folder: Path, *, rounds: int, calls: int) -> Iterator[Table]:
    """Measure alerts of one title from all processes at once."""
    with Sink("http", 0) as sink:
        home = Home(folder)
        home.use_slack(sink.url)
        ours = together(home, ("ours", "crowded", calls), rounds, calls)
        sent = sink.count / (rounds + 1)
        rows = [ours_row(ours, sent), apprise_row(home, sink, calls)]
    yield Table(f"{PROCESSES} processes, {calls} alerts of one title each", rows)


def ours_row(answer: Answer, sent: float) -> Row:
    """Return our row: one is sent, and nobody waits for long."""
    middle = median(answer.times)
    assert middle is not None
    is_met = sent == 1 and middle <= LONGEST
    figure = f"{spread(answer)}, longest {duration(max(answer.times))}"
    return Row("`alert()`", figure, f"{sent:g} sent", "1 sent, p50 ≤ 1 ms", is_met)


def apprise_row(home: Home, sink: Sink, calls: int) -> Row:
    """Return Apprise's row."""
    apprise = PEERS["apprise"]
    if not apprise.version:
        return Row(apprise.title, NOT_INSTALLED)
    before = sink.count
    answer = together(home, ("peers", "apprise", sink.url), 0, calls)
    return Row(apprise.title, spread(answer), f"{sink.count - before} sent")


def together(home: Home, words: tuple[object, ...], rounds: int, calls: int) -> Answer:
    """Have all processes call at once; one more round is for warmth, as in `starting`."""
    total = Answer()
    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(Worker(home, *words)) for _ in range(PROCESSES)]
        for number in range(rounds + 1):
            for worker in workers:
                worker.ask(calls)
            answers = [worker.answer() for worker in workers]
            if number or not rounds:
                total = sum(answers, total)
    return total
