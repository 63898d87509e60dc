"""TOML becomes settings, with every mistake told at once."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from tocsin import _places as places
from tocsin._errors import ConfigError, PluginBroken, PluginError, Problem
from tocsin._routing import Scope, Subscription
from tocsin._settings import Channel, Settings, nearest
from tocsin._structure import Structure, TeamTable, TopTable, UserTable, Wish
from tocsin._toml import Table, read_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tocsin._provider import Provider

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def load(path: str | os.PathLike[str] | None = None) -> Settings:
    """Read a configuration file; without a path, the one that `config_file` finds.

    With no file at all, the settings are those of someone without channels.

    Raises:
        ConfigError: It has mistakes; all of them are told, those of included files too.

    """
    file = places.config_file() if path is None else Path(path).expanduser()
    if file is None:
        return Settings()
    loader = _Loader()
    settings = loader.load(Path(os.path.realpath(file)))
    if settings is None or loader.problems:
        raise ConfigError(loader.problems)
    return settings


class _Loader:
    """Collects the mistakes of one configuration while it becomes settings."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._structure = Structure(self.problems)

    def load(self, file: Path) -> Settings | None:
        tables = read_all(file, self.problems)
        if tables is None:
            return None
        channels = {
            table.name: channel
            for table in tables.channels
            if (channel := self._channel(table)) is not None
        }
        known = {table.name for table in tables.channels}
        user = self._user(tables.user)
        teams = {table.name: self._team(table) for table in tables.teams}
        wishes = [*_wishes(tables.user, user, Scope.USER, user.name)]
        for table in tables.teams:
            wishes += _wishes(table, teams[table.name], Scope.TEAM, table.name)
        subscriptions = [
            s for wish in wishes if (s := self._subscription(*wish, known))
        ]
        top = self._structure.table(tables.top, TopTable) or TopTable()
        if self.problems:
            return None
        return _settings(file, top, user.name, channels, teams, subscriptions)

    def _channel(self, table: Table) -> Channel | None:
        if not self._has_good_name(table):
            return None
        values = dict(table.values)
        name = values.pop("provider", None)
        if not isinstance(name, str):
            self._add(table, "provider", 'is missing: write provider = "…"')
            return None
        try:
            provider = self._provider(name)
        except PluginBroken as error:  # the others work, and this one is told by doctor
            return Channel(table.name, None, str(error))
        except PluginError as error:
            self._add(table, "provider", str(error))
            return None
        table = attrs.evolve(table, values=values)
        settings = self._structure.provider(table, provider)
        return None if settings is None else Channel(table.name, settings)

    @staticmethod
    def _provider(name: str) -> type[Provider]:
        from tocsin import _plugins as plugins

        return plugins.load(name)

    def _user(self, table: Table) -> UserTable:
        user = self._structure.table(table, UserTable) or UserTable()
        return user if user.name else attrs.evolve(user, name=places.login())

    def _team(self, table: Table) -> TeamTable:
        self._has_good_name(table)
        return self._structure.table(table, TeamTable) or TeamTable()

    def _has_good_name(self, table: Table) -> bool:
        if _NAME.fullmatch(table.name):
            return True
        self._add(
            table, "", "a name is made of up to 64 ASCII letters, digits, - and _"
        )
        return False

    def _subscription(
        self, table: Table, wish: Wish, scope: Scope, owner: str, known: set[str]
    ) -> Subscription | None:
        for channel in wish.channels:
            if channel not in known:
                message = f"no channel {channel!r}: {nearest(channel, known)}"
                self._add(table, "channels", message)
        if not wish.channels:
            self._add(table, "channels", "is missing: name the channels it goes to")
            return None
        return Subscription(
            scope=scope,
            owner=owner,
            channels=wish.channels,
            kinds=wish.kinds,
            min_level=wish.min_level,
            projects=wish.projects,
            tags=wish.tags,
        )

    def _add(self, table: Table, key: str, message: str) -> None:
        dotted = ".".join(filter(None, [table.key, key]))
        self.problems.append(Problem(table.file, dotted, message))


def _wishes(
    table: Table, owner: UserTable | TeamTable, scope: Scope, name: str
) -> Iterator[tuple[Table, Wish, Scope, str]]:
    """Return what an owner wishes: the keys of the table itself, then the list."""
    if any(key in table.values for key in attrs.fields_dict(Wish)):
        yield table, owner, scope, name
    for position, wish in enumerate(owner.subscriptions):
        key = f"{table.key}.subscriptions[{position}]"
        yield attrs.evolve(table, key=key), wish, scope, name


def _settings(  # noqa: PLR0917 - the parts of a configuration
    file: Path,
    top: TopTable,
    user: str,
    channels: dict[str, Channel],
    teams: dict[str, TeamTable],
    subscriptions: Iterable[Subscription],
) -> Settings:
    given = attrs.asdict(top, filter=lambda _, value: value is not None)
    if "state_dir" in given and given["state_dir"] != places.MEMORY:
        given["state_dir"] = str(file.parent / Path(given["state_dir"]).expanduser())
    times: dict[str, Any] = given
    templates = file.parent / "templates"
    return Settings(
        user=user,
        channels=channels,
        teams={name: frozenset(team.members) for name, team in teams.items()},
        subscriptions=tuple(subscriptions),
        templates=str(templates) if templates.is_dir() else "",
        source=str(file),
        **times,
    )
