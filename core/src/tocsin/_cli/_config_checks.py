"""What `doctor` finds in the configuration, the plugins and the secrets."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from tocsin import _places as places
from tocsin._cli._channels import installed
from tocsin._cli._faults import secrets_of
from tocsin._cli._finding import Finding, ok, problem, warning
from tocsin._cli._screen import counted
from tocsin._errors import SecretUnavailable
from tocsin._secret import FromFile
from tocsin._toml import read_all

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tocsin._provider import Provider
    from tocsin._settings import Settings
    from tocsin._store import StoreProvider


def configuration(settings: Settings) -> Iterator[Finding]:
    """Check a configuration that has no mistakes."""
    if not settings.source:
        yield warning(
            "there is none: alerts are printed and kept, and sent nowhere",
            f"write {places.config_dir() / 'tocsin.toml'}, or set TOCSIN_CONFIG",
        )
        return
    channels = counted(len(settings.channels), "channel")
    subscriptions = counted(len(settings.subscriptions), "subscription")
    yield ok(f"{settings.source}: {channels}, {subscriptions}")
    named = {name for wish in settings.subscriptions for name in wish.channels}
    named |= {channel.fallback for channel in settings.channels.values()}
    for name in settings.channels.keys() - named:
        yield warning(
            f"nobody is subscribed to {name}: nothing is sent there",
            f'channels = ["{name}"] in [user], or in a team\'s table',
        )
    yield from _open_files(settings)


def _open_files(settings: Settings) -> Iterator[Finding]:
    """Tell of secrets that stand in files which others can read."""
    tables = read_all(Path(settings.source), [])
    for table in tables.channels if tables else ():
        provider = settings.channels[table.name].provider
        for name, secret in secrets_of(provider).items() if provider else ():
            if isinstance(secret.reference, FromFile):
                yield from _open_file(secret.reference.path, f"{table.key}.{name}")
            elif secret and secret.reference is None:
                yield from _open_file(table.file, f"{table.key}.{name}")


def _open_file(path: str, key: str) -> Iterator[Finding]:
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - a str
    except OSError:  # the secret's own check tells
        return
    if os.name != "nt" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield warning(f"others can read {path}, which holds {key}", f"chmod 600 {path}")


def plugins(settings: Settings) -> Iterator[Finding]:
    """Check that what is installed can be loaded, whether a channel needs it or not."""
    needed = {channel.problem for channel in settings.channels.values()}
    needed.add(getattr(settings.store, "problem", ""))
    for offer, complaint in installed().items():
        if not complaint:
            yield ok(f"{offer.name} of {offer.distribution} {offer.version}")
        elif complaint in needed:
            yield problem(complaint)
        else:
            yield warning(complaint)


def secrets(settings: Settings) -> Iterator[Finding]:
    """Check that every reference to a secret resolves here."""
    named: dict[str, Provider | StoreProvider | None] = {
        f"channels.{channel.name}": channel.provider
        for channel in settings.channels.values()
    }
    for key, provider in (named | {"store": settings.store}).items():
        for name, secret in secrets_of(provider).items() if provider else ():
            if secret.reference is None:
                continue
            try:
                secret.reveal()
            except SecretUnavailable as error:
                yield problem(f"{key}.{name}: {error}")
            else:
                yield ok(f"{key}.{name} resolves")
