"""Handing deliveries out, from the book of one namespace."""

from __future__ import annotations

import contextlib
import copy
import os
from typing import TYPE_CHECKING

from tocsin._alert import AlertLevel
from tocsin._envelope import decode
from tocsin._errors import EnvelopeError, EnvelopeTooNew
from tocsin._provider import Receipt
from tocsin._retry import HORIZON, MAX_CLAIMS, Failed, Progress
from tocsin._silence import Silence
from tocsin._store._document._circuits import circuit_of, leased_until
from tocsin._store._document._outcomes import ORIGINAL_DELAY, finish, silence
from tocsin._store._document._tables import (
    attachments,
    due_of,
    new_delivery,
    numbered,
    on_channel,
    pending,
    suppression,
)
from tocsin._store._port import Claim, Member, Resolved
from tocsin._throttle import throttle_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tocsin._alert import Alert
    from tocsin._store._document._tables import (
        AlertRow,
        Book,
        DeliveryRow,
        Pair,
        SilenceRow,
    )

_UNREADABLE_DELAY = 3600.0  # seconds until an alert of a newer version is read again
_LONGEST_HOLD = 31 * 86_400.0  # seconds: neither a night nor a digest is longer
_MEMBERS = 500  # deliveries that go as one message


class Claimer:
    """Hands out one namespace's deliveries for one lease."""

    def __init__(self, book: Book, *, lease: float, now: float) -> None:
        self._book = book
        self._lease_until = now + lease
        self._now = now
        self._silences = silences_of(book, now)

    def claim(self, channel: str, most: int) -> Iterator[Claim]:
        """Take what is due on one channel, oldest first."""
        circuit = circuit_of(self._book, channel)
        if circuit.is_open(self._now):
            return
        if circuit.is_failing:
            most = 0 if self._is_under_way(channel) else min(most, 1)
        taken: set[tuple[int, int]] = set()
        for alert, delivery in self._due(channel, most):
            if _place(alert, delivery) in taken:  # it goes along with one before it
                continue
            claim = self._claim(alert, delivery, is_probe=circuit.is_failing)
            if claim is not None:
                taken.update(claim.places)
                yield claim

    def _is_under_way(self, channel: str) -> bool:
        # no lease ends later than that, unless it was taken by a clock that was ahead
        latest = self._lease_until + HORIZON
        return bool(leased_until(self._book, channel, self._now, latest))

    def _due(self, channel: str, most: int) -> list[Pair]:
        found = self._select(channel, most, lambda one: due_of(one) <= self._now)
        if len(found) < most:  # what only a clock that was ahead can have put so far
            found += self._select(channel, most - len(found), self._is_too_far)
        return found

    def _is_too_far(self, delivery: DeliveryRow) -> bool:
        latest = self._lease_until + HORIZON
        if delivery["not_before"] is not None:
            latest = max(latest, self._now + _LONGEST_HOLD)
        return due_of(delivery) > latest

    def _select(
        self, channel: str, most: int, which: Callable[[DeliveryRow], bool]
    ) -> list[Pair]:
        found = [pair for pair in pending(self._book, channel) if which(pair[1])]
        found.sort(key=lambda pair: due_of(pair[1]))
        return found[:most]

    def _claim(
        self, alert: AlertRow, delivery: DeliveryRow, *, is_probe: bool
    ) -> Claim | None:
        """Claim a delivery with all that goes along with it; None when it must not go."""
        members = [
            (pair, read)
            for pair in self._gathered(alert, delivery)
            if (read := self._readable(*pair)) is not None
            and not self._is_silenced(*pair, read)
            and not self._waits_for_original(*pair)
        ]
        if not members:
            return None
        claim = self._made(members, is_probe=is_probe)
        for (_, member), _ in members:
            self._mark(claim, member, is_alone=len(members) == 1)
        return claim

    def _gathered(self, alert: AlertRow, delivery: DeliveryRow) -> list[Pair]:
        digest = delivery["digest"]
        if not digest:
            return [(alert, delivery)]
        self._reopen(delivery)
        due = max(self._now, due_of(delivery))
        return self._select(
            delivery["channel"],
            _MEMBERS,
            lambda one: one["digest"] == digest and due_of(one) <= due,
        )

    def _reopen(self, delivery: DeliveryRow) -> None:
        """Gather again from now on what comes after this message."""
        gathering = self._book["digests"].get(delivery["channel"])
        if delivery["attempts"] == 0 and gathering is not None:
            gathering["until"] = self._now + gathering["seconds"]
            gathering["id"] = f"{_token():x}"

    def _readable(self, alert: AlertRow, delivery: DeliveryRow) -> Alert | None:
        if delivery["claims"] >= MAX_CLAIMS:
            reason = f"claimed {MAX_CLAIMS} times without an outcome: it ends whoever sends it"
            finish(delivery, Failed(reason=reason), self._now)
            return None
        try:
            return decode(alert["envelope"], attachments(alert))
        except EnvelopeTooNew:
            _postpone(delivery, self._now + _UNREADABLE_DELAY)
        except EnvelopeError as error:
            finish(delivery, Failed(reason=str(error)), self._now)
        return None

    def _is_silenced(self, alert: AlertRow, delivery: DeliveryRow, read: Alert) -> bool:
        found = next((s for s in self._silences if s.matches(read, self._now)), None)
        if found is None:
            return False
        silence(delivery, f"silenced: {found.description}", self._now)
        self._end_digest(alert, delivery)
        # when it is over, the next alert is the first that anybody hears
        window = self._book["windows"].get(throttle_key(read))
        if window is not None and window["alert"] == alert["number"]:
            window["closes_at"] = found.ends_at
        return True

    def _end_digest(self, alert: AlertRow, delivery: DeliveryRow) -> None:
        """Let what is gathered behind a message that is not sent go by itself."""
        channel, digests = delivery["channel"], self._book["digests"]
        if channel in digests and digests[channel]["id"] == alert["id"]:
            del digests[channel]
        for _, other in pending(self._book, channel):
            if other["digest"] == alert["id"]:
                other["due"] = self._now

    def _waits_for_original(self, alert: AlertRow, delivery: DeliveryRow) -> bool:
        """Keep a resolution back while the alert that it ends is not delivered."""
        original = numbered(self._book, alert["resolves"])
        first = on_channel(original, delivery["channel"])
        if original is None or first is None:
            # it is none, that alert is forgotten, or this is another channel's fallback
            return False
        if first["status"] == "pending":
            due = self._now if first["token"] else due_of(first)
            due = max(self._now, min(due, self._now + HORIZON))
            _postpone(delivery, due + ORIGINAL_DELAY)
            return True
        if first["status"] != "delivered":
            reason = "the alert that is over was not delivered here"
            silence(delivery, reason, self._now)
            self._follow(alert, original)
            return True
        return False

    def _follow(self, alert: AlertRow, original: AlertRow) -> None:
        """Send a resolution after its alert, if that went to a fallback meanwhile."""
        there = {delivery["channel"] for delivery in alert["deliveries"]}
        for delivery in original["deliveries"]:
            is_alive = delivery["status"] in {"pending", "delivered"}
            if is_alive and delivery["channel"] not in there:
                alert["deliveries"].append(new_delivery(delivery["channel"], self._now))
                return

    def _made(self, members: Sequence[tuple[Pair, Alert]], *, is_probe: bool) -> Claim:
        (alert, delivery), read = members[0]
        began = delivery["first_attempt_at"]
        return Claim(
            delivery_id=f"{read.id}.{delivery['channel']}",
            channel=delivery["channel"],
            places=tuple(_place(*pair) for pair, _ in members),
            token=_token(),
            lease_until=self._lease_until,
            alert=read,
            progress=Progress(
                attempt=delivery["attempts"] + 1,
                ambiguous=delivery["ambiguous"],
                first_attempt_at=self._now if began is None else began,
                is_probe=is_probe,
                state=copy.deepcopy(delivery["state"]),
            ),
            suppressed=suppression(alert),
            members=tuple(_member(row, one) for (row, _), one in members)
            if len(members) > 1
            else (),
            resolves=self._resolved(alert, delivery),
            note=delivery["note"],
            echoes=_echoes(alert, read),
        )

    def _resolved(self, alert: AlertRow, delivery: DeliveryRow) -> Resolved | None:
        original = numbered(self._book, alert["resolves"])
        first = on_channel(original, delivery["channel"])
        if original is None or first is None:
            return None
        try:
            read = decode(original["envelope"])
        except EnvelopeError:
            return None
        receipt = Receipt(**first["receipt"] or {})
        return Resolved(alert=read, receipt=receipt, is_alone=not first["digest"])

    def _mark(self, claim: Claim, delivery: DeliveryRow, *, is_alone: bool) -> None:
        delivery["due"], delivery["token"] = claim.lease_until, claim.token
        delivery["claims"] += 1
        delivery["attempts"] += 1
        delivery["not_before"] = None
        if delivery["first_attempt_at"] is None:
            delivery["first_attempt_at"] = self._now
        if is_alone:
            delivery["digest"] = ""


