"""ntfy for Tocsin: alerts on phones and desktops."""

import re
from typing import Any, ClassVar

import attrs
from attrs.validators import matches_re

from tocsin import (
    AlertLevel,
    Delivery,
    Limits,
    Message,
    OutOfOrder,
    Provider,
    Receipt,
    Registrar,
    Secret,
    hookimpl,
    http,
)

__all__ = ["Ntfy", "tocsin_register"]

# 3 rings once, 4 and 5 insist: docs.ntfy.sh/publish/#message-priority
_PRIORITIES = {AlertLevel.INFO: 3, AlertLevel.WARN: 4, AlertLevel.ERROR: 5}
# shown as emoji before the title: docs.ntfy.sh/publish/#tags-emojis
_SIGNS = {
    AlertLevel.INFO: [],
    AlertLevel.WARN: ["warning"],
    AlertLevel.ERROR: ["rotating_light"],
}
_OVER = ["white_check_mark"]
_LINK = 300  # bytes; a longer one is in the text alone
_ID = re.compile(r"[-_A-Za-z0-9]{1,64}")  # of topics, and of messages
_DISALLOWED = 40010  # a topic's name that ntfy keeps for itself: server/errors.go


_SERVICE = http.Service(
    "ntfy",
    remedies={
        401: "make a new access token, and put it where the channel's token refers to",
        403: "let the token's user write to the topic, or give the channel a token",
        404: "correct the channel's url: it is the server's address, without the topic",
        413: "let the server take messages of 4,096 bytes (message-size-limit)",
    },
    said=["error"],
    code=["code"],
    codes={_DISALLOWED: (OutOfOrder, "choose another topic: ntfy keeps this name")},
)


@attrs.frozen(kw_only=True)
class Ntfy(Provider):
    """A topic of an ntfy server."""

    topic: str = attrs.field(
        validator=matches_re(_ID),
        metadata={
            "help": "The topic's name. On ntfy.sh whoever knows it can read it, unless it "
            "is reserved.",
            "example": "ada-3f9c1d7e",
        },
    )
    token: Secret = attrs.field(
        default=Secret(),
        metadata={"help": "An access token, `tk_…`, if the topic wants one."},
    )
    url: str = attrs.field(
        default="https://ntfy.sh",
        validator=http.confidential,
        metadata={"help": "The server's address."},
    )

    name: ClassVar[str] = "ntfy"
    attaches: ClassVar[bool] = False
    # A message may have 4,096 bytes: docs.ntfy.sh/publish/#limitations. As JSON it may have
    # twice that with all around it (server.go, transformBodyJSON), and a quotation mark is
    # two bytes there. A title has no limit of its own; phones show a line or two.
    limits: ClassVar[Limits] = Limits(title=250, text=3400, unit="bytes")

    def deliver(self, message: Message, delivery: Delivery) -> Receipt:
        """Publish the message, as JSON: its text is never in a header."""
        answer = _SERVICE.post(
            self._address(""),
            json={"topic": self.topic, **_post(message, delivery)},
            headers=self._headers(),
            timeout=delivery.timeout,
        )
        return Receipt(reference=answer.text_at("id"), place=self.topic)

    def check(self, timeout: float) -> str:
        """Ask who the token is, or else whether the server is well."""
        if not self.token:
            _SERVICE.get(self._address("/v1/health"), timeout=timeout)
            return (
                f"{self.url} answers; whether the topic may be written to, a test tells"
            )
        answer = _SERVICE.get(
            self._address("/v1/account"), headers=self._headers(), timeout=timeout
        )
        return f"{self.url} knows the token as {answer.text_at('username')}"

    def _address(self, path: str) -> str:
        return self.url.rstrip("/") + (path or "/")

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token.reveal()}"} if self.token else {}


def _post(message: Message, delivery: Delivery) -> dict[str, Any]:
    alert, over = message.alert, message.alert.kind == "resolved"
    post = {
        "title": message.title,
        "message": message.body,
        "priority": _PRIORITIES[alert.level],
        "tags": _OVER if over else _SIGNS[alert.level],
    }
    if message.link and len(message.link.encode()) <= _LINK:
        post["click"] = message.link
    earlier = delivery.resolves.receipt.reference if delivery.resolves else ""
    if _ID.fullmatch(earlier):  # it takes the place of the message that it says is over
        post["sequence_id"] = earlier  # docs.ntfy.sh/publish/#updating-notifications
    return post


@hookimpl
def tocsin_register(registrar: Registrar) -> None:
    """Offer ntfy."""
    registrar.provider(Ntfy)
