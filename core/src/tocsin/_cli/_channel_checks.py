"""What `doctor` finds of the channels, and of what keeps alerts from them on purpose."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tocsin._cli._channels import owner_of
from tocsin._cli._faults import told
from tocsin._cli._finding import Finding, ok, problem, warning
from tocsin._cli._screen import counted
from tocsin._cli._times import at, moment, span
from tocsin._errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tocsin._circuit import Circuit
    from tocsin._cli._state import State
    from tocsin._routing import Subscription
    from tocsin._settings import Channel, Settings


def channels(settings: Settings, state: State, now: float) -> Iterator[Finding]:
    """Check how the channels fared at the last attempts, and who stands in for them."""
    circuits = state.circuits(settings.source)
    failing = {
        name: circuit
        for name in settings.channels
        if told(circuit := circuits.get(name)) and circuit
    }
    for name, circuit in failing.items():
        yield _failing(name, circuit, _waiting(name, settings, state), now)
    for name, circuit in circuits.items():
        if name in settings.channels and name not in failing and circuit.is_open(now):
            yield ok(f"{name} has a pause until {moment(at(circuit.until))}, as asked")
    if settings.channels and not failing:
        yield ok("none of them fails")
    for channel in settings.channels.values():
        if channel.fallback:
            yield ok(_chain(channel, settings))


def _waiting(channel: str, settings: Settings, state: State) -> int:
    try:
        with state.store(settings.source) as store:
            return store.pending([channel])
    except StoreError:  # the folder's own check tells
        return 0


def _failing(name: str, circuit: Circuit, waiting: int, now: float) -> Finding:
    fault = told(circuit)
    assert fault is not None
    what = f"{name} is {fault.said}"
    if waiting:
        when = f" at {moment(at(circuit.until))}" if circuit.is_open(now) else ""
        kept = counted(waiting, "delivery waits", "deliveries wait")
        what += f"; {kept}, and it is tried again with one{when}"
    remedy = "; then ".join(filter(None, [fault.remedy, f"tocsin test {name}"]))
    return (problem if fault.is_out_of_order else warning)(what, remedy)


def _chain(channel: Channel, settings: Settings) -> str:
    """Return who gets what fails, and what fails there, and so on."""
    names = [channel.name]
    while channel.fallback and channel.fallback not in names:
        names.append(channel.fallback)
        channel = settings.channels[channel.fallback]
    first = settings.channels[names[0]]
    return f"what fails goes {' → '.join(names)}, after {span(first.fallback_after)} at most"


def silences(settings: Settings, state: State, now: float) -> Iterator[Finding]:
    """Tell what is silenced: whoever misses an alert looks here."""
    for silence in state.silences(settings.source, now):
        if silence.starts_at <= now:
            yield warning(
                f"silenced: {silence.description}",
                f"tocsin silence expire {silence.id}",
            )


def quiet_hours(settings: Settings, now: float) -> Iterator[Finding]:
    """Tell whose hours are quiet now."""
    for wish in settings.subscriptions:
        until = wish.quiet_hours.until(now) if wish.quiet_hours else None
        if until is not None:
            yield ok(_quiet(wish, until))


def _quiet(wish: Subscription, until: float) -> str:
    names, level = ", ".join(wish.channels), wish.quiet_max_level.value
    return (
        f"hours are quiet for {owner_of(wish)} until {moment(at(until))}: what is at most "
        f"{level} waits for {names}"
    )
