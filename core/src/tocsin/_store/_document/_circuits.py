"""How channels fare: each function looks at, or changes, the book of one namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tocsin import _circuit as circuit_rules
from tocsin._circuit import CLOSED, THRESHOLD, Circuit
from tocsin._imports import importing
from tocsin._store._document._tables import CircuitRow, due_of, pending
from tocsin._text import storable

if TYPE_CHECKING:
    from tocsin._retry import Outcome
    from tocsin._store._document._tables import Book


def circuit_of(book: Book, channel: str) -> Circuit:
    """Return how a channel fares."""
    row = book["circuits"].get(channel)
    return CLOSED if row is None else Circuit(**row)


def settle_circuit(
    book: Book, channel: str, outcome: Outcome, now: float
) -> tuple[Circuit, Circuit]:
    """Return how the channel fared before, and how it fares by now."""
    with importing():
        import random

    before = circuit_of(book, channel)
    after = circuit_rules.after(before, outcome, now, random.random)
    if after == CLOSED:
        mend(book, channel, now)
    else:
        book["circuits"][channel] = CircuitRow(
            failures=after.failures,
            until=after.until,
            since=after.since,
            is_out_of_order=after.is_out_of_order,
            reason=storable(after.reason),
            remedy=storable(after.remedy),
        )
    return before, after


def mend(book: Book, channel: str, now: float) -> bool:
    """Take a channel to be in order, and what waits for its next try to be due."""
    before = circuit_of(book, channel)
    if before == CLOSED:
        return False
    del book["circuits"][channel]
    if before.is_failing:
        for _, delivery in pending(book, channel):
            is_free = not delivery["token"] and delivery["not_before"] is None
            if is_free and due_of(delivery) > now:
                delivery["due"] = now
    return True


def try_again(book: Book, channel: str, now: float) -> None:
    """Try a channel that fails with one delivery, now; that decides for the others."""
    row = book["circuits"].get(channel)
    if row is not None and (row["failures"] >= THRESHOLD or row["is_out_of_order"]):
        row["until"], row["failures"] = now, max(row["failures"], THRESHOLD)


def leased_until(book: Book, channel: str, after: float, latest: float) -> float:
    """Return when the last lease on a channel ends, of those in this span; 0: none."""
    return max(
        (
            due_of(delivery)
            for _, delivery in pending(book, channel)
            if delivery["token"] and after < due_of(delivery) <= latest
        ),
        default=0.0,
    )
