"""Gotify for Tocsin."""

from typing import Any, ClassVar

import attrs
import tocsin
from tocsin import http

_PRIORITIES = {
    tocsin.AlertLevel.INFO: 2,  # a phone shows it in silence,
    tocsin.AlertLevel.WARN: 5,  # makes a sound from 4 on,
    tocsin.AlertLevel.ERROR: 8,  # and comes to the front from 8 on
}

_SERVICE = http.Service(
    "Gotify",
    remedies={
        401: "make an application in Gotify, and put its token where the channel's "
        "token refers to",
        404: "correct the channel's url: it is the server's address, without a path",
    },
    said=["errorDescription"],
)


@attrs.frozen(kw_only=True)
class Gotify(tocsin.Provider):
    """An application of a Gotify server."""

    url: str = attrs.field(
        validator=http.confidential,
        metadata={"help": "The server's address.", "example": "https://gotify.lan"},
    )
    token: tocsin.Secret = attrs.field(metadata={"help": "The application's token."})

    name: ClassVar[str] = "gotify"
    # Gotify states no limits; phones show so much
    limits: ClassVar[tocsin.Limits] = tocsin.Limits(title=250, text=4000)
    attaches: ClassVar[bool] = False

    def deliver(
        self, message: tocsin.Message, delivery: tocsin.Delivery
    ) -> tocsin.Receipt:
        """Post the message: one attempt."""
        answer = _SERVICE.post(
            self._address("message"),
            json={
                "title": message.title,
                "message": message.body,
                "priority": _PRIORITIES[message.alert.level],
                "extras": _extras(message.alert.url),
            },
            headers={"X-Gotify-Key": self.token.reveal()},
            timeout=delivery.timeout,
        )
        return tocsin.Receipt(reference=answer.text_at("id"))

    def check(self, timeout: float) -> str:
        """Ask the server for its version: an application's token may read nothing."""
        answer = _SERVICE.get(self._address("version"), timeout=timeout)
        return f"Gotify {answer.text_at('version')} answers; a test tells of the token"

    def _address(self, path: str) -> str:
        return f"{self.url.rstrip('/')}/{path}"


def _extras(url: str) -> dict[str, Any]:
    plain = {"client::display": {"contentType": "text/plain"}}
    if not url.startswith(("https://", "http://")):
        return plain
    return {**plain, "client::notification": {"click": {"url": url}}}


@tocsin.hookimpl
def tocsin_register(registrar: tocsin.Registrar) -> None:
    """Offer the provider."""
    registrar.provider(Gotify)
