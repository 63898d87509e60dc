"""What is told of a supervised command: that it stalls, and how it ended."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

import attrs

from tocsin import _places as places
from tocsin._alert import RESOLVED, Alert
from tocsin._ending import GATHER
from tocsin._life import Life
from tocsin._mode import Mode
from tocsin._report import MAX_OUTPUT_LINES, alert_of, lasted
from tocsin._results import Admitted, Deferred, Disabled, Refused
from tocsin._store import Status
from tocsin._terminal import echo
from tocsin._watcher import STALLED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tocsin._alert import Origin
    from tocsin._ending import Ending
    from tocsin._notifier import Notifier
    from tocsin._results import Result
    from tocsin._run_record import RunRecord
    from tocsin._store import DeliveryRecord, Record

LEASE_PATIENCE = 35.0
"""Seconds for which one waits for what the dead process had in hand: a lease, and more."""

_SLICE = 0.2  # seconds between two looks at how far it is
_HURRIES = {"SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"}
"""Whoever sends one of these does not want to wait."""
_LOOKED_AT = 200  # alerts of the history in which a run's own are looked for


_log = logging.getLogger("tocsin")


class Reporter:
    """Tells of one command, through a notifier that is not used before.

    `hurries` names the signals that came since the command ended. `origin` has the run's
    id; alerts of that run, and of none, from this host are what the command raised.
    """

    def __init__(
        self,
        notifier: Notifier,
        origin: Origin,
        *,
        tags: Iterable[str] = (),
        hurries: Callable[[], set[str]] = set,
    ) -> None:
        self._notifier = notifier
        self._origin = notifier.placed(origin)
        self._tags = tuple(tags)
        self._life = Life(notifier, self._origin, tags=self._tags, is_supervisor=True)
        if notifier.mode is not Mode.DISABLED:
            notifier.add_chore(self._life.tick)
            notifier.start()
        self._hurries = hurries
        self._began = notifier.now()
        self._stalled = ""
        self._runs = {self._origin.run}

    @property
    def name(self) -> str:
        """What people call the command."""
        return self._origin.run_name or self._origin.run

    def stalled(self, seconds: float, output: str) -> None:
        """Tell that nothing was printed for so long."""
        self._stalled = f"{self.name} stalls: no output for {lasted(seconds)}"
        lines = output.splitlines()[-MAX_OUTPUT_LINES:]
        last = "\n".join(["Last output:", *lines]) if lines else ""
        self._raise(
            Alert(
                self._stalled,
                last,
                "ERROR",
                wait_duration=0,
                kind=STALLED,
                key=STALLED,
                tags=self._tags,
                origin=self._origin,
            )
        )

    def resumed(self) -> None:
        """Tell that something is printed again."""
        self._raise(
            Alert(
                self._stalled,
                "Something is printed again.",
                kind=RESOLVED,
                key=STALLED,
                origin=self._origin,
            )
        )

    def _raise(self, alert: Alert) -> None:
        try:
            self._notifier.notify(alert)
        except Exception as error:  # noqa: BLE001 - the command goes on, whatever it is
            _log.warning("%r could not be told: %s", alert.title, error)

    def ended(self, ending: Ending) -> str:
        """Tell how it ended, and deliver that and what it left.

        Returns what people should know of that, in a line, or nothing.
        """
        if self._notifier.mode is Mode.DISABLED:
            return ""
        try:
            told = self._members()
            self._life.end(ending, is_told=True)
            result = self._tell(ending, told)
            self._end(told, ending)
            return self._delivered(result)
        except Exception as error:  # noqa: BLE001 - the command's exit code matters more
            return f"how {self.name} ended may not be told: {error}"
        finally:
            self._notifier.close(0 if self._hurries() & _HURRIES else _SLICE)

    def _end(self, members: Iterable[RunRecord], ending: Ending) -> None:
        """Write down how those ended that could not do so, before a watcher misses them."""
        for record in members:
            if record.ending is None:
                now = self._notifier.now()
                whole = attrs.evolve(record, ending=ending, beat_at=now)
                self._notifier.state.put_run(whole, now)

    def _tell(self, ending: Ending, told: Sequence[RunRecord]) -> Result:
        """Raise the alert; whoever has no channel sees it, when it is bad."""
        alert = self._alert(ending, told)
        is_told = any(one.ending is not None for one in told)
        is_wanted = not is_told and self._notifier.intake.is_wanted(alert)
        if not ending.is_bad and not is_wanted:
            return Disabled()
        if not self._notifier.settings.channels and ending.is_bad:
            self._echo(alert)
        return self._notifier.intake.receive(alert)

    def _alert(self, ending: Ending, told: Sequence[RunRecord]) -> Alert:
        """Return the alert, in the name of the run that the command itself started."""
        origin, tags, key = self._origin, self._tags, self._life.end_key
        if told:
            record = told[-1]
            key = record.end_key
            ranks = {one.origin.rank for one in told}
            origin = attrs.evolve(
                record.origin,
                run_name=record.origin.run_name or origin.run_name,
                rank=None if len(ranks) > 1 else record.origin.rank,
            )
            tags = tuple(dict.fromkeys([*tags, *record.tags]))
            if not record.ending:
                ending = attrs.evolve(ending, metrics=record.metrics)
        is_last = self._origin.rank is None
        ending = attrs.evolve(ending, is_alone=False, is_last=is_last)
        return alert_of(ending, origin, self._notifier.now(), tags=tags, key=key)

    def _members(self) -> list[RunRecord]:
        """Return what the command's own runs left, the newest last."""
        own = self._origin.run
        return [one for one in self._notifier.state.known_runs() if one.under == own]

    def _echo(self, alert: Alert) -> None:
        if self._notifier.mode is not Mode.DISABLED:
            is_there = places.config_file() is not None
            file = "" if is_there else str(places.config_dir() / "tocsin.toml")
            echo(attrs.evolve(alert, text=""), where_to_configure=file)

    def _delivered(self, result: Result) -> str:
        if isinstance(result, Refused):
            return f"how {self.name} ended could not be kept: {result.reason}"
        if self._notifier.mode is not Mode.ONLINE:
            return ""
        own = result.alert_id if isinstance(result, Admitted | Deferred) else ""
        self._await_leases(own)
        return self._fate(result.wait(0) if own else ())

    def _flush(self) -> None:
        """Deliver what is due, unless somebody presses Ctrl-C."""
        until = time.monotonic() + self._notifier.settings.finish_timeout
        while "SIGINT" not in self._hurries():
            now = time.monotonic()
            limit = min(_SLICE, until - now)
            if limit <= 0 or self._notifier.flush(limit):
                return
            if time.monotonic() - now < limit:  # what is left is on a channel that
                return  # this process cannot use

    def _await_leases(self, own: str) -> None:
        """Deliver what the command had in hand when it died, once that is free."""
        self._runs = {self._origin.run, *(one.run for one in self._members())}
        until = self._notifier.now() + LEASE_PATIENCE
        while not self._hurries() & _HURRIES:
            now = self._notifier.now()
            self._flush()
            if not any(now < at <= until for at in self._leases(own)):
                return
            time.sleep(_SLICE)

    def _leases(self, own: str) -> Iterator[float]:
        """Return when deliveries of this run may be taken up again.

        They were begun, or wait for what other witnesses of an end know.
        """
        soon = self._notifier.now() + 2 * GATHER
        for record in self._left():
            for delivery in _pending(record):
                due = delivery.due_at.timestamp() if delivery.due_at else 0.0
                is_held = not delivery.attempts and due <= soon
                is_begun = delivery.attempts and record.alert.id != own
                if is_begun or is_held:
                    yield due

    def _left(self) -> Iterator[Record]:
        history = self._notifier.store().history(limit=_LOOKED_AT)
        yield from (record for record in history if self._is_ours(record))

    def _is_ours(self, record: Record) -> bool:
        origin, at = record.alert.origin, record.alert.created_at
        if origin.run:
            return origin.run in self._runs
        is_later = at is not None and at.timestamp() >= self._began
        return is_later and origin.host == self._origin.host

    def _fate(self, deliveries: Iterable[DeliveryRecord]) -> str:
        for one in deliveries:
            if one.status is Status.FAILED:
                return f"how {self.name} ended was not delivered to {one.channel}: {one.reason}"
        kept = sum(len(_pending(record)) for record in self._left())
        if not kept:
            return ""
        what = "1 delivery is" if kept == 1 else f"{kept:,} deliveries are"
        return (
            f"{what} kept: the next program with this configuration makes them, "
            "or `tocsin drain`; `tocsin log` says why"
        )


def _pending(record: Record) -> list[DeliveryRecord]:
    return [one for one in record.deliveries if one.status is Status.PENDING]
