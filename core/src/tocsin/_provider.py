from __future__ import annotations

import contextlib
from collections.abc import (  # noqa: TC003 - for typing.get_type_hints of a provider
    Callable,
    Iterator,
    Mapping,
    Sequence,
)
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol
from urllib.parse import urlsplit

import attrs
from attrs.validators import in_

from tocsin._errors import Ambiguous, RetryLater, printed

if TYPE_CHECKING:
    from tocsin._alert import Alert
    from tocsin._attachment import Attachment

Unit = Literal["characters", "bytes", "utf16"]
"""What a vendor counts: code points, bytes of UTF-8, or UTF-16 units."""


@attrs.frozen(kw_only=True)
class Limits:
    """How long the parts of a message may be, in the vendor's own unit."""

    title: int | None = None
    text: int | None = None
    unit: Unit = attrs.field(
        default="characters", validator=in_(("characters", "bytes", "utf16"))
    )

    def measure(self, text: str) -> int:
        """Return the length of the text in this unit."""
        if self.unit == "bytes":
            return len(text.encode())
        if self.unit == "utf16":
            return len(text.encode("utf-16-le", "surrogatepass")) // 2
        return len(text)


_NOT_IN_LINKS = set(' "<>\\^`{|}')  # RFC 3986, appendix A


@attrs.frozen(kw_only=True)
class Message:
    """An alert rendered for one channel.

    Everything in it is valid Unicode without control characters other than tab and line
    feed, and titles are one line. `title`, `body`, `text` and `parts` are escaped by the
    provider's `escape`; `alert`, `notes` and `context` are not.
    """

    alert: Alert
    title: str
    """The title alone, cut to `Limits.title`."""
    body: str
    """All but the title: text, fields, link, notes, context; cut to `Limits.text`."""
    text: str
    """The plain form, title and body in one; cut to `Limits.text`."""
    parts: Mapping[str, str] = attrs.field(factory=dict)
    """The provider's templates, rendered, by part. Empty when one of them failed: then
    send the plain form."""
    notes: tuple[str, ...] = ()
    """Sentences that Tocsin adds: how many were suppressed, that it is late, …"""
    context: tuple[tuple[str, str], ...] = ()
    """Names and values of where and when: level, project, run, host, time, …"""
    attachments: tuple[Attachment, ...] = ()

    @property
    def link(self) -> str:
        """The alert's link, where it is a web address; else ``""``."""
        url = self.alert.url
        if not url.startswith(("https://", "http://")) or set(url) & _NOT_IN_LINKS:
            return ""
        try:
            return url if urlsplit(url).hostname else ""
        except ValueError:
            return ""

    def record(self) -> dict[str, Any]:
        """Return what it tells, as what JSON can hold: for services that programs read."""
        alert = self.alert
        return {
            "title": alert.title,
            "text": alert.text,
            "level": alert.level.value,
            "kind": alert.kind,
            "key": alert.key or alert.title,
            "created_at": alert.created_at.isoformat() if alert.created_at else "",
            "origin": attrs.asdict(alert.origin),
            "fields": dict(alert.fields),
            "tags": list(alert.tags),
            "url": alert.url,
            "notes": list(self.notes),
            "attachments": [
                {
                    "name": item.name,
                    "content_type": item.content_type,
                    "bytes": len(item.content),
                }
                for item in self.attachments
            ],
        }


@attrs.frozen(kw_only=True)
class Delivery:
    """One alert to one channel: what an attempt needs to know beside the message."""

    id: str
    """The same at every attempt: what a vendor's idempotency key is made from."""
    channel: str
    attempt: int = 1
    timeout: float = 15.0
    """Seconds this attempt may take in total."""
    state: Mapping[str, object] = attrs.field(factory=dict)
    """What the last attempt's `RetryLater` or `Ambiguous` carried; empty at first."""
    thread: Receipt | None = None
    """What the first message of the conversation got, for one that is to be a reply to it:
    see `Provider.conversation`."""
    resolves: Earlier | None = None
    """The message that this one says is over, where that stands alone: mark it as such, if
    the service can edit, and reply to it."""
    key: str = ""
    """The same for an alert, for what repeats it, and for its resolution, in every process:
    32 hexadecimal digits, what a vendor's incident key is made of. A message that tells of
    several alerts has one of its own."""

    @contextlib.contextmanager
    def keeping(self, state: Mapping[str, object]) -> Iterator[None]:
        """Let a failure that another attempt follows carry what `state` holds by then.

        For an attempt of several requests: what was done is not done again.
        """
        try:
            yield
        except (RetryLater, Ambiguous) as failure:
            failure.state = {**state, **(failure.state or {})}
            raise


@attrs.frozen(kw_only=True)
class Receipt:
    """What the service said when it took the message."""

    reference: str = attrs.field(default="", converter=printed)
    """The service's own id of the message."""
    permalink: str = attrs.field(default="", converter=printed)
    """Where a person can open it."""
    place: str = attrs.field(default="", converter=printed)
    """Where it went, in the service's own words: a channel's id, the addresses."""
    note: str = attrs.field(default="", converter=printed)
    """What the sender should know although it was taken: "sent as plain text because …"."""


