"""Microsoft Teams for Tocsin: alerts as cards, by a workflow."""

from typing import Any, ClassVar

import attrs

from tocsin import (
    AlertLevel,
    Delivery,
    DeliveryError,
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

__all__ = ["Teams", "tocsin_register"]

# adaptivecards.io/explorer/Container.html#styles
_STYLES = {
    AlertLevel.INFO: "accent",
    AlertLevel.WARN: "warning",
    AlertLevel.ERROR: "attention",
}
_LINK = 2000  # characters; a longer one is in the text alone
_ANEW = "turn the workflow on, or make it anew, and put its address where url refers to"
# Power Automate says these of each message that goes there, with 400 as seen by many. Its
# own page has only what happens in a run: learn.microsoft.com/power-automate/error-reference
_CODES = {
    "WorkflowTriggerIsNotEnabled": (OutOfOrder, _ANEW),
    "WorkflowNotFound": (OutOfOrder, _ANEW),
    "WorkflowDisabled": (OutOfOrder, _ANEW),
    "TriggerInputSchemaMismatch": (
        OutOfOrder,
        "leave the schema of the workflow's trigger empty",
    ),
}


def _judge(answer: http.Answer) -> DeliveryError | None:
    """Tell what may be a sign-in page, or a flow that answers for itself."""
    failure = answer.service.failure(answer)
    if failure is not None and answer.status < 300:  # noqa: PLR2004 - a yes to something else
        failure.remedy += "; a flow of your own must have no Response action"
    return failure


_SERVICE = http.Service(
    "Teams",
    remedies={
        401: "copy the whole address of the workflow, which anyone may trigger",
        403: "let anyone trigger the workflow",
        404: _ANEW,
        410: _ANEW,
    },
    success=[202],  # started, without a body
    said=["error", "code"],
    code=["error", "code"],
    codes=_CODES,
    judge=_judge,
)


@attrs.frozen(kw_only=True)
class Teams(Provider):
    """A workflow of Teams that posts cards to a channel or chat."""

    url: Secret = attrs.field(
        validator=http.confidential,
        metadata={
            "help": "The address of the workflow, a secret: whoever has it can post.",
            "example": "https://….logic.azure.com/workflows/…",
        },
    )

    name: ClassVar[str] = "teams"
    attaches: ClassVar[bool] = False
    # A message may have about 28 KB with all around it: learn.microsoft.com/connectors/teams
    # (known issues and limitations). In which encoding is not said; 20 KB of ASCII were
    # refused (github.com/atc0005/go-teams-notify/issues/59). A UTF-16 unit is three bytes
    # of JSON at most, so this stays below 20,000 bytes whatever the text and the link.
    limits: ClassVar[Limits] = Limits(title=200, text=4000, unit="utf16")
    # more than four messages in a second are throttled:
    # learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook
    concurrency: ClassVar[int] = 1

    def deliver(self, message: Message, delivery: Delivery) -> Receipt:
        """Start the workflow with a card."""
        _SERVICE.post(self.url.reveal(), json=_post(message), timeout=delivery.timeout)
        return Receipt()

    def check(self, timeout: float) -> str:
        """See whether the host answers: to ask the workflow would start it."""
        return _SERVICE.reach(self.url.reveal(), timeout=timeout)


def _post(message: Message) -> dict[str, Any]:
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": [
            {
                "type": "Container",
                "style": _style(message),
                "bleed": True,
                "items": [_inert(message.title, weight="Bolder", size="Medium")],
            },
            _inert(message.body),
        ],
        "actions": _actions(message.link),
    }
    kind = "application/vnd.microsoft.card.adaptive"
    return {
        "type": "message",
        "attachments": [{"contentType": kind, "contentUrl": None, "content": card}],
    }


def _inert(text: str, **looks: str) -> dict[str, Any]:
    """Return text that is shown as it was written.

    A TextBlock and a FactSet are read as Markdown, which the clients of Teams read in ways
    of their own, and a mention could stand in them. A TextRun is not:
    adaptivecards.io/explorer/TextRun.html.
    """
    return {
        "type": "RichTextBlock",
        "inlines": [{"type": "TextRun", "text": text, **looks}],
    }


def _style(message: Message) -> str:
    return "good" if message.alert.kind == "resolved" else _STYLES[message.alert.level]


def _actions(url: str) -> list[dict[str, str]]:
    if not url or len(url) > _LINK:
        return []
    return [{"type": "Action.OpenUrl", "title": "Read on", "url": url}]


@hookimpl
def tocsin_register(registrar: Registrar) -> None:
    """Offer Teams."""
    registrar.provider(Teams)
