"""`send` and `test`: an alert from the command line, by the way that all alerts go."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Unpack

import attrs
import click

from tocsin import _places as places
from tocsin._alert import Alert, Origin
from tocsin._cli._alerting import Traits, alert_options, described, user_of
from tocsin._cli._channels import known_channel, no_channels
from tocsin._cli._exits import Exit
from tocsin._cli._invocation import (
    Command,
    Invocation,
    closing,
    notifier_for,
    seconds,
)
from tocsin._cli._outcomes import (
    await_deliveries,
    exit_for,
    is_answered,
    is_settled,
    moment,
    obstacles,
    tell_outcomes,
)
from tocsin._cli._route import explain
from tocsin._cli._screen import line, remedy_line
from tocsin._mode import Mode
from tocsin._results import (
    Admitted,
    Deferred,
    Disabled,
    Refused,
    Result,
    Suppressed,
    Unrouted,
)
from tocsin._routing import Subscription

if TYPE_CHECKING:
    from collections.abc import Callable

    from tocsin._cli._screen import Screen
    from tocsin._notifier import Notifier
    from tocsin._settings import Settings
    from tocsin._store import DeliveryRecord


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
@click.option(
    "--wait-for",
    type=seconds,
    default=10,
    show_default=True,
    help="How long to wait for the deliveries.",
)
@click.option("--no-wait", is_flag=True, help="Only keep it; it is delivered later.")
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
        described(settings, title, _read(text), **traits),
        key=key,
        wait_duration=wait_duration,
        attachments=attach,
    )
    notifier = notifier_for(settings, mode=Mode.OFFLINE if no_wait else None)
    with closing(notifier):
        result = notifier.notify(alert)
        if isinstance(result, Unrouted):
            code = _tell_unrouted(settings, alert, invocation.screen)
        elif not isinstance(result, Admitted | Deferred):
            code = _tell_unkept(result, invocation.screen)
        elif notifier.mode is Mode.OFFLINE:
            code = _tell_kept(result, invocation.screen)
        else:
            code = _follow(result, notifier, invocation.screen, is_settled, wait_for)
    ctx.exit(code)


def _read(text: str) -> str:
    if text != "-":
        return text
    return sys.stdin.buffer.read().decode(errors="replace")


def _tell_unrouted(settings: Settings, alert: Alert, screen: Screen) -> Exit:
    if not settings.channels:
        screen.show(no_channels(settings))
        return Exit.UNROUTED
    screen.show(line("Unrouted: no subscription lets it through to a channel."))
    return explain(settings, alert, screen)


def _tell_unkept(result: Result, screen: Screen) -> Exit:
    if isinstance(result, Suppressed):
        screen.tell(
            line(f"Suppressed until {moment(result.until)}: one like it was admitted."),
            remedy_line("--wait 0 sends it all the same, and so does a higher --level"),
        )
        return Exit.SUPPRESSED
    if isinstance(result, Refused):
        screen.show(line(f"Lost: {result.reason}", "red"))
        return Exit.UNDELIVERED
    assert isinstance(result, Disabled)
    screen.tell(line("Nothing was done: TOCSIN_MODE is disabled."))
    return Exit.DONE


def _tell_kept(result: Admitted | Deferred, screen: Screen) -> Exit:
    where = f" for {', '.join(result.channels)}" if isinstance(result, Admitted) else ""
    screen.tell(
        line(f"Kept{where}."),
        remedy_line(
            "the next program of this configuration delivers it, or `tocsin drain`"
        ),
    )
    return Exit.DONE


def _follow(
    result: Result,
    notifier: Notifier,
    screen: Screen,
    is_enough: Callable[[DeliveryRecord], bool],
    timeout: float,
) -> Exit:
    obstacle = obstacles(notifier)
    with screen.waiting("Delivering …"):
        records = await_deliveries(
            result.wait,
            lambda record: is_enough(record) or bool(obstacle(record)),
            timeout,
        )
    tell_outcomes(records, obstacle, screen)
    return exit_for(records)


@click.command(cls=Command, short_help="Try the channels out.")
@click.argument("channel", required=False)
@click.option(
    "--wait-for",
    type=seconds,
    default=20,
    show_default=True,
    help="How long to wait for what comes back.",
)
@click.pass_context
def test(ctx: click.Context, *, channel: str | None, wait_for: float) -> None:
    """Send a test alert to CHANNEL, or to all of them, and say what came back."""
    invocation = ctx.ensure_object(Invocation)
    settings, screen = invocation.settings(), invocation.screen
    if not settings.channels:
        screen.show(no_channels(settings))
        ctx.exit(Exit.UNROUTED)
    names = (known_channel(settings, channel).name,) if channel else settings.channels
    aimed = _aimed(settings, tuple(names))
    with closing(notifier_for(aimed)) as notifier:
        result = _raise_test(notifier)
        if isinstance(result, Admitted | Deferred):
            code = _follow(result, notifier, screen, is_answered, wait_for)
        else:
            code = _tell_unkept(result, screen)
    ctx.exit(code)


def _aimed(settings: Settings, channels: tuple[str, ...]) -> Settings:
    """Return the settings with one subscription: everything of the user goes there."""
    user = user_of(settings)
    wish = Subscription(channels=channels, owner=user)
    return attrs.evolve(settings, user=user, subscriptions=(wish,))


def _raise_test(notifier: Notifier) -> Result:
    text = (
        f"`tocsin test` sent this from {places.host()}: if you can read it, it works."
    )
    origin = Origin(user=notifier.settings.user)
    return notifier.notify(Alert("A test of Tocsin", text, None, 0, origin=origin))
