"""`connect`: sets a channel up, by questions that are made of its provider's settings."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack, cast

import attrs
import click
from rich.text import Text

from tocsin import _places as places
from tocsin._alert import AlertLevel
from tocsin._cli._connect_answers import Answers, checked, revealed
from tocsin._cli._connect_asking import Asking
from tocsin._cli._connect_changes import set_channel, subscribe
from tocsin._cli._connect_file import editing, tables_of
from tocsin._cli._connect_questions import all_questions, questions, value_of
from tocsin._cli._connect_secrets import Place, has_keyring, keep, own
from tocsin._cli._finding import Verdict
from tocsin._cli._invocation import Command, Invocation
from tocsin._cli._mistakes import Failure, Mistake
from tocsin._cli._screen import (
    GOOD,
    counted,
    grid,
    line,
    remedy_line,
    stacked,
)
from tocsin._cli._trial import test
from tocsin._errors import DeliveryError, SecretUnavailable, StoreError, printed
from tocsin._provider import Choice
from tocsin._secret import redact
from tocsin._settings import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tocsin._cli._connect_questions import Question
    from tocsin._cli._connect_secrets import Kept
    from tocsin._cli._screen import Screen
    from tocsin._provider import Provider
    from tocsin._toml import Table, Tables

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_TIMEOUT = 10.0  # seconds that a service has to answer a question
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
    connecting = _Connecting.begin(invocation, provider, wanted)
    try:
        name = connecting.run(given)
    except KeyboardInterrupt:
        invocation.screen.warn(Text(), line("Nothing is changed."))
        raise
    if not wanted["no_test"]:
        ctx.invoke(test, channel=name, wait_for=20.0)


@attrs.define
class _Connecting:
    """One channel on its way into the configuration."""

    invocation: Invocation
    screen: Screen
    main: Path
    provider: type[Provider]
    answers: Answers
    wanted: _Wanted
    person: Asking | None
    """None where nobody can be asked."""

    @classmethod
    def begin(
        cls, invocation: Invocation, provider: str, wanted: _Wanted
    ) -> _Connecting:
        from tocsin import _plugins as plugins

        main = main_file(invocation)
        if os.path.lexists(main):
            invocation.settings()  # a file with mistakes is not touched
        loaded, screen = plugins.load(provider), invocation.screen
        person = Asking(screen) if _is_terminal() else None
        answers = Answers(loaded, str(main))
        return cls(invocation, screen, main, loaded, answers, wanted, person)

    def run(self, given: dict[str, list[str]]) -> str:
        """Do it all but the test; return the channel's name."""
        for setting, values in given.items():
            self._take(setting, values)
        if name := self.wanted["name"]:
            self._check_name(name)
        self._ask(questions(self.provider, self._way(given), is_advanced=self._all))
        self._settle()
        name = self._name()
        old = self._old(name)
        if old is not None:
            self._confirm_replacing(old)
        place = self._place(name)
        self._write(name, old, place)
        return name

    @property
    def _all(self) -> bool:
        return self.wanted["advanced"]

    @property
    def _level(self) -> str:
        return (self.wanted["min_level"] or "").upper()

    # --- the provider's settings

    def _take(self, setting: str, values: list[str]) -> None:
        """Take what the command line says.

        Raises:
            Mistake: There is no such setting, or the value is wrong.

        """
        known = all_questions(self.provider)
        if setting not in known:
            raise Mistake(
                f"{self.provider.name} has no setting {setting!r}: {nearest(setting, known)}"
            )
        question = known[setting]
        if len(values) > 1 and not question.is_list:
            raise Mistake(f"{setting} is given twice: it takes one value")
        try:
            value = _secret_of(setting, values[0]) if question.is_secret else None
            value = value_of(question, values) if value is None else value
        except ValueError as error:
            raise Mistake(f"{setting}: {error}") from error
        if said := self.answers.mistake(setting, value):
            raise Mistake(f"{setting}: {said}")
        self.answers.values[setting] = value

    def _way(self, given: dict[str, list[str]]) -> str:
        ways = self.provider.ways
        likely = [
            way for way, names in ways.items() if not set(names).isdisjoint(given)
        ]
        if len(likely) == 1 or not ways:
            return likely[0] if likely else ""
        if self.person is None:
            what = ", or ".join(" and ".join(map(_option, ways[way])) for way in ways)
            raise Mistake(f"say how {self.provider.name} is to be reached: give {what}")
        return self.person.one_of(
            f"How shall {self.provider.name} be reached?", [Choice(way) for way in ways]
        )

    def _ask(self, asked: Sequence[Question]) -> None:
        left = [one for one in asked if one.setting not in self.answers.values]
        if self.person is None:
            if missing := [one for one in left if one.is_required]:
                raise Mistake(
                    "nobody can be asked here, and something is missing: give "
                    + " and ".join(_option(one.setting) for one in missing)
                )
            return
        for question in left:
            self._ask_one(question)

    def _ask_one(self, question: Question) -> None:
        assert self.person is not None

        def mistake(value: object) -> str:
            return self.answers.mistake(question.setting, value)

        offered = self._offers(question)
        value = self.person.setting(question, offered, mistake)
        if value is None:
            self.answers.values.pop(question.setting, None)
        else:
            self.answers.values[question.setting] = value

    def _offers(self, question: Question) -> Sequence[Choice]:
        """Return what the service offers; where it refuses, let an answer be changed."""
        while True:
            with self.screen.waiting("Asking …"):
                offered = self.answers.offers(question.setting, _TIMEOUT)
            if not isinstance(offered, Exception):
                return offered
            self._tell_refusal(offered)
            if not isinstance(offered, DeliveryError | SecretUnavailable):
                return ()
            if not self._changes_an_answer("type it all the same"):
                return ()

    def _tell_refusal(self, error: Exception) -> None:
        values = revealed(self.answers.given())
        reason = error.reason if isinstance(error, DeliveryError) else printed(error)
        self.screen.show(line(redact(reason, values), "red"))
        if remedy := getattr(error, "remedy", ""):
            self.screen.show(remedy_line(redact(remedy, values)))

    def _changes_an_answer(self, otherwise: str) -> bool:
        """Let a person change one answer; False when they would rather go on."""
        assert self.person is not None
        known = all_questions(self.provider)
        way = [name for names in self.provider.ways.values() for name in names]
        settings = [name for name in known if name in self.answers.values]
        choices = [Choice(f"change {name}") for name in settings]
        chosen = self.person.one_of(
            "What now?", [*choices, Choice(otherwise), Choice("stop")]
        )
        if chosen == "stop":
            raise KeyboardInterrupt
        if chosen == otherwise:
            return False
        setting = chosen.removeprefix("change ")
        question = attrs.evolve(known[setting], is_required=setting in way)
        self._ask_one(question)
        return True

    def _settle(self) -> None:
        """Go on once the settings agree, and the service has been asked.

        Raises:
            Mistake: They do not, and nobody can be asked.
            Failure: The service refuses, likewise.

        """
        while True:
            provider, said = self.answers.made()
            if provider is None:
                self._stop_unless_changed(said)
                continue
            if self.wanted["no_check"] or self._is_well(provider):
                return

    def _stop_unless_changed(self, said: str) -> None:
        if self.person is None:
            raise Mistake(said)
        self.screen.show(line(said, "red"))
        if not self._changes_an_answer("ask for all the settings"):
            self._ask_again()

    def _ask_again(self) -> None:
        for question in all_questions(self.provider).values():
            self._ask_one(question)

    def _is_well(self, provider: Provider) -> bool:
        """Ask the service; True also when a person wants to go on whatever it says."""
        name = self.wanted["name"] or self.provider.name
        with self.screen.waiting("Asking …"):
            finding = checked(name, provider, _TIMEOUT)
        if finding.verdict is Verdict.OK:
            self.screen.tell(Text(), grid([finding.row()]))
            return True
        if self.person is None:
            remedy = f"\n→ {finding.remedy}" if finding.remedy else ""
            raise Failure(
                f"{finding.what}{remedy}\nNothing is changed; --no-check writes it all the same."
            )
        self.screen.show(Text(), grid([finding.row()]))
        return not self._changes_an_answer("write it all the same")

    # --- whose it is, and what it is called

    def _name(self) -> str:
        default = self.wanted["name"] or self.provider.name
        if self.wanted["name"] or self.person is None:
            self._check_name(default)
            return default
        return self.person.text("What shall the channel be called?", default, _misnamed)

    @staticmethod
    def _check_name(name: str) -> None:
        if said := _misnamed(name):
            raise Mistake(f"--name: {said}")

    def _old(self, name: str) -> Table | None:
        return _channel(tables_of(self.main), name)

    def _confirm_replacing(self, old: Table) -> None:
        """Ask before a channel is replaced, and say what that changes.

        Raises:
            Mistake: Nobody can be asked.

        """
        said = (
            f"There is a channel {old.name} already: its alerts go to the new one then"
        )
        if self.wanted["yes"]:
            return
        if self.person is None:
            raise Mistake(
                f"there is a channel {old.name!r} already: --yes replaces it, another "
                "--name adds one"
            )
        waiting = waiting_for(self.invocation, old.name)
        kept = counted(waiting, "alert", "alerts")
        more = f", and the {kept} that still wait for it" if waiting else ""
        if not self.person.is_confirmed(f"{said}{more}. Replace it?"):
            raise KeyboardInterrupt

    def _place(self, name: str) -> Place:
        chosen = self.wanted["secret_in"]
        if chosen or self.person is None or not self.answers.secrets():
            return chosen or "file"
        usable = [one for one in _PLACES if one != "keyring" or has_keyring()]
        choices = [Choice(one, _PLACES[one]) for one in usable]
        return cast(
            "Place",
            self.person.one_of(f"Where shall {name}'s secret be kept?", choices),
        )

    # --- the file

    def _write(self, name: str, old: Table | None, place: Place) -> None:
        with editing(self.main) as files:
            tables = files.tables()
            now = _channel(tables, name)
            if (now and now.values) != (old and old.values):
                raise Failure(
                    f"another program changed the channel {name} meanwhile: look at "
                    "`tocsin channels`, and try again"
                )
            file = Path(now.file) if now else self.main
            kept = self._keep_secrets(name, place, file.parent)
            try:
                values = {**self.answers.values}
                for setting, one in kept.items():
                    values[setting] = one.reference(file.parent)
                whole = {"provider": self.provider.name, **values}
                files.change(str(file), set_channel(name, whole))
                for where, owner in self._subscribing(name, tables):
                    files.change(where, subscribe(name, owner, self._level))
                files.write()
            except BaseException:
                for one in kept.values():
                    one.forget()
                raise
            others = (table for table in tables_of(self.main).channels)
            for one in list(own(now, name, others)) if now else ():
                one.forget()
        self._tell(name, file, kept)

    def _keep_secrets(self, name: str, place: Place, folder: Path) -> dict[str, Kept]:
        kept: dict[str, Kept] = {}
        try:
            for setting, value in self.answers.secrets().items():
                kept[setting] = keep(value, place, folder, name, setting)
        except BaseException:
            for one in kept.values():
                one.forget()
            raise
        return kept

    def _subscribing(
        self, name: str, tables: Tables
    ) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Return whose table is to name the channel, unless it does."""
        team = self.wanted["team"]
        owner = ("teams", team) if team else ("user",)
        table = tables.user
        if team:
            found = [one for one in tables.teams if one.name == team]
            table = found[0] if found else attrs.evolve(tables.top, values={})
        if not _is_subscribed(table, name):
            yield table.file, owner

    def _tell(self, name: str, file: Path, kept: dict[str, Kept]) -> None:
        settings = self.invocation.settings()
        said = [line(f"[channels.{name}] is written to {file}")]
        for setting, one in kept.items():
            said.append(_told_secret(setting, one))
        wishes = [wish for wish in settings.subscriptions if name in wish.channels]
        for wish in wishes:
            beside = [other for other in wish.channels if other != name]
            to = ", ".join([name, *beside])
            said.append(line(f"{wish.scope.value} {wish.owner}: alerts go to {to}"))
        said.append(remedy_line(f"tocsin disconnect {name}, to take it back"))
        self.screen.tell(Text(), grid([(GOOD, stacked(said))]))


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


def _option(setting: str) -> str:
    return f"--set {setting}=…"


def _misnamed(name: str) -> str:
    if _NAME.fullmatch(name):
        return ""
    return "a name is made of up to 64 ASCII letters, digits, - and _"


def _secret_of(setting: str, written: str) -> object:
    """Return the secret from standard input; None for a reference.

    Raises:
        Mistake: It stands on the command line itself.

    """
    if written == "-":
        value = sys.stdin.buffer.read().decode(errors="surrogateescape").strip()
        if not value:
            raise Mistake(f"{setting}: standard input is empty")
        return value
    if written.partition(":")[0] in {"env", "file", "keyring"} and ":" in written:
        return None
    raise Mistake(
        f"{setting} is a secret, and everybody can read a command line: give it as "
        f"env:NAME, file:PATH, keyring:SERVICE/NAME or - for standard input, and "
        "replace the one that you have just shown"
    )


def _channel(tables: Tables, name: str) -> Table | None:
    return next((one for one in tables.channels if one.name == name), None)


def _is_subscribed(table: Table, name: str) -> bool:
    wishes = [table.values, *table.values.get("subscriptions", [])]
    named = [wish.get("channels", []) for wish in wishes]
    return any(name in ([one] if isinstance(one, str) else one) for one in named)


def _told_secret(setting: str, kept: Kept) -> Text:
    if kept.kind == "file":
        return line(f"{setting} is in {kept.where}, which you alone can read")
    if kept.kind == "keyring":
        return line(f"{setting} is in the keyring, as {kept.where}")
    return line(
        f"{setting} is kept nowhere: export {kept.where} where your programs run",
        "yellow",
    )
