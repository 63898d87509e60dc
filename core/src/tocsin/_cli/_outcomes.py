"""What becomes of deliveries, awaited and told."""

from __future__ import annotations

import contextlib
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tocsin._cli._channels import troubles
from tocsin._cli._exits import Exit
from tocsin._cli._screen import (
    BAD,
    GOOD,
    OPEN,
    grid,
    line,
    remedy_line,
    stacked,
)
from tocsin._courier import LEASE
from tocsin._errors import StoreBusy
from tocsin._store import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from rich.text import Text

    from tocsin._cli._screen import Screen
    from tocsin._notifier import Notifier
    from tocsin._provider import Receipt
    from tocsin._store import DeliveryRecord

_LOOK = 0.1  # seconds between two looks at the deliveries

MARKS = {Status.DELIVERED: GOOD, Status.FAILED: BAD, Status.PENDING: OPEN}


def await_deliveries(
    look: Callable[[float], Sequence[DeliveryRecord]],
    is_enough: Callable[[DeliveryRecord], bool],
    timeout: float,
) -> Sequence[DeliveryRecord]:
    """Look until enough is known of every delivery, or so many seconds are over.

    `look` takes as many seconds as it is told, or fewer.
    """
    deadline = time.monotonic() + timeout
    while True:
        remaining = max(0.0, deadline - time.monotonic())
        records: Sequence[DeliveryRecord] = ()
        with contextlib.suppress(StoreBusy):  # the alert is spilled, and safe
            records = look(min(_LOOK, remaining))
        is_over = not remaining or all(
            is_enough(record) or _is_put_off(record, remaining) for record in records
        )
        if is_over and (records or not remaining):
            return records


def _is_put_off(record: DeliveryRecord, seconds: float) -> bool:
    """Say whether nothing will happen within this time.

    One that is under way is due when its lease runs out, in case its worker dies.
    """
    if not record.reason or record.due_at is None:
        return False
    return record.due_at.timestamp() - time.time() > max(seconds, LEASE)


def is_settled(record: DeliveryRecord) -> bool:
    """Say whether it is delivered or failed."""
    return record.status is not Status.PENDING


def is_answered(record: DeliveryRecord) -> bool:
    """Say whether the service has answered once, be it that it wants to wait."""
    return is_settled(record) or bool(record.reason)


def exit_for(records: Iterable[DeliveryRecord]) -> Exit:
    """Return what a script learns: whether all of it is delivered."""
    done = [record.status is Status.DELIVERED for record in records]
    return Exit.DONE if done and all(done) else Exit.UNDELIVERED


def obstacles(notifier: Notifier) -> Callable[[DeliveryRecord], str]:
    """Return what says why a delivery is not even tried now, or ``""``."""
    out_of_order = troubles(notifier.settings)

    def obstacle(record: DeliveryRecord) -> str:
        if is_settled(record):
            return ""
        if record.channel in out_of_order:
            return f"the channel is out of order: {out_of_order[record.channel]}"
        again = "" if record.attempts else next_try(notifier, record.channel)
        # it may have been claimed since the record was read: it is then due much later
        is_held = again and _is_untried(record, notifier)
        return f"the service wants a pause; {again}" if is_held else ""

    return obstacle


def _is_untried(record: DeliveryRecord, notifier: Notifier) -> bool:
    now = notifier.store().deliveries(alert_of(record.id))
    return any(one.id == record.id and not one.attempts for one in now)


def alert_of(delivery_id: str) -> str:
    """Return the id of a delivery's alert."""
    return delivery_id.partition(".")[0]


def next_try(notifier: Notifier, channel: str) -> str:
    """Return when a channel is tried again, or ``""`` when that is now."""
    due = notifier.store().next_due([channel])
    if due is None or due <= time.time():
        return ""
    return f"tried again at {moment(datetime.fromtimestamp(due, UTC))}"


def tell_outcomes(
    records: Sequence[DeliveryRecord],
    obstacle: Callable[[DeliveryRecord], str],
    screen: Screen,
) -> None:
    """Tell how deliveries stand."""
    rows = [
        _row(record, obstacle(record))
        for record in records
        if not (screen.is_quiet and record.status is Status.DELIVERED)
    ]
    if rows:
        screen.show(grid(rows))
    elif not records:
        screen.show(line("Kept beside the store, which does not answer.", "yellow"))


def _row(record: DeliveryRecord, obstacle: str) -> Iterable[Text]:
    if record.receipt is not None:
        said = _receipt_lines(record.receipt)
    elif record.status is Status.FAILED:
        said = _failed_lines(record)
    else:
        said = _pending_lines(record, obstacle)
    return MARKS[record.status], line(record.channel, "bold"), stacked(said)


def _receipt_lines(receipt: Receipt) -> Iterator[Text]:
    place = f" to {receipt.place}" if receipt.place else ""
    reference = f", message {receipt.reference}" if receipt.reference else ""
    yield line(f"delivered{place}{reference}")
    if receipt.permalink:
        yield line(receipt.permalink, "dim")
    if receipt.note:
        yield line(receipt.note, "yellow")


def _failed_lines(record: DeliveryRecord) -> Iterator[Text]:
    yield line(f"failed: {record.reason}")
    if record.remedy:
        yield remedy_line(record.remedy)
    yield remedy_line(f"tocsin replay {record.id}")


def _pending_lines(record: DeliveryRecord, obstacle: str) -> Iterator[Text]:
    if obstacle:
        yield line(f"kept: {obstacle}")
    elif record.reason and record.due_at:
        yield line(f"kept: {record.reason}; tried again at {moment(record.due_at)}")
    else:
        yield line("kept: there is no answer yet")
    if record.remedy:
        yield remedy_line(record.remedy)


def moment(when: datetime) -> str:
    """Return a time as people here have it; today's without the date."""
    local = when.astimezone()
    is_today = local.date() == datetime.now().astimezone().date()
    return f"{local:%H:%M:%S}" if is_today else f"{local:%Y-%m-%d %H:%M:%S}"
