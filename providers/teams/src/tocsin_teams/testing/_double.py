from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from tocsin.testing import HttpDouble, Received, Reply

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_WORKFLOW = "b7d1f0c2"
_PATH = f"/powerautomate/automations/direct/workflows/{_WORKFLOW}/triggers/manual/paths/invoke"
_SIZE = 28 * 1024  # bytes: learn.microsoft.com/connectors/teams, message size limit
_CARD = "application/vnd.microsoft.card.adaptive"


@attrs.frozen
class Card:
    """A card that was posted."""

    content: Mapping[str, Any]

    @property
    def texts(self) -> tuple[str, ...]:
        """What its runs of text say, the first of which is the title."""
        return tuple(
            part["text"]
            for part in _parts(self.content["body"])
            if part.get("type") == "TextRun"
        )

    @property
    def markdown(self) -> tuple[str, ...]:
        """What is in it that Teams would read as Markdown."""
        blocks = [*_parts(self.content["body"])]
        texts = [part["text"] for part in blocks if part.get("type") == "TextBlock"]
        facts = [part["value"] for part in blocks if "value" in part]
        return (*texts, *facts)

    @property
    def mentions(self) -> tuple[str, ...]:
        """Who is called by it."""
        entities = self.content.get("msteams", {}).get("entities", [])
        return tuple(str(entity.get("text")) for entity in entities)

    @property
    def style(self) -> str:
        """The colour of its title."""
        return str(self.content["body"][0].get("style", "default"))

    @property
    def links(self) -> tuple[str, ...]:
        """What its buttons open."""
        return tuple(action["url"] for action in self.content.get("actions", []))


def _parts(value: object) -> Iterator[dict[str, Any]]:
    """Walk through the elements of a card, and what is in them."""
    if isinstance(value, dict):
        yield value
    inner = value.values() if isinstance(value, dict) else value
    for one in inner if not isinstance(inner, str) else ():  # type: ignore[attr-defined]  # JSON
        if isinstance(one, dict | list):
            yield from _parts(one)


class TeamsDouble(HttpDouble):
    """A workflow that takes what Power Automate takes, and keeps the cards."""

    def __init__(self, *, signature: str = "double") -> None:
        super().__init__()
        self._signature = signature
        self.is_on = True
        """Whether the workflow is turned on."""
        self.cards: list[Card] = []
        """What was posted, the oldest first."""

    @property
    def webhook_url(self) -> str:
        """The address of the workflow."""
        signed = f"sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig={self._signature}"
        return f"{self.url}{_PATH}?api-version=1&{signed}"

    def answer(self, request: Received) -> Reply:
        """Answer as Power Automate does."""
        if request.path != _PATH or request.method != "POST":
            return _error(404, "WorkflowNotFound")
        if request.query.get("sig") != self._signature:
            return _error(401, "DirectApiAuthorizationRequired")
        if not self.is_on:
            return _error(400, "WorkflowTriggerIsNotEnabled")
        if len(request.body) > _SIZE:
            return _error(413, "RequestEntityTooLarge")
        try:
            cards = list(_cards(request.json()))
        except (ValueError, LookupError, TypeError):
            return _error(400, "TriggerInputSchemaMismatch")
        self.cards += cards
        return Reply(202)


def _cards(message: Any) -> Iterator[Card]:  # noqa: ANN401 - whatever JSON holds
    if message["type"] != "message" or not message["attachments"]:
        raise ValueError("no message with attachments")
    for attachment in message["attachments"]:
        card = attachment["content"]
        if attachment["contentType"] != _CARD or card["type"] != "AdaptiveCard":
            raise ValueError("no adaptive card")
        if not isinstance(card["body"], list):
            raise TypeError("no body")
        yield Card(card)


def _error(status: int, code: str) -> Reply:
    words = f"Could not execute workflow '{_WORKFLOW}' trigger 'manual': {code}."
    return Reply(status, json={"error": {"code": code, "message": words}})
