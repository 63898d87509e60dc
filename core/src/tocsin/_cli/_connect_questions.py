"""What a provider's settings are asked as, and what an answer means. Pure."""

from __future__ import annotations

import contextlib
import os
import tomllib
import types
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

import attrs

from tocsin._provider import Choice
from tocsin._secret import FromKeyring, Secret
from tocsin._structure import Duration, annotation_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tocsin._provider import Provider

_EMPTY = ("", (), None, Secret())
_TRUTHS = {
    **dict.fromkeys(("y", "yes", "true", "1", "on"), True),
    **dict.fromkeys(("n", "no", "false", "0", "off"), False),
}


@attrs.frozen(kw_only=True)
class Question:
    """One setting, as people are asked for it."""

    setting: str
    kind: Any
    """Its type."""
    text: str
    example: str = ""
    default: object = ""
    """What holds without an answer; empty: nothing."""
    is_required: bool

    @property
    def is_secret(self) -> bool:
        """Whether nobody may see the answer."""
        return bool(self.kind is Secret)

    @property
    def choices(self) -> list[Choice]:
        """The values that its type allows; none when there are too many to name."""
        if self.kind is bool:
            return [Choice("yes"), Choice("no")]
        if get_origin(self.kind) is Literal:
            return [Choice(str(value), _label(value)) for value in get_args(self.kind)]
        return []

    @property
    def is_list(self) -> bool:
        """Whether it takes several values."""
        return bool(self.kind == tuple[str, ...])


def questions(
    provider: type[Provider], way: str = "", *, is_advanced: bool = False
) -> list[Question]:
    """Return what is asked, those first that the way needs."""
    needed = provider.ways.get(way, ())
    elsewhere = {name for names in provider.ways.values() for name in names}
    fields = {field.name: field for field in attrs.fields(provider) if field.init}
    names = [name for name in needed if name in fields]
    names += [
        name
        for name, field in fields.items()
        if name not in elsewhere and (is_advanced or _is_asked(field))
    ]
    return [
        _question(provider, fields[name], is_needed=name in needed) for name in names
    ]


def all_questions(provider: type[Provider]) -> dict[str, Question]:
    """Return a question for each setting."""
    fields = (field for field in attrs.fields(provider) if field.init)
    return {field.name: _question(provider, field, is_needed=False) for field in fields}


def _is_asked(field: attrs.Attribute[Any]) -> bool:
    if field.default is attrs.NOTHING:
        return True
    return bool(field.metadata.get("ask", _is_empty(field.default)))


def _is_empty(value: object) -> bool:
    return any(type(value) is type(empty) and value == empty for empty in _EMPTY)


def _question(
    provider: type[Provider], field: attrs.Attribute[Any], *, is_needed: bool
) -> Question:
    told = field.metadata
    default = field.default
    is_plain = isinstance(default, str | int | float | bool)
    is_needed = is_needed and _is_empty(default)
    return Question(
        setting=field.name,
        kind=annotation_of(provider, field),
        text=str(told.get("question") or told.get("help") or field.name),
        example=str(told.get("example", "")),
        default=default if is_plain else "",
        is_required=is_needed or default is attrs.NOTHING,
    )


def _label(value: object) -> str:
    return "none" if value == "" else str(value)


def value_of(question: Question, answers: Sequence[str]) -> object:
    """Return what an answer is in a configuration; what it cannot be is left as it is.

    Raises:
        ValueError: A secret's reference says nothing.

    """
    (answer, *more) = answers
    if question.is_list:
        return list(answers) if more else list(_parts(answer))
    return _value(question.kind, answer)


def _parts(answer: str) -> Iterator[str]:
    yield from filter(None, map(str.strip, answer.split(",")))


def _value(kind: Any, answer: str) -> object:  # noqa: ANN401 - any annotation
    if get_origin(kind) in {Union, types.UnionType}:
        (kind, *_) = [one for one in get_args(kind) if one is not type(None)]
    if kind is Secret:
        return reference(answer) or answer
    if kind is str:
        return answer
    if kind is bool or get_origin(kind) is Literal:
        known = _TRUTHS if kind is bool else {str(v): v for v in get_args(kind)}
        return known.get(answer.lower(), known.get(answer, answer))
    return _number(answer) if kind in {int, float, Duration} else _as_toml(answer)


def _as_toml(answer: str) -> object:
    with contextlib.suppress(tomllib.TOMLDecodeError, RecursionError):
        return tomllib.loads(f"value = {answer}")["value"]
    return answer


def _number(answer: str) -> object:
    for number in (int, float):
        with contextlib.suppress(ValueError):
            return number(answer)
    return answer


def reference(answer: str) -> Mapping[str, str]:
    """Return what ``env:NAME``, ``file:PATH`` or ``keyring:SERVICE/NAME`` refers to.

    Anything else is no reference, and empty. A path is taken from the working directory.

    Raises:
        ValueError: It refers to nothing.

    """
    kind, colon, where = answer.partition(":")
    if not colon or kind not in {"env", "file", "keyring"}:
        return {}
    where = where.strip()
    if not where:
        raise ValueError(f"{answer} names nothing: write {kind}:…")
    if kind == "keyring":
        FromKeyring.parse(where)
    if kind == "file":
        where = os.path.abspath(os.path.expanduser(where))  # noqa: PTH100, PTH111 - a str
    return {kind: where}
