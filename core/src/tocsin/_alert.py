from __future__ import annotations

import functools
import os
import time
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

import attrs

from tocsin._attachment import attachables
from tocsin._errors import printed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import timedelta

    from tocsin._attachment import Attachable
    from tocsin._ending import Ending

DEFAULT_WAIT_DURATION = 60.0
"""Seconds, as W&B's server waits between two alerts of one title."""

RESOLVED = "resolved"
"""The kind of an alert that says of the last one of its key that it is over."""

_MAX_WAIT_DURATION = 1e10  # seconds: 300 years; a limit that nan and inf do not pass


@functools.total_ordering
class AlertLevel(Enum):
    """How bad it is: ``INFO < WARN < ERROR``."""

    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"

    @classmethod
    def parse(cls, level: object) -> AlertLevel:
        """Return the level that a member, a name in any case, or nothing stands for.

        A member of someone else's enum is taken by its value, so that
        ``wandb.AlertLevel.WARN`` works. Nothing (None, ``""``) is INFO.

        Raises:
            ValueError: It names no level.

        """
        if isinstance(level, cls):
            return level
        if not level:
            return cls.INFO
        name = level.value if isinstance(level, Enum) else level
        try:
            return cls(name.upper() if isinstance(name, str) else name)
        except ValueError:
            raise ValueError(
                "level must be one of 'INFO', 'WARN', or 'ERROR'"
            ) from None

    @property
    def severity(self) -> int:
        """0 for INFO, 1 for WARN, 2 for ERROR."""
        return _SEVERITIES[self]

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, AlertLevel):
            return NotImplemented
        return _SEVERITIES[self] < _SEVERITIES[other]


_SEVERITIES = {level: severity for severity, level in enumerate(AlertLevel)}


def _check_strings(thing: object, names: Iterable[str]) -> None:
    for name in names:
        value = getattr(thing, name)
        if not isinstance(value, str):
            raise TypeError(f"{name} must be a str, not {type(value).__name__}")


