"""What was answered for a channel, and what its provider's class makes of that."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import attrs

from tocsin._cli._connect_questions import all_questions
from tocsin._cli._reach import reach
from tocsin._secret import Secret
from tocsin._settings import Channel, Settings
from tocsin._structure import Structure
from tocsin._toml import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tocsin._cli._finding import Finding
    from tocsin._errors import Problem
    from tocsin._provider import Choice, Provider

_GRACE = 0.5  # seconds beyond its time in which a provider may say so itself


@attrs.define
class Answers:
    """The settings of a channel that is yet to be written."""

    provider: type[Provider]
    file: str
    """The configuration that they are for: paths are relative to its folder."""
    values: dict[str, object] = attrs.field(factory=dict)
    """As a configuration has them, but for secrets, which may stand here themselves."""

    def mistake(self, setting: str, value: object) -> str:
        """Return what is wrong with one value by itself, or ``""``."""
        if not is_writable(value):
            return "it holds characters that cannot be written: type it anew"
        problems: list[Problem] = []
        made = Structure(problems).setting(
            self._table({setting: value}), self.provider, setting
        )
        if problems:
            return "; ".join(problem.message for problem in problems)
        try:
            self._validate(attrs.fields_dict(self.provider)[setting], made)
        except (ValueError, TypeError) as error:
            return str(error)
        except Exception:  # noqa: BLE001 - it looks at other settings: all are made later
            return ""
        return ""

    @staticmethod
    def _validate(field: attrs.Attribute[Any], value: object) -> None:
        if field.converter is not None and not isinstance(
            field.converter, attrs.Converter
        ):
            value = field.converter(value)
        if field.validator is not None:
            field.validator(None, field, value)

    def made(self) -> tuple[Provider | None, str]:
        """Return the provider, or none and what is wrong with the settings together."""
        problems: list[Problem] = []
        provider = Structure(problems).provider(self._table(self.values), self.provider)
        said = "; ".join(
            f"{problem.key.removeprefix('.')}: {problem.message}".removeprefix(": ")
            for problem in problems
        )
        return provider, said

    def given(self) -> Mapping[str, object]:
        """Return the settings as the class would have them."""
        problems: list[Problem] = []
        structure = Structure(problems)
        return {
            name: structure.setting(self._table({name: value}), self.provider, name)
            for name, value in self.values.items()
        }

    def offers(self, setting: str, timeout: float) -> Sequence[Choice] | Exception:
        """Return what the provider offers for a setting, or why it cannot tell."""
        answers: list[Sequence[Choice] | Exception] = []
        given = self.given()

        def ask() -> None:
            try:
                answers.append(tuple(self.provider.offers(setting, given, timeout)))
            except Exception as error:  # noqa: BLE001 - a provider runs anyone's code
                answers.append(error)

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        thread.join(timeout + _GRACE)
        return (
            answers[0] if answers else TimeoutError(f"no answer within {timeout:g} s")
        )

    def secrets(self) -> dict[str, str]:
        """Return the secrets that stand here themselves, by setting."""
        asked = all_questions(self.provider)
        return {
            name: value
            for name, value in self.values.items()
            if asked[name].is_secret and isinstance(value, str) and value
        }

    def _table(self, values: Mapping[str, object]) -> Table:
        return Table(self.file, "", values)


def checked(name: str, provider: Provider, timeout: float) -> Finding:
    """Return what the provider says of itself when it has asked its service."""
    (finding,) = reach(Settings(channels={name: Channel(name, provider)}), timeout)
    return finding


def revealed(given: Mapping[str, object]) -> list[str]:
    """Return the values of secrets, to be blotted out of what a service says."""
    from tocsin._errors import SecretUnavailable

    values = []
    for value in given.values():
        if isinstance(value, Secret):
            try:
                values.append(value.reveal())
            except SecretUnavailable:
                continue
    return values


def is_writable(value: object) -> bool:
    """Whether every text in it can be encoded."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return False
        return "\0" not in value
    if isinstance(value, list):
        return all(map(is_writable, value))
    return not isinstance(value, dict) or all(map(is_writable, value.values()))
