"""Which thread a message belongs to. Pure."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from tocsin import AlertLevel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tocsin import Alert, Delivery, Message, Receipt

_TS = re.compile(r"\d{1,20}\.\d{1,20}")


def run_of(alert: Alert) -> str:
    """Return what only the alerts of one run share; nothing without a run."""
    origin = alert.origin
    return json.dumps([origin.project, origin.run]) if origin.run else ""


def root_of(delivery: Delivery) -> str:
    """Return the `ts` of the message to reply to, or nothing.

    Slack advises to name a thread's first message, and no reply in it:
    https://docs.slack.dev/reference/methods/chat.postMessage#arg_thread_ts
    """
    return next(filter(None, map(ts_of, _candidates(delivery))), "")


def ts_of(receipt: Receipt) -> str:
    """Return the message's `ts`; nothing where a webhook, or another service, sent it."""
    return receipt.reference if _TS.fullmatch(receipt.reference) else ""


def as_reply(message: Message, root: str) -> dict[str, Any]:
    """Return the arguments that make the message a reply, if there is what to reply to.

    Slack tells of a reply only who has to do with the thread, so the channel is shown an
    error as well; not that something is over, which the message itself comes to say.
    """
    if not root:
        return {}
    return {"thread_ts": root, "reply_broadcast": _is_loud(message.alert)}


def _is_loud(alert: Alert) -> bool:
    return alert.level is AlertLevel.ERROR and alert.kind != "resolved"


def _candidates(delivery: Delivery) -> Iterator[Receipt]:
    if delivery.thread:
        yield delivery.thread
    if delivery.resolves:
        yield delivery.resolves.receipt
