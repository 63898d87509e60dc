"""Writing down what came of deliveries, in the book of one namespace."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import attrs

from tocsin._circuit import CLOSED
from tocsin._provider import Receipt
from tocsin._retry import HORIZON, Delivered, Failed, Pending
from tocsin._store._document._circuits import circuit_of, settle_circuit
from tocsin._store._document._tables import (
    ConversationRow,
    due_of,
    held_by,
    new_delivery,
    on_channel,
    pending,
)
from tocsin._store._port import Claim, Settled, Turn
from tocsin._text import storable

if TYPE_CHECKING:
    from tocsin._retry import Outcome
    from tocsin._store._document._tables import AlertRow, Book, DeliveryRow

ORIGINAL_DELAY = 1.0
"""Seconds that a resolution waits for the alert that it ends."""
_TURN_DELAY = 0.5  # seconds until a delivery looks again whether its turn has come


def settle(
    book: Book, claim: Claim, outcome: Outcome, now: float, fallback: str
) -> Settled | None:
    """Write down what came of an attempt, for the delivery and its channel."""
    held = list(held_by(book, claim))
    if not held:
        return None
    outcome = _excused(book, claim, outcome, now)
    for alert, delivery in held:
        if isinstance(outcome, Pending):
            _retry(delivery, outcome)
            continue
        finish(delivery, outcome, now)
        _call_resolution(book, claim.channel, alert["number"], now)
        if isinstance(outcome, Delivered):
            _drop_attachments(alert)
        elif fallback:
            _add_fallback(alert, delivery, fallback, outcome.reason, now)
    receipt = outcome.receipt if isinstance(outcome, Delivered) else None
    _settle_conversation(book, claim, receipt, now)
    before, after = settle_circuit(book, claim.channel, outcome, now)
    return Settled(outcome, before, after)


def _excused(book: Book, claim: Claim, outcome: Outcome, now: float) -> Outcome:
    """Keep what was under way when another delivery found the channel out of order."""
    if not isinstance(outcome, Failed) or not outcome.is_out_of_order:
        return outcome
    if not circuit_of(book, claim.channel).is_out_of_order:
        return outcome
    if claim.progress.is_probe:  # it was kept before, and is too old by now
        return outcome
    reason, remedy = outcome.reason, outcome.remedy
    return Pending(due=now, reason=reason, remedy=remedy, is_out_of_order=True)


def _retry(delivery: DeliveryRow, outcome: Pending) -> None:
    delivery["due"], delivery["token"], delivery["claims"] = outcome.due, 0, 0
    delivery["ambiguous"] += outcome.ambiguous
    delivery["state"] = json.loads(json.dumps(outcome.state, default=str))
    delivery["reason"] = storable(outcome.reason)
    delivery["remedy"] = storable(outcome.remedy)


def finish(delivery: DeliveryRow, outcome: Delivered | Failed, now: float) -> None:
    """Write the end of a delivery down."""
    if isinstance(outcome, Delivered):
        delivery["status"] = "delivered"
        delivery["receipt"] = attrs.asdict(outcome.receipt)
        delivery["reason"] = delivery["remedy"] = ""
    else:
        delivery["status"], delivery["receipt"] = "failed", None
        delivery["reason"] = storable(outcome.reason)
        delivery["remedy"] = storable(outcome.remedy)
    delivery["due"], delivery["settled_at"] = None, now
    delivery["token"] = delivery["claims"] = 0


def silence(delivery: DeliveryRow, reason: str, now: float) -> None:
    """End a delivery that is not to be made."""
    delivery["status"], delivery["reason"] = "silenced", storable(reason)
    delivery["due"], delivery["token"], delivery["settled_at"] = None, 0, now


def _drop_attachments(alert: AlertRow) -> None:
    """Forget the contents, unless a delivery may still need them."""
    if all(delivery["status"] == "delivered" for delivery in alert["deliveries"]):
        alert["attachments"] = []


def _call_resolution(book: Book, channel: str, number: int, now: float) -> None:
    """Let what waits to say that this alert is over go after it."""
    for alert, delivery in pending(book, channel):
        is_waiting = not delivery["token"] and now < due_of(delivery)
        if (
            alert["resolves"] == number
            and is_waiting
            and due_of(delivery) <= now + ORIGINAL_DELAY
        ):
            delivery["due"] = now


def _add_fallback(
    alert: AlertRow, delivery: DeliveryRow, fallback: str, reason: str, now: float
) -> None:
    """Send the alert to the other channel, unless it goes there already."""
    if on_channel(alert, fallback) is not None:
        return
    note = f"It could not be delivered to {delivery['channel']}: {reason}"
    alert["deliveries"].append(
        new_delivery(fallback, now, digest=delivery["digest"], note=storable(note))
    )


def hand_over(
    book: Book,
    channel: str,
    fallback: str,
    now: float,
    after: float,
    *,
    is_broken: bool,
) -> int:
    """See `Store.hand_over`."""
    circuit = circuit_of(book, channel)
    if circuit == CLOSED and not is_broken:
        return 0
    since = 0.0 if circuit.since is None or is_broken else circuit.since
    found = [
        (alert, delivery)
        for alert, delivery in pending(book, channel)
        if _has_waited(alert, delivery, since, now, now - after)
    ]
    for alert, delivery in found:
        why = delivery["reason"] or circuit.reason or "the channel is out of order"
        reason = f"{why} (given to {fallback})"
        finish(delivery, Failed(reason=reason, remedy=circuit.remedy), now)
        _add_fallback(alert, delivery, fallback, why, now)
    return len(found)


def _has_waited(
    alert: AlertRow, delivery: DeliveryRow, since: float, now: float, before: float
) -> bool:
    if delivery["token"] and due_of(delivery) > now:  # it is under way
        return False
    if (delivery["not_before"] or 0.0) > before:
        return False
    began = delivery["first_attempt_at"]
    is_old = began is not None and began <= before
    return is_old or max(alert["submitted_at"], since) <= before


def join(book: Book, claim: Claim, conversation: str, now: float) -> Receipt | Turn:
    """See `Store.join`."""
    known = book["conversations"].setdefault(claim.channel, {})
    row = known.get(conversation)
    if row is not None and row["receipt"] is not None:
        return Receipt(**row["receipt"])
    is_held = row is not None and now < row["until"] <= now + HORIZON
    if row is not None and is_held and row["token"] not in {0, claim.token}:
        give_back(book, claim, now + _TURN_DELAY)
        return Turn.WAIT
    until = min(claim.lease_until, now + HORIZON)
    known[conversation] = ConversationRow(
        token=claim.token, until=until, receipt=None, at=now
    )
    return Turn.BEGIN


def _settle_conversation(
    book: Book, claim: Claim, receipt: Receipt | None, now: float
) -> None:
    """Let those go that wait for this one to begin: to reply to it, or to begin instead."""
    began = _begun_by(book, claim)
    if receipt is None:
        _leave(book, claim)
    for row in began:
        row["receipt"] = None if receipt is None else attrs.asdict(receipt)
        row["token"] = 0
    for _, delivery in pending(book, claim.channel) if began else ():
        is_free = not delivery["token"] and delivery["not_before"] is None
        if is_free and now < due_of(delivery) <= now + _TURN_DELAY:
            delivery["due"] = now


def _begun_by(book: Book, claim: Claim) -> list[ConversationRow]:
    known = book["conversations"].get(claim.channel, {})
    return [row for row in known.values() if row["token"] == claim.token]


def _leave(book: Book, claim: Claim) -> None:
    """Forget that this claim was to begin a conversation."""
    known = book["conversations"].get(claim.channel, {})
    for name in [name for name, row in known.items() if row["token"] == claim.token]:
        del known[name]


def give_back(book: Book, claim: Claim, due: float, reason: str = "") -> None:
    """See `Store.release`."""
    _leave(book, claim)
    for _, delivery in held_by(book, claim):
        delivery["due"], delivery["token"] = due, 0
        if reason:
            delivery["reason"], delivery["remedy"] = storable(reason), ""
        delivery["claims"] -= 1
        delivery["attempts"] -= 1
        if not delivery["attempts"]:
            delivery["first_attempt_at"] = None


def requeue(alert: AlertRow, channel: str, now: float) -> bool:
    """See `Store.requeue`."""
    for position, delivery in enumerate(alert["deliveries"]):
        if delivery["channel"] == channel and delivery["status"] != "pending":
            alert["deliveries"][position] = new_delivery(
                channel, now, note=delivery["note"]
            )
            return True
    return False


def forget(book: Book, before: float) -> int:
    """Forget what was settled, and what else is old; return how many alerts that were."""
    old = [
        alert
        for alert in book["alerts"].values()
        if alert["submitted_at"] < before
        and all(delivery["status"] != "pending" for delivery in alert["deliveries"])
    ]
    for alert in old:
        del book["alerts"][str(alert["number"])]
        if book["ids"].get(alert["id"]) == alert["number"]:
            del book["ids"][alert["id"]]
    _forget_rest(book, before)
    return len(old)


def _forget_rest(book: Book, before: float) -> None:
    adopted, windows, silences = book["adopted"], book["windows"], book["silences"]
    book["adopted"] = {name: at for name, at in adopted.items() if at >= before}
    book["silences"] = {
        name: row for name, row in silences.items() if row["ends_at"] >= before
    }
    book["windows"] = {
        key: row
        for key, row in windows.items()
        if max(row["admitted_at"], row["suppressed_since"] or 0.0) >= before
    }
    book["runs"] = [row for row in book["runs"] if row["beat_at"] >= before]
    for known in book["conversations"].values():
        for name in [name for name, row in known.items() if row["at"] < before]:
            del known[name]
