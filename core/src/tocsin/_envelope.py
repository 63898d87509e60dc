"""An alert as JSON with a version, and back. What comes back is not trusted."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

import attrs

from tocsin._alert import Alert, Origin
from tocsin._attachment import Attachment
from tocsin._errors import EnvelopeError, EnvelopeTooNew

if TYPE_CHECKING:
    from collections.abc import Iterable

VERSION = 1


def encode(alert: Alert) -> str:
    """Return the alert as ASCII JSON, without its attachments."""
    origin = alert.origin
    return json.dumps(
        {
            "version": VERSION,
            "id": alert.id,
            "title": alert.title,
            "text": alert.text,
            "level": alert.level.value,
            "wait_duration": alert.wait_duration,
            "kind": alert.kind,
            "key": alert.key,
            "tags": alert.tags,
            "fields": alert.fields,
            "url": alert.url,
            "origin": {
                "user": origin.user,
                "team": origin.team,
                "project": origin.project,
                "run": origin.run,
                "run_name": origin.run_name,
                "job": origin.job,
                "host": origin.host,
                "rank": origin.rank,
            },
            "created_at": alert.created_at and alert.created_at.isoformat(),
        }
    )


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
        return Alert(**values, attachments=tuple(attachments))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise EnvelopeError(f"a stored alert is damaged: {error}") from error


def encode_whole(alert: Alert) -> str:
    """Return the alert as one line of ASCII JSON, attachments included."""
    return json.dumps(
        {
            "alert": encode(alert),
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


def decode_whole(line: str) -> Alert:
    """Return the alert that `encode_whole` wrote; raises as `decode` does."""
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
    return attrs.evolve(alert, attachments=tuple(attachments))
