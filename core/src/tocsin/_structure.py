"""Tables become values, strictly: the only importer of cattrs."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NewType, TypeVar, get_args, get_origin

import attrs

from tocsin import _places as places
from tocsin._alert import AlertLevel
from tocsin._errors import Problem
from tocsin._routing import ALL_BUT_FINISHED
from tocsin._secret import FromEnv, FromFile, FromKeyring, Secret
from tocsin._settings import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

    import cattrs

    from tocsin._provider import Provider
    from tocsin._toml import Table

T = TypeVar("T")

Duration = NewType("Duration", float)
"""Seconds, or a string such as ``"10m"``."""

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?(ms|s|m|h|d)")
_LONGEST = 1e9  # seconds: 30 years; the platform's timers end at 292
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


Folder = NewType("Folder", str)
"""A path; a relative one is beside the configuration file."""


@attrs.frozen
class Wish:
    """The keys of a subscription."""

    channels: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ALL_BUT_FINISHED
    min_level: AlertLevel = AlertLevel.INFO
    projects: tuple[str, ...] = ("*",)
    tags: tuple[str, ...] = ()
    quiet_hours: tuple[str, ...] = ()
    time_zone: str = ""
    quiet_max_level: AlertLevel = AlertLevel.WARN
    digest: Duration = Duration(0.0)


@attrs.frozen
class ChannelTable:
    """The keys of ``[channels.NAME]`` that are not the provider's."""

    provider: str
    fallback: str = ""
    fallback_after: Duration | None = None


@attrs.frozen
class StoreTable:
    """The keys of ``[store]`` that are not the store's."""

    provider: str


@attrs.frozen
class UserTable(Wish):
    """The keys of ``[user]``."""

    name: str = ""
    subscriptions: tuple[Wish, ...] = ()


@attrs.frozen
class TeamTable(Wish):
    """The keys of ``[teams.NAME]``."""

    members: tuple[str, ...] = ()
    subscriptions: tuple[Wish, ...] = ()


@attrs.frozen
class TopTable:
    """The keys above all tables; None is the default of `Settings`."""

    state_dir: Folder | None = None
    submit_timeout: Duration | None = None
    timeout: Duration | None = None
    give_up_after: Duration | None = None
    flush_timeout: Duration | None = None
    finish_timeout: Duration | None = None
    retention: Duration | None = None
    network_state: bool | None = None
    lost_after: Duration | None = None
    stall_after: Duration | None = None
    listeners: tuple[str, ...] | None = None


class Structure:
    """Structures tables, and adds what is wrong with them to the problems."""

    def __init__(self, problems: list[Problem]) -> None:
        self._problems = problems
        self._folder = Path()
        self._converter = self._new_converter()

    def table(self, table: Table, cls: type[T]) -> T | None:
        """Return the table as an instance of the class, or None when it is wrong."""
        self._folder = Path(table.file).parent
        try:
            return self._converter.structure(table.values, cls)
        except Exception as error:  # noqa: BLE001 - validators are anyone's code
            for key, message in _mistakes(error, cls, table.key):
                self._problems.append(Problem(table.file, key, message))
            return None

    def provider(self, table: Table, provider: type[T]) -> T | None:
        """Return the table as a provider of a channel or store, or None when it is wrong."""
        given = self.table(table, _stand_in(provider))
        if given is None:
            return None
        try:
            return provider(**attrs.asdict(given, filter=_is_given, recurse=False))
        except Exception as error:  # noqa: BLE001 - validators are anyone's code
            self._problems.append(Problem(table.file, table.key, str(error)))
            return None

    def setting(self, table: Table, provider: type[Provider], name: str) -> object:
        """Return one setting of a provider as its class has it, or None when it is wrong."""
        field = attrs.fields_dict(provider)[name]
        kind = attrs.field(type=annotation_of(provider, field))
        alone = attrs.make_class(provider.__name__, {name: kind})
        given = self.table(table, alone)
        return getattr(given, name, None)

    def _new_converter(self) -> cattrs.Converter:
        import cattrs

        converter = cattrs.Converter(forbid_extra_keys=True, detailed_validation=True)
        for scalar in (str, bool, int, float):
            converter.register_structure_hook(scalar, _scalar)
        converter.register_structure_hook_func(lambda t: t == tuple[str, ...], _strings)
        converter.register_structure_hook(AlertLevel, _level)
        converter.register_structure_hook(Secret, self._secret)
        converter.register_structure_hook_func(lambda t: t is Duration, _duration)
        converter.register_structure_hook_func(_is_choice, _choice)
        converter.register_structure_hook_func(lambda t: t is Folder, self._place)
        converter.register_structure_hook_func(
            lambda t: t == tuple[Wish, ...], self._wishes
        )
        return converter

    def _wishes(self, value: object, _: object) -> tuple[Wish, ...]:
        if not isinstance(value, list) or not all(isinstance(v, dict) for v in value):
            raise TypeError(
                "must be tables, each in double brackets: [[user.subscriptions]] or "
                "[[teams.NAME.subscriptions]]"
            )
        return tuple(self._converter.structure(value, list[Wish]))

    def _place(self, value: object, _: object) -> str:
        path = str(_scalar(value, str))
        if path in {"", places.MEMORY}:
            return path
        if "\0" in path:
            raise ValueError("a path has no NUL character")
        try:
            return str(self._folder / Path(path).expanduser())
        except RuntimeError:
            raise ValueError(f"{path} is of a user who is not here") from None

    def _secret(self, value: object, _: object) -> Secret:
        if isinstance(value, str):
            return Secret(value)
        if isinstance(value, Mapping) and len(value) == 1:
            (kind, where), *_ = value.items()
            if kind == "env" and isinstance(where, str) and where:
                return Secret(FromEnv(where))
            if kind == "file" and isinstance(where, str) and where:
                return Secret(FromFile(str(self._folder / _expanded(where))))
            if kind == "keyring" and isinstance(where, str):
                return Secret(FromKeyring.parse(where))
        raise ValueError(
            'must be { env = "…" }, { file = "…" }, { keyring = "service/name" } or a '
            "string"
        )


