"""What is wrong with channels: as they are configured, and as their attempts have told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from tocsin._cli._times import at, moment
from tocsin._errors import SecretUnavailable
from tocsin._secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tocsin._circuit import Circuit
    from tocsin._provider import Provider
    from tocsin._settings import Channel, Settings
    from tocsin._store import StoreProvider


def secrets_of(provider: Provider | StoreProvider) -> dict[str, Secret]:
    """Return the settings that are secrets, by name."""
    values = {
        field.name: getattr(provider, field.name)
        for field in attrs.fields(type(provider))
    }
    return {name: value for name, value in values.items() if isinstance(value, Secret)}


def trouble(channel: Channel) -> str:
    """Return why a channel is out of order here, or ``""``; its service is not asked."""
    if channel.provider is None:
        return channel.problem
    for name, secret in secrets_of(channel.provider).items():
        try:
            secret.reveal()
        except SecretUnavailable as error:
            return f"{name}: {error}"
    return ""


def troubles(settings: Settings) -> dict[str, str]:
    """Return the channels that are out of order here, each with the reason."""
    found = {name: trouble(channel) for name, channel in settings.channels.items()}
    return {name: why for name, why in found.items() if why}


def without_troubles(settings: Settings) -> Settings:
    """Return the settings with what cannot be used here marked so: nothing waits for it."""
    found = troubles(settings)
    channels = {
        name: attrs.evolve(channel, provider=None, problem=found[name])
        if name in found
        else channel
        for name, channel in settings.channels.items()
    }
    return attrs.evolve(settings, channels=channels)


@attrs.frozen
class Fault:
    """What is wrong with a channel."""

    said: str
    remedy: str = ""
    is_out_of_order: bool = True
    """It fails until somebody mends it."""


def told(circuit: Circuit | None) -> Fault | None:
    """Return what the attempts on a channel have told; None when it works."""
    if circuit is None or not circuit.is_failing:
        return None
    how = "out of order" if circuit.is_out_of_order else "failing"
    since = f" (since {moment(at(circuit.since))})" if circuit.since else ""
    said = f"{how}: {circuit.reason}{since}"
    return Fault(said, circuit.remedy, is_out_of_order=circuit.is_out_of_order)


def faults(settings: Settings, circuits: Mapping[str, Circuit]) -> dict[str, Fault]:
    """Return the channels that do not work, each with what is wrong."""
    found = {name: told(circuits.get(name)) for name in settings.channels}
    for name, why in troubles(settings).items():
        found[name] = Fault(f"out of order: {why}")
    return {name: fault for name, fault in found.items() if fault is not None}
