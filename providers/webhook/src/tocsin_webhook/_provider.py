# no `from __future__ import annotations`: the fields' types are read from the class
from typing import ClassVar

import attrs

from tocsin import Delivery, Message, Provider, Receipt, Secret, http
from tocsin_webhook import _wandb as wandb
from tocsin_webhook._payload import payload
from tocsin_webhook._signature import signed

_SERVICE = http.Service(
    "the webhook",
    remedies={410: "it wants no more: remove the channel, or correct its address"},
)
_SERVICE_IN_CLEAR = attrs.evolve(_SERVICE, allows_clear_text=True)
_HELD = {"content-length", "content-type", "host", "transfer-encoding"}


def _payload_of_wandb(_: object, __: object, value: str) -> None:
    if value:
        wandb.check(value)


def _headers(_: object, __: object, value: tuple[str, ...]) -> None:
    for line in value:
        name, colon, content = line.partition(":")
        is_name = name.isascii() and name.replace("-", "").isalnum()
        if not (colon and is_name and content.isascii() and content.isprintable()):
            raise ValueError(f'{line!r} is no header: write "Name: value", in ASCII')
        if name.lower() in _HELD or name.lower().startswith("webhook-"):
            raise ValueError(f"the header {name} is set by Tocsin: leave it out")


@attrs.frozen(kw_only=True)
class Webhook(Provider):
    """An address that alerts are posted to, as Standard Webhooks 1.0.0 says.

    Raises:
        ValueError: The address is no https:// address, or a payload or header is none.

    """

    url: Secret = attrs.field(
        metadata={
            "help": "The address, https://…. It may hold a token.",
            "example": "https://example.org/hooks/tocsin",
        }
    )
    secret: Secret = attrs.field(
        default=Secret(),
        metadata={
            "help": "Signs each request: whsec_… (Standard Webhooks).",
            "example": "whsec_…",
        },
    )
    previous_secret: Secret = attrs.field(
        default=Secret(),
        metadata={
            "help": "Signs as well, while the receiver changes to the new one.",
            "ask": False,
        },
    )
    access_token: Secret = attrs.field(
        default=Secret(),
        metadata={"help": "Sent as Authorization: Bearer ….", "ask": False},
    )
    headers: tuple[str, ...] = attrs.field(
        default=(),
        validator=_headers,
        metadata={
            "help": 'Further headers, "Name: value"; no secrets.',
            "ask": False,
        },
    )
    template: str = attrs.field(
        default="",
        metadata={
            "help": "A jinja2 template of the body, a file in the folder templates/webhook "
            "beside the configuration. Empty: the alert as JSON.",
            "ask": False,
        },
    )
    wandb_payload: str = attrs.field(
        default="",
        validator=_payload_of_wandb,
        metadata={
            "help": "The body as W&B writes it: JSON with ${variable} in its texts.",
            "ask": False,
        },
    )
    wandb_secret: Secret = attrs.field(
        default=Secret(),
        metadata={"help": "Signs as W&B does: X-Wandb-Signature.", "ask": False},
    )
    allow_private: bool = attrs.field(
        default=False,
        metadata={
            "help": "Send to private, loopback and link-local addresses too, and to http://."
        },
    )

    name: ClassVar[str] = "webhook"
    concurrency: ClassVar[int] = (
        32  # receivers differ: as many as a process may have at all
    )

    def __attrs_post_init__(self) -> None:
        if self.template and self.wandb_payload:
            raise ValueError("give either template or wandb_payload, and not both")
        if not self.allow_private:
            http.confidential(self, attrs.fields(Webhook).url, self.url)

    def open(self) -> "WebhookSender":
        """Return a sender, which has the channel's own template."""
        return WebhookSender(self)

    @property
    def service(self) -> http.Service:
        """Who is spoken to."""
        return _SERVICE_IN_CLEAR if self.allow_private else _SERVICE

    def check(self, timeout: float) -> str:
        """Connect to the address's host, and send nothing.

        Raises:
            DeliveryError: It cannot be reached, or may not be.

        """
        return self.service.reach(
            self.url.reveal(), timeout=timeout, allows_private=self.allow_private
        )


class WebhookSender:
    """Posts alerts; the connections are kept by all together."""

    def __init__(self, settings: Webhook) -> None:
        self._settings = settings
        self.templates = {"body": settings.template} if settings.template else {}

    def deliver(self, message: Message, delivery: Delivery) -> Receipt:
        """Post the alert, signed anew."""
        settings, body = self._settings, self._body(message, delivery)
        secrets = [settings.secret, settings.previous_secret]
        headers = {
            "Content-Type": "application/json",
            **dict(line.split(":", 1) for line in settings.headers),
            **signed(body, delivery.id, secrets),
        }
        headers = {name: value.strip() for name, value in headers.items()}
        if settings.access_token:
            headers["Authorization"] = f"Bearer {settings.access_token.reveal()}"
        if settings.wandb_secret:
            headers["X-Wandb-Signature"] = wandb.signature(body, settings.wandb_secret)
        answer = settings.service.post(
            settings.url.reveal(),
            data=body,
            headers=headers,
            timeout=delivery.timeout,
            allows_private=settings.allow_private,
        )
        return Receipt(reference=answer.headers.get("x-request-id", ""))

    def _body(self, message: Message, delivery: Delivery) -> bytes:
        if "body" in message.parts:
            return message.parts["body"].encode()
        if self._settings.wandb_payload:
            return wandb.filled(self._settings.wandb_payload, message).encode()
        return payload(message, delivery)

    def close(self) -> None:
        """Do nothing."""
