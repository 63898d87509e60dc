from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from tocsin import OutOfOrder, Receipt
from tocsin.http import Deadline, Service, is_confidential
from tocsin_slack._blocks import compose
from tocsin_slack._clients import Webhook
from tocsin_slack._filename import filename
from tocsin_slack._outcome import LayoutRefused
from tocsin_slack._progress import Progress

if TYPE_CHECKING:
    from tocsin import Delivery, Message
    from tocsin_slack._provider import Slack


@attrs.frozen
class WebhookSender:
    """Posts to an incoming webhook, which names its channel itself."""

    _settings: Slack

    def deliver(self, message: Message, delivery: Delivery) -> Receipt:
        """Post the message; its attachments cannot go along, and are named instead.

        Raises:
            DeliveryError: It did not succeed.
            SecretUnavailable: The URL's reference does not resolve.

        """
        self._check_address()
        progress = Progress.parse(delivery.state)
        webhook = Webhook(self._url(), Deadline.after(delivery.timeout))
        left_behind = tuple(map(filename, message.attachments))
        payload = compose(message, self._settings, progress, left_behind)
        try:
            with progress.kept():
                webhook.post(payload)
        except LayoutRefused as refusal:
            raise progress.after_layout(refusal) from None
        notes = (progress.note, _note(left_behind))
        return Receipt(note=" ".join(filter(None, notes)))

    def check(self, timeout: float) -> str:
        """Connect to the webhook's host; a webhook itself is tried only by posting.

        Raises:
            DeliveryError: The host is out of reach.

        """
        self._check_address()
        return Service("Slack").reach(self._url(), timeout=timeout)

    def close(self) -> None:
        """Do nothing: connections are kept by all together."""

    def _check_address(self) -> None:
        if not is_confidential(self._url()):
            raise OutOfOrder(
                "the webhook's URL is no https:// address",
                remedy="copy it from your app's page Incoming Webhooks at "
                "api.slack.com/apps",
            )

    def _url(self) -> str:
        return self._settings.webhook_url.reveal().strip()


def _note(left_behind: tuple[str, ...]) -> str:
    if not left_behind:
        return ""
    return f"Not attached, as a webhook carries no files: {', '.join(left_behind)}."
