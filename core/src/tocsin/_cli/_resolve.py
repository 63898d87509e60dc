"""`resolve`: what an alert told of is over."""

from __future__ import annotations

from typing import TypedDict, Unpack

import click

from tocsin import _places as places
from tocsin._alert import RESOLVED, Alert, Origin
from tocsin._cli._alerting import read_text, user_of
from tocsin._cli._channels import no_channels
from tocsin._cli._exits import Exit
from tocsin._cli._following import follow, follow_options
from tocsin._cli._invocation import (
    Command,
    Invocation,
    closing,
    notifier_for,
)
from tocsin._cli._screen import line, remedy_line
from tocsin._mode import Mode
from tocsin._results import Unrouted


class _Whence(TypedDict):
    """What the options say of where the alert came from."""

    project: str
    team: str
    job: str
    run: str


@click.command(cls=Command, short_help="Say that what an alert told of is over.")
@click.argument("title_or_key")
@click.argument("text", default="")
@click.option("--project", default="", help="The project that the alert has.")
@click.option("--team", default="", help="The team that it has.")
@click.option("--job", default="", help="The job that it has; default: this one.")
@click.option("--run", default="", help="Or the id of the run that raised it.")
@follow_options
@click.pass_context
def resolve(
    ctx: click.Context,
    *,
    title_or_key: str,
    text: str,
    wait_for: float,
    no_wait: bool,
    **whence: Unpack[_Whence],
) -> None:
    """Say that what the last alert of this title, or key, told of is over.

    The channels that had it are told. With - as TEXT, the text is read from standard
    input.
    """
    invocation = ctx.ensure_object(Invocation)
    settings, screen = invocation.settings(), invocation.screen
    if not settings.channels:
        screen.show(no_channels(settings))
        ctx.exit(Exit.UNROUTED)
    origin = _origin(user_of(settings), **whence)
    alert = Alert(title_or_key, read_text(text), kind=RESOLVED, origin=origin)
    mode = Mode.OFFLINE if no_wait else None
    with closing(notifier_for(settings, mode=mode)) as notifier:
        result = notifier.notify(alert)
        if isinstance(result, Unrouted):
            screen.show(
                line(f"No alert {title_or_key!r} went anywhere: nobody is told."),
                remedy_line(
                    "project, team, and job or run count, too: see `tocsin log`"
                ),
            )
            code = Exit.UNROUTED
        else:
            code = follow(result, notifier, screen, wait_for)
    ctx.exit(code)


def _origin(user: str, **whence: Unpack[_Whence]) -> Origin:
    is_of_run = bool(whence["run"])
    return Origin(
        user=user,
        team=whence["team"],
        project=whence["project"],
        run=whence["run"],
        job=whence["job"] or ("" if is_of_run else places.job()),
        host=places.host(),
        rank=places.rank(),
    )
