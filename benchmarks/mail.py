"""Emails a second, from the call to the server's last word."""

from __future__ import annotations

import contextlib
import statistics
from importlib.util import find_spec
from typing import TYPE_CHECKING

from places import Home
from raising import interleaved
from sinks import Sink
from table import Base, Row, Table, at_least, digits, held_against
from worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from worker import Answer

TITLE = "Emails a second, to one server on the loopback"


def tables(folder: Path, *, rounds: int, mails: int) -> Iterator[Table]:
    """Measure the provider beside smtplib, with the very mail that the provider makes."""
    if find_spec("aiosmtpd") is None:
        yield Table(TITLE, [Row("tocsin-email", "aiosmtpd is not installed")])
        return
    home, sample = Home(folder), folder / "sample.eml"
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(Sink("smtp", sample))
        home.use_email(server.port)
        ours = stack.enter_context(Worker(home, "ours", "admitted", "online"))
        ours.calls(1)  # the sample
        words = ("floors", "reused_connection", server.port, sample)
        floor = stack.enter_context(Worker(home, *words))
        workers = {"tocsin": ours, "smtplib": floor}
        answers = interleaved(workers, dict.fromkeys(workers, mails), rounds=rounds)
    yield compared(answers["tocsin"], answers["smtplib"], sample.stat().st_size)


def compared(ours: Answer, floor: Answer, size: int) -> Table:
    """Return the table."""
    base = Base("smtplib", rate(floor))
    measure = "tocsin-email, from `alert()` on"
    rows = [
        Row(
            f"smtplib on one reused connection, the same mail of {size:,} bytes",
            told(rate(floor)),
        ),
        held_against(measure, told(rate(ours)), rate(ours), base, at_least(1.0)),
    ]
    return Table(TITLE, rows)


def rate(answer: Answer) -> float:
    """Return how many a second in the middle one of the rounds."""
    calls = len(answer.times) + answer.others
    return calls / len(answer.wholes) / statistics.median(answer.wholes)


def told(a_second: float) -> str:
    """Return a rate."""
    return f"{digits(a_second)} a second"
