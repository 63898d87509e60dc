"""Questions at the terminal. Whoever interrupts one has changed nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import attrs
import click
from rich.text import Text

from tocsin._cli._connect_questions import value_of
from tocsin._cli._screen import grid, line
from tocsin._text import clean_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tocsin._cli._connect_questions import Question
    from tocsin._cli._screen import Screen
    from tocsin._provider import Choice

T = TypeVar("T")

_SHOWN = 15  # choices at once; the others are found by a part of their name


@attrs.frozen
class Asking:
    """A person at a terminal."""

    screen: Screen

    def setting(
        self,
        question: Question,
        offered: Sequence[Choice],
        mistake: Callable[[object], str],
    ) -> object:
        """Ask until the answer has no mistake; None for what may stay as it is."""
        choices = question.choices or list(offered)
        self._introduce(question)
        while True:
            answer = self._answer(question, choices)
            if not answer:
                if question.is_required:
                    self._tell("It must be given.")
                    continue
                return None
            try:
                value = value_of(question, [answer])
            except ValueError as error:
                self._tell(str(error))
                continue
            said = mistake(value)
            if not said:
                return value
            self._tell(said)

    def one_of(self, text: str, choices: Sequence[Choice]) -> str:
        """Ask for one of the choices and nothing else; the first one is the default."""
        self.screen.show(Text(), line(text, "bold"))
        while True:
            answer = self._choose("", choices, choices[0].value)
            if answer in {choice.value for choice in choices}:
                return answer
            self._tell("Type one of the numbers.")

    def text(self, text: str, default: str, mistake: Callable[[str], str]) -> str:
        """Ask for a word until it has no mistake."""
        self.screen.show(Text(), line(text, "bold"))
        while True:
            answer = _read(f"[{default}]").strip() or default
            said = mistake(answer)
            if not said:
                return answer
            self._tell(said)

    def is_confirmed(self, text: str) -> bool:
        """Ask for a yes."""
        self.screen.show(Text())
        try:
            return click.confirm(clean_line(text), default=True)
        except click.Abort:
            raise KeyboardInterrupt from None

    def _introduce(self, question: Question) -> None:
        notes = [f"for example {question.example}"] if question.example else []
        if question.is_list:
            notes.append("several: with commas between")
        if question.is_secret:
            notes.append(
                "it is not shown; or env:NAME, file:PATH, keyring:SERVICE/NAME"
            )
        if not question.is_required and not question.default:
            notes.append("Enter: none")
        heading = line(question.setting, "bold").append_text(Text(": "))
        self.screen.show(Text(), heading.append_text(line(question.text)))
        if notes:
            self.screen.show(line("; ".join(notes), "dim"))

    def _answer(self, question: Question, choices: Sequence[Choice]) -> str:
        if question.is_secret:
            return _read("", is_hidden=True).strip()
        default = question.default
        shown = ("no", "yes")[default] if isinstance(default, bool) else default
        if choices:
            recommended = [one.value for one in choices if one.is_recommended]
            return self._choose("", choices, next(iter(recommended), str(shown)))
        return _read(f"[{shown}]" if shown != "" else "").strip()

    def _choose(self, search: str, choices: Sequence[Choice], default: str) -> str:
        """Return a value: of the choice that is meant, or what was typed otherwise."""
        found = [one for one in choices if search.lower() in _name(one).lower()]
        listed = (found or list(choices))[:_SHOWN]
        self._list(listed, len(found or choices) - len(listed))
        values = [choice.value for choice in listed]
        at = f"[{values.index(default) + 1}]" if default in values else ""
        answer = _read(at).strip()
        if not answer:
            return default
        if answer.isdecimal() and 0 < int(answer[:6]) <= len(listed):
            return values[int(answer[:6]) - 1]
        return self._meant(answer, choices, default)

    def _meant(self, answer: str, choices: Sequence[Choice], default: str) -> str:
        for choice in choices:
            if answer in {choice.value, _name(choice)}:
                return choice.value
        if any(answer.lower() in _name(choice).lower() for choice in choices):
            return self._choose(answer, choices, default)
        return answer

    def _list(self, choices: Sequence[Choice], hidden: int) -> None:
        has_names = any(choice.label for choice in choices)
        rows = [
            (
                line(f"{number}", "cyan"),
                line(_name(choice)),
                line(choice.value if has_names else "", "dim"),
                Text("recommended" if choice.is_recommended else "", "green"),
            )
            for number, choice in enumerate(choices, 1)
        ]
        self.screen.show(grid(rows))
        if hidden:
            more = f"and {hidden:,} more: type a part of the name"
            self.screen.show(line(more, "dim"))

    def _tell(self, mistake: str) -> None:
        self.screen.show(line(mistake, "red"))


def _name(choice: Choice) -> str:
    return choice.label or choice.value


def _read(default: str, *, is_hidden: bool = False) -> str:
    try:
        answer = click.prompt(
            default,
            default="",
            show_default=False,
            hide_input=is_hidden,
            prompt_suffix="> " if not default else " > ",
        )
    except click.Abort:
        raise KeyboardInterrupt from None
    return str(answer)
