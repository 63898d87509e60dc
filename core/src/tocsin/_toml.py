"""Configuration files, read and put together: who says what, in which file."""

from __future__ import annotations

import os
import stat
import tomllib
from typing import TYPE_CHECKING, Any

import attrs

from tocsin._errors import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_MAX_FILES = 100
_LISTED = ("channels", "teams")


@attrs.frozen
class Table:
    """A table of a configuration, and where it stands."""

    file: str
    key: str
    """Dotted, for people."""
    values: Mapping[str, Any]
    name: str = ""
    """Of a channel or a team."""


@attrs.define
class Tables:
    """The tables of a configuration, those of the included files among them."""

    top: Table
    user: Table
    teams: list[Table] = attrs.field(factory=list)
    channels: list[Table] = attrs.field(factory=list)
    store: Table | None = None


def read_all(file: Path, problems: list[Problem]) -> Tables | None:
    """Read a file and what it includes; None when the file itself cannot be read."""
    tables = Tables(Table(str(file), "", {}), Table(str(file), "user", {}))
    values = _read(file, problems)
    if values is None:
        return None
    waiting = [(file, values)]
    seen = {file}
    while waiting:
        current, values = waiting.pop(0)
        for included in _included(current, values, problems):
            message = ""
            if included in seen:
                message = f"{included} is included twice, or by itself: name it once"
            elif len(seen) >= _MAX_FILES:
                message = (
                    f"more than {_MAX_FILES} files are included: put some together"
                )
            if message:
                problems.append(Problem(str(current), "include", message))
                continue
            seen.add(included)
            if (more := _read(included, problems)) is not None:
                waiting.append((included, more))
        _add(tables, current, values, problems, is_main=current == file)
    return tables


def _read(file: Path, problems: list[Problem]) -> dict[str, Any] | None:
    try:
        with file.open("rb") as stream:
            if _is_writable_by_strangers(file, os.fstat(stream.fileno())):
                message = (
                    "everybody can write it or its folder, and so send your secrets "
                    "anywhere: chmod o-w"
                )
                problems.append(Problem(str(file), "", message))
                return None
            return tomllib.load(stream)
    except OSError as error:
        why = f"it cannot be read ({error.strerror or error}): make it, or name another"
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        why = f"it is not TOML: {error}"
    except ValueError as error:  # a NUL in the path, a number of a million digits
        why = f"it cannot be read: {error}"
    problems.append(Problem(str(file), "", why))
    return None


def _is_writable_by_strangers(file: Path, status: os.stat_result) -> bool:
    if os.name == "nt":  # permissions are no mode bits there
        return False
    folder = file.parent.stat().st_mode
    is_open_folder = folder & stat.S_IWOTH and not folder & stat.S_ISVTX
    return bool(status.st_mode & stat.S_IWOTH or is_open_folder)


def _included(
    file: Path, values: dict[str, Any], problems: list[Problem]
) -> list[Path]:
    names = values.pop("include", [])
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        message = 'must be a list of files: include = ["…"]'
        problems.append(Problem(str(file), "include", message))
        return []
    return [_resolved(file.parent, name) for name in names]


def _resolved(folder: Path, name: str) -> Path:
    path = folder / os.path.expanduser(name)  # noqa: PTH111 - a user that is unknown must not raise
    try:
        return path.resolve()
    except (OSError, ValueError, RuntimeError):  # reading it tells what is wrong
        return path


def _add(
    tables: Tables,
    file: Path,
    values: dict[str, Any],
    problems: list[Problem],
    *,
    is_main: bool,
) -> None:
    for listed in _LISTED:
        for table in _listed(file, listed, values.pop(listed, {}), problems):
            _add_named(getattr(tables, listed), table, problems)
    if "user" in values:
        _add_user(tables, file, values.pop("user"), problems)
    if is_main:
        if "store" in values:
            _add_store(tables, file, values.pop("store"), problems)
        tables.top = Table(str(file), "", values)
        return
    for key in values:
        message = "only user, teams and channels may stand in an included file"
        problems.append(Problem(str(file), key, message))


def _listed(
    file: Path, listed: str, values: object, problems: list[Problem]
) -> list[Table]:
    if not isinstance(values, dict):
        message = f"must be a table: [{listed}.NAME]"
        problems.append(Problem(str(file), listed, message))
        return []
    tables = []
    for name, table in values.items():
        key = f"{listed}.{name}"
        if isinstance(table, dict):
            tables.append(Table(str(file), key, table, name))
        else:
            problems.append(Problem(str(file), key, f"must be a table: [{key}]"))
    return tables


def _add_named(tables: list[Table], table: Table, problems: list[Problem]) -> None:
    for other in tables:
        if other.name == table.name:
            message = f"is defined in {other.file} already: rename one of them"
            problems.append(Problem(table.file, table.key, message))
            return
    tables.append(table)


def _add_user(
    tables: Tables, file: Path, values: object, problems: list[Problem]
) -> None:
    if not isinstance(values, dict):
        problems.append(Problem(str(file), "user", "must be a table: [user]"))
    elif tables.user.values:
        message = f"is defined in {tables.user.file} already: keep one of them"
        problems.append(Problem(str(file), "user", message))
    else:
        tables.user = Table(str(file), "user", values)


def _add_store(
    tables: Tables, file: Path, values: object, problems: list[Problem]
) -> None:
    if isinstance(values, dict):
        tables.store = Table(str(file), "store", values)
    else:
        problems.append(Problem(str(file), "store", "must be a table: [store]"))
