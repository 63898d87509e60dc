"""`send`: an alert from the command line, by the way that all alerts go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import attrs
import click

from tocsin._cli._alerting import Traits, alert_options, described, read_text
from tocsin._cli._channels import no_channels
from tocsin._cli._exits import Exit
from tocsin._cli._following import follow, follow_options
from tocsin._cli._invocation import (
    Command,
    Invocation,
    closing,
    notifier_for,
    seconds,
)
from tocsin._cli._route import explain
from tocsin._cli._screen import line
from tocsin._mode import Mode
from tocsin._results import Unrouted

if TYPE_CHECKING:
    from tocsin._alert import Alert


@click.command(cls=Command, short_help="Raise an alert.")
@click.argument("title")
@click.argument("text", default="")
@alert_options
@click.option("--key", default="", help="What counts as the same; default: the title.")
@click.option(
    "--wait",
    "wait_duration",
    type=seconds,
    help="Suppress the same for so long; default: 60. With 0 it is always sent.",
)
@click.option(
    "--attach",
    metavar="FILE",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False),
    help="A file to send along; may be repeated.",
)
@follow_options
@click.pass_context
def send(
    ctx: click.Context,
    *,
    title: str,
    text: str,
    key: str,
    wait_duration: float | None,
    attach: tuple[str, ...],
    wait_for: float,
    no_wait: bool,
    **traits: Unpack[Traits],
) -> None:
    """Raise an alert, wait for its deliveries, and say what became of it.

    With - as TEXT, the text is read from standard input.
    """
    invocation = ctx.ensure_object(Invocation)
    settings = invocation.settings()
    alert = attrs.evolve(
        described(settings, title, read_text(text), **traits),
        key=key,
        wait_duration=wait_duration,
        attachments=attach,
    )
    notifier = notifier_for(settings, mode=Mode.OFFLINE if no_wait else None)
    with closing(notifier):
        result = notifier.notify(alert)
        if isinstance(result, Unrouted):
            code = _tell_unrouted(invocation, alert)
        else:
            code = follow(result, notifier, invocation.screen, wait_for)
    ctx.exit(code)


def _tell_unrouted(invocation: Invocation, alert: Alert) -> Exit:
    screen = invocation.screen
    if not invocation.settings().channels:
        screen.show(no_channels(invocation.settings()))
        return Exit.UNROUTED
    screen.show(line("Unrouted: no subscription lets it through to a channel."))
    return explain(invocation, alert)
