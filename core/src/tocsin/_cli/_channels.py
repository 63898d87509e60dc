"""`channels` and `providers`: what is configured, and what could be."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal, get_args, get_origin

import attrs
import click
from rich.text import Text

from tocsin._alert import AlertLevel
from tocsin._cli._faults import Fault, faults
from tocsin._cli._invocation import Command, Invocation
from tocsin._cli._mistakes import Mistake
from tocsin._cli._screen import (
    BAD,
    GOOD,
    POOR,
    block,
    grid,
    line,
    remedy_line,
    stacked,
    table,
)
from tocsin._cli._times import span
from tocsin._errors import PluginError
from tocsin._routing import ALL_BUT_FINISHED
from tocsin._secret import FromEnv, FromKeyring, Secret
from tocsin._settings import Channel, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.table import Table

    from tocsin._plugins import Offer
    from tocsin._provider import Provider
    from tocsin._routing import Subscription
    from tocsin._settings import Settings
    from tocsin._store import StoreProvider


def known_channel(settings: Settings, name: str) -> Channel:
    """Return a channel.

    Raises:
        Mistake: There is none of this name.

    """
    if name in settings.channels:
        return settings.channels[name]
    raise Mistake(f"no channel {name!r}: {nearest(name, settings.channels)}")


def no_channels(settings: Settings) -> Text:
    """Return what to do when nothing is configured."""
    from tocsin import _places as places

    file = settings.source or places.config_dir() / "tocsin.toml"
    return stacked(
        [
            line("No channel is configured."),
            remedy_line(f"write [channels.NAME] into {file}; see `tocsin providers`"),
        ]
    )


@click.command(cls=Command, short_help="List the channels.")
@click.pass_obj
def channels(invocation: Invocation) -> None:
    """List the channels: their settings, who is subscribed, what does not work."""
    settings, screen = invocation.settings(), invocation.screen
    if not settings.channels:
        screen.show(no_channels(settings))
        return
    found = faults(settings, invocation.circuits())
    columns = table("", "Channel", "Provider", "Settings", "Subscribed")
    for channel in settings.channels.values():
        columns.add_row(*_channel_row(channel, settings, found.get(channel.name)))
    screen.show(columns)
    for name, fault in found.items():
        style = "red" if fault.is_out_of_order else "yellow"
        screen.show(line(f"{name} is {fault.said}", style))


def _channel_row(
    channel: Channel, settings: Settings, fault: Fault | None
) -> tuple[Text, ...]:
    provider, subscribed = channel.provider, list(_subscribed(channel, settings))
    return (
        mark_of(fault),
        line(channel.name, "bold"),
        line(provider.name) if provider else Text("broken", "red"),
        block("\n".join(_settings_of(channel))),
        stacked(subscribed) if subscribed else Text("nobody", "yellow"),
    )


def mark_of(fault: Fault | None) -> Text:
    """Return the mark of a channel: good, poor, or bad."""
    if fault is None:
        return GOOD
    return BAD if fault.is_out_of_order else POOR


def _subscribed(channel: Channel, settings: Settings) -> Iterator[Text]:
    for wish in settings.subscriptions:
        if channel.name in wish.channels:
            yield _wish(wish)
    for other in settings.channels.values():
        if other.fallback == channel.name:
            yield line(f"fallback of {other.name}")


def _settings_of(channel: Channel) -> Iterator[str]:
    if channel.provider is not None:
        yield from _given(channel.provider)
    if channel.fallback:
        yield f"fallback = {_as_toml(channel.fallback)}"
        if channel.fallback_after != attrs.fields(Channel).fallback_after.default:
            yield f"fallback_after = {_as_toml(channel.fallback_after)}"


def _given(provider: Provider) -> Iterator[str]:
    """Return the settings that differ from what the class says."""
    for field in attrs.fields(type(provider)):
        value = getattr(provider, field.name)
        if field.init and value != field.default:
            yield f"{field.name} = {_as_toml(value)}"


def _as_toml(value: object) -> str:
    if isinstance(value, Secret):
        return _hidden(value)
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_as_toml, value))}]"
    return json.dumps(value, ensure_ascii=False, default=str)


def _hidden(secret: Secret) -> str:
    source = secret.reference
    if source is None:
        return '"…"' if secret else '""'
    if isinstance(source, FromEnv):
        return f"{{ env = {json.dumps(source.variable)} }}"
    if isinstance(source, FromKeyring):
        return f"{{ keyring = {json.dumps(str(source), ensure_ascii=False)} }}"
    return f"{{ file = {json.dumps(source.path, ensure_ascii=False)} }}"


def _wish(wish: Subscription) -> Text:
    conditions = [
        *([f"{wish.min_level.value} up"] if wish.min_level > AlertLevel.INFO else []),
        *_unless_any("kinds", () if wish.kinds == ALL_BUT_FINISHED else wish.kinds),
        *_unless_any("projects", wish.projects),
        *_unless_any("tags", wish.tags or ("*",)),
        *_times(wish),
    ]
    which = f": {'; '.join(conditions)}" if conditions else ""
    return line(f"{owner_of(wish)}{which}")


def _times(wish: Subscription) -> Iterator[str]:
    if wish.quiet_hours is not None:
        hours, zone = ", ".join(wish.quiet_hours.intervals), wish.quiet_hours.time_zone
        level = wish.quiet_max_level.value
        yield f"quiet {hours}{f' {zone}' if zone else ''} up to {level}"
    if wish.digest:
        yield f"a digest each {span(wish.digest)}"


def _unless_any(name: str, patterns: tuple[str, ...]) -> list[str]:
    return [] if patterns in {(), ("*",)} else [f"{name} {', '.join(patterns)}"]


def owner_of(wish: Subscription) -> str:
    """Return whose wish it is."""
    return f"{wish.scope.value} {wish.owner}"


@click.command(cls=Command, short_help="List the installed providers.")
@click.argument("name", required=False)
@click.pass_obj
def providers(invocation: Invocation, *, name: str | None) -> None:
    """List the installed providers, or the settings of the one called NAME."""
    screen = invocation.screen
    if name is not None:
        from tocsin import _plugins as plugins

        is_store = plugins.keeps(name)
        kind = plugins.load_store(name) if is_store else plugins.load(name)
        screen.show(*_manual(kind))
        return
    if found := installed():
        screen.show(grid(_offer_row(offer, why) for offer, why in found.items()))
        return
    screen.show(
        line("No provider is installed."),
        remedy_line("pip install tocsin-NAME, for the service of your choice"),
    )


def installed() -> Mapping[Offer, str]:
    """Return everything on offer, each with what is wrong with it, or ``""``."""
    from tocsin import _plugins as plugins

    return {offer: _complaint(offer.name) for offer in plugins.offers()}


def _complaint(name: str) -> str:
    from tocsin import _plugins as plugins

    try:
        plugins.load(name)
    except PluginError as error:
        is_other = plugins.listens(name) or plugins.keeps(name)
        return "" if is_other else str(error)
    return ""


def _offer_row(offer: Offer, why: str) -> tuple[Text, ...]:
    name, package = line(offer.name, "bold"), f"{offer.distribution} {offer.version}"
    return (BAD if why else GOOD, name, line(package), line(why, "red"))


def _manual(provider: type[Provider | StoreProvider]) -> Iterator[Text | Table]:
    yield line(f'provider = "{provider.name}"', "bold")
    fields = [field for field in attrs.fields(provider) if field.init]
    yield grid(
        (
            POOR if field.default is attrs.NOTHING else Text(" "),
            line(field.name, "bold"),
            line(_kind(field.type)),
            stacked([line(field.metadata.get("help", "")), *_default(field.default)]),
        )
        for field in fields
    )
    if any(field.default is attrs.NOTHING for field in fields):
        yield Text("! must be given", "dim")


_KINDS = {
    "str": "string",
    "bool": "true or false",
    "int": "whole number",
    "float": "number",
    "Secret": "secret",
    "tuple[str, ...]": "list of strings",
}


def _kind(annotation: object) -> str:
    if get_origin(annotation) is Literal:
        return " or ".join(map(_as_toml, get_args(annotation)))
    is_class = isinstance(annotation, type)
    name = annotation.__name__ if is_class else str(annotation)  # type: ignore[attr-defined]  # a class has one
    name = str(annotation) if "[" in str(annotation) else name
    return _KINDS.get(name, name.removeprefix("typing."))


def _default(default: object) -> list[Text]:
    is_plain = isinstance(default, str | int | float) and default != ""
    return [line(f"default: {_as_toml(default)}", "dim")] if is_plain else []
