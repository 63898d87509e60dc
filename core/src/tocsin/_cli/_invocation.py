"""What every command is told: which configuration, which state directory, how loud."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

import attrs
import click

from tocsin import _places as places
from tocsin._cli._screen import Screen
from tocsin._cli._state import State
from tocsin._errors import ConfigError
from tocsin._mode import Mode
from tocsin._notifier import Notifier
from tocsin._structure import duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tocsin._circuit import Circuit
    from tocsin._settings import Settings
    from tocsin._silence import Silence

_MAX_SECONDS = 1e9


@attrs.define
class Invocation:
    """The global options, wherever on the line they stood."""

    config: str | None = None
    state_dir: str | None = None
    quiet: bool = False

    @property
    def screen(self) -> Screen:
        """Where to print."""
        return Screen(is_quiet=self.quiet)

    def settings(self) -> Settings:
        """Read the configuration.

        Raises:
            ConfigError: It has mistakes.

        """
        from tocsin._config import load

        settings = load(self.config)
        if self.state_dir is None:
            return settings
        return attrs.evolve(settings, state_dir=self.state_dir)

    def source(self) -> str:
        """Return the configuration's file, whatever is in it; empty when there is none."""
        file = places.expanded(self.config) if self.config else places.config_file()
        return "" if file is None else os.path.realpath(file)

    def state(self) -> State:
        """Return the state directory, even if the configuration cannot be read."""
        try:
            settings = self.settings()
        except ConfigError:
            return State(places.state_dir(self.state_dir or ""))
        return State(
            places.state_dir(settings.state_dir),
            settings.network_state,
            settings.store,
            settings.source,
        )

    def circuits(self) -> dict[str, Circuit]:
        """Return which channels of the configuration fail, or have to wait."""
        return self.state().circuits(self.settings().source)

    def silences(self, now: float) -> list[Silence]:
        """Return the configuration's silences that are not over."""
        return self.state().silences(self.settings().source, now)


def notifier_for(settings: Settings, *, mode: Mode | None = Mode.ONLINE) -> Notifier:
    """Return a notifier of a configuration; with mode None, `TOCSIN_MODE` holds."""
    try:
        return Notifier(settings, namespace=settings.source, mode=mode)
    except ValueError as error:
        raise click.UsageError(f"TOCSIN_MODE: {error}") from error


@contextlib.contextmanager
def closing(notifier: Notifier) -> Iterator[Notifier]:
    """Give what is under way its time at the end, but none after Ctrl-C."""
    try:
        yield notifier
    except BaseException:
        notifier.close(0)
        raise
    notifier.close(notifier.settings.flush_timeout)


def seconds(value: str) -> float:
    """Return a number of seconds that somebody wrote.

    Raises:
        click.BadParameter: It is none, or no time that anybody may wait.

    """
    try:
        number = float(value)
    except ValueError:
        number = -1
    if not 0 <= number <= _MAX_SECONDS:  # nan and inf fail, too
        raise click.BadParameter(f"{value!r} is no number of seconds from 0 up")
    return number


def lasting(value: str) -> float:
    """Return the seconds of a length of time, written as in a configuration.

    Raises:
        click.BadParameter: It is none, or takes no time at all.

    """
    for written in (_number(value), value):
        with contextlib.suppress(ValueError):
            if 0 < (length := duration(written)) <= _MAX_SECONDS:
                return length
    raise click.BadParameter(
        f"{value!r} is no length of time: write 30s, 10m, 24h or 30d"
    )


def _number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


class Command(click.Command):
    """A command that takes the global options too, for whoever writes them last."""

    def __init__(
        self,
        name: str | None,
        *,
        params: list[click.Parameter] | None = None,
        **kwargs: Any,  # noqa: ANN401 - click's own
    ) -> None:
        super().__init__(name, params=[*(params or ()), *global_options()], **kwargs)


class Group(click.Group):
    """A group of such commands."""

    command_class = Command


def global_options() -> list[click.Parameter]:
    """Return the options that every command takes."""
    return [
        click.Option(
            ["--config"],
            metavar="FILE",
            expose_value=False,
            callback=_note,
            help="The configuration; default: TOCSIN_CONFIG, else your own.",
        ),
        click.Option(
            ["--state-dir"],
            metavar="FOLDER",
            expose_value=False,
            callback=_note,
            help="Where alerts are kept; default: the configuration's, else "
            "TOCSIN_STATE_DIR, else your own.",
        ),
        click.Option(
            ["-q", "--quiet"],
            is_flag=True,
            expose_value=False,
            callback=_note,
            help="Say nothing when all is well.",
        ),
    ]


def _note(ctx: click.Context, param: click.Parameter, value: object) -> None:
    invocation = ctx.ensure_object(Invocation)
    if value:
        setattr(invocation, str(param.name), value)
