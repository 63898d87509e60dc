"""`drain`: deliver what is left, of every configuration that left something here."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tocsin._cli._exits import Exit
from tocsin._cli._invocation import Command, Invocation, closing, seconds
from tocsin._cli._mistakes import listed
from tocsin._cli._screen import grid, line, remedy_line
from tocsin._cli._working_off import Fate, tell_fates, work_off
from tocsin._errors import ConfigError
from tocsin._store import Namespace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from tocsin._cli._screen import Screen
    from tocsin._cli._state import State


@click.command(cls=Command, short_help="Deliver what is left.")
@click.option(
    "--timeout",
    type=seconds,
    default=60,
    show_default=True,
    help="How long to deliver, and to wait for retries, for each configuration.",
)
@click.pass_context
def drain(ctx: click.Context, *, timeout: float) -> None:
    """Deliver what earlier programs left, and say what became of it.

    It takes each configuration in turn that has used the state directory; with --config,
    only that one.
    """
    invocation = ctx.ensure_object(Invocation)
    state, screen = invocation.state(), invocation.screen
    codes = [
        _drain(namespace, state, screen, timeout)
        for namespace in _leavers(invocation, state)
    ]
    if not codes:
        invocation.settings()  # a file that was named and is not there is a mistake
        screen.tell(line("Nothing is left to deliver."))
    ctx.exit(max(codes, default=Exit.DONE))


def _leavers(invocation: Invocation, state: State) -> list[Namespace]:
    """Return those that have left something, or may have: spill files bear no name."""
    own = invocation.source()
    known = {one.name: one for one in state.repaired()}
    is_spilled = bool(state.spilled() or state.journals())
    if own and is_spilled:  # it may have spilled before the store ever knew it
        known.setdefault(own, Namespace(name=own, config=own, pending=0))
    return [
        one
        for one in known.values()
        if (one.pending or (is_spilled and one.config))
        and (invocation.config is None or one.config == own)
    ]


def _drain(namespace: Namespace, state: State, screen: Screen, timeout: float) -> Exit:
    try:
        notifier = state.notifier(namespace)
    except ConfigError as error:
        screen.show(*_unreadable(namespace, error))
        return Exit.UNDELIVERED
    if notifier is None:
        screen.show(*foreign(namespace))
        return Exit.UNDELIVERED
    with closing(notifier):
        since = time.time()
        work_off(notifier, screen, timeout)
        standings = notifier.store().standings(since)
        fates = {Fate.of(standing): standing.count for standing in standings}
        screen.tell(line(namespace.name, "bold"))
        return tell_fates(fates, notifier, screen)


def _unreadable(namespace: Namespace, error: ConfigError) -> Iterator[RenderableType]:
    yield line(f"{namespace.name}: {namespace.pending:,} left", "bold")
    if Path(namespace.config).exists():
        yield from listed(error.problems)
        return
    yield grid(
        [
            ["", line("the configuration is gone")],
            ["", remedy_line("put it back, and drain again")],
        ]
    )


def foreign(namespace: Namespace) -> Iterator[RenderableType]:
    """Return why nobody but a program itself can deliver what it left."""
    yield line(f"{namespace.name}: {namespace.pending:,} left", "bold")
    yield grid(
        [
            ["", line("a program of this name made its settings in code")],
            ["", remedy_line("start that program again: it delivers them")],
        ]
    )
