"""`connect`: sets a channel up, by questions that are made of its provider's settings."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack, cast

import click
from rich.text import Text

from tocsin import _places as places
from tocsin._alert import AlertLevel
from tocsin._cli._channels import owner_of as owner_in_words
from tocsin._cli._connect_answers import Answers
from tocsin._cli._connect_asking import Asking
from tocsin._cli._connect_file import tables_of
from tocsin._cli._connect_secrets import Place, has_keyring
from tocsin._cli._connect_wizard import Wizard
from tocsin._cli._connect_writing import (
    Connection,
    channel_of,
    is_subscribed,
    owner_of,
)
from tocsin._cli._invocation import Command, Invocation
from tocsin._cli._mistakes import Mistake
from tocsin._cli._screen import GOOD, counted, grid, line, remedy_line, stacked
from tocsin._cli._trial import test
from tocsin._errors import StoreError
from tocsin._provider import Choice

if TYPE_CHECKING:
    from tocsin._cli._connect_secrets import Kept

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_LEVELS = (
    Choice("all", "all of them"),
    Choice("WARN", "warnings and errors"),
    Choice("ERROR", "errors alone"),
)
_PLACES = {
    "file": "a file beside the configuration, which you alone can read",
    "keyring": "the keyring of this system",
    "env": "an environment variable, which you set where your programs run",
}


class _Wanted(TypedDict):
    """What the options say that are not the provider's."""

    name: str
    team: str
    min_level: str | None
    secret_in: Place | None
    advanced: bool
    no_check: bool
    no_test: bool
    yes: bool


def _pairs(
    _: click.Context, __: click.Parameter, given: tuple[str, ...]
) -> dict[str, list[str]]:
    pairs: dict[str, list[str]] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not (name and equals):  # it is not repeated: it may be a secret
            raise click.BadParameter("write NAME=VALUE")
        pairs.setdefault(name, []).append(value)
    return pairs


@click.command(cls=Command, short_help="Set a channel up, step by step.")
@click.argument("provider")
@click.option(
    "--set",
    "given",
    metavar="NAME=VALUE",
    multiple=True,
    callback=_pairs,
    help="A setting, which is not asked for then; again for each further one, or for "
    "each value of a list. A secret is env:NAME, file:PATH, keyring:SERVICE/NAME, or - "
    "for standard input.",
)
@click.option("--name", default="", help="What to call it; default: as its provider.")
@click.option("--team", default="", help="For this team's alerts; default: for yours.")
@click.option(
    "--min-level",
    type=click.Choice([level.value for level in AlertLevel], case_sensitive=False),
    default=None,
    help="Which alerts it gets: this level and up; default: all.",
)
@click.option(
    "--secret-in",
    type=click.Choice(list(_PLACES)),
    default=None,
    help="Where to keep a secret: a file of yours alone, the keyring, or the environment.",
)
@click.option("--advanced", is_flag=True, help="Ask for every setting.")
@click.option("--no-check", is_flag=True, help="Do not ask the service beforehand.")
@click.option("--no-test", is_flag=True, help="Send no test alert.")
@click.option("--yes", is_flag=True, help="Do not ask before something is replaced.")
@click.pass_context
def connect(
    ctx: click.Context,
    *,
    provider: str,
    given: dict[str, list[str]],
    **wanted: Unpack[_Wanted],
) -> None:
    """Set up a channel of PROVIDER: ask, check, write the configuration, send a test alert.

    What --set does not say is asked for at the terminal. A channel of that name is
    replaced: that is how you change where alerts go. Comments in the file stay.
    """
    invocation = ctx.ensure_object(Invocation)
    try:
        name = _connect(invocation, provider, given, wanted)
    except KeyboardInterrupt:
        invocation.screen.warn(Text(), line("Nothing is changed."))
        raise
    if not wanted["no_test"]:
        ctx.invoke(test, channel=name, wait_for=20.0)


