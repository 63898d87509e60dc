"""A channel into the configuration: its table, its secrets, whose alerts it gets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from tocsin._cli._connect_changes import set_channel, subscribe
from tocsin._cli._connect_file import editing, tables_of
from tocsin._cli._connect_secrets import Place, keep, own
from tocsin._cli._mistakes import Failure

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tocsin._cli._connect_answers import Answers
    from tocsin._cli._connect_file import ConfigFiles
    from tocsin._cli._connect_secrets import Kept
    from tocsin._toml import Table, Tables


@attrs.frozen(kw_only=True)
class Connection:
    """What is to be written."""

    name: str
    answers: Answers
    place: Place
    """Where its secrets go."""
    team: str = ""
    """Whose alerts it gets; empty: the user's."""
    min_level: str = ""
    """Empty: those that its owner's other channels get."""
    replaces: Table | None = None
    """The channel of that name, as a person agreed to replace it."""

    def write(self, main: Path) -> tuple[Path, dict[str, Kept]]:
        """Write it; return the file that has it now, and where its secrets are.

        Raises:
            ConfigError: The configuration would have mistakes; nothing is changed.
            Failure: Something cannot be written; likewise.

        """
        with editing(main) as files:
            tables = files.tables()
            now = channel_of(tables, self.name)
            if (now and now.values) != (self.replaces and self.replaces.values):
                raise Failure(
                    f"another program changed the channel {self.name} meanwhile: look at "
                    "`tocsin channels`, and try again"
                )
            file = Path(now.file) if now else main
            kept = self._keep(file.parent)
            try:
                self._change(files, tables, file, kept)
                files.write()
            except BaseException:
                _forget(kept.values())
                raise
            if now:
                _forget(list(own(now, self.name, tables_of(main).channels)))
        return file, kept

    def _keep(self, folder: Path) -> dict[str, Kept]:
        kept: dict[str, Kept] = {}
        try:
            for setting, value in self.answers.secrets().items():
                kept[setting] = keep(value, self.place, folder, self.name, setting)
        except BaseException:
            _forget(kept.values())
            raise
        return kept

    def _change(
        self, files: ConfigFiles, tables: Tables, file: Path, kept: Mapping[str, Kept]
    ) -> None:
        references = {key: one.reference(file.parent) for key, one in kept.items()}
        provider = self.answers.provider
        given = {**self.answers.values, **references}
        names = [field.name for field in attrs.fields(provider) if field.name in given]
        values = {"provider": provider.name, **{name: given[name] for name in names}}
        files.change(str(file), set_channel(self.name, values))
        owner = owner_of(tables, self.team)
        if not is_subscribed(owner, self.name):
            way = ("teams", self.team) if self.team else ("user",)
            files.change(owner.file, subscribe(self.name, way, self.min_level))


def owner_of(tables: Tables, team: str) -> Table:
    """Return the table of the user, or of a team: empty where there is none yet."""
    if not team:
        return tables.user
    found = [one for one in tables.teams if one.name == team]
    return found[0] if found else attrs.evolve(tables.top, values={})


def channel_of(tables: Tables, name: str) -> Table | None:
    """Return a channel's table, if there is one."""
    return next((one for one in tables.channels if one.name == name), None)


def is_subscribed(owner: Table, name: str) -> bool:
    """Whether one of its wishes names the channel."""
    wishes = [owner.values, *owner.values.get("subscriptions", [])]
    named = [wish.get("channels", []) for wish in wishes]
    return any(name in ([one] if isinstance(one, str) else one) for one in named)


def _forget(kept: Iterable[Kept]) -> None:
    for one in kept:
        one.forget()
