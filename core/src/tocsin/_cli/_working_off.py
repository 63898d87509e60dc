"""What is pending in a store is delivered, before one's eyes."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Self

import attrs

from tocsin._cli._exits import Exit
from tocsin._cli._faults import told, trouble
from tocsin._cli._outcomes import MARKS, given_away, held_until, next_try
from tocsin._cli._screen import grid, line, remedy_line, stacked
from tocsin._store import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from rich.text import Text

    from tocsin._cli._screen import Screen
    from tocsin._notifier import Notifier
    from tocsin._store import DeliveryRecord, Standing

_SLICE = 0.2  # seconds between two looks at how far it is
_PATIENCE = 1.0  # seconds that people wait before they want to see how far it is


def work_off(notifier: Notifier, screen: Screen, timeout: float) -> None:
    """Deliver what is pending, and wait for what is due before the time is up."""
    deadline = time.monotonic() + timeout
    usable = [
        name
        for name, channel in notifier.settings.channels.items()
        if not trouble(channel)
    ]
    store = notifier.store()
    with _progress(screen, store.pending(usable)) as show:
        notifier.start()
        while _goes_on(notifier, usable, deadline):
            show(store.pending(usable))


def _goes_on(notifier: Notifier, channels: list[str], deadline: float) -> bool:
    remaining = max(0.0, deadline - time.monotonic())
    if notifier.flush(min(_SLICE, remaining)):
        due = notifier.store().next_due(channels)
        if due is None or due - time.time() > remaining:
            return False
        time.sleep(min(_SLICE, max(0.0, due - time.time())))
    return remaining > 0


@contextlib.contextmanager
def _progress(screen: Screen, total: int) -> Iterator[Callable[[int], None]]:
    """Show on a terminal how many are left, when it takes long."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

    columns = BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    bar = Progress("Delivering", *columns, console=screen.err, transient=True)
    task = bar.add_task("", total=total)
    late = time.monotonic() + _PATIENCE

    def show(left: int) -> None:
        bar.update(task, completed=total - left)
        if screen.err.is_terminal and not screen.is_quiet and time.monotonic() > late:
            bar.start()

    try:
        yield show
    finally:
        bar.live.stop()


@attrs.frozen
class Fate:
    """What may become of many deliveries alike."""

    channel: str
    status: Status
    reason: str
    remedy: str

    @classmethod
    def of(cls, one: Standing | DeliveryRecord) -> Self:
        """Return the fate of a delivery, or of those that stand alike."""
        return cls(one.channel, one.status, one.reason, one.remedy)


def tell_fates(fates: Mapping[Fate, int], notifier: Notifier, screen: Screen) -> Exit:
    """Tell how many were delivered, failed, or are left, and why."""
    rows = [
        _row(fate, count, notifier)
        for fate, count in fates.items()
        if not (screen.is_quiet and fate.status is Status.DELIVERED)
    ]
    if rows:
        screen.show(grid(rows))
    is_done = all(_is_done(fate, notifier) for fate in fates)
    return Exit.DONE if is_done else Exit.UNDELIVERED


def _is_done(fate: Fate, notifier: Notifier) -> bool:
    """Say whether all is as it is to be: sent, or not sent for a reason, or given away."""
    if fate.status is Status.PENDING:
        return bool(_held_until(fate, notifier))
    return fate.status is not Status.FAILED or bool(_fallback(fate, notifier))


def _fallback(fate: Fate, notifier: Notifier) -> str:
    channel = notifier.settings.channels.get(fate.channel)
    return channel.fallback if channel else ""


def _held_until(fate: Fate, notifier: Notifier) -> str:
    if fate.reason or fate.channel not in notifier.settings.channels:
        return ""
    return held_until(notifier.store(), fate.channel)


def _row(fate: Fate, count: int, notifier: Notifier) -> tuple[Text, ...]:
    said = [line(f"{count:,} {_said(fate, notifier)}")]
    if remedy := fate.remedy or _remedy(fate, notifier):
        said.append(remedy_line(remedy))
    if fate.status is Status.FAILED and not _fallback(fate, notifier):
        said.append(remedy_line("then: tocsin replay --failed"))
    return MARKS[fate.status], line(fate.channel, "bold"), stacked(said)


def _remedy(fate: Fate, notifier: Notifier) -> str:
    """Return what would let those go on that wait for a channel."""
    if fate.status is not Status.PENDING:
        return ""
    fault = told(notifier.store().circuits().get(fate.channel))
    again = f"tocsin test {fate.channel}"
    return "; then ".join(filter(None, [fault.remedy, again])) if fault else ""


def _said(fate: Fate, notifier: Notifier) -> str:
    if fate.status is Status.DELIVERED:
        return "delivered"
    if fate.status is Status.SILENCED:
        return fate.reason
    if fate.status is Status.FAILED:
        return f"failed: {given_away(fate.reason, _fallback(fate, notifier))}"
    if until := _held_until(fate, notifier):
        return f"held, until {until} at the soonest"
    return f"left: {_why_left(fate, notifier)}"


def _why_left(fate: Fate, notifier: Notifier) -> str:
    channel = notifier.settings.channels.get(fate.channel)
    if channel is None:
        return "the configuration has no such channel any more: put it back"
    if why := trouble(channel):
        return f"the channel is out of order: {why}"
    again = next_try(notifier, fate.channel)
    if fault := told(notifier.store().circuits().get(fate.channel)):
        return "; ".join(filter(None, [f"the channel is {fault.said}", again]))
    if again:
        return f"{fate.reason or 'the service wants a pause'}; {again}"
    return fate.reason or "there was no time"