def _connect(
    invocation: Invocation,
    provider: str,
    given: dict[str, list[str]],
    wanted: _Wanted,
) -> str:
    """Do it all but the test; return the channel's name."""
    from tocsin import _plugins as plugins

    main = main_file(invocation)
    if os.path.lexists(main):
        invocation.settings()  # a file with mistakes is not touched
    if wanted["name"] and (said := _misnamed(wanted["name"])):
        raise Mistake(f"--name: {said}")
    screen = invocation.screen
    person = Asking(screen) if _is_terminal() else None
    wizard = Wizard(
        loaded := plugins.load(provider), Answers(loaded, str(main)), screen, person
    )
    wizard.take(given)
    wizard.ask(is_advanced=wanted["advanced"])
    wizard.settle(is_checked=not wanted["no_check"])
    name = wanted["name"] or _named(loaded.name, person)
    tables = tables_of(main)
    old = channel_of(tables, name)
    if old is not None and not wanted["yes"]:
        _confirm_replacing(name, invocation, person)
    owner = owner_of(tables, wanted["team"])
    level = wanted["min_level"]
    if level is None and person and not is_subscribed(owner, name):
        level = person.one_of(f"Which alerts shall {name} get?", _LEVELS)
    place = wanted["secret_in"]
    if place is None and person and wizard.answers.secrets():
        place = _placed(name, person)
    connection = Connection(
        name=name,
        answers=wizard.answers,
        place=place or "file",
        team=wanted["team"],
        min_level="" if level in {None, "all"} else str(level).upper(),
        replaces=old,
    )
    file, kept = connection.write(main)
    if person:
        screen.tell(Text())
    _tell(name, file, kept, invocation)
    return name


def _named(default: str, person: Asking | None) -> str:
    if person is None:
        return default
    return person.text("What shall the channel be called?", default, _misnamed)


def _confirm_replacing(
    name: str, invocation: Invocation, person: Asking | None
) -> None:
    """Ask before a channel is replaced, and say what that changes.

    Raises:
        Mistake: Nobody can be asked.

    """
    if person is None:
        raise Mistake(
            f"there is a channel {name!r} already: --yes replaces it, another --name "
            "adds one"
        )
    waiting = waiting_for(invocation, name)
    kept = counted(waiting, "alert that still waits", "alerts that still wait")
    more = f", and so do the {kept} for it" if waiting else ""
    said = (
        f"There is a channel {name} already: its alerts go to the new place then{more}"
    )
    if not person.is_confirmed(f"{said}. Replace it?"):
        raise KeyboardInterrupt


def _placed(name: str, person: Asking) -> Place:
    usable = [one for one in _PLACES if one != "keyring" or has_keyring()]
    choices = [Choice(one, _PLACES[one]) for one in usable]
    return cast(
        "Place", person.one_of(f"Where shall {name}'s secret be kept?", choices)
    )


def _tell(name: str, file: Path, kept: dict[str, Kept], invocation: Invocation) -> None:
    said = [line(f"[channels.{name}] is written to {file}")]
    said += [_told_secret(setting, one) for setting, one in kept.items()]
    for wish in invocation.settings().subscriptions:
        if name in wish.channels:
            said.append(
                line(f"{owner_in_words(wish)}: alerts go to {', '.join(wish.channels)}")
            )
    said.append(remedy_line(f"tocsin disconnect {name}, to take it back"))
    invocation.screen.tell(grid([(GOOD, stacked(said))]))


def main_file(invocation: Invocation) -> Path:
    """Return the configuration's file, which may be yet to be written.

    Raises:
        Mistake: There is no home to look for it in.

    """
    named = invocation.config or os.environ.get("TOCSIN_CONFIG", "")
    file = (
        Path(places.expanded(named)) if named else places.config_dir() / "tocsin.toml"
    )
    if not (named or file.is_absolute()):
        raise Mistake("you have no home to keep a configuration in: --config FILE")
    return Path(os.path.realpath(file))


def waiting_for(invocation: Invocation, channel: str) -> int:
    """Return how many deliveries wait for a channel; none if the store does not tell."""
    try:
        with invocation.state().store(invocation.source()) as store:
            return store.pending([channel])
    except StoreError:
        return 0


def _is_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _misnamed(name: str) -> str:
    if _NAME.fullmatch(name):
        return ""
    return "a name is made of up to 64 ASCII letters, digits, - and _"


def _told_secret(setting: str, kept: Kept) -> Text:
    if kept.kind == "file":
        return line(f"{setting} is in {kept.where}, which you alone can read")
    if kept.kind == "keyring":
        return line(f"{setting} is in the keyring, as {kept.where}")
    return line(
        f"{setting} is kept nowhere: export {kept.where} where your programs run",
        "yellow",
    )
