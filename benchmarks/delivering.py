"""Deliveries a second to a server that takes its time, or none, from the call to the end."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import attrs
from mail import rate, told
from peers import PEERS
from places import Home
from raising import interleaved
from sinks import Sink
from table import Base, Row, Table, at_least, held_against
from worker import Answer, Worker

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from table import Goal

MEASURE = "tocsin-webhook, from `notify()` until it is written down as delivered"


@attrs.frozen(kw_only=True)
class Kind:
    """A server, and what our deliveries to it are held against."""

    milliseconds: int
    """Until it answers."""
    threads: int
    """Of the loop that posts by requests."""
    of_requests: Goal
    of_apprise: Goal | None = None

    @property
    def title(self) -> str:
        """What the table is called."""
        return f"Deliveries a second, to a server that answers after {self.milliseconds} ms"


KINDS = (
    Kind(
        milliseconds=50,
        threads=32,
        of_requests=at_least(0.9),
        of_apprise=at_least(4),
    ),
    Kind(milliseconds=0, threads=8, of_requests=at_least(0.9)),
)


def tables(folder: Path, *, rounds: int, count: int) -> Iterator[Table]:
    """Measure the webhook beside a loop that posts the very bytes that it posted."""
    for kind in KINDS:
        place = folder / f"{kind.milliseconds}-ms"
        place.mkdir()
        yield compared(kind, answers(kind, place, rounds=rounds, count=count))


def answers(
    kind: Kind, folder: Path, *, rounds: int, count: int
) -> Mapping[str, Answer]:
    """Have each kind of sender send so many in a round."""
    home, sample = Home(folder), folder / "sample.http"
    with contextlib.ExitStack() as stack:
        sink = stack.enter_context(Sink("http", kind.milliseconds, sample))
        home.use_webhook(sink.url)
        ours = stack.enter_context(Worker(home, "ours", "flushed"))
        ours.calls(1)  # the sample
        words = ("floors", "posting_threads", kind.threads, sink.url, sample)
        workers = {
            "tocsin": ours,
            "requests": stack.enter_context(Worker(home, *words)),
        }
        if PEERS["apprise"].version:
            words = ("peers", "apprise_together", sink.url)
            workers["apprise"] = stack.enter_context(Worker(home, *words))
        before = sink.count
        found = interleaved(workers, dict.fromkeys(workers, count), rounds=rounds)
        assert sink.count - before == len(workers) * count * (rounds + 1)
    return found


def compared(kind: Kind, found: Mapping[str, Answer]) -> Table:
    """Return the table."""
    ours, floor = rate(found["tocsin"]), rate(found["requests"])
    apprise = rate(found["apprise"]) if "apprise" in found else None
    title = f"{PEERS['apprise'].title}, `async_notify` of all at once"
    rows = [
        Row(
            f"requests, a session in each of {kind.threads} threads, the same request",
            told(floor),
        ),
        Row(title, "not installed" if apprise is None else told(apprise)),
        held_against(
            MEASURE, told(ours), ours, Base("requests", floor), kind.of_requests
        ),
        held_against(
            MEASURE, told(ours), ours, Base("apprise", apprise), kind.of_apprise
        ),
    ]
    return Table(kind.title, rows)
