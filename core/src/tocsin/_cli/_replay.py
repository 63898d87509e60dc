"""`replay`: a delivery is made again, as if it had never been tried."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

import attrs
import click

from tocsin._cli._channels import known_channel
from tocsin._cli._drain import foreign
from tocsin._cli._exits import Exit
from tocsin._cli._faults import without_troubles
from tocsin._cli._invocation import (
    Command,
    Invocation,
    closing,
    notifier_for,
    seconds,
)
from tocsin._cli._mistakes import Mistake
from tocsin._cli._outcomes import (
    alert_of,
    await_deliveries,
    exit_for,
    is_settled,
    obstacles,
    tell_outcomes,
)
from tocsin._cli._screen import line, remedy_line
from tocsin._cli._working_off import Fate, tell_fates, work_off
from tocsin._store import PATIENCE, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tocsin._cli._screen import Screen
    from tocsin._notifier import Notifier
    from tocsin._store import DeliveryRecord, Namespace, Store

_MOST = 20  # deliveries listed when an id is ambiguous
_ALL = 2**31  # alerts
_UNSENT = {Status.FAILED, Status.SILENCED}


@attrs.frozen
class _Meant:
    """The deliveries of one alert that an id means."""

    namespace: Namespace
    deliveries: Sequence[DeliveryRecord]


@click.command(cls=Command, short_help="Make a delivery again.")
@click.argument("id", metavar="[ID]", required=False)
@click.option("--failed", is_flag=True, help="All that failed, of this configuration.")
@click.option(
    "--timeout",
    type=seconds,
    default=30,
    show_default=True,
    help="How long to deliver, and to wait for retries.",
)
@click.pass_context
def replay(ctx: click.Context, *, id: str | None, failed: bool, timeout: float) -> None:  # noqa: A002 - the argument's name
    """Make a delivery again, and say what came back.

    ID is a delivery's or an alert's, or how one begins: see `tocsin log`. Of an alert
    with several deliveries, those that failed or were silenced are made again. One that
    is delivered is made again when ID means it alone.

    A channel that was out of order, or failed, is taken to be in order again: what waits
    for it is sent, too.
    """
    invocation = ctx.ensure_object(Invocation)
    if id and not failed:
        ctx.exit(_replay(_meant(invocation, id), invocation, timeout))
    if failed and not id:
        ctx.exit(_replay_failed(invocation, timeout))
    raise click.UsageError("give either an ID or --failed")


def _meant(invocation: Invocation, prefix: str) -> _Meant:
    """Return what an id means, whichever configuration it is of."""
    found = list(_find(invocation, prefix))
    if not found:
        raise Mistake(f"no delivery's id begins with {prefix!r}: see `tocsin log`")
    ids = [delivery_id for _, delivery_id in found]
    if len(set(map(alert_of, ids))) == 1:
        namespace, _ = found[0]
        with invocation.state().store(namespace.name) as store:
            deliveries = list(_as_they_stand(ids, store))
        unsent = [one for one in deliveries if one.status in _UNSENT]
        if chosen := deliveries if len(deliveries) == 1 else unsent:
            return _Meant(namespace, chosen)
    listed = "\n".join(f"  {one}" for one in ids[:_MOST])
    more = f"\n  … and {len(ids) - _MOST:,} more" if len(ids) > _MOST else ""
    raise Mistake(f"{prefix!r} means several deliveries; name one:\n{listed}{more}")


def _find(invocation: Invocation, prefix: str) -> Iterator[tuple[Namespace, str]]:
    if not prefix.isascii():
        return
    state, own = invocation.state(), invocation.source()
    for namespace in state.namespaces():
        if invocation.config is None or namespace.config == own:
            with state.store(namespace.name) as store:
                found = store.find(prefix)
            yield from ((namespace, delivery_id) for delivery_id in found)


def _as_they_stand(ids: Iterable[str], store: Store) -> Iterator[DeliveryRecord]:
    wanted = set(ids)
    for alert_id in dict.fromkeys(map(alert_of, ids)):
        yield from (
            one
            for one in store.deliveries(alert_id, timeout=PATIENCE)
            if one.id in wanted
        )


def _replay(meant: _Meant, invocation: Invocation, timeout: float) -> Exit:
    screen = invocation.screen
    if not all(map(is_settled, meant.deliveries)):
        screen.show(
            line("It is kept already, and is tried again by itself."),
            remedy_line("tocsin drain, to have it tried now"),
        )
        return Exit.UNDELIVERED
    notifier = invocation.state().notifier(meant.namespace)
    if notifier is None:
        screen.show(*foreign(meant.namespace))
        return Exit.UNDELIVERED
    for delivery in meant.deliveries:
        known_channel(notifier.settings, delivery.channel)
    return _redeliver(notifier, meant.deliveries, screen, timeout)


def _redeliver(
    notifier: Notifier,
    deliveries: Sequence[DeliveryRecord],
    screen: Screen,
    timeout: float,
) -> Exit:
    ids = [delivery.id for delivery in deliveries]
    obstacle = obstacles(notifier)

    def look(seconds: float) -> list[DeliveryRecord]:
        time.sleep(seconds)
        return list(_as_they_stand(ids, notifier.store()))

    with closing(notifier):
        _requeue(ids, notifier)
        notifier.start()
        with screen.waiting("Delivering …"):
            records = await_deliveries(
                look,
                lambda record: is_settled(record) or bool(obstacle(record)),
                timeout,
            )
        tell_outcomes(records, obstacle, notifier.settings, screen)
    return exit_for(records, notifier.settings)


def _requeue(ids: Iterable[str], notifier: Notifier) -> None:
    for delivery_id in ids:
        notifier.store().requeue(delivery_id, time.time())


def _replay_failed(invocation: Invocation, timeout: float) -> Exit:
    screen, settings = invocation.screen, without_troubles(invocation.settings())
    with closing(notifier_for(settings)) as notifier:
        failed = _failed(notifier.store())
        known = [one for one in failed if one.channel in notifier.settings.channels]
        if gone := {one.channel for one in failed} - notifier.settings.channels.keys():
            channels = ", ".join(sorted(gone))
            said = f"Left out: the configuration has no {channels} any more."
            screen.show(line(said, "yellow"))
        waiting = _waiting(notifier)
        if not failed and not waiting:
            screen.tell(line("Nothing has failed."))
        _requeue([one.id for one in known], notifier)
        for channel in {one.channel for one in waiting}:
            notifier.store().try_again(channel, time.time())
        ids = [one.id for one in (*known, *waiting)]
        if ids:
            work_off(notifier, screen, timeout)
        fates = Counter(map(Fate.of, _as_they_stand(ids, notifier.store())))
        code = tell_fates(fates, notifier, screen)
    return Exit.UNDELIVERED if gone else code


def _waiting(notifier: Notifier) -> list[DeliveryRecord]:
    """Return what waits behind a channel that fails: an earlier replay may have put it there."""
    store = notifier.store()
    failing = {name for name, circuit in store.circuits().items() if circuit.is_failing}
    channels = failing & notifier.settings.channels.keys()
    return [
        delivery
        for record in (store.history(limit=_ALL) if channels else ())
        for delivery in record.deliveries
        if delivery.status is Status.PENDING and delivery.channel in channels
    ]


def _failed(store: Store) -> list[DeliveryRecord]:
    return [
        delivery
        for record in store.history(limit=_ALL, failed_only=True)
        for delivery in record.deliveries
        if delivery.status is Status.FAILED
    ]
