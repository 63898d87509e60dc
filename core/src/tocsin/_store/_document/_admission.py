"""Taking alerts in. Each function changes the book of one namespace."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import attrs

from tocsin._alert import AlertLevel
from tocsin._ending import GATHER
from tocsin._envelope import encode
from tocsin._routing import Route
from tocsin._store._document._tables import (
    AlertRow,
    DeliveryRow,
    DigestRow,
    WindowRow,
    attached,
    new_delivery,
    numbered,
    of_id,
    suppression,
)
from tocsin._store._port import Granted, Known, Withheld
from tocsin._throttle import NONE_SUPPRESSED, Suppression, Window, suppressed_until

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tocsin._alert import Alert
    from tocsin._store._document._tables import Book
    from tocsin._store._port import Submission


def known(book: Book, submission: Submission, now: float) -> Known | None:
    """Return where an alert goes that was submitted before."""
    alert_id = submission.alert.id
    alert = of_id(book, alert_id)
    if alert is not None:
        return Known(channels=tuple(one["channel"] for one in alert["deliveries"]))
    if submission.is_adopted:
        if alert_id in book["adopted"]:
            return Known(channels=())
        book["adopted"][alert_id] = now
    return None


def admit(book: Book, submission: Submission, now: float) -> Granted | Withheld:
    """Admit the alert and write it down, or count it."""
    alert, key = submission.alert, submission.key
    window, suppressed = known_window(book, key)
    suppressed += submission.suppressed
    until = suppressed_until(window, alert.level, alert.wait_duration, now)
    if submission.is_admitted:
        until = None
    if window is not None and until is not None:
        if _joins(book, submission):
            _hasten(book, submission, now)
        else:
            suppressed += Suppression(1, now)
        recount(book, key, suppressed)
        return Withheld(window=window, until=until, suppressed=suppressed)
    number = record(book, submission, suppressed, now)
    book["windows"][key] = _window(now, alert.level, alert=number)
    return Granted(window=Window(now, alert.level), suppressed=suppressed)


def _window(at: float, level: AlertLevel, *, alert: int | None) -> WindowRow:
    return WindowRow(
        admitted_at=at,
        level=level.value,
        closes_at=None,
        suppressed=0,
        suppressed_since=None,
        alert=alert,
    )


def known_window(book: Book, key: str) -> tuple[Window | None, Suppression]:
    """Return the last admission of a key, and what was suppressed since."""
    row = book["windows"].get(key)
    if row is None:
        return None, NONE_SUPPRESSED
    level = AlertLevel(row["level"])
    return Window(row["admitted_at"], level, row["closes_at"]), suppression(row)


def recount(book: Book, key: str, suppressed: Suppression) -> None:
    """Write down how many were suppressed; a key that is unknown suppresses nothing."""
    row = book["windows"].setdefault(key, _window(0, AlertLevel.INFO, alert=None))
    row["suppressed"], row["suppressed_since"] = suppressed.count, suppressed.since


def count(book: Book, suppressed: Mapping[str, Suppression]) -> None:
    """See `Store.count`."""
    for key, more in suppressed.items():
        _, before = known_window(book, key)
        recount(book, key, before + more)


def _joins(book: Book, submission: Submission) -> bool:
    """Let what another witness of an end tells go along, while nothing of it is sent."""
    first = _first(book, submission)
    if submission.alert.ending is None or first is None:
        return False
    if any(_is_begun(delivery) for delivery in first["deliveries"]):
        return False
    first["echoes"][submission.alert.id] = encode(submission.alert)
    return True


def _first(book: Book, submission: Submission) -> AlertRow | None:
    window = book["windows"].get(submission.key)
    return numbered(book, window["alert"]) if window else None


def _is_begun(delivery: DeliveryRow) -> bool:
    return delivery["attempts"] > 0 or delivery["status"] != "pending"


def _hasten(book: Book, submission: Submission, now: float) -> None:
    """Let it be sent, if nobody can have anything to add any more."""
    ending, first = submission.alert.ending, _first(book, submission)
    if ending is None or not ending.is_last or first is None:
        return
    for delivery in first["deliveries"]:
        held_until = delivery["not_before"]
        is_pending = delivery["status"] == "pending"
        if is_pending and held_until is not None and held_until <= now + GATHER:
            delivery["due"], delivery["not_before"] = now, None


def record(
    book: Book,
    submission: Submission,
    suppressed: Suppression,
    now: float,
    resolves: int | None = None,
) -> int:
    """Write the alert and its deliveries down; return its number."""
    alert = submission.alert
    book["last"] += 1
    number = book["last"]
    book["alerts"][str(number)] = AlertRow(
        number=number,
        id=alert.id,
        submitted_at=now,
        suppressed=suppressed.count,
        suppressed_since=suppressed.since,
        envelope=encode(alert),
        resolves=resolves,
        attachments=attached(alert.attachments),
        echoes={},
        deliveries=[_planned(book, route, alert, now) for route in submission.plan],
    )
    book["ids"].setdefault(alert.id, number)
    return number


def _planned(book: Book, route: Route, alert: Alert, now: float) -> DeliveryRow:
    """Return a delivery: when it is due, and what it is gathered in."""
    channel, seconds = route.channel, route.digest
    if (start := route.not_before) > now:  # all that is held until then goes together
        digest = f"held {start:.0f}" if seconds else ""
        return new_delivery(channel, start, not_before=start, digest=digest)
    if not seconds:
        return new_delivery(channel, now)
    gathering = book["digests"].get(channel)
    if gathering is not None and now < gathering["until"] <= now + seconds:
        until = gathering["until"]
        return new_delivery(channel, until, not_before=until, digest=gathering["id"])
    book["digests"][channel] = DigestRow(
        id=alert.id, until=now + seconds, seconds=seconds
    )
    return new_delivery(channel, now)


def resolve(book: Book, submission: Submission, now: float) -> tuple[str, ...]:
    """Plan that the channels which had the last alert of a key hear that it is over."""
    window = book["windows"].get(submission.key)
    if (
        window is None
        or window["alert"] is None
        or window["admitted_at"] > _happened(submission)
    ):
        return _resolve_unknown(book, submission, now)
    del book["windows"][submission.key]
    alert = numbered(book, window["alert"])
    channels = tuple(
        delivery["channel"]
        for delivery in (alert["deliveries"] if alert else ())
        if delivery["status"] in {"pending", "delivered"}
    )
    if channels:
        plan = _retold(channels, submission.plan)
        retold = attrs.evolve(submission, plan=plan)
        record(book, retold, suppression(window), now, resolves=window["alert"])
    return channels


def _happened(submission: Submission) -> float:
    """Return when it was over: one that comes late ends nothing that began since."""
    created_at = submission.alert.created_at
    if not submission.is_adopted or created_at is None:
        return math.inf
    return created_at.timestamp()


def _resolve_unknown(book: Book, submission: Submission, now: float) -> tuple[str, ...]:
    """Tell by the plan what was to be told of an alert that another store had."""
    if not submission.is_admitted or not submission.plan:
        return ()
    record(book, submission, NONE_SUPPRESSED, now)
    return tuple(route.channel for route in submission.plan)


def _retold(channels: Iterable[str], plan: Iterable[Route]) -> tuple[Route, ...]:
    held = {route.channel: route.not_before for route in plan}
    return tuple(Route(name, not_before=held.get(name, 0.0)) for name in channels)