_UNSET: Any = object()


def _is_given(_: object, value: object) -> bool:
    return value is not _UNSET


def _stand_in(provider: Any) -> type[attrs.AttrsInstance]:  # noqa: ANN401 - any attrs class
    """Return a class with the provider's settings and nothing else.

    Only the settings' own annotations are looked at: others may name what is imported
    for type checkers alone.
    """
    fields = {
        field.name: attrs.field(
            type=Folder
            if field.metadata.get("path")
            else annotation_of(provider, field),
            default=attrs.NOTHING if field.default is attrs.NOTHING else _UNSET,
            kw_only=True,
        )
        for field in attrs.fields(provider)
        if field.init
    }
    return attrs.make_class(provider.__name__, fields)


def annotation_of(provider: type, field: attrs.Attribute[Any]) -> Any:  # noqa: ANN401 - any annotation
    """Return the type of a provider's setting, also where it was written as a string."""
    if not isinstance(field.type, str):
        return field.type
    owners = (
        base
        for base in provider.__mro__
        if field.name in vars(base).get("__annotations__", ())
    )
    owner = next(owners, provider)
    return eval(field.type, vars(sys.modules[owner.__module__]))  # noqa: S307 - installed code


def _expanded(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError:  # no such user: reading it tells
        return Path(path)


_KINDS = {
    str: "a string",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
}


def _scalar(value: object, cls: type) -> object:
    """Take the very type: TOML knows strings from numbers, and so does its author."""
    if type(value) is cls:
        return value
    if cls is float and type(value) is int:
        return float(value)
    raise TypeError(f"must be {_KINDS[cls]}, not {_described(value)}")


def _described(value: object) -> str:
    if isinstance(value, Mapping):
        return "a table"
    return "a list" if isinstance(value, list) else f"{type(value).__name__}"


def _strings(value: object, _: object) -> tuple[str, ...]:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(
        isinstance(item, str) for item in values
    ):
        raise TypeError(f"must be a list of strings, not {_described(value)}")
    return tuple(values)


def _level(value: object, _: object) -> AlertLevel:
    if not isinstance(value, str) or not value:
        raise ValueError("must be 'INFO', 'WARN' or 'ERROR'")
    try:
        return AlertLevel.parse(value)
    except ValueError:
        names = [level.value for level in AlertLevel]
        raise ValueError(
            f"{value!r} is no level: {nearest(value.upper(), names)}"
        ) from None


def _is_choice(cls: Any) -> bool:  # noqa: ANN401 - any annotation
    return get_origin(cls) is Literal


def _choice(value: object, cls: Any) -> object:  # noqa: ANN401 - any annotation
    choices = get_args(cls)
    if value in choices:
        return value
    known = [choice for choice in choices if isinstance(choice, str)]
    raise ValueError(f"{value!r} is not possible: {nearest(str(value), known)}")


def duration(value: object) -> float:
    """Return seconds: a number of them, or a string such as ``10m``.

    Raises:
        ValueError: It is neither.

    """
    if isinstance(value, str) and (match := _DURATION.fullmatch(value)):
        value = float(match[1]) * _SECONDS[match[2]]
    if type(value) in {int, float} and 0 <= value <= _LONGEST:  # type: ignore[operator]  # a number by now
        return float(value)  # type: ignore[arg-type]  # likewise
    raise ValueError('must be seconds, or a string such as "30s", "10m", "24h", "30d"')


def _duration(value: object, _: object) -> float:
    return duration(value)


def _mistakes(error: BaseException, cls: Any, key: str) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - any annotation
    """Walk the tree that cattrs makes of what is wrong."""
    from cattrs.errors import ClassValidationError, ForbiddenExtraKeysError

    if isinstance(error, ForbiddenExtraKeysError):
        known = [field.name for field in attrs.fields(cls)] if attrs.has(cls) else []
        if cls is TopTable:
            known += ["channels", "include", "store", "teams", "user"]
        for extra in sorted(error.extra_fields):
            yield (
                _join(key, extra),
                f"there is no such setting: {nearest(extra, known)}",
            )
    elif isinstance(error, KeyError) and not isinstance(error.args[0], Exception):
        yield _join(key, str(error.args[0])), "is missing"
    elif isinstance(error, BaseExceptionGroup):
        cls = error.cl if isinstance(error, ClassValidationError) else cls
        for inner in error.exceptions:
            yield from _mistakes(inner, *_place(inner, cls, key))
    else:
        yield key, str(error) or type(error).__name__


def _place(error: BaseException, cls: Any, key: str) -> tuple[Any, str]:  # noqa: ANN401 - any annotation
    from cattrs.errors import AttributeValidationNote, IterableValidationNote

    for note in getattr(error, "__notes__", ()):
        if isinstance(note, AttributeValidationNote):
            if isinstance(error, KeyError):  # it names the field itself
                return cls, key
            return note.type, _join(key, note.name)
        if isinstance(note, IterableValidationNote):
            inner = (get_args(note.type) or (None,))[0]
            return inner, f"{key}[{note.index}]"
    return cls, key


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name
