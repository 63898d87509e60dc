"""`silence`: for a while, alerts that match are kept from everybody."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, TypedDict, Unpack

import click

from tocsin._alert import AlertLevel
from tocsin._cli._alerting import user_of
from tocsin._cli._channels import no_channels
from tocsin._cli._exits import Exit
from tocsin._cli._invocation import (
    Group,
    Invocation,
    closing,
    lasting,
    notifier_for,
)
from tocsin._cli._mistakes import Failure, Mistake
from tocsin._cli._screen import line, remedy_line, stacked, table
from tocsin._cli._times import at, moment
from tocsin._silence import Silence
from tocsin._store import Status
from tocsin._text import storable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.text import Text

    from tocsin._cli._screen import Screen
    from tocsin._settings import Settings
    from tocsin._store import Store


_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@click.group(cls=Group, short_help="Keep alerts from everybody for a while.")
def silence() -> None:
    """Keep alerts from everybody for a while."""


class _Wanted(TypedDict):
    """What the options of ``silence add`` say."""

    starts_at: float | None
    length: float | None
    ends_at: float | None
    project: str
    team: str
    max_level: str
    reason: str
    id: str


def _word(_: click.Context, __: click.Parameter, given: str) -> str:
    if given and not _ID.fullmatch(given):
        raise click.BadParameter(
            f"{given!r} is no word of ASCII letters, digits, - and _"
        )
    return given


def _time(value: str) -> float:
    """Return a time that somebody wrote; without a time zone it is this machine's."""
    with contextlib.suppress(ValueError, OverflowError, OSError):
        return datetime.fromisoformat(value).timestamp()
    raise click.BadParameter(f"{value!r} is no time: write 2026-11-24T09:00")


@silence.command("add", short_help="Silence alerts from now on.")
@click.argument("title", default="*")
@click.option(
    "--for", "length", metavar="TIME", type=lasting, help="How long: 30m, 2h, 7d."
)
@click.option(
    "--until", "ends_at", metavar="TIME", type=_time, help="Or until: 2026-11-24T09:00."
)
@click.option(
    "--from", "starts_at", metavar="TIME", type=_time, help="Since when; default: now."
)
@click.option(
    "--project",
    metavar="PATTERN",
    default="*",
    show_default=True,
    help="Of these projects.",
)
@click.option(
    "--team", metavar="PATTERN", default="*", show_default=True, help="Of these teams."
)
@click.option(
    "--max-level",
    type=click.Choice([level.value for level in AlertLevel], case_sensitive=False),
    default=AlertLevel.ERROR.value,
    show_default=True,
    help="What is worse goes out all the same.",
)
@click.option("--reason", required=True, help="Why, for whoever misses an alert.")
@click.option(
    "--id",
    metavar="WORD",
    default="",
    callback=_word,
    help="What to call it; default: made up.",
)
@click.option("--yes", is_flag=True, help="Do not ask before everything is silenced.")
@click.pass_context
def add(
    ctx: click.Context, *, title: str, yes: bool, **wanted: Unpack[_Wanted]
) -> None:
    """Silence the alerts whose title matches TITLE, and that match all of the options.

    TITLE is a pattern such as 'Loss*'; without it, any title does. Silenced alerts are
    kept, and not sent, be they new or waiting; replay sends one once the silence is over.
    """
    invocation = ctx.ensure_object(Invocation)
    settings, screen = invocation.settings(), invocation.screen
    if not settings.channels:
        screen.show(no_channels(settings))
        ctx.exit(Exit.UNROUTED)
    made = _made(title, user_of(settings), **wanted)
    if not (yes or _names_something(made) or _is_confirmed(made, screen)):
        screen.show(line("Nothing is silenced."))
        ctx.exit(Exit.UNDELIVERED)
    _keep(made, settings)
    screen.tell(
        line(f"Silenced: {_described(made)}, {_limits(made)}."),
        remedy_line(f"tocsin silence expire {made.id}, to end it before"),
    )


