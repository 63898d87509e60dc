"""What the document holds: plain dicts and lists, which are JSON as they stand.

Times are seconds since the epoch.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, TypedDict

from tocsin._attachment import Attachment
from tocsin._errors import StoreDamaged, StoreError
from tocsin._throttle import Suppression

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tocsin._silence import Silence
    from tocsin._store._port import Claim

VERSION = 1


class AttachmentRow(TypedDict):
    """A copy of what was attached."""

    name: str
    content_type: str
    content: str
    """In base64."""


class DeliveryRow(TypedDict):
    """One alert to one channel."""

    channel: str
    status: str
    due: float | None
    """When it may be claimed next; for a claimed one, when its lease runs out."""
    token: int
    """0 while nobody has it."""
    claims: int
    attempts: int
    ambiguous: int
    first_attempt_at: float | None
    settled_at: float | None
    state: dict[str, object]
    receipt: dict[str, str] | None
    reason: str
    remedy: str
    not_before: float | None
    """Until when its route holds it."""
    digest: str
    """What it is gathered in."""
    note: str


class AlertRow(TypedDict):
    """An alert, and all of its deliveries; none of them is ever taken away from it."""

    number: int
    id: str
    submitted_at: float
    suppressed: int
    suppressed_since: float | None
    envelope: str
    resolves: int | None
    """The number of the alert that it says is over."""
    attachments: list[AttachmentRow]
    echoes: dict[str, str]
    deliveries: list[DeliveryRow]


class WindowRow(TypedDict):
    """The last admission of a key, and what was suppressed since."""

    admitted_at: float
    level: str
    closes_at: float | None
    suppressed: int
    suppressed_since: float | None
    alert: int | None


class CircuitRow(TypedDict):
    """How a channel fares; see `Circuit`."""

    failures: int
    until: float
    since: float | None
    is_out_of_order: bool
    reason: str
    remedy: str


class DigestRow(TypedDict):
    """What is gathered for a channel just now."""

    id: str
    until: float
    seconds: float


class ConversationRow(TypedDict):
    """What the first message of a conversation got, or who is just making it."""

    token: int
    until: float
    receipt: dict[str, str] | None
    at: float


class SilenceRow(TypedDict):
    """A silence; see `Silence`."""

    id: str
    title: str
    project: str
    team: str
    max_level: str
    starts_at: float
    ends_at: float
    reason: str
    author: str


class RunRow(TypedDict):
    """A member of a run."""

    address: list[str]
    beat_at: float
    record: str
    lost_at: float | None


class Book(TypedDict):
    """All that a store knows of one namespace."""

    config: str
    last: int
    """The number of the last alert: none comes again."""
    alerts: dict[str, AlertRow]
    """By their numbers, in their order."""
    ids: dict[str, int]
    adopted: dict[str, float]
    windows: dict[str, WindowRow]
    circuits: dict[str, CircuitRow]
    digests: dict[str, DigestRow]
    conversations: dict[str, dict[str, ConversationRow]]
    """By channel, and by name."""
    silences: dict[str, SilenceRow]
    runs: list[RunRow]


class Document(TypedDict):
    """The whole of it."""

    version: int
    namespaces: dict[str, Book]


Pair = tuple[AlertRow, DeliveryRow]


def read(text: str, where: str) -> Document:
    """Return the document that was written; of an empty text, a new one.

    Raises:
        StoreDamaged: It is none.
        StoreError: A newer version wrote it.

    """
    if not text:
        return Document(version=VERSION, namespaces={})
    try:
        document: Document = json.loads(text)
        version = int(document["version"])
        document["namespaces"].items()
    except (
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:
        raise StoreDamaged(
            f"{where} holds no document of tocsin ({error}): put it aside, and a new one "
            "is begun"
        ) from error
    if version > VERSION:
        raise StoreError(
            f"{where} was written in form {version} by a newer tocsin, and this one reads "
            f"up to form {VERSION}: upgrade tocsin"
        )
    return document


def written(document: Document) -> str:
    """Return the document as ASCII JSON."""
    return json.dumps(document, separators=(",", ":"))


def new_book() -> Book:
    """Return what is known of a namespace that nobody has used."""
    return Book(
        config="",
        last=0,
        alerts={},
        ids={},
        adopted={},
        windows={},
        circuits={},
        digests={},
        conversations={},
        silences={},
        runs=[],
    )


def new_delivery(
    channel: str,
    due: float,
    *,
    not_before: float | None = None,
    digest: str = "",
    note: str = "",
) -> DeliveryRow:
    """Return a delivery that nobody has tried."""
    return DeliveryRow(
        channel=channel,
        status="pending",
        due=due,
        token=0,
        claims=0,
        attempts=0,
        ambiguous=0,
        first_attempt_at=None,
        settled_at=None,
        state={},
        receipt=None,
        reason="",
        remedy="",
        not_before=not_before,
        digest=digest,
        note=note,
    )


def numbered(book: Book, number: int | None) -> AlertRow | None:
    """Return the alert of a number, unless it is forgotten."""
    return book["alerts"].get(str(number))


def of_id(book: Book, alert_id: str) -> AlertRow | None:
    """Return the alert of an id."""
    return numbered(book, book["ids"].get(alert_id))


def pairs(book: Book) -> Iterator[Pair]:
    """Return every delivery with its alert, in the order of the admissions."""
    for alert in book["alerts"].values():
        for delivery in alert["deliveries"]:
            yield alert, delivery


def pending(book: Book, channel: str | None = None) -> Iterator[Pair]:
    """Return what is pending, on all channels or on one."""
    for alert, delivery in pairs(book):
        if delivery["status"] == "pending" and channel in {None, delivery["channel"]}:
            yield alert, delivery


def due_of(delivery: DeliveryRow) -> float:
    """Return when a pending delivery may be claimed."""
    return delivery["due"] or 0.0


def on_channel(alert: AlertRow | None, channel: str) -> DeliveryRow | None:
    """Return an alert's delivery to a channel."""
    deliveries = alert["deliveries"] if alert else []
    return next((one for one in deliveries if one["channel"] == channel), None)


def held_by(book: Book, claim: Claim) -> Iterator[Pair]:
    """Return the deliveries of a claim whose lease was not lost."""
    for number, position in claim.places:
        alert = numbered(book, number)
        if alert is None or position >= len(alert["deliveries"]):
            continue
        delivery = alert["deliveries"][position]
        if delivery["status"] == "pending" and delivery["token"] == claim.token:
            yield alert, delivery


def suppression(row: AlertRow | WindowRow) -> Suppression:
    """Return what was suppressed."""
    return Suppression(row["suppressed"], row["suppressed_since"])


def attached(items: Iterable[object]) -> list[AttachmentRow]:
    """Return attachments as they are kept."""
    return [
        AttachmentRow(
            name=item.name,
            content_type=item.content_type,
            content=base64.b64encode(item.content).decode(),
        )
        for item in items
        if isinstance(item, Attachment)
    ]


def attachments(alert: AlertRow) -> list[Attachment]:
    """Return them as they were."""
    return [
        Attachment(
            item["name"], base64.b64decode(item["content"]), item["content_type"]
        )
        for item in alert["attachments"]
    ]


def silence_row(silence: Silence) -> SilenceRow:
    """Return a silence as it is kept."""
    return SilenceRow(
        id=silence.id,
        title=silence.title,
        project=silence.project,
        team=silence.team,
        max_level=silence.max_level.value,
        starts_at=silence.starts_at,
        ends_at=silence.ends_at,
        reason=silence.reason,
        author=silence.author,
    )
