"""What a test asks for, and in what a message is otherwise."""

from __future__ import annotations

import re
from collections.abc import Callable
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

import attrs

from tocsin._alert import AlertLevel
from tocsin.testing._records import Sent

if TYPE_CHECKING:
    from collections.abc import Iterator

Text = str | re.Pattern[str]
Title = str | re.Pattern[str] | Callable[[Sent], object]

_ALIKE = 0.6
"""How much alike titles are of which one may be meant to be the other."""


@attrs.frozen
class Wanted:
    """What a message must be like."""

    title: Title | None
    text: Text | None
    facts: dict[str, str]
    """Attribute of a `Sent` -> what it must be."""
    tag: str | None

    @classmethod
    def of(
        cls,
        title: Title | None,
        *,
        to: str | None = None,
        level: AlertLevel | str | None = None,
        kind: str | None = None,
        text: Text | None = None,
        user: str | None = None,
        team: str | None = None,
        project: str | None = None,
        tag: str | None = None,
    ) -> Wanted:
        """Return what is asked for, as the assertions have it.

        Raises:
            TypeError: The title is none of what it may be.
            ValueError: The level is unknown.

        """
        if not isinstance(title, str | re.Pattern | None) and not callable(title):
            raise TypeError(
                "a title is a str, a compiled pattern, or a function of a Sent, not "
                f"{type(title).__name__}"
            )
        facts = {
            "channel": to,
            "level": None if level is None else AlertLevel.parse(level).value,
            "kind": kind,
            "user": user,
            "team": team,
            "project": project,
        }
        known = {name: fact for name, fact in facts.items() if fact is not None}
        return cls(title, text, known, tag)

    def __str__(self) -> str:
        return " ".join(["an alert", *self._words()])

    def _words(self) -> Iterator[str]:
        if callable(self.title):
            name = getattr(self.title, "__name__", "")
            yield f"for which {name or 'the function'} is true"
        elif self.title is not None:
            yield _shown(self.title)
        for name, fact in self.facts.items():
            yield f"to channel {fact!r}" if name == "channel" else f"of {name} {fact!r}"
        if self.tag is not None:
            yield f"with the tag {self.tag!r}"
        if self.text is not None:
            yield f"with the text {_shown(self.text)}"

    def is_met_by(self, sent: Sent) -> bool:
        """Say whether a message is as asked for."""
        return not any(self.differences(sent))

    def differences(self, sent: Sent) -> Iterator[str]:
        """Return in what a message is otherwise."""
        if not self._has_title(sent):
            yield "its title"
        for name, fact in self.facts.items():
            value = _fact(sent, name)
            if value != fact:
                yield f"{name} {value!r}"
        if self.tag is not None and self.tag not in sent.tags:
            yield f"tags {list(sent.tags)}"
        if self.text is not None and not _contains(sent.text, self.text):
            yield f"text {sent.text!r}"

    def is_like(self, sent: Sent) -> bool:
        """Say whether a message might be meant, though something is otherwise."""
        if self._has_title(sent):
            return self.title is not None
        if not isinstance(self.title, str):
            return False
        matcher = SequenceMatcher(None, self.title.lower(), sent.title.lower())
        return matcher.ratio() >= _ALIKE

    def _has_title(self, sent: Sent) -> bool:
        if self.title is None:
            return True
        if isinstance(self.title, str):
            return sent.title == self.title
        if isinstance(self.title, re.Pattern):
            return bool(self.title.search(sent.title))
        return bool(self.title(sent))


def _fact(sent: Sent, name: str) -> str:
    value = getattr(sent, name)
    return str(value.value if isinstance(value, AlertLevel) else value)


def _contains(text: str, wanted: Text) -> bool:
    return wanted in text if isinstance(wanted, str) else bool(wanted.search(text))


def _shown(wanted: Text) -> str:
    return repr(wanted) if isinstance(wanted, str) else f"like /{wanted.pattern}/"
