"""`disconnect`: takes a channel out of the configuration, and its secrets away."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from tocsin._cli._channels import known_channel
from tocsin._cli._connect import main_file, waiting_for
from tocsin._cli._connect_asking import Asking
from tocsin._cli._connect_changes import mentions, remove_channel, remove_mentions
from tocsin._cli._connect_file import editing, tables_of
from tocsin._cli._connect_secrets import own
from tocsin._cli._invocation import Command, Invocation
from tocsin._cli._mistakes import Mistake
from tocsin._cli._screen import GOOD, counted, grid, line, remedy_line, stacked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tocsin._cli._connect_secrets import Kept
    from tocsin._cli._screen import Screen
    from tocsin._toml import Table, Tables


@click.command(cls=Command, short_help="Take a channel out.")
@click.argument("channel")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def disconnect(invocation: Invocation, *, channel: str, yes: bool) -> None:
    """Take CHANNEL out of the configuration: its table, and wherever it is named.

    A subscription that has no other channel goes with it. So does a secret that `tocsin
    connect` has kept for it; others stay.
    """
    screen = invocation.screen
    known_channel(invocation.settings(), channel)
    main = main_file(invocation)
    waiting = waiting_for(invocation, channel)
    plan = list(_planned(tables_of(main), channel, waiting))
    if not yes:
        _confirm(channel, plan, screen)
    _remove(main, channel)
    screen.tell(
        grid([(GOOD, stacked(map(line, [f"{channel} is disconnected", *plan])))])
    )
    if not invocation.settings().channels:
        screen.tell(
            remedy_line("no channel is left: alerts are kept, and sent nowhere")
        )


def _confirm(channel: str, plan: list[str], screen: Screen) -> None:
    """Say what goes, and ask.

    Raises:
        Mistake: Nobody can be asked.

    """
    if sys.stdin is None or not sys.stdin.isatty():
        raise Mistake("nobody can be asked here: --yes, to disconnect all the same")
    screen.show(*map(line, plan))
    if not Asking(screen).is_confirmed(f"Disconnect {channel}?"):
        screen.warn(line("Nothing is changed."))
        raise KeyboardInterrupt


def _planned(tables: Tables, channel: str, waiting: int) -> Iterator[str]:
    for file in _files(tables):
        for place in mentions(_tree(tables, file), channel):
            yield f"it is taken out of {place}"
    for kept in _own(tables, channel):
        what = "the keyring's entry" if kept.kind == "keyring" else "the file"
        yield f"{what} {kept.where} is removed"
    if waiting:
        deliveries = counted(waiting, "delivery waits", "deliveries wait")
        yield f"{deliveries} for it, and will until there is a channel {channel} again"


def _remove(main: Path, channel: str) -> None:
    with editing(main) as files:
        tables = files.tables()
        table = _table(tables, channel)
        kept = list(_own(tables, channel))
        for file in _files(tables):
            if list(mentions(_tree(tables, file), channel)):
                files.change(file, remove_mentions(channel))
        files.change(table.file, remove_channel(channel))
        files.write()
        for one in kept:
            one.forget()


def _own(tables: Tables, channel: str) -> Iterator[Kept]:
    others = (one for one in tables.channels if one.name != channel)
    yield from own(_table(tables, channel), channel, others)


def _table(tables: Tables, channel: str) -> Table:
    found = [one for one in tables.channels if one.name == channel]
    if not found:
        raise Mistake(f"no channel {channel!r} any more: another program removed it")
    return found[0]


def _files(tables: Tables) -> list[str]:
    found = [tables.user, *tables.teams, *tables.channels]
    return list(dict.fromkeys(os.fspath(table.file) for table in found))


def _tree(tables: Tables, file: str) -> dict[str, object]:
    """Return what one file says of users, teams and channels."""
    return {
        "user": tables.user.values if tables.user.file == file else {},
        "teams": {one.name: one.values for one in tables.teams if one.file == file},
        "channels": {
            one.name: one.values for one in tables.channels if one.file == file
        },
    }
