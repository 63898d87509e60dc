"""One message for many alerts. Pure."""

from __future__ import annotations

import math
from collections import Counter
from datetime import UTC
from typing import TYPE_CHECKING, Any

import attrs

from tocsin._alert import Alert, Origin
from tocsin._attachment import MAX_ATTACHMENT_BYTES, Attachment
from tocsin._text import clean_line, longest_fit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

MAX_LINES = 100
"""Where there are more alerts, half as many of the first and of the last are listed."""

_NAMED = 100  # characters of the titles that the title names
_TITLE = 150  # characters of a title in the list
_TEXT = 200  # characters of a text's first line
_NAME = 50  # characters of a project's, a run's or a file's name
_MAX_LEFT_OUT = 20  # files that are named; the others are counted


@attrs.frozen
class Listed:
    """An alert in a digest, and how many more like it were suppressed."""

    alert: Alert
    suppressed: int = 0


def combined(listed: Sequence[Listed]) -> Alert:
    """Return one alert, of the kind ``digest``, that lists these two or more.

    They are listed in order of time; it has the id and the time of the first. Of where
    they came from it has what they have in common.
    """
    listed = sorted(listed, key=_when)
    alerts = [item.alert for item in listed]
    origin = _common_origin([alert.origin for alert in alerts])
    attachments, left_out = _fitting(alerts)
    lines = "\n".join(_lines(listed, origin))
    return Alert(
        _title(alerts),
        f"{lines}\n\n{_told(left_out)}" if left_out else lines,
        max(alert.level for alert in alerts),
        0,
        kind="digest",
        tags=dict.fromkeys(tag for alert in alerts for tag in alert.tags),
        url=_common([alert.url for alert in alerts], ""),
        attachments=attachments,
        origin=origin,
        id=alerts[0].id,
        created_at=alerts[0].created_at,
    )


def _when(listed: Listed) -> float:
    created_at = listed.alert.created_at
    return created_at.timestamp() if created_at else math.inf


def _common(values: Iterable[Any], otherwise: Any) -> Any:  # noqa: ANN401 - any field's
    first, *others = dict.fromkeys(values)
    return otherwise if others else first


def _common_origin(origins: Sequence[Origin]) -> Origin:
    common: dict[str, Any] = {
        field.name: _common([getattr(o, field.name) for o in origins], field.default)
        for field in attrs.fields(Origin)
    }
    return Origin(**common)


def _title(alerts: Sequence[Alert]) -> str:
    titles = list(dict.fromkeys(map(_title_of, alerts)))
    named, count = ", ".join(titles[:2]), 2
    if len(named) > _NAMED:
        named, count = _cut(titles[0], _NAMED), 1
    more = len(titles) - count
    rest = f" and {more:,} more title{'s' * (more > 1)}" if more > 0 else ""
    return f"{len(alerts):,} alerts: {named}{rest}"


def _title_of(alert: Alert) -> str:
    return clean_line(alert.title) or "(no title)"


def _lines(listed: Sequence[Listed], origin: Origin) -> list[str]:
    if len(listed) <= MAX_LINES:
        return [_line(item, origin) for item in listed]
    half = MAX_LINES // 2
    first, last = listed[:half], listed[-half:]
    return [
        *(_line(item, origin) for item in first),
        _between(listed[half:-half]),
        *(_line(item, origin) for item in last),
    ]


def _line(listed: Listed, origin: Origin) -> str:
    alert = listed.alert
    when = f" {_moment(alert.created_at)}" if alert.created_at else ""
    title = _cut(_title_of(alert), _TITLE)
    place = ", ".join(_place(alert.origin, origin))
    text = _first_line(alert.text)
    return (
        f"{alert.level.value}{when} · {title}"
        f"{place and f' ({place})'}{text and f': {text}'}{_suppressed(listed.suppressed)}"
    )


def _between(listed: Sequence[Listed]) -> str:
    counts = Counter(item.alert.level for item in listed)
    levels = ", ".join(
        f"{count:,} {level.value}"
        for level, count in sorted(counts.items(), reverse=True)
    )
    suppressed = _suppressed(sum(item.suppressed for item in listed))
    return f"… {len(listed):,} more: {levels}{suppressed} …"


def _place(origin: Origin, common: Origin) -> Iterator[str]:
    for own, shared in (
        (origin.project, common.project),
        (origin.run_name or origin.run, common.run_name or common.run),
    ):
        if own != shared and (name := clean_line(own)):
            yield _cut(name, _NAME)


def _first_line(text: str) -> str:
    return _cut(next(filter(None, map(clean_line, text.splitlines())), ""), _TEXT)


def _suppressed(count: int) -> str:
    return f" (+{count:,} suppressed)" if count else ""


def _fitting(alerts: Iterable[Alert]) -> tuple[list[Attachment], list[Attachment]]:
    """Return the attachments that one alert may carry, and those beyond."""
    fitting: list[Attachment] = []
    beyond: list[Attachment] = []
    room = MAX_ATTACHMENT_BYTES
    for item in (item for alert in alerts for item in alert.attachments):
        if not isinstance(item, Attachment):  # what is stored has nothing else
            continue
        if len(item.content) > room:
            beyond.append(item)
            continue
        fitting.append(item)
        room -= len(item.content)
    return fitting, beyond


def _told(left_out: Sequence[Attachment]) -> str:
    named = [
        f"{_cut(clean_line(item.name) or '(no name)', _NAME)} ({len(item.content):,} bytes)"
        for item in left_out[:_MAX_LEFT_OUT]
    ]
    if others := left_out[_MAX_LEFT_OUT:]:
        size = sum(len(item.content) for item in others)
        named.append(f"{len(others):,} more ({size:,} bytes)")
    return (
        f"Left out, beyond the {MAX_ATTACHMENT_BYTES // 1024**2} MB that one message may "
        f"carry: {', '.join(named)}."
    )


def _moment(when: datetime) -> str:
    try:
        return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    except OverflowError:  # at the ends of time
        return when.isoformat()


def _cut(line: str, most: int) -> str:
    return longest_fit(line, lambda cut: len(cut) <= most, most)