@attrs.frozen(kw_only=True)
class Earlier:
    """A message that was delivered to this channel before."""

    message: Message
    """As it was, less what only then was true: no notes, no attachments."""
    receipt: Receipt


@attrs.frozen
class Choice:
    """One of the values that a setting may have, as `Provider.offers` knows them."""

    value: str
    """What goes into the configuration."""
    label: str = ""
    """What people know it by; default: the value."""
    is_recommended: bool = attrs.field(default=False, kw_only=True)


class Sender(Protocol):
    """One connection to the service, used by one thread at a time.

    One that has `limits` or `templates` of its own is given messages by those, and not by the
    provider's: for a service that says how much it takes, and a channel with its own form.
    """

    def deliver(self, message: Message, delivery: Delivery) -> Receipt:
        """Make exactly one attempt.

        Raises:
            Rejected: The service refused for good.
            OutOfOrder: It refuses whatever this channel sends, until somebody mends it.
            RetryLater: It did not arrive, and may later.
            Ambiguous: It may have arrived.

        """

    def close(self) -> None:
        """Let go of the connection. It is called once, after the last attempt."""


@attrs.frozen
class Provider:
    """A kind of channel: its settings, and how a message gets there.

    Derive an attrs class from it. Its fields are the settings of a channel in the
    configuration; a field's ``metadata={"help": "…"}`` is what the reference says of it. With
    ``"path": True`` there, a relative path is one beside the configuration.
    ``tocsin connect`` asks for a setting unless it has a default, or where the default is
    empty. Three more keys of the metadata are for it: ``"example"``, a value as people
    write it; ``"ask"``, whether it asks without ``--advanced``; ``"question"``, what it
    asks in place of the setting's name.
    A validator that raises ``ValueError`` or ``TypeError`` is a mistake in the
    configuration. Override `deliver`, or `open` when there is a connection to keep.
    """

    name: ClassVar[str]
    """The word in ``provider = "…"``, and the name of the entry point."""
    limits: ClassVar[Limits] = Limits()
    """What a message is cut to, unless the sender has `limits` of its own."""
    templates: ClassVar[Mapping[str, str]] = {}
    """Part -> the template's file name, in the folder ``templates`` of the top package
    that defines the class. `limits` hold for the parts named ``title`` and ``text``."""
    attaches: ClassVar[bool] = True
    """Whether it sends attachments. Where it does not, the message says which there were."""
    escape: ClassVar[Callable[[str], str]] = staticmethod(str)
    """What makes text inert in the channel's markup. It is applied to every value that a
    template prints; a template called ``*.html`` is escaped as HTML instead."""
    concurrency: ClassVar[int] = 4
    """How many deliveries one process may have under way at once."""

    ways: ClassVar[Mapping[str, Sequence[str]]] = {}
    """The ways to set it up, where settings exclude one another: what people call one ->
    the settings that it needs. ``tocsin connect`` lets people choose, then asks for those."""

    def open(self) -> Sender:
        """Return a sender; each worker thread opens its own. Import SDKs here."""
        return self

    def deliver(self, message: Message, delivery: Delivery) -> Receipt:
        """Make exactly one attempt; see `Sender.deliver`.

        Several threads may be in it at once, `concurrency` at most.
        """
        raise NotImplementedError(
            f"{type(self).__name__} overrides neither deliver() nor open()"
        )

    def close(self) -> None:
        """Nothing: a provider that keeps a connection overrides `open`."""

    def conversation(self, alert: Alert) -> str:  # noqa: ARG002 - for those that override it
        """Return what the alert's message belongs to, or ``""`` when it stands alone.

        Of messages that return the same, to one channel, the first is sent by itself; each
        later one gets its receipt as `Delivery.thread`.
        """
        return ""

    @classmethod
    def offers(
        cls,
        setting: str,  # noqa: ARG003 - for those that override it
        given: Mapping[str, object],  # noqa: ARG003 - likewise
        timeout: float,  # noqa: ARG003 - likewise
    ) -> Sequence[Choice]:
        """Return what a setting may be, as far as the service tells; another value may do.

        ``tocsin connect`` calls it before it asks for the setting. `given` holds the settings
        that are known by then, in the order of the questions, as the class would have them: a
        secret is a `Secret`. It takes at most `timeout` seconds.

        Raises:
            DeliveryError: With what is given the service cannot be asked.

        """
        return ()

    def check(self, timeout: float) -> str:  # noqa: ARG002 - for those that override it
        """Find out, without sending anything, whether the channel would work.

        Returns a sentence that says what was seen, or ``""`` when there is nothing to
        ask. It takes at most `timeout` seconds.

        Raises:
            DeliveryError: It would not work; the reason and the remedy say why.

        """
        return ""
