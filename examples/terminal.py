"""The demo in the terminal. What is shown there is data: it is never taken for markup."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from tocsin import AlertLevel, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from arrivals import Arrivals
    from rich.console import Console

    from tocsin import Alert, DeliveryRecord

_COLOURS = {AlertLevel.INFO: "cyan", AlertLevel.WARN: "yellow", AlertLevel.ERROR: "red"}
_MARKS = {
    Status.DELIVERED: Text("✓ ", "green"),
    Status.FAILED: Text("✗ ", "red"),
    Status.PENDING: Text("… ", "yellow"),
}


def show_line(console: Console, line: str) -> None:
    """Show a line of the script's output."""
    console.print(Text(f"  {line.rstrip()}", "dim"))


def show_history(console: Console, arrivals: Arrivals) -> None:
    """Show what became of each alert."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, expand=True)
    table.header_style = "dim"
    table.add_column("Time", width=8)
    table.add_column("Level", width=5)
    table.add_column("Title", ratio=3)
    table.add_column("Where", width=6)
    table.add_column("Outcome", ratio=4, no_wrap=True, overflow="ellipsis")
    for alert, deliveries in arrivals.alerts:
        table.add_row(*_row(alert, deliveries, arrivals.suppressed.get(alert.title, 0)))
    console.print("\nThe history, in state/tocsin.db:\n", style="bold")
    console.print(table)


def _row(
    alert: Alert, deliveries: Iterable[DeliveryRecord], suppressed: int
) -> tuple[Text, ...]:
    assert alert.created_at is not None  # it was raised
    again = Text(f"\n{suppressed:,} more suppressed", "yellow") if suppressed else ""
    return (
        Text(f"{alert.created_at.astimezone():%H:%M:%S}", "dim"),
        Text(alert.level.value, _COLOURS[alert.level]),
        Text.assemble((alert.title, "bold"), again),
        Text("\n").join(Text(delivery.channel) for delivery in deliveries),
        Text("\n").join(map(_outcome, deliveries)),
    )


def _outcome(delivery: DeliveryRecord) -> Text:
    said = delivery.reason or delivery.status.value
    if delivery.receipt:
        said = f"{delivery.receipt.place} {delivery.receipt.reference}"
    return Text.assemble(_MARKS[delivery.status], said)


def show_checks(console: Console, results: Mapping[str, bool]) -> None:
    """Show what holds, and what does not."""
    console.print()
    for expectation, holds in results.items():
        mark = ("✓ ", "green") if holds else ("✗ ", "bold red")
        console.print(Text.assemble(mark, expectation))
    failures = list(results.values()).count(False)
    if failures:
        console.print(f"\n{failures} of {len(results)} expectations do not hold.")