def _place(alert: AlertRow, delivery: DeliveryRow) -> tuple[int, int]:
    positions = (n for n, one in enumerate(alert["deliveries"]) if one is delivery)
    return alert["number"], next(positions)


def _token() -> int:
    """Return a number that nobody else has."""
    return int.from_bytes(os.urandom(7)) + 1


def _postpone(delivery: DeliveryRow, due: float) -> None:
    delivery["due"] = delivery["not_before"] = due


def _member(alert: AlertRow, read: Alert) -> Member:
    return Member(
        alert=read, suppressed=suppression(alert), echoes=_echoes(alert, read)
    )


def _echoes(alert: AlertRow, read: Alert) -> tuple[Alert, ...]:
    if read.ending is None:
        return ()
    echoes = []
    for _, envelope in sorted(alert["echoes"].items()):
        with contextlib.suppress(EnvelopeError):
            echoes.append(decode(envelope))
    return tuple(echo for echo in echoes if echo.ending is not None)


def silences_of(book: Book, now: float) -> list[Silence]:
    """Return the silences that are not over, in the order of their ends."""
    found = [
        _silence(row)
        for row in book["silences"].values()
        if row["ends_at"] > now and row["ends_at"] > row["starts_at"]
    ]
    return sorted(found, key=lambda silence: silence.ends_at)


def _silence(row: SilenceRow) -> Silence:
    return Silence(
        id=row["id"],
        title=row["title"],
        project=row["project"],
        team=row["team"],
        max_level=AlertLevel(row["max_level"]),
        starts_at=row["starts_at"],
        ends_at=row["ends_at"],
        reason=row["reason"],
        author=row["author"],
    )
