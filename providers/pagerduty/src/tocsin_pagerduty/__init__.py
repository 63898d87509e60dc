"""PagerDuty for Tocsin: incidents that open, repeat and resolve."""

import json
from typing import Any, ClassVar, Literal

import attrs

from tocsin import (
    AlertLevel,
    Delivery,
    Limits,
    Message,
    OutOfOrder,
    Provider,
    Receipt,
    Registrar,
    Secret,
    hookimpl,
    http,
)

__all__ = ["PagerDuty", "tocsin_register"]

_SEVERITIES = {AlertLevel.INFO: "info", AlertLevel.WARN: "warning"}
_LINK = 2000  # characters; a longer one is in the details alone
_FIELDS = 100_000  # bytes of JSON; more of them are in the message alone, and cut
_APART = "it was told together with others, whose incident stays open"
_REMEDY = (
    "put the integration key of an Events API v2 integration where the channel's "
    "routing_key refers to"
)


def _judge(answer: http.Answer) -> OutOfOrder | None:
    """PagerDuty has no status of its own for a key that it does not know: it is 400, and
    told in ``message`` or ``errors``.
    """  # noqa: D205 - one sentence
    words = f"{answer.at('message')} {answer.at('errors')}"
    if answer.status != 400 or "routing" not in words.lower():  # noqa: PLR2004 - a status
        return None
    failure = answer.service.failure(answer)
    return OutOfOrder(failure.reason if failure else "", remedy=_REMEDY)


_SERVICE = http.Service(
    "PagerDuty",
    remedies={403: _REMEDY, 404: "correct the channel's url"},
    said=["errors", 0],
    judge=_judge,
)


@attrs.frozen(kw_only=True)
class PagerDuty(Provider):
    """A service of PagerDuty, or an event orchestration, by the Events API v2."""

    routing_key: Secret = attrs.field(
        metadata={
            "help": "The key of an Events API v2 integration, 32 characters.",
            "example": "c0ffee…",
        }
    )
    error_severity: Literal["error", "critical"] = attrs.field(
        default="error", metadata={"help": "What an alert of level ERROR is there."}
    )
    url: str = attrs.field(
        default="https://events.pagerduty.com",
        validator=http.confidential,
        metadata={
            "help": "Where events go. In the EU service region: "
            "`https://events.eu.pagerduty.com`."
        },
    )

    name: ClassVar[str] = "pagerduty"
    attaches: ClassVar[bool] = False
    # A summary may have 1,024 characters, an event 512 KB:
    # developer.pagerduty.com/docs/events-api-v2/trigger-events and …/overview#size-limits.
    # A character is four bytes at most.
    limits: ClassVar[Limits] = Limits(title=1024, text=50_000)

    def deliver(self, message: Message, delivery: Delivery) -> Receipt:
        """Trigger an incident, or resolve the one that the earlier alert triggered."""
        is_over = message.alert.kind == "resolved"
        answer = _SERVICE.post(
            f"{self.url.rstrip('/')}/v2/enqueue",
            json={
                "routing_key": self.routing_key.reveal(),
                "dedup_key": f"tocsin-{delivery.key}",
                **(_RESOLVE if is_over else self._trigger(message)),
            },
            timeout=delivery.timeout,
        )
        return Receipt(
            reference=answer.text_at("dedup_key"),
            note=_APART if is_over and not delivery.resolves else "",
        )

    def check(self, timeout: float) -> str:
        """See whether PagerDuty answers; what it thinks of the key, it tells of events alone."""
        return _SERVICE.reach(self.url, timeout=timeout)

    def _trigger(self, message: Message) -> dict[str, Any]:
        alert, origin = message.alert, message.alert.origin
        payload = {
            "summary": message.title,
            "severity": _SEVERITIES.get(alert.level, self.error_severity),
            "source": origin.host or "tocsin",
            "timestamp": alert.created_at.isoformat() if alert.created_at else "",
            "component": origin.project,
            "group": origin.group or origin.team,
            "class": alert.kind,
        }
        event: dict[str, Any] = {
            "event_action": "trigger",
            "client": "Tocsin",
            "payload": {
                **{name: value for name, value in payload.items() if value},
                "custom_details": _details(message),
            },
        }
        if message.link and len(message.link) <= _LINK:
            event["links"] = [{"href": message.link, "text": "Read on"}]
        return event


_RESOLVE = {"event_action": "resolve"}


def _details(message: Message) -> dict[str, Any]:
    fields = dict(message.alert.fields)
    is_small = len(json.dumps(fields)) <= _FIELDS
    return {
        "message": message.body,
        **({"fields": fields} if fields and is_small else {}),
    }


@hookimpl
def tocsin_register(registrar: Registrar) -> None:
    """Offer PagerDuty."""
    registrar.provider(PagerDuty)
