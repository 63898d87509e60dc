# no `from __future__ import annotations`: the fields' types are read from the class
from collections.abc import Iterable, Mapping
from typing import ClassVar, Literal

import attrs

from tocsin import Limits, Provider, Secret, Sender
from tocsin_email._address import Address

Tls = Literal["starttls", "implicit", "none"]
Threads = Literal["", "run"]

_PORTS = {"starttls": 587, "implicit": 465, "none": 25}
_MAX_PORT = 65535
_MAX_LABEL = 63  # characters between two dots (RFC 1035, 2.3.4)


def _several(value: Iterable[str] | str) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, Iterable):
        raise TypeError(
            f"to must be an address or a list of addresses, not {type(value).__name__}"
        )
    return tuple(value)


def _string(_: object, attribute: "attrs.Attribute[str]", value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{attribute.name} must be a str, not {type(value).__name__}")
    if not value.isprintable():
        raise ValueError(f"{attribute.name} holds a control character: remove it")


def _address(_: object, attribute: "attrs.Attribute[str]", value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{attribute.name} must be a str, not {type(value).__name__}")
    Address.parse(value)


def _addresses(
    _: object, attribute: "attrs.Attribute[tuple[str, ...]]", value: tuple[object, ...]
) -> None:
    if not value:
        raise ValueError("to is empty: name at least one address")
    for item in value:
        if not isinstance(item, str):
            raise TypeError(
                f"{attribute.name} must hold addresses, not {type(item).__name__}"
            )
        Address.parse(item)


def _host(_: object, __: object, value: str) -> None:
    labels = value.removesuffix(".").split(".")
    is_name = all(0 < len(label) <= _MAX_LABEL for label in labels)
    if not is_name or not all("!" <= character <= "~" for character in value):
        raise ValueError(
            f"host must be the mail server's name, as smtp.example.org, not {value!r}"
        )
    if "/" in value or value.count(":") == 1:
        raise ValueError(
            f"host must be a name alone, not {value!r}: the port goes into port, "
            "and tls says how it is encrypted"
        )


def _tls(_: object, __: object, value: object) -> None:
    if value not in list(_PORTS):  # a list takes what cannot be hashed as well
        known = ", ".join(f'"{name}"' for name in _PORTS)
        raise ValueError(f"tls must be one of {known}, not {value!r}")


def _threads(_: object, __: object, value: object) -> None:
    if value not in ["", "run"]:  # a list takes what cannot be hashed as well
        raise ValueError(f'threads must be "run" or "", not {value!r}')


def _port(_: object, __: object, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"port must be an int, not {type(value).__name__}")
    if not 0 < value <= _MAX_PORT:
        raise ValueError(f"port must be from 1 to {_MAX_PORT}, not {value}")


def _usual_port(settings: "Email") -> int:
    return _PORTS.get(str(settings.tls), _PORTS["starttls"])


def _secret(_: object, attribute: "attrs.Attribute[Secret]", value: object) -> None:
    if not isinstance(value, Secret):  # the value is not told: it is the password
        raise TypeError(
            f"{attribute.name} must be a Secret, not {type(value).__name__}: "
            f'{attribute.name}=Secret("…")'
        )


@attrs.frozen(kw_only=True)
class Email(Provider):
    """Mail to one or several addresses, by way of an SMTP server.

    Raises:
        TypeError: A setting has the wrong type.
        ValueError: A setting is wrong, or two contradict one another; the message says
            what to change.

    """

    to: tuple[str, ...] = attrs.field(
        converter=_several,
        validator=_addresses,
        metadata={
            "help": "Who gets the mail: an address, or a list of them. "
            '"Ada <ada@example.org>" will do.',
            "example": "ada@example.org",
        },
    )
    sender: str = attrs.field(
        validator=_address,
        metadata={
            "help": "The address that the mail comes from.",
            "example": "Tocsin <tocsin@example.org>",
        },
    )
    host: str = attrs.field(
        validator=[_string, _host],
        metadata={"help": "The mail server's name.", "example": "smtp.example.org"},
    )
    tls: Tls = attrs.field(
        default="starttls",
        validator=_tls,
        metadata={
            "help": '"starttls" turns to TLS before anything is sent, "implicit" speaks '
            'TLS from the start, "none" sends in the clear.'
        },
    )
    port: int = attrs.field(
        default=attrs.Factory(_usual_port, takes_self=True),
        validator=_port,
        metadata={
            "help": "The server's port. Default: 587 for starttls, 465 for implicit, "
            "25 for none."
        },
    )
    username: str = attrs.field(
        default="",
        validator=_string,
        metadata={"help": "Who logs in; empty for a server that asks for nobody."},
    )
    password: Secret = attrs.field(
        default=Secret(),
        validator=_secret,
        metadata={"help": "The password of username; often one made for this use."},
    )
    ca_file: str = attrs.field(
        default="",
        validator=_string,
        metadata={
            "help": "A file with the certificate (PEM) of a private authority; then "
            "only that authority is trusted. A relative path is one beside the "
            "configuration.",
            "path": True,
            "ask": False,
        },
    )
    threads: Threads = attrs.field(
        default="run",
        validator=_threads,
        metadata={
            "help": '"run" makes the mails of a run one thread; with "" each stands '
            "alone, but for the answer that says an alert is over."
        },
    )

    name: ClassVar[str] = "email"
    # A longer subject is cut by every mail program. The text stands in the mail twice,
    # encoded: a million characters are 3 to 12 MB, and servers take 10 to 35 MB.
    limits: ClassVar[Limits] = Limits(title=150, text=1_100_000)
    templates: ClassVar[Mapping[str, str]] = {
        "title": "title.txt",
        "text": "text.txt",
        "html": "mail.html",
    }
    # Exchange Online, the strictest of the large ones, takes three connections at once.
    concurrency: ClassVar[int] = 2
    # No `conversation`: the mails of a run answer to an id that is made up, so that none
    # has to wait for what became of the first.

    def __attrs_post_init__(self) -> None:
        if self.username and not self.password:
            raise ValueError("username needs password: add it, or remove username")
        if self.password and not self.username:
            raise ValueError("password needs username: add it, or remove password")
        if self.password and self.tls == "none" and not _is_loopback(self.host):
            raise ValueError(
                'tls = "none" would send the password in the clear: use "starttls" or '
                '"implicit", or remove username and password'
            )

    @property
    def author(self) -> Address:
        """Who the mail comes from."""
        return Address.parse(self.sender)

    @property
    def recipients(self) -> tuple[Address, ...]:
        """Who gets the mail; a mailbox that is named twice gets it once."""
        by_mailbox: dict[str, Address] = {}
        for address in map(Address.parse, self.to):
            by_mailbox.setdefault(address.mailbox, address)
        return tuple(by_mailbox.values())

    def open(self) -> Sender:
        """Return a sender; smtplib, ssl and email are imported here."""
        from tocsin_email._sender import MailSender

        return MailSender(self)

    def check(self, timeout: float) -> str:
        """Connect, log in and leave; no mail is sent.

        Raises:
            DeliveryError: The channel would not work.
            SecretUnavailable: The password's reference does not resolve.

        """
        from tocsin_email._sender import MailSender

        return MailSender(self).check(timeout)


def _is_loopback(host: str) -> bool:
    import ipaddress

    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
