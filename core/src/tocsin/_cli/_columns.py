"""The history as a table for people."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import attrs
from rich.console import Group
from rich.text import Text

from tocsin._alert import RESOLVED, AlertLevel
from tocsin._cli._outcomes import (
    MARKS,
    given_away,
    given_to,
    is_held,
    silence_of,
)
from tocsin._cli._screen import grid, line, remedy_line, stacked, table
from tocsin._cli._times import at, moment
from tocsin._store import Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType
    from rich.table import Table

    from tocsin._alert import Origin
    from tocsin._cli._history import Look
    from tocsin._cli._screen import Screen
    from tocsin._settings import Settings
    from tocsin._store import DeliveryRecord, Record, SuppressedKey

_SHORT = 16  # characters of an id that tell it from others: its time, and some chance
_WIDE = (
    120  # columns of a terminal from which on titles and deliveries fit side by side
)
_STYLES = {AlertLevel.INFO: "cyan", AlertLevel.WARN: "yellow", AlertLevel.ERROR: "red"}


class Columns:
    """Shows one look after the other."""

    def __init__(self, screen: Screen, settings: Settings) -> None:
        self._screen = screen
        self._settings = settings
        self._is_first = True

    def alerts(self, look: Look) -> None:
        """Show the alerts of a look."""
        if not look.shown:
            return
        is_wide = self._screen.out.width >= _WIDE
        entries = [_Entry(record, look, self._settings) for record in look.shown]
        shown = _side_by_side(entries) if is_wide else _stacked(entries)
        shown.show_header = self._is_first
        shown.expand = self._screen.out.is_terminal
        self._screen.show(shown)
        self._is_first = False

    def untold(self, found: Sequence[SuppressedKey]) -> None:
        """Show what was suppressed and not told yet."""
        if self._is_first:
            self._screen.show(line("There is no such alert.", "dim"))
        for one in found:
            title = json.loads(one.key)[-1]
            since = one.suppression.since
            when = f" since {moment(at(since))}" if since else ""
            self._screen.show(
                line(f"{one.suppression.count:,} more like {title!r} suppressed{when}")
            )


def _side_by_side(entries: Sequence[_Entry]) -> Table:
    columns = table("Time, id", "Level", "Title, origin", "Deliveries")
    for column, width in zip(columns.columns, (_SHORT, 5, None, None), strict=True):
        column.width = width
        column.ratio = None if width else 1
    for one in entries:
        columns.add_row(
            one.time_and_id, one.level, stacked(one.about()), one.deliveries()
        )
    return columns


def _stacked(entries: Sequence[_Entry]) -> Table:
    columns = table("Time, id", "Level, title, origin, deliveries")
    columns.columns[0].width = _SHORT
    columns.columns[1].ratio = 1
    for one in entries:
        title, *more = one.about()
        first = Text(overflow="fold").append_text(one.level).append("  ")
        about = stacked([first.append_text(title), *more])
        columns.add_row(one.time_and_id, Group(about, one.deliveries()))
    return columns


@attrs.frozen
class _Entry:
    """An alert of the history, in words."""

    _record: Record
    _look: Look
    _settings: Settings

    @property
    def _is_own(self) -> bool:
        return self._record.namespace == self._settings.source

    @property
    def time_and_id(self) -> Text:
        alert = self._record.alert
        when = alert.created_at
        time = f"{when.astimezone():%m-%d %H:%M:%S}" if when else ""
        return stacked([line(time), line(alert.id[:_SHORT], "dim")])

    @property
    def level(self) -> Text:
        level = self._record.alert.level
        return Text(level.value, _STYLES[level])

    def about(self) -> Iterator[Text]:
        """Return what happened, where, and what is known of it beside."""
        alert = self._record.alert
        is_end = alert.kind == RESOLVED
        yield line(f"{'Resolved: ' if is_end else ''}{alert.title}", "bold")
        if origin := _origin(alert.origin):
            yield line(origin, "dim")
        if not self._is_own:
            yield line(f"of {self._record.namespace or 'no configuration'}", "dim")
        if count := self._record.suppressed.count:
            yield line(f"{count:,} like it suppressed before", "yellow")
        if ended := self._look.ended.get(alert.id):
            yield line(f"resolved at {moment(ended)}", "green")

    def deliveries(self) -> RenderableType:
        """Return how each delivery stands."""
        rows = [
            (MARKS[one.status], stacked(self._lines(one)))
            for one in self._record.deliveries
        ]
        return grid(rows, gap=1) if rows else Text("unrouted", "dim")

    def _lines(self, delivery: DeliveryRecord) -> Iterator[Text]:
        said = self._said(delivery)
        yield line(f"{delivery.channel}{f': {said}' if said else ''}")
        if delivery.remedy:
            yield remedy_line(delivery.remedy)

    def _said(self, delivery: DeliveryRecord) -> str:
        if delivery.status is Status.DELIVERED:
            others = self._look.others(self._record.namespace, delivery)
            return f"in one message with {others:,} more" if others else ""
        if delivery.status is Status.FAILED:
            return given_away(delivery.reason, self._given_to(delivery))
        if delivery.status is Status.SILENCED:
            return silence_of(delivery)
        return self._why_pending(delivery)

    def _given_to(self, delivery: DeliveryRecord) -> str:
        if not self._is_own:
            return ""
        return given_to(delivery, self._record.deliveries, self._settings)

    def _why_pending(self, delivery: DeliveryRecord) -> str:
        if is_held(delivery) and delivery.due_at:
            return f"held until {moment(delivery.due_at)}"
        place = self._record.namespace, delivery.channel
        if not delivery.reason and place in self._look.failing:
            return "waits until the channel works again"
        return delivery.reason


def _origin(origin: Origin) -> str:
    rank = "" if origin.rank is None else f"rank {origin.rank}"
    run = origin.run_name or origin.run or origin.job
    return " · ".join(
        filter(None, [origin.team, origin.project, run, origin.host, rank])
    )
