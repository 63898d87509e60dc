"""What a capture has to show: one message, or one that is not sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tocsin._alert import Alert, AlertLevel
    from tocsin._attachment import Attachment
    from tocsin._provider import Delivery, Message
    from tocsin._store import Status


@attrs.frozen
class Sent:
    """A message that a channel got: what was raised is in `alert`."""

    message: Message
    """As it was rendered for that channel: cut to its limits, in its templates."""
    delivery: Delivery

    @property
    def channel(self) -> str:
        """The name of the channel that got it."""
        return self.delivery.channel

    @property
    def alert(self) -> Alert:
        """What it tells of; of a digest, one alert that lists them all."""
        return self.message.alert

    @property
    def title(self) -> str:
        """The alert's title."""
        return self.alert.title

    @property
    def text(self) -> str:
        """The alert's text; what else the message says is in `message.body`."""
        return self.alert.text

    @property
    def level(self) -> AlertLevel:
        """The alert's level."""
        return self.alert.level

    @property
    def kind(self) -> str:
        """The alert's kind: ``scriptable``, ``crashed``, ``resolved``, …."""
        return self.alert.kind

    @property
    def tags(self) -> tuple[str, ...]:
        """The alert's tags, the run's among them."""
        return self.alert.tags

    @property
    def fields(self) -> Mapping[str, str]:
        """The alert's fields."""
        return self.alert.fields

    @property
    def user(self) -> str:
        """Whose alert it is."""
        return self.alert.origin.user

    @property
    def team(self) -> str:
        """For which team it was raised, if any."""
        return self.alert.origin.team

    @property
    def project(self) -> str:
        """The project of the run, if any."""
        return self.alert.origin.project

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences that Tocsin adds: how many were suppressed, that it is late, …."""
        return self.message.notes

    @property
    def attachments(self) -> tuple[Attachment, ...]:
        """What comes along with it."""
        return self.message.attachments


@attrs.frozen(kw_only=True)
class Unsent:
    """An alert to one channel that did not get it, or not yet."""

    alert: Alert
    channel: str
    status: Status
    """Pending, failed, or silenced."""
    reason: str

    @property
    def title(self) -> str:
        """The alert's title."""
        return self.alert.title
