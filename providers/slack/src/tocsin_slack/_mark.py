"""What a message says is over is marked as such, where that stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from tocsin import Ambiguous, Rejected, RetryLater
from tocsin_slack._resolved import compose_resolved
from tocsin_slack._thread import ts_of

if TYPE_CHECKING:
    from tocsin import Earlier, Message
    from tocsin_slack._blocks import Payload
    from tocsin_slack._clients import Bot
    from tocsin_slack._progress import Progress
    from tocsin_slack._provider import Slack


def mark(
    bot: Bot, earlier: Earlier, message: Message, settings: Slack, progress: Progress
) -> Progress:
    """Edit the earlier message, unless an attempt before did.

    An edit that Slack refuses is told and no more: the reply says the same.

    Raises:
        RetryLater: It was not edited, and may be later.

    """
    if progress.is_marked:
        return progress
    edited = compose_resolved(earlier.message, settings, message.alert.created_at)
    with progress.kept():
        reason = _refusal(bot, earlier, edited)
    return attrs.evolve(progress, is_marked=True, unmarked=reason)


def _refusal(bot: Bot, earlier: Earlier, edited: Payload) -> str:
    """Edit the message; return why that was refused, or nothing."""
    place = {"channel": earlier.receipt.place, "ts": ts_of(earlier.receipt)}
    if not all(place.values()):
        return "Slack did not say where it is"
    try:
        bot.call("chat.update", json=edited | place)
    except Rejected as refusal:
        return refusal.reason
    except Ambiguous as lost:
        # to edit twice does no harm, and the reply has surely not arrived
        raise RetryLater(lost.reason, remedy=lost.remedy) from None
    return ""
