"""What a plugin may offer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pluggy

if TYPE_CHECKING:
    from tocsin._listener import Change, Notify
    from tocsin._provider import Provider
    from tocsin._settlement import SettledDelivery
    from tocsin._store import StoreProvider
    from tocsin._tally import AlertCounts

hookspec = pluggy.HookspecMarker("tocsin")
hookimpl = pluggy.HookimplMarker("tocsin")


class Registrar(Protocol):
    """What `tocsin_register` hands to a plugin."""

    def provider(self, provider: type[Provider], /) -> None:
        """Offer a provider. Its ``name`` must be the name of the entry point."""

    def store(self, store: type[StoreProvider], /) -> None:
        """Offer a store. Its ``name`` must be the name of the entry point."""


@hookspec
def tocsin_register(registrar: Registrar) -> None:
    """Offer providers and stores: call ``registrar.provider(YourProvider)``.

    Called once, when a configuration first asks for this plugin's name. Offering changes
    nothing: the configuration selects.
    """


@hookspec
def tocsin_run_changed(change: Change, notify: Notify) -> None:
    """Hear of a change of a run: its state, its metrics, or what `Run.emit` was given.

    Called in a background thread, one change after the other, for the plugins that the
    configuration names in ``listeners``. What it raises is told once, and goes no further;
    `notify` raises an alert in the name of the run.
    """


@hookspec
def tocsin_delivery_settled(settled: SettledDelivery) -> None:
    """Hear of a delivery that this process made, or gave up.

    Called once for each, after it is written down, in the same thread as the others. An
    attempt that is to be repeated is no end.
    """


@hookspec
def tocsin_alerts_counted(counts: AlertCounts) -> None:
    """Hear how many alerts this process raised since the last call, and what became of them.

    Called about once a second while there is something to count, and at the end. What is
    counted is never dropped: where listeners are slow, the counts are larger.
    """
