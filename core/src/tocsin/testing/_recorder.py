"""A channel whose service is a list in this process."""

from __future__ import annotations

import contextlib
import copy
from collections import deque
from typing import TYPE_CHECKING

import attrs

from tocsin._provider import Provider, Receipt
from tocsin.testing._records import Sent

if TYPE_CHECKING:
    from tocsin._alert import Alert
    from tocsin._errors import DeliveryError
    from tocsin._provider import Delivery, Message


@attrs.frozen
class Arrival:
    """A message, and when it came: between which two looks, and in which channel's turn."""

    sent: Sent
    look: int
    turn: int


class Inbox:
    """What arrived at the channels of a capture, and what they answer.

    There is no lock, which a child that is forked would inherit: each step is one of a list
    or a dict.
    """

    def __init__(self) -> None:
        self._arrived: list[Arrival] = []
        self._errors: dict[str, deque[DeliveryError]] = {}
        self._broken: dict[str, DeliveryError] = {}
        self._looks = 0

    def take(self, message: Message, delivery: Delivery, turn: int) -> Receipt:
        """Take a message, or raise what the channel is to fail with."""
        error = self._error(delivery.channel)
        if error is not None:
            raise copy.copy(error)  # it is changed on its way
        self._arrived.append(Arrival(Sent(message, delivery), self._looks, turn))
        return Receipt(reference=str(len(self._arrived)), place=delivery.channel)

    def _error(self, channel: str) -> DeliveryError | None:
        with contextlib.suppress(IndexError):
            return self._errors.get(channel, deque()).popleft()
        return self._broken.get(channel)

    def note_look(self) -> None:
        """Note that all that was due has arrived: what comes later is later."""
        self._looks += 1

    def arrived(self) -> list[Arrival]:
        """Return what has arrived so far."""
        return list(self._arrived)

    def fail(self, channel: str, error: DeliveryError, times: int | None) -> None:
        """Have a channel fail, so often or until it is mended."""
        if times is None:
            self._broken[channel] = error
        else:
            self._errors.setdefault(channel, deque()).extend([error] * times)

    def mend(self, channel: str) -> None:
        """Have a channel work again."""
        self._errors.pop(channel, None)
        self._broken.pop(channel, None)


@attrs.frozen
class Recorder(Provider):
    """A channel of a capture; by itself it takes messages as they come."""

    inbox: Inbox = attrs.field(repr=False)
    turn: int = 0
    original: Provider | None = attrs.field(default=None, repr=False)

    name = "recorder"
    concurrency = 1  # so that a channel has its messages in their order

    def deliver(self, message: Message, delivery: Delivery) -> Receipt:
        """Take the message."""
        return self.inbox.take(message, delivery, self.turn)

    def conversation(self, alert: Alert) -> str:
        """Return what the channel's own provider says."""
        return "" if self.original is None else self.original.conversation(alert)


def recorder_for(provider: Provider, inbox: Inbox, turn: int) -> Recorder:
    """Return a recorder that gets what the provider would: its limits, its templates."""
    if isinstance(provider, Recorder):
        return type(provider)(inbox, turn, provider.original)
    kind = type(provider)
    likeness = {
        "__module__": kind.__module__,  # where its templates are
        "__slots__": (),
        "name": kind.name,
        "limits": kind.limits,
        "templates": kind.templates,
        "escape": staticmethod(kind.escape),
    }
    like: type[Recorder] = type(kind.__name__, (Recorder,), likeness)
    return like(inbox, turn, provider)