def _made(title: str, author: str, **wanted: Unpack[_Wanted]) -> Silence:
    now = time.time()
    length, ends_at = wanted["length"], wanted["ends_at"]
    if (length is None) == (ends_at is None):
        raise click.UsageError("say until when: give either --for or --until")
    starts_at = now if wanted["starts_at"] is None else wanted["starts_at"]
    end = starts_at + length if length is not None else ends_at
    assert end is not None
    if end <= now:
        raise click.UsageError("it would be over already: give a later end")
    try:
        return Silence(
            id=wanted["id"] or os.urandom(4).hex(),
            title=title,
            project=wanted["project"],
            team=wanted["team"],
            max_level=wanted["max_level"],
            starts_at=starts_at,
            ends_at=end,
            reason=wanted["reason"],
            author=author,
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _names_something(made: Silence) -> bool:
    return any(pattern != "*" for pattern in (made.title, made.project, made.team))


def _is_confirmed(made: Silence, screen: Screen) -> bool:
    """Ask a person; a script means what it says."""
    if not (sys.stdin.isatty() and screen.out.is_terminal):
        return True
    return click.confirm(f"Silence {_described(made)}, {_limits(made)}?")


def _keep(made: Silence, settings: Settings) -> None:
    with closing(notifier_for(settings)) as notifier:
        store = notifier.store()
        if not notifier.state.outlives_us:
            raise Failure(
                "a silence cannot be kept in memory: set state_dir, or "
                "TOCSIN_STATE_DIR, to a folder that you can write"
            )
        if any(one.id == made.id for one in store.silences(time.time())):
            raise Mistake(
                f"there is a silence {made.id!r} already: expire it, or choose another id"
            )
        store.silence(made)


def _described(one: Silence) -> str:
    patterns = {"title": one.title, "project": one.project, "team": one.team}
    parts = [f"{name} {p!r}" for name, p in patterns.items() if p != "*"]
    worst = f" up to {one.max_level.value}" if one.max_level < AlertLevel.ERROR else ""
    return f"{', '.join(parts) or 'every alert'}{worst}"


def _limits(one: Silence) -> str:
    starts = "" if _is_in_force(one) else f"from {moment(at(one.starts_at))} "
    return f"{starts}until {moment(at(one.ends_at))}"


def _is_in_force(one: Silence) -> bool:
    return one.starts_at <= time.time()


@silence.command("list", short_help="Show what is silenced, and what will be.")
@click.pass_obj
def list_(invocation: Invocation) -> None:
    """Show the silences that are not over, and how much each has kept from people."""
    settings, screen = invocation.settings(), invocation.screen
    with invocation.state().store(settings.source) as store:
        found = store.silences(time.time())
        counts = _counts(store, found)
    if not found:
        screen.tell(line("Nothing is silenced."))
        return
    columns = table("Id", "When", "What, why", "Not sent")
    columns.columns[-1].justify = "right"
    for one in found:
        columns.add_row(*_row(one, counts[_reason(one)]))
    screen.show(columns)


def _counts(store: Store, found: Iterable[Silence]) -> Counter[str]:
    """Return how many deliveries were silenced, by the reason that they bear."""
    since = min((one.starts_at for one in found), default=time.time())
    counts: Counter[str] = Counter()
    for standing in store.standings(since):
        if standing.status is Status.SILENCED:
            counts[standing.reason] += standing.count
    return counts


def _reason(one: Silence) -> str:
    return storable(f"silenced: {one.description}")


def _row(one: Silence, count: int) -> tuple[Text, ...]:
    by = f" ({one.author})" if one.author else ""
    return (
        line(one.id, "bold"),
        stacked(_when(one)),
        stacked([line(_described(one)), line(f"{one.reason}{by}", "dim")]),
        line(f"{count:,}"),
    )


def _when(one: Silence) -> Iterator[Text]:
    if not _is_in_force(one):
        yield line(f"from {moment(at(one.starts_at))}")
    yield line(f"until {moment(at(one.ends_at))}")


@silence.command("expire", short_help="End a silence before its time.")
@click.argument("id", metavar="ID")
@click.pass_obj
def expire(invocation: Invocation, *, id: str) -> None:  # noqa: A002 - the argument's name
    """End the silence ID, or the one whose id begins so: see `tocsin silence list`."""
    settings, now = invocation.settings(), time.time()
    with invocation.state().store(settings.source) as store:
        meant = _meant(id, store.silences(now))
        store.expire(meant.id, now)
    invocation.screen.tell(
        line(f"Ended: {_described(meant)}, which was silenced {_limits(meant)}."),
        remedy_line("what was silenced is not sent by itself: see `tocsin log`"),
    )


def _meant(prefix: str, found: Iterable[Silence]) -> Silence:
    """Return the silence that an id, or how it begins, means.

    Raises:
        Mistake: It means none, or several.

    """
    likely = [one for one in found if prefix and one.id.startswith(prefix)]
    meant = [one for one in likely if one.id == prefix] or likely
    if len(meant) == 1:
        return meant[0]
    if not meant:
        raise Mistake(
            f"no silence's id begins with {prefix!r}: see `tocsin silence list`"
        )
    listed = "\n".join(f"  {one.id}  {_described(one)}" for one in meant)
    raise Mistake(f"{prefix!r} means several silences; name one:\n{listed}")
