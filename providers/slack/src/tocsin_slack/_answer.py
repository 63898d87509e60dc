"""What comes of one request: an answer, or the knowledge of how it was lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal

    Fate = Literal["unsendable", "unsent", "unanswered"]
    """It cannot be written; it did not leave; it may have arrived."""


@attrs.frozen
class Answer:
    """What the server said."""

    status: int
    headers: Mapping[str, str]
    """By name in lower case."""
    body: str


@attrs.frozen
class Lost:
    """Why there is no answer."""

    fate: Fate
    reason: str
    """A phrase that holds no secret."""
