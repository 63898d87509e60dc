"""A provider's settings, asked for until they agree and its service has nothing against them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import attrs
from rich.text import Text

from tocsin._cli._connect_answers import Answers, checked, revealed
from tocsin._cli._connect_questions import all_questions, questions, value_of
from tocsin._cli._finding import Verdict
from tocsin._cli._mistakes import Failure, Mistake
from tocsin._cli._screen import grid, line, remedy_line
from tocsin._errors import DeliveryError, SecretUnavailable, printed
from tocsin._provider import Choice, Provider
from tocsin._secret import redact
from tocsin._settings import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tocsin._cli._connect_asking import Asking
    from tocsin._cli._connect_questions import Question
    from tocsin._cli._screen import Screen

_TIMEOUT = 10.0  # seconds that a service has to answer a question


@attrs.define
class Wizard:
    """Fills in the answers for one provider."""

    provider: type[Provider]
    answers: Answers
    screen: Screen
    person: Asking | None
    """None where nobody can be asked."""

    def take(self, given: Mapping[str, Sequence[str]]) -> None:
        """Take what the command line says.

        Raises:
            Mistake: There is no such setting, or a value is wrong.

        """
        for setting, values in given.items():
            self._take(setting, values)

    def ask(self, *, is_advanced: bool) -> None:
        """Ask for what is not known yet.

        Raises:
            Mistake: It is needed, and nobody can be asked.

        """
        way = self._way()
        self._ask(questions(self.provider, way, is_advanced=is_advanced))

    def _take(self, setting: str, values: Sequence[str]) -> None:
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

    def _way(self) -> str:
        ways, given = self.provider.ways, self.answers.values
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
        if value in (None, question.default):
            self.answers.values.pop(question.setting, None)
        else:
            self.answers.values[question.setting] = value

    def _offers(self, question: Question) -> Sequence[Choice]:
        """Return what the service offers; where it refuses, let an answer be changed."""
        if self.provider.offers.__func__ is Provider.offers.__func__:  # type: ignore[attr-defined] # a class method has one
            return ()
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

    def settle(self, *, is_checked: bool) -> None:
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
            if not is_checked or self._is_well(provider):
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
        with self.screen.waiting("Asking …"):
            finding = checked(self.provider.name, provider, _TIMEOUT)
        if finding.verdict is Verdict.OK:
            self.screen.tell(*([Text()] if self.person else []), grid([finding.row()]))
            return True
        if self.person is None:
            remedy = f"\n→ {finding.remedy}" if finding.remedy else ""
            raise Failure(
                f"{finding.what}{remedy}\nNothing is changed; --no-check writes it all the same."
            )
        self.screen.show(Text(), grid([finding.row()]))
        return not self._changes_an_answer("write it all the same")


def _option(setting: str) -> str:
    return f"--set {setting}=…"


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
