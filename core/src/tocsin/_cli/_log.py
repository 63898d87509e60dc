"""`log`: the history."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

import attrs
import click
from rich.text import Text

from tocsin._alert import AlertLevel
from tocsin._cli._invocation import Command, Invocation
from tocsin._cli._outcomes import MARKS, moment
from tocsin._cli._screen import line, remedy_line, stacked, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.table import Table

    from tocsin._alert import Origin
    from tocsin._cli._screen import Screen
    from tocsin._cli._state import State
    from tocsin._store import DeliveryRecord, Record, Status, SuppressedKey

_LOOK = 0.5  # seconds between two looks at the history
_FOLLOWED = 1000  # alerts whose deliveries are watched
_SHORT = 16  # characters of an id that tell it from others: its time, and some chance
_STYLES = {AlertLevel.INFO: "cyan", AlertLevel.WARN: "yellow", AlertLevel.ERROR: "red"}


@click.command(cls=Command, short_help="Show the history.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
@click.option("--failed", is_flag=True, help="Only alerts with a failed delivery.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is new or changes.")
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(1, 1_000_000),
    default=20,
    show_default=True,
    help="How many alerts, the newest ones.",
)
@click.pass_obj
def log(
    invocation: Invocation, *, as_json: bool, failed: bool, follow: bool, limit: int
) -> None:
    """Show the alerts that were kept, and what became of their deliveries."""
    namespace = invocation.settings().source
    history = _History(invocation.state(), namespace, failed_only=failed)
    printer: _Printer = _Lines() if as_json else _Columns(invocation.screen)
    for records in history.follow(limit) if follow else [history.look(limit)]:
        printer.alerts(records)
    printer.untold(history.untold())


@attrs.define
class _History:
    """One namespace's alerts, as the store has them at each look."""

    _state: State
    _namespace: str
    _failed_only: bool = attrs.field(kw_only=True)

    def look(self, limit: int) -> list[Record]:
        """Return the newest alerts."""
        with self._state.store(self._namespace) as store:
            return store.history(limit=limit, failed_only=self._failed_only)

    def untold(self) -> list[SuppressedKey]:
        """Return what was suppressed and not told yet; nothing of it has failed."""
        if self._failed_only:
            return []
        with self._state.store(self._namespace) as store:
            return store.untold()

    def follow(self, limit: int) -> Iterator[list[Record]]:
        """Return the newest alerts, then, without end, those that are new or changed."""
        records = self.look(max(limit, _FOLLOWED))
        yield records[-limit:]
        while True:
            known = {record.alert.id: _standing(record) for record in records}
            time.sleep(_LOOK)
            records = self.look(max(limit, _FOLLOWED))
            yield [
                record
                for record in records
                if known.get(record.alert.id) != _standing(record)
            ]


def _standing(record: Record) -> list[tuple[Status, str]]:
    return [(delivery.status, delivery.reason) for delivery in record.deliveries]


class _Printer(Protocol):
    def alerts(self, records: Sequence[Record]) -> None: ...

    def untold(self, found: Sequence[SuppressedKey]) -> None: ...


class _Lines:
    """JSON for programs: ASCII, one object per line."""

    def alerts(self, records: Sequence[Record]) -> None:
        for record in records:
            values = attrs.asdict(record, value_serializer=_serialized)
            alert = values.pop("alert")
            del alert["attachments"]  # their contents are not in the history
            _emit({"type": "alert", **alert, **values})

    def untold(self, found: Sequence[SuppressedKey]) -> None:
        for one in found:
            names = ("user", "team", "project", "scope", "key")
            key = dict(zip(names, json.loads(one.key), strict=True))
            counted = attrs.asdict(one.suppression, value_serializer=_serialized)
            _emit({"type": "suppressed", **key, **counted})


def _emit(values: dict[str, Any]) -> None:
    click.echo(json.dumps(values))


def _serialized(_: object, field: attrs.Attribute[Any] | None, value: object) -> object:
    if field is not None and field.name == "since" and isinstance(value, float):
        value = datetime.fromtimestamp(value, UTC)
    if isinstance(value, datetime):
        return value.isoformat()
    return value.value if isinstance(value, Enum) else value


class _Columns:
    """A table for people."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._is_first = True

    def alerts(self, records: Sequence[Record]) -> None:
        if not records:
            return
        self._screen.show(self._table(records))
        self._is_first = False

    def _table(self, records: Iterable[Record]) -> Table:
        columns = table("Time, id", "Level", "Title, origin", "Deliveries")
        columns.show_header = self._is_first
        columns.expand = self._screen.out.is_terminal
        for column, width in zip(columns.columns, (_SHORT, 5, None, None), strict=True):
            column.width = width
            column.ratio = None if width else 1
        for record in records:
            columns.add_row(*_row(record))
        return columns

    def untold(self, found: Sequence[SuppressedKey]) -> None:
        if self._is_first:
            self._screen.show(line("There is no such alert.", "dim"))
        for one in found:
            title = json.loads(one.key)[-1]
            since = one.suppression.since
            when = f" since {moment(_when(since))}" if since else ""
            self._screen.show(
                line(f"{one.suppression.count:,} more like {title!r} suppressed{when}")
            )


def _row(record: Record) -> tuple[Text, ...]:
    alert = record.alert
    when = alert.created_at
    return (
        stacked(
            [
                line(f"{when.astimezone():%m-%d %H:%M:%S}" if when else ""),
                line(alert.id[:_SHORT], "dim"),
            ]
        ),
        Text(alert.level.value, _STYLES[alert.level]),
        stacked(_title_lines(record)),
        stacked(_delivery_lines(record.deliveries)),
    )


def _title_lines(record: Record) -> Iterator[Text]:
    yield line(record.alert.title, "bold")
    if origin := _origin(record.alert.origin):
        yield line(origin, "dim")
    if count := record.suppressed.count:
        yield line(f"{count:,} like it suppressed before", "yellow")


def _origin(origin: Origin) -> str:
    rank = "" if origin.rank is None else f"rank {origin.rank}"
    run = origin.run_name or origin.run or origin.job
    return " · ".join(
        filter(None, [origin.team, origin.project, run, origin.host, rank])
    )


def _delivery_lines(deliveries: Iterable[DeliveryRecord]) -> Iterator[Text]:
    is_routed = False
    for delivery in deliveries:
        is_routed = True
        reason = f": {delivery.reason}" if delivery.reason else ""
        said = line(f"{delivery.channel}{reason}")
        yield Text.assemble(MARKS[delivery.status], " ", said)
        if delivery.remedy:
            yield remedy_line(delivery.remedy)
    if not is_routed:
        yield Text("unrouted", "dim")


def _when(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
