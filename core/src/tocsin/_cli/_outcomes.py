"""What becomes of deliveries, awaited and told."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from rich.text import Text

from tocsin._cli._exits import Exit
from tocsin._cli._faults import told, troubles
from tocsin._cli._screen import (
    BAD,
    GOOD,
    OPEN,
    grid,
    line,
    remedy_line,
    stacked,
)
from tocsin._cli._times import at, moment
from tocsin._courier import LEASE
from tocsin._errors import StoreBusy
from tocsin._store import PATIENCE, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tocsin._cli._screen import Screen
    from tocsin._notifier import Notifier
    from tocsin._provider import Receipt
    from tocsin._settings import Settings
    from tocsin._store import DeliveryRecord, Store

_LOOK = 0.1  # seconds between two looks at the deliveries
_SEEN = 1000  # alerts, the newest ones, among which what is held is looked for
_SOON = 2.0  # seconds that one may wait for another: nobody holds it

MARKS = {
    Status.DELIVERED: GOOD,
    Status.FAILED: BAD,
    Status.PENDING: OPEN,
    Status.SILENCED: Text("\N{EN DASH}", "dim"),
}


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
    """Say whether nothing more becomes of it."""
    return record.status is not Status.PENDING


def is_answered(record: DeliveryRecord) -> bool:
    """Say whether the service has answered once, be it that it wants to wait."""
    return is_settled(record) or bool(record.reason)


def is_held(record: DeliveryRecord) -> bool:
    """Say whether quiet hours or a digest keep it for later."""
    if is_settled(record) or record.attempts or record.reason or not record.due_at:
        return False
    return record.due_at.timestamp() > time.time() + _SOON


def held_until(store: Store, channel: str) -> str:
    """Return until when all that waits for a channel is held, at the soonest, or ``""``.

    What waits because an attempt said so does not count; the newest alerts are looked at.
    """
    waiting = [
        delivery
        for record in store.history(limit=_SEEN)
        for delivery in record.deliveries
        if delivery.channel == channel
        and not is_settled(delivery)
        and not delivery.reason
    ]
    dues = [one.due_at for one in waiting if is_held(one) and one.due_at]
    return moment(min(dues)) if dues and len(dues) == len(waiting) else ""


def given_to(
    record: DeliveryRecord, records: Iterable[DeliveryRecord], settings: Settings
) -> str:
    """Return the channel that has a failed delivery's alert in its stead, or ``""``."""
    channel = settings.channels.get(record.channel)
    if channel is None or record.status is not Status.FAILED:
        return ""
    names = {other.channel for other in records}
    return channel.fallback if channel.fallback in names else ""


def exit_for(records: Sequence[DeliveryRecord], settings: Settings) -> Exit:
    """Return what a script learns: whether somebody was told, or nobody is to be."""
    counted = [one for one in records if not given_to(one, records, settings)]
    loud = [one for one in counted if one.status is not Status.SILENCED]
    if counted and not loud:
        return Exit.SUPPRESSED
    is_done = [one.status is Status.DELIVERED or is_held(one) for one in loud]
    return Exit.DONE if loud and all(is_done) else Exit.UNDELIVERED


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
        if not again or not _is_untried(record, notifier):
            return ""
        return (
            again if is_held(record) else f"{_why(notifier, record.channel)}; {again}"
        )

    return obstacle


def _why(notifier: Notifier, channel: str) -> str:
    fault = told(notifier.store().circuits().get(channel))
    return f"the channel is {fault.said}" if fault else "the service wants a pause"


def _is_untried(record: DeliveryRecord, notifier: Notifier) -> bool:
    now = notifier.store().deliveries(alert_of(record.id), timeout=PATIENCE)
    return any(one.id == record.id and not one.attempts for one in now)


def alert_of(delivery_id: str) -> str:
    """Return the id of a delivery's alert."""
    return delivery_id.partition(".")[0]


def next_try(notifier: Notifier, channel: str) -> str:
    """Return when a channel is tried again, or ``""`` when that is now."""
    due = notifier.store().next_due([channel])
    if due is None or due <= time.time():
        return ""
    return f"tried again at {moment(at(due))}"


def tell_outcomes(
    records: Sequence[DeliveryRecord],
    obstacle: Callable[[DeliveryRecord], str],
    settings: Settings,
    screen: Screen,
) -> None:
    """Tell how deliveries stand."""
    rows = [
        _row(record, obstacle(record), given_to(record, records, settings))
        for record in records
        if not (screen.is_quiet and record.status is Status.DELIVERED)
    ]
    if rows:
        screen.show(grid(rows))
    elif not records:
        screen.show(line("Kept beside the store, which cannot be used now.", "yellow"))
        screen.show(
            remedy_line("tocsin doctor says why; it is sent once that is mended")
        )


def _row(record: DeliveryRecord, obstacle: str, other: str) -> Iterable[Text]:
    if record.receipt is not None:
        said = receipt_lines(record.receipt)
    elif record.status is Status.SILENCED:
        said = iter([line(silence_of(record))])
    elif record.status is Status.FAILED:
        said = _failed_lines(record, other)
    else:
        said = _pending_lines(record, obstacle)
    return MARKS[record.status], line(record.channel, "bold"), stacked(said)


def receipt_lines(receipt: Receipt) -> Iterator[Text]:
    """Return what the service said when it took a message."""
    place = f" to {receipt.place}" if receipt.place else ""
    reference = f", message {receipt.reference}" if receipt.reference else ""
    yield line(f"delivered{place}{reference}")
    if receipt.permalink:
        yield line(receipt.permalink, "dim")
    if receipt.note:
        yield line(receipt.note, "yellow")


def silence_of(record: DeliveryRecord) -> str:
    """Return why a delivery was not made, on purpose."""
    is_said = record.reason.startswith("silenced")
    return record.reason if is_said else f"not sent: {record.reason}"


def given_away(reason: str, other: str) -> str:
    """Return why a delivery failed, and which channel has the alert in its stead."""
    said = f" (given to {other})" if other else ""
    return reason if reason.endswith(said) else f"{reason}{said}"


def _failed_lines(record: DeliveryRecord, other: str) -> Iterator[Text]:
    yield line(f"failed: {given_away(record.reason, other)}")
    if record.remedy:
        yield remedy_line(record.remedy)
    if not other:
        yield remedy_line(f"tocsin replay {record.id}")


def _pending_lines(record: DeliveryRecord, obstacle: str) -> Iterator[Text]:
    if is_held(record) and record.due_at:
        yield line(f"held until {moment(record.due_at)}")
    elif obstacle:
        yield line(f"kept: {obstacle}")
    elif record.reason and record.due_at:
        yield line(f"kept: {record.reason}; tried again at {moment(record.due_at)}")
    else:
        yield line("kept: there is no answer yet")
    if record.remedy:
        yield remedy_line(record.remedy)
