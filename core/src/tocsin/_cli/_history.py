"""Looks at the history."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

import attrs

from tocsin._alert import RESOLVED
from tocsin._cli._faults import told
from tocsin._cli._times import at
from tocsin._throttle import throttle_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from tocsin._cli._state import State
    from tocsin._store import DeliveryRecord, Record, Status, SuppressedKey

_LOOK = 0.5  # seconds between two looks at the history
_AROUND = 1000  # alerts whose deliveries are watched, and that others are seen among


@attrs.frozen
class Look:
    """The alerts to be shown, and what is seen of them among the others."""

    shown: Sequence[Record]
    companions: Mapping[object, int]
    """How many went as one message."""
    ended: Mapping[str, datetime]
    """When the alert of an id was said to be over."""
    failing: frozenset[tuple[str, str]]
    """Namespaces and channels on which nothing is sent for now."""

    def others(self, namespace: str, delivery: DeliveryRecord) -> int:
        """Return with how many others a delivery went as one message."""
        return max(0, self.companions.get(_message(namespace, delivery), 0) - 1)


def _message(namespace: str, delivery: DeliveryRecord) -> object:
    """Return what deliveries have in common that were one message: all came of it."""
    is_sent = delivery.receipt is not None
    return (namespace, delivery.channel, delivery.settled_at) if is_sent else None


@attrs.frozen
class History:
    """The alerts of a namespace, or of all, as the store has them at each look."""

    _state: State
    _namespace: str
    _of_all: bool = attrs.field(kw_only=True)
    _failed_only: bool = attrs.field(kw_only=True)

    def look(self, limit: int) -> Look:
        """Return the newest alerts."""
        records = self._records(max(limit, _AROUND))
        return self._look(records, records[-limit:])

    def follow(self, limit: int) -> Iterator[Look]:
        """Return the newest alerts, then, without end, those that are new or changed."""
        records = self._records(max(limit, _AROUND))
        yield self._look(records, records[-limit:])
        while True:
            known = {record.alert.id: _standing(record) for record in records}
            time.sleep(_LOOK)
            records = self._records(max(limit, _AROUND))
            changed = [
                record
                for record in records
                if known.get(record.alert.id) != _standing(record)
            ]
            yield self._look(records, changed)

    def untold(self) -> list[SuppressedKey]:
        """Return what was suppressed and not told yet; nothing of it has failed."""
        found: list[SuppressedKey] = []
        for name in [] if self._failed_only else self._namespaces():
            with self._state.store(name) as store:
                found += store.untold()
        return found

    def _namespaces(self) -> list[str]:
        known = [one.name for one in self._state.namespaces()] if self._of_all else []
        return list(dict.fromkeys([self._namespace, *known]))

    def _records(self, limit: int) -> list[Record]:
        records: list[Record] = []
        for name in self._namespaces():
            with self._state.store(name) as store:
                records += store.history(limit=limit, failed_only=self._failed_only)
        return sorted(records, key=_created_at) if self._of_all else records

    def _look(self, records: Sequence[Record], shown: Sequence[Record]) -> Look:
        messages = [
            _message(record.namespace, delivery)
            for record in records
            for delivery in record.deliveries
        ]
        return Look(
            shown,
            companions=Counter(filter(None, messages)),
            ended=dict(_ended(records)),
            failing=frozenset(
                (name, channel)
                for name in self._namespaces()
                for channel, circuit in self._state.circuits(name).items()
                if told(circuit)
            ),
        )


def _created_at(record: Record) -> datetime:
    return record.alert.created_at or at(0)


def _standing(record: Record) -> list[tuple[Status, str]]:
    return [(delivery.status, delivery.reason) for delivery in record.deliveries]


def _ended(records: Sequence[Record]) -> Iterator[tuple[str, datetime]]:
    """Return the alerts that were said to be over: each time, the last of its key."""
    last: dict[tuple[str, str], Record] = {}
    for record in records:
        key = record.namespace, throttle_key(record.alert)
        if record.alert.kind != RESOLVED:
            if record.deliveries:  # what went nowhere cannot be over
                last[key] = record
        elif key in last:
            yield last.pop(key).alert.id, _created_at(record)
