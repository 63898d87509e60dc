"""`log`: the history."""

from __future__ import annotations

import json
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

import attrs
import click

from tocsin._cli._columns import Columns
from tocsin._cli._history import History
from tocsin._cli._invocation import Command, Invocation
from tocsin._cli._times import at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tocsin._cli._history import Look
    from tocsin._store import SuppressedKey


@click.command(cls=Command, short_help="Show the history.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
@click.option("--failed", is_flag=True, help="Only alerts with a failed delivery.")
@click.option(
    "--all",
    "of_all",
    is_flag=True,
    help="Those of all configurations and programs that use the state directory.",
)
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
    invocation: Invocation,
    *,
    as_json: bool,
    failed: bool,
    of_all: bool,
    follow: bool,
    limit: int,
) -> None:
    """Show the alerts that were kept, and what became of their deliveries."""
    settings = invocation.settings()
    history = History(
        invocation.state(), settings.source, of_all=of_all, failed_only=failed
    )
    printer: _Printer = _Lines() if as_json else Columns(invocation.screen, settings)
    for look in history.follow(limit) if follow else [history.look(limit)]:
        printer.alerts(look)
    printer.untold(history.untold())


class _Printer(Protocol):
    def alerts(self, look: Look) -> None: ...

    def untold(self, found: Sequence[SuppressedKey]) -> None: ...


class _Lines:
    """JSON for programs: ASCII, one object per line."""

    def alerts(self, look: Look) -> None:
        for record in look.shown:
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
        value = at(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return value.value if isinstance(value, Enum) else value
