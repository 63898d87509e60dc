"""Who gets what, where: the settings of a notifier."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING

import attrs

from tocsin import _places as places
from tocsin._errors import ConfigError, Problem
from tocsin._routing import Scope, Subscription

if TYPE_CHECKING:
    from tocsin._alert import Origin
    from tocsin._listener import Listener
    from tocsin._provider import Provider
    from tocsin._store import StoreProvider

DAY = 86_400.0


@attrs.frozen
class Channel:
    """A configured destination: a name, and a provider with its settings."""

    name: str
    provider: Provider | None
    """None when the plugin is broken: then `problem` says how."""
    problem: str = ""
    fallback: str = ""
    """The channel that gets what ends as failed here, or is tried for too long."""
    fallback_after: float = 600.0
    """Seconds from a delivery's first attempt, or for which the channel has failed while
    it waited, after which it goes to the fallback."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``did you mean 'x'?`` or, with nothing near, what there is to choose from."""
    names = sorted(known)
    if close := get_close_matches(name, names, n=1):
        return f"did you mean {close[0]!r}?"
    return f"there is {', '.join(map(repr, names))}" if names else "there is none"


def _channels(
    value: Mapping[str, Provider | Channel] | Iterable[Channel],
) -> dict[str, Channel]:
    if not isinstance(value, Mapping):
        return {channel.name: channel for channel in value}
    return {
        name: item if isinstance(item, Channel) else Channel(name, item)
        for name, item in value.items()
    }


def _listeners(
    value: Mapping[str, object] | Iterable[Listener],
) -> tuple[Listener, ...]:
    if not isinstance(value, Mapping):
        return tuple(value)
    from tocsin import _plugins as plugins

    return tuple(plugins.listener(name, plugin) for name, plugin in value.items())


def _subscriptions(value: Iterable[Subscription]) -> tuple[Subscription, ...]:
    return tuple(value)


@attrs.frozen(kw_only=True)
class Settings:
    """What a configuration file says, as a value; or made in code.

    Times are seconds.

    Raises:
        ConfigError: A subscription names a channel or a team that is not there.

    """

    user: str = ""
    """Default: the login name."""
    channels: Mapping[str, Channel] = attrs.field(factory=dict, converter=_channels)
    """By name; in code, ``{"ops": SomeProvider(…)}`` will do."""
    subscriptions: tuple[Subscription, ...] = attrs.field(
        default=(), converter=_subscriptions
    )
    """A user's subscription without an owner is that of `user`."""
    teams: Mapping[str, frozenset[str]] = attrs.field(factory=dict)
    """Team -> its members; with no members listed, anyone may raise for it."""
    submit_timeout: float = 0.05
    """How long a call may wait for the store; past it, the alert is spilled."""
    timeout: float = 15.0
    """One attempt to deliver, in total."""
    give_up_after: float = DAY
    """A delivery's age, from its first attempt, at which it ends as failed."""
    flush_timeout: float = 2.0
    """How long the end of the program may wait for deliveries."""
    finish_timeout: float = 5.0
    """How long the end of a run may wait for deliveries."""
    retention: float = 30 * DAY
    """How long the history is kept."""
    state_dir: str = ""
    """Where the store is; empty: `TOCSIN_STATE_DIR`, or the user's own state folder."""
    store: StoreProvider | None = None
    """Keeps alerts elsewhere; None: in a SQLite database in the state directory. Whatever
    it does not take in time is in files of the state directory until it does."""
    network_state: bool | None = None
    """Whether the store's folder is on a network file system; None: it is found out."""
    lost_after: float = 300.0
    """How long a run may be without a heartbeat until it is told as gone."""
    stall_after: float = 0.0
    """How long a run may log nothing until it is told as stalled; 0: for ever."""
    listeners: tuple[Listener, ...] = attrs.field(default=(), converter=_listeners)
    """Plugins that hear of what happens, in this order; in code, ``{"rules": plugin}`` will
    do: an object or a module that has some of the hooks, or a function that is called with
    each `Change` of a run, and with what raises an alert."""
    templates: str = ""
    """The folder of the operator's templates: ``<templates>/<provider>/<file>``."""
    source: str = ""
    """The configuration file; empty when made in code."""

    def __attrs_post_init__(self) -> None:
        user = self.user or places.login()
        object.__setattr__(self, "user", user)
        owned = tuple(
            attrs.evolve(wish, owner=user)
            if wish.scope is Scope.USER and not wish.owner
            else wish
            for wish in self.subscriptions
        )
        object.__setattr__(self, "subscriptions", owned)
        if problems := list(self._problems()):
            raise ConfigError(problems)

    def _problems(self) -> Iterable[Problem]:
        if not self.timeout > 0:
            yield Problem(
                self.source, "timeout", "an attempt needs more than 0 seconds"
            )
        for name, channel in self.channels.items():
            key, other = f"channels.{name}.fallback", channel.fallback
            if other == name:
                yield Problem(self.source, key, "a channel is not its own fallback")
            elif other and other not in self.channels:
                message = f"no channel {other!r}: {nearest(other, self.channels)}"
                yield Problem(self.source, key, message)
        for wish in self.subscriptions:
            key = f"{wish.scope.value} {wish.owner}".strip()
            for name in wish.channels:
                if name not in self.channels:
                    message = f"no channel {name!r}: {nearest(name, self.channels)}"
                    yield Problem(self.source, key, message)
            if wish.scope is Scope.TEAM and wish.owner not in self.teams:
                message = f"no team {wish.owner!r}: {nearest(wish.owner, self.teams)}"
                yield Problem(self.source, key, message)

    def check(self, origin: Origin) -> None:
        """Make sure that the team is there and has this user.

        Raises:
            ConfigError: It is not, or has not.

        """
        if not origin.team or (not self.channels and not self.teams):
            return
        members = self.teams.get(origin.team)
        if members is None:
            message = f"no team {origin.team!r}: {nearest(origin.team, self.teams)}"
            raise ConfigError([Problem(self.source, "teams", message)])
        if members and origin.user not in members:
            message = (
                f"{origin.user!r} is not a member: add the name, or use another team"
            )
            key = f"teams.{origin.team}.members"
            raise ConfigError([Problem(self.source, key, message)])
