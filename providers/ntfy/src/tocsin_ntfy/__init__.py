"""ntfy for Tocsin: alerts on phones and desktops."""

from typing import ClassVar

import attrs

from tocsin import (
    AlertLevel,
    Delivery,
    Limits,
    Message,
    Provider,
    Receipt,
    Registrar,
    Secret,
    hookimpl,
    http,
)

__all__ = ["Ntfy", "tocsin_register"]

_PRIORITIES = {AlertLevel.INFO: 3, AlertLevel.WARN: 4, AlertLevel.ERROR: 5}
_SIGNS = {
    AlertLevel.INFO: [],
    AlertLevel.WARN: ["warning"],
    AlertLevel.ERROR: ["rotating_light"],
}
_SERVICE = http.Service(
    "ntfy",
    remedies={
        401: "make a new access token, and put it where the channel's token refers to",
        403: "let the token's user write to the topic",
    },
    said=["error"],
)


@attrs.frozen(kw_only=True)
class Ntfy(Provider):
    """A topic of an ntfy server."""

    topic: str = attrs.field(
        metadata={"help": "The topic's name. On ntfy.sh whoever knows it can read it."}
    )
    token: Secret = attrs.field(
        default=Secret(),
        metadata={"help": "An access token, tk_…, if the topic wants one."},
    )
    url: str = attrs.field(
        default="https://ntfy.sh",
        validator=http.confidential,
        metadata={"help": "The server's address."},
    )

    name: ClassVar[str] = "ntfy"
    # a message is 4,096 bytes: docs.ntfy.sh/publish/#limitations; a title is cut for screens
    limits: ClassVar[Limits] = Limits(title=250, text=4096, unit="bytes")

    def deliver(self, message: Message, delivery: Delivery) -> Receipt:
        """Publish the message, as JSON: its text is never in a header."""
        alert = message.alert
        post = {
            "topic": self.topic,
            "title": message.title,
            "message": message.body,
            "priority": _PRIORITIES[alert.level],
            "tags": _SIGNS[alert.level],
        }
        if alert.url.startswith(("https://", "http://")):
            post["click"] = alert.url
        answer = _SERVICE.post(
            self.url, json=post, headers=self._headers(), timeout=delivery.timeout
        )
        return Receipt(reference=answer.text_at("id"), place=self.topic)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token.reveal()}"} if self.token else {}


@hookimpl
def tocsin_register(registrar: Registrar) -> None:
    """Offer ntfy."""
    registrar.provider(Ntfy)
