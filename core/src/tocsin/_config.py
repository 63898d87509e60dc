"""TOML becomes settings, with every mistake told at once."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from tocsin import _places as places
from tocsin._errors import ConfigError, PluginBroken, PluginError, Problem, StoreError
from tocsin._listener import Listener
from tocsin._quiet import QuietHours
from tocsin._routing import Scope, Subscription
from tocsin._settings import Channel, Settings, nearest
from tocsin._store import StoreProvider
from tocsin._structure import (
    ChannelTable,
    StoreTable,
    Structure,
    TeamTable,
    TopTable,
    UserTable,
    Wish,
)
from tocsin._toml import Table, read_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tocsin._provider import Provider
    from tocsin._store import Store

_OURS = tuple(attrs.fields_dict(ChannelTable))
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def load(path: str | os.PathLike[str] | None = None) -> Settings:
    """Read a configuration file; without a path, the one that `config_file` finds.

    With no file at all, the settings are those of someone without channels.

    Raises:
        ConfigError: It has mistakes; all of them are told, those of included files too.

    """
    file = places.config_file() if path is None else Path(path)
    if file is None:
        return Settings()
    loader = _Loader()
    settings = loader.load(_real(file))
    if settings is None or loader.problems:
        raise ConfigError(loader.problems)
    return settings


def _real(file: Path) -> Path:
    """Follow links, so that a configuration is known by one name."""
    try:
        return Path(os.path.realpath(file.expanduser()))
    except (RuntimeError, ValueError, OSError) as error:
        problem = Problem(str(file), "", f"it cannot be read: {error}")
        raise ConfigError([problem]) from None


@attrs.frozen
class BrokenStore(StoreProvider):
    """A store whose plugin is broken: nothing is kept there until somebody mends it."""

    problem: str

    name = "broken"

    def open(self, namespace: str, config: str, *, timeout: float) -> Store:  # noqa: ARG002 - the port's
        """Fail.

        Raises:
            StoreError: Why it cannot be opened.

        """
        raise StoreError(self.problem)


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
        for table in (tables.user, *tables.teams):
            self._check_channels(table, known)
        user = self._user(tables.user)
        teams = {table.name: self._team(table) for table in tables.teams}
        top = self._structure.table(tables.top, TopTable) or TopTable()
        listeners = [self._listener(tables.top, name) for name in top.listeners or ()]
        store = None if tables.store is None else self._store(tables.store)
        if self.problems:
            return None
        subscriptions = [
            *self._subscriptions(tables.user, user, Scope.USER, user.name),
            *(
                subscription
                for table in tables.teams
                for subscription in self._subscriptions(
                    table, teams[table.name], Scope.TEAM, table.name
                )
            ),
        ]
        if self.problems:
            return None
        return _settings(
            file,
            top,
            user.name,
            channels,
            teams,
            subscriptions,
            tuple(listeners),
            store,
        )

    def _subscriptions(
        self, table: Table, owner: UserTable | TeamTable, scope: Scope, name: str
    ) -> list[Subscription]:
        wishes: list[Wish] = [owner] if _wishes_itself(table) else []
        return [
            Subscription(
                scope=scope,
                owner=name,
                channels=wish.channels,
                kinds=wish.kinds,
                min_level=wish.min_level,
                projects=wish.projects,
                tags=wish.tags,
                quiet_hours=self._quiet_hours(table, wish),
                quiet_max_level=wish.quiet_max_level,
                digest=wish.digest,
            )
            for wish in (*wishes, *owner.subscriptions)
        ]

    def _quiet_hours(self, table: Table, wish: Wish) -> QuietHours | None:
        if not wish.quiet_hours:
            return None
        try:
            return QuietHours(wish.quiet_hours, time_zone=wish.time_zone)
        except ValueError as error:
            self._add(table, "quiet_hours", str(error))
            return None

    def _channel(self, table: Table) -> Channel | None:
        if not self._has_good_name(table):
            return None
        ours = {key: table.values[key] for key in _OURS if key in table.values}
        if not isinstance(ours.get("provider"), str):
            what = "must be a string" if "provider" in ours else "is missing"
            self._add(table, "provider", f'{what}: write provider = "…"')
            return None
        given = self._structure.table(attrs.evolve(table, values=ours), ChannelTable)
        try:
            provider = self._provider(ours["provider"])
        except PluginBroken as error:  # the others work, and this one is told by doctor
            return _made(table, given, None, str(error)) if given else None
        except PluginError as error:
            self._add(table, "provider", str(error))
            return None
        theirs = {key: v for key, v in table.values.items() if key not in _OURS}
        settings = self._structure.provider(
            attrs.evolve(table, values=theirs), provider
        )
        return _made(table, given, settings) if given and settings else None

    @staticmethod
    def _provider(name: str) -> type[Provider]:
        from tocsin import _plugins as plugins

        return plugins.load(name)

    def _store(self, table: Table) -> StoreProvider | None:
        name = table.values.get("provider")
        if not isinstance(name, str):
            what = "must be a string" if "provider" in table.values else "is missing"
            self._add(table, "provider", f'{what}: write provider = "…"')
            return None
        from tocsin import _plugins as plugins

        try:
            provider = plugins.load_store(name)
        except PluginBroken as error:  # what is raised waits in files; doctor tells
            return BrokenStore(str(error))
        except PluginError as error:
            self._add(table, "provider", str(error))
            return None
        ours = attrs.fields_dict(StoreTable)
        theirs = {key: v for key, v in table.values.items() if key not in ours}
        return self._structure.provider(attrs.evolve(table, values=theirs), provider)

    def _listener(self, table: Table, name: str) -> Listener:
        from tocsin import _plugins as plugins

        try:
            return plugins.load_listener(name)
        except PluginBroken as error:
            return Listener(name, problem=str(error))
        except PluginError as error:
            self._add(table, "listeners", str(error))
            return Listener(name, problem=str(error))

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

    def _check_channels(self, table: Table, known: set[str]) -> None:
        """Look at what is written, so that no other mistake hides a wrong name."""
        for wish in _wish_tables(table):
            for key in ("kinds", "projects"):
                if wish.values.get(key) == []:
                    self._add(
                        wish, key, "lets nothing through: name some, or leave it out"
                    )
            channels = wish.values.get("channels", ())
            if "channels" not in wish.values or channels == []:
                self._add(wish, "channels", "is missing: name the channels it goes to")
            names = [channels] if isinstance(channels, str) else channels
            for name in names if isinstance(names, list) else ():
                if isinstance(name, str) and name not in known:
                    message = f"no channel {name!r}: {nearest(name, known)}"
                    self._add(wish, "channels", message)

    def _add(self, table: Table, key: str, message: str) -> None:
        dotted = ".".join(filter(None, [table.key, key]))
        self.problems.append(Problem(table.file, dotted, message))


def _wish_tables(table: Table) -> Iterator[Table]:
    """Return what an owner's table wishes: its own keys, then its list."""
    if _wishes_itself(table):
        yield table
    listed = table.values.get("subscriptions")
    for position, values in enumerate(listed if isinstance(listed, list) else ()):
        if isinstance(values, dict):
            key = f"{table.key}.subscriptions[{position}]"
            yield attrs.evolve(table, key=key, values=values)


def _wishes_itself(table: Table) -> bool:
    return any(key in table.values for key in attrs.fields_dict(Wish))


def _made(
    table: Table, given: ChannelTable, provider: Provider | None, problem: str = ""
) -> Channel:
    channel = Channel(table.name, provider, problem, given.fallback)
    if given.fallback_after is None:
        return channel
    return attrs.evolve(channel, fallback_after=given.fallback_after)


def _settings(  # noqa: PLR0917 - the parts of a configuration
    file: Path,
    top: TopTable,
    user: str,
    channels: dict[str, Channel],
    teams: dict[str, TeamTable],
    subscriptions: Iterable[Subscription],
    listeners: tuple[Listener, ...],
    store: StoreProvider | None,
) -> Settings:
    given: dict[str, Any] = attrs.asdict(top, filter=lambda _, value: value is not None)
    given["listeners"], given["store"] = listeners, store
    templates = file.parent / "templates"
    return Settings(
        user=user,
        channels=channels,
        teams={name: frozenset(team.members) for name, team in teams.items()},
        subscriptions=tuple(subscriptions),
        templates=str(templates) if templates.is_dir() else "",
        source=str(file),
        **given,
    )
