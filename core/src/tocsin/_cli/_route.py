"""`route test` and `render`: who would get an alert, and what they would see."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Unpack

import click
from rich.text import Text

from tocsin._attempt import overrides_for
from tocsin._cli._alerting import Traits, alert_options, described
from tocsin._cli._channels import known_channel, no_channels, owner_of
from tocsin._cli._exits import Exit
from tocsin._cli._faults import faults
from tocsin._cli._invocation import Command, Group, Invocation
from tocsin._cli._mistakes import Mistake
from tocsin._cli._screen import BAD, GOOD, POOR, block, grid, line, stacked
from tocsin._cli._times import at, moment, span
from tocsin._rendering import Circumstances
from tocsin._rendering import render as rendered
from tocsin._routing import plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tocsin._alert import Alert
    from tocsin._cli._faults import Fault
    from tocsin._provider import Message, Provider
    from tocsin._routing import Route
    from tocsin._settings import Channel, Settings

_TITLE = "An example"
_TEXT = "This is how an alert looks."


@click.group(cls=Group)
def route() -> None:
    """See where alerts go."""


@route.command("test", short_help="Say who would get an alert.")
@click.option("--title", default=_TITLE, show_default=True, help="What happened.")
@alert_options
@click.option("--user", default="", help="Who raises it; default: you.")
@click.pass_context
def route_test(
    ctx: click.Context, *, title: str, user: str, **traits: Unpack[Traits]
) -> None:
    """Say who would get this alert, and why not the others. Nothing is sent."""
    invocation = ctx.ensure_object(Invocation)
    settings, screen = invocation.settings(), invocation.screen
    alert = described(settings, title, user=user, **traits)
    settings.check(alert.origin)
    if not settings.channels:
        screen.show(no_channels(settings))
        ctx.exit(Exit.UNROUTED)
    ctx.exit(explain(invocation, alert))


def explain(invocation: Invocation, alert: Alert) -> Exit:
    """Tell, channel by channel, who would get the alert and why not the others."""
    settings, screen, now = invocation.settings(), invocation.screen, time.time()
    found = faults(settings, invocation.circuits())
    taken = {route.channel: route for route in plan(alert, settings.subscriptions, now)}
    silence = next((s for s in invocation.silences(now) if s.matches(alert, now)), None)
    rows = []
    for name, channel in settings.channels.items():
        takers, objections = _verdict(settings, alert, name)
        mark, said = BAD, iter(objections)
        if name in taken:
            fault = found.get(name)
            mark = POOR if fault or silence else GOOD
            said = _taken(taken[name], takers, channel, fault, now)
        rows.append((mark, line(name, "bold"), stacked(said)))
    screen.show(grid(rows))
    if taken and silence:
        screen.show(line(f"But it is silenced: {silence.description}", "yellow"))
    return Exit.DONE if taken else Exit.UNROUTED


def _verdict(
    settings: Settings, alert: Alert, channel: str
) -> tuple[list[str], list[Text]]:
    """Return whose subscriptions let the alert through, and what the others object."""
    takers, objections = [], []
    for wish in settings.subscriptions:
        if channel in wish.channels:
            objection = wish.objection(alert)
            if objection:
                objections.append(line(f"not for {owner_of(wish)}: {objection}"))
            else:
                takers.append(owner_of(wish))
    return takers, objections or [line("no subscription names it")]


def _taken(
    route: Route, takers: list[str], channel: Channel, fault: Fault | None, now: float
) -> Iterator[Text]:
    is_held = route.not_before > now
    when = f" at {moment(at(route.not_before))}" if is_held else ""
    why = ": until then hours are quiet" if is_held else ""
    yield line(f"gets it{when}, for {' and '.join(dict.fromkeys(takers))}{why}")
    if route.digest and is_held:
        yield line("all that is held until then goes as one message")
    elif route.digest:
        yield line(f"then all of the next {span(route.digest)} goes as one message")
    if fault:
        yield line(f"but is {fault.said}", "yellow")
    if channel.fallback:
        after = span(channel.fallback_after)
        yield line(f"if it fails, or takes {after}, {channel.fallback} gets it")


@click.command(cls=Command, short_help="Show what a channel would be sent.")
@click.argument("channel")
@click.option("--title", default=_TITLE, show_default=True, help="What happened.")
@click.option("--text", default=_TEXT, show_default=True, help="What to say of it.")
@alert_options
@click.pass_context
def render(
    ctx: click.Context, *, channel: str, title: str, text: str, **traits: Unpack[Traits]
) -> None:
    """Show what CHANNEL would be sent: the plain form and the provider's own parts."""
    invocation = ctx.ensure_object(Invocation)
    settings = invocation.settings()
    chosen = known_channel(settings, channel)
    if chosen.provider is None:
        raise Mistake(chosen.problem)
    provider = type(chosen.provider)
    message = rendered(
        provider,
        described(settings, title, text, **traits),
        Circumstances(now=datetime.now(UTC)),
        overrides=overrides_for(provider, settings),
    )
    invocation.screen.show(*_sections(provider, message))


def _sections(provider: type[Provider], message: Message) -> Iterator[Text]:
    yield from _section("plain form", "", message.text)
    for part, content in message.parts.items():
        yield from _section(part, provider.templates[part], content)


def _section(name: str, template: str, content: str) -> Iterator[Text]:
    made_from = f"  {template}" if template else ""
    yield Text(f"── {name}", "bold").append(made_from, "dim")
    yield block(f"{content}\n")
