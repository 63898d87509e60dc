# no `from __future__ import annotations`: the fields' types are read from the class
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from tocsin import Provider, Secret

if TYPE_CHECKING:
    from tocsin_apprise._sender import AppriseSender


def _url(_: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
    if not isinstance(value, Secret):
        raise TypeError(f"{attribute.name} must be a Secret")
    # a reference is resolved, and looked at, when a message is sent
    if value.reference is None and "://" not in value.reveal():
        raise ValueError(
            f"{attribute.name} must be an Apprise URL, such as ntfy://host/topic"
        )


@attrs.frozen(kw_only=True)
class Apprise(Provider):
    """Any service that Apprise has a URL for.

    Raises:
        TypeError: `url` is no Secret.
        ValueError: `url` is no URL.

    """

    url: Secret = attrs.field(
        validator=_url,
        metadata={
            "help": "The Apprise URL of one service: appriseit.com/services lists them.",
            "example": "ntfy://host/topic",
        },
    )

    name: ClassVar[str] = "apprise"

    def open(self) -> "AppriseSender":
        """Return a sender; apprise and all its services are imported here."""
        from tocsin_apprise._sender import AppriseSender

        return AppriseSender(self.url)

    def check(self, timeout: float) -> str:  # noqa: ARG002 - Apprise can ask no service
        """Say which service the URL is for; it is not asked.

        Raises:
            OutOfOrder: Apprise does not take the URL.
            SecretUnavailable: The URL's reference does not resolve.

        """
        return self.open().check()
