"""The options that describe an alert, and the alert that they describe."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Unpack

import click

from tocsin import _places as places
from tocsin._alert import Alert, AlertLevel, Origin

if TYPE_CHECKING:
    from collections.abc import Callable

    from tocsin._settings import Settings

F = TypeVar("F", bound="Callable[..., Any]")


class Traits(TypedDict):
    """What `alert_options` passes on."""

    level: str
    kind: str
    tags: tuple[str, ...]
    fields: dict[str, str]
    url: str
    project: str
    team: str


def _pairs(
    _: click.Context, __: click.Parameter, given: tuple[str, ...]
) -> dict[str, str]:
    pairs = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not (name and equals):
            raise click.BadParameter(f"{one!r} is not NAME=VALUE")
        pairs[name] = value
    return pairs


_OPTIONS = (
    click.option(
        "--level",
        type=click.Choice([level.value for level in AlertLevel], case_sensitive=False),
        default=AlertLevel.INFO.value,
        show_default=True,
        help="How bad it is.",
    ),
    click.option(
        "--kind",
        default="scriptable",
        show_default=True,
        help="A word that subscriptions choose by.",
    ),
    click.option("--tag", "tags", multiple=True, help="Likewise; may be repeated."),
    click.option(
        "--field",
        "fields",
        metavar="NAME=VALUE",
        multiple=True,
        callback=_pairs,
        help="A short fact beside the text; may be repeated.",
    ),
    click.option("--url", default="", help="Where to read on."),
    click.option("--project", default="", help="What it belongs to."),
    click.option("--team", default="", help="Whose settings hold beside yours."),
)


def alert_options(command: F) -> F:
    """Add the options that describe an alert."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def described(
    settings: Settings,
    title: str,
    text: str = "",
    *,
    user: str = "",
    **traits: Unpack[Traits],
) -> Alert:
    """Return the alert. Its job is this process's, as with `tocsin.alert`."""
    origin = Origin(
        user=user or user_of(settings),
        team=traits["team"],
        project=traits["project"],
        job=places.job(),
        host=places.host(),
        rank=places.rank(),
    )
    return Alert(
        title,
        text,
        traits["level"],
        kind=traits["kind"],
        tags=traits["tags"],
        fields=traits["fields"],
        url=traits["url"],
        origin=origin,
    )


def read_text(given: str) -> str:
    """Return the text of an alert; ``-`` stands for standard input."""
    if given != "-":
        return given
    return sys.stdin.buffer.read().decode(errors="replace")


def user_of(settings: Settings) -> str:
    """Return who raises an alert that names nobody."""
    return settings.user or places.login()