def _rank(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None and not isinstance(value, int):
        raise TypeError(f"{attribute.name} must be an int, not {type(value).__name__}")


def _string(thing: object, attribute: attrs.Attribute[str], _: object) -> None:
    _check_strings(thing, [attribute.name])


@attrs.frozen(kw_only=True, cache_hash=True)
class Origin:
    """Where an alert came from. An empty string, or None, means unknown."""

    user: str = attrs.field(default="", validator=_string)
    team: str = attrs.field(default="", validator=_string)
    project: str = attrs.field(default="", validator=_string)
    run: str = attrs.field(default="", validator=_string)
    """The run's id."""
    run_name: str = attrs.field(default="", validator=_string)
    job: str = attrs.field(default="", validator=_string)
    """The id that all ranks and all restarts of one job share."""
    group: str = attrs.field(default="", validator=_string)
    """What several runs belong to, such as a sweep."""
    host: str = attrs.field(default="", validator=_string)
    rank: int | None = attrs.field(default=None, validator=_rank)


def new_id() -> str:
    """Return a UUID of version 7 as 32 hexadecimal digits, which sort by time (RFC 9562)."""
    milliseconds = time.time_ns() // 1_000_000
    entropy = int.from_bytes(os.urandom(10)) & ~(0xF << 76) & ~(0x3 << 62)
    return f"{milliseconds << 80 | 0x7 << 76 | 0x2 << 62 | entropy:032x}"


def _check_id(value: str) -> None:
    if value.isalnum() and value.isascii():
        return
    if not (value.isascii() and value.replace("-", "").replace("_", "").isalnum()):
        raise ValueError(f"id must be ASCII letters, digits, - and _, not {value!r}")


def _check_moment(value: datetime) -> None:
    if not isinstance(value, datetime):
        raise TypeError(f"created_at must be a datetime, not {type(value).__name__}")
    if value.tzinfo is None:
        raise ValueError("created_at must have a time zone: datetime.now(timezone.utc)")


def _seconds(value: float | timedelta | None) -> float:
    if value is None:
        return DEFAULT_WAIT_DURATION
    total_seconds = getattr(value, "total_seconds", None)
    seconds = total_seconds() if total_seconds else value
    if not isinstance(seconds, int | float):
        raise TypeError("wait_duration must be an int, float, or datetime.timedelta")
    if not 0 <= seconds <= _MAX_WAIT_DURATION:
        raise ValueError(f"wait_duration must be zero or more seconds, not {seconds}")
    return float(seconds)


def _level(value: object) -> AlertLevel:
    return AlertLevel.parse(value)


def _words(value: Iterable[str] | str) -> tuple[str, ...]:
    if type(value) is tuple and not value:
        return ()
    return (value,) if isinstance(value, str) else tuple(map(printed, value))


def _facts(value: Mapping[str, object] | None) -> dict[str, str]:
    if value is None:
        return {}
    return {printed(name): printed(fact) for name, fact in value.items()}


_TEXTS = ("title", "text", "kind", "key", "url", "id")


@attrs.frozen
class Alert:
    """What happened. The first four arguments are those of W&B's ``run.alert``.

    Raises:
        TypeError: A title or text that is no ``str``, a `wait_duration` that is no time,
            or something that cannot be attached.
        ValueError: An unknown level, or a `wait_duration` that is negative or not finite.

    """

    title: str
    """What happened in a line; also the throttle's key, unless `key` is given."""
    text: str = ""
    level: AlertLevel = attrs.field(default=None, converter=_level)
    """INFO, WARN or ERROR; a name in any case will do. Default: INFO."""
    wait_duration: float = attrs.field(default=None, converter=_seconds)
    """Seconds, or a timedelta, for which the same key is not admitted again.

    Default: 60. With 0 it is always admitted.
    """
    kind: str = attrs.field(default="scriptable", kw_only=True)
    """An open word that subscriptions choose by; ours: scriptable, finished, crashed,
    interrupted, preempted, stalled, log, digest.

    One that is ``resolved`` says that the last alert of the same key, or else title, is
    over; it goes to the channels which had that one.
    """
    key: str = attrs.field(default="", kw_only=True)
    """What the throttle counts as the same alert; default: the title."""
    tags: tuple[str, ...] = attrs.field(default=(), converter=_words, kw_only=True)
    fields: Mapping[str, str] = attrs.field(
        default=None, converter=_facts, kw_only=True, hash=False
    )
    """Short facts shown beside the text, in order; values are printed with ``str``."""
    url: str = attrs.field(default="", kw_only=True)
    """Where to read on."""
    attachments: tuple[Attachable, ...] = attrs.field(
        default=(), converter=attachables, kw_only=True
    )
    """Paths, bytes, `Attachment`s, figures; copied when the alert is admitted."""
    origin: Origin = attrs.field(factory=Origin, kw_only=True)
    id: str = attrs.field(default="", kw_only=True)
    """The same wherever the alert goes; default: a new one each time it is raised.

    With an id of your own (ASCII letters, digits, ``-`` and ``_``) an alert that is raised
    again is the same one, and is kept once.
    """
    created_at: datetime | None = attrs.field(default=None, kw_only=True)
    """When it happened, with a time zone; default: when it is raised."""
    ending: Ending | None = attrs.field(default=None, kw_only=True, repr=False)
    """What is known of the end of a run, if that is what the alert tells of."""

    def __attrs_post_init__(self) -> None:
        if not (  # a caller waits for it: what is right is told fast
            type(self.title) is type(self.text) is type(self.kind) is str
            and type(self.key) is type(self.url) is type(self.id) is str
        ):
            _check_strings(self, _TEXTS)
        if self.id:
            _check_id(self.id)
        if self.created_at is not None:
            _check_moment(self.created_at)
