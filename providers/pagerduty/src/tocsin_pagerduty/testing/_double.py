from __future__ import annotations

import re
import threading
import uuid
from typing import TYPE_CHECKING, Any

import attrs

from tocsin.testing import HttpDouble, Received, Reply

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# developer.pagerduty.com/docs/events-api-v2/trigger-events, …/overview#size-limits
_EVENT, _SUMMARY, _KEY = 512 * 1024, 1024, 255
_ACTIONS = ("trigger", "acknowledge", "resolve")
_SEVERITIES = ("critical", "warning", "error", "info")


@attrs.define
class Incident:
    """What the events of one ``dedup_key`` made."""

    dedup_key: str
    triggers: list[Mapping[str, Any]]
    """The events that triggered it, the first and its repetitions."""
    is_open: bool = True

    @property
    def summary(self) -> str:
        """What people read first."""
        return str(self.triggers[0]["payload"]["summary"])


class PagerDutyDouble(HttpDouble):
    """An endpoint that takes what PagerDuty takes, and keeps incidents."""

    def __init__(self, *, routing_key: str = "0" * 32) -> None:
        super().__init__()
        self.routing_key = routing_key
        self._guard = threading.Lock()
        self.incidents: list[Incident] = []
        """The oldest first, those that are resolved too."""

    @property
    def open(self) -> list[Incident]:
        """The incidents that are not resolved."""
        return [incident for incident in self.incidents if incident.is_open]

    def answer(self, request: Received) -> Reply:
        """Answer as PagerDuty does."""
        if (request.method, request.path) != ("POST", "/v2/enqueue"):
            return Reply(404)
        if len(request.body) > _EVENT:
            return Reply(413)
        try:
            event = request.json()
        except ValueError:
            event = None
        if not isinstance(event, dict):
            return _refusal("Event object is invalid", ["Event must be a JSON object"])
        if mistakes := list(_mistakes(event)):
            return _refusal("Event object is invalid", mistakes)
        if event["routing_key"] != self.routing_key:
            return _refusal("Invalid routing key", [])
        return self._take(event)

    def _take(self, event: dict[str, Any]) -> Reply:
        key = str(event.get("dedup_key") or uuid.uuid4().hex)
        with self._guard:
            known = next((i for i in self.open if i.dedup_key == key), None)
            if event["event_action"] == "trigger" and known is None:
                self.incidents.append(Incident(key, [event]))
            elif event["event_action"] == "trigger" and known:
                known.triggers.append(event)
            elif event["event_action"] == "resolve" and known:
                known.is_open = False  # without an open one, the event is dropped
        return Reply(
            202,
            json={"status": "success", "message": "Event processed", "dedup_key": key},
        )


def _mistakes(event: dict[str, Any]) -> Iterator[str]:
    key = str(event.get("routing_key", ""))
    if len(key) != 32:  # noqa: PLR2004 - as documented
        yield "Length of 'routing_key' is incorrect (should be 32 characters)"
    if not re.fullmatch("[A-Za-z0-9]*", key):
        yield "'routing_key' cannot contain non-alphanumeric characters."
    if event.get("event_action") not in _ACTIONS:
        yield "'event_action' is missing or invalid"
    if len(str(event.get("dedup_key", ""))) > _KEY:
        yield "'dedup_key' is too long (maximum is 255 characters)"
    if event.get("event_action") == "trigger":
        yield from _mistakes_of(event.get("payload"))


def _mistakes_of(payload: object) -> Iterator[str]:
    if not isinstance(payload, dict):
        yield "'payload' is missing or blank"
        return
    for name in ("summary", "source", "severity"):
        if not str(payload.get(name, "")).strip():
            yield f"'payload.{name}' is missing or blank"
    if len(str(payload.get("summary", ""))) > _SUMMARY:
        yield "'payload.summary' is too long (maximum is 1024 characters)"
    if payload.get("severity") not in _SEVERITIES:
        yield (
            "'payload.severity' is invalid (must be one of the following: 'critical', "
            "'warning', 'error' or 'info')"
        )


def _refusal(message: str, errors: list[str]) -> Reply:
    return Reply(
        400, json={"status": "invalid event", "message": message, "errors": errors}
    )
