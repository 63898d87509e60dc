"""An alert as JSON with a version, and back. What comes back is not trusted."""

from __future__ import annotations

import base64
import functools
import json
from datetime import datetime
from json.encoder import encode_basestring_ascii as quoted
from typing import TYPE_CHECKING, Any

import attrs

from tocsin import _ending
from tocsin._alert import Alert, Origin
from tocsin._attachment import Attachment
from tocsin._errors import EnvelopeError, EnvelopeTooNew

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tocsin._ending import Ending

VERSION = 2
"""1 knows no ending and no group: what has neither is written so that it reads it."""


def encode(alert: Alert) -> str:
    """Return the alert as ASCII JSON, without its attachments.

    It is put together by hand, because a caller waits for it: that takes a quarter of the
    time of `json.dumps`.
    """
    created_at = alert.created_at
    when = "null" if created_at is None else quoted(created_at.isoformat())
    ending = "" if alert.ending is None else f', "ending": {_ended(alert.ending)}'
    version = 2 if ending or alert.origin.group else 1
    return (
        f'{{"version": {version}, "id": {quoted(alert.id)}, '
        f'"title": {quoted(alert.title)}, "text": {quoted(alert.text)}, '
        f'"level": "{alert.level.value}", "wait_duration": {alert.wait_duration!r}, '
        f'"kind": {quoted(alert.kind)}, "key": {quoted(alert.key)}, '
        f'"tags": {json.dumps(alert.tags) if alert.tags else "[]"}, '
        f'"fields": {json.dumps(alert.fields) if alert.fields else "{}"}, '
        f'"url": {quoted(alert.url)}, "origin": {_encoded(alert.origin)}, '
        f'"created_at": {when}{ending}}}'
    )


@functools.lru_cache(maxsize=64)
def _encoded(origin: Origin) -> str:
    """Return an origin as JSON: a run has but one."""
    values = attrs.asdict(origin)
    if not origin.group:
        del values["group"]
    return json.dumps(values)


def _ended(ending: Ending) -> str:
    return json.dumps(_ending.written(ending))


def decode(envelope: str, attachments: Iterable[Attachment] = ()) -> Alert:
    """Return the alert.

    Raises:
        EnvelopeTooNew: A newer version wrote it.
        EnvelopeError: It is damaged.

    """
    try:
        values: dict[str, Any] = json.loads(envelope)
        version = values.pop("version")
        if version > VERSION:
            raise EnvelopeTooNew(
                f"the alert was written in form {version} by a newer tocsin, and this one "
                f"reads up to form {VERSION}: upgrade tocsin"
            )
        if values["created_at"] is not None:
            values["created_at"] = datetime.fromisoformat(values["created_at"])
        values["origin"] = Origin(**values["origin"])
        if (ended := values.get("ending")) is not None:
            values["ending"] = _ending.read(ended)
        return Alert(**values, attachments=tuple(attachments))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise EnvelopeError(f"a stored alert is damaged: {error}") from error


def encode_whole(alert: Alert, *, is_admitted: bool = False) -> str:
    """Return the alert as one line of ASCII JSON, attachments included.

    With `is_admitted` it passed the throttle, and must not be asked to again.
    """
    return json.dumps(
        {
            "alert": encode(alert),
            "admitted": is_admitted,
            "attachments": [
                {
                    "name": item.name,
                    "content_type": item.content_type,
                    "content": base64.b64encode(item.content).decode(),
                }
                for item in alert.attachments
                if isinstance(item, Attachment)
            ],
        }
    )


def decode_whole(line: str) -> tuple[Alert, bool]:
    """Return what `encode_whole` wrote: the alert, and whether it was admitted.

    Raises as `decode` does.
    """
    try:
        values = json.loads(line)
        alert = decode(values["alert"])  # first: it knows whether we are too old
        attachments = [
            Attachment(
                item["name"], base64.b64decode(item["content"]), item["content_type"]
            )
            for item in values["attachments"]
        ]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise EnvelopeError(f"a spilled alert is damaged: {error}") from error
    whole = attrs.evolve(alert, attachments=tuple(attachments))
    return whole, values.get("admitted") is True
