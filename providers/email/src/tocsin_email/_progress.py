"""How far one delivery has come: who waits for it still, and who was refused it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tocsin_email._reply import Reply


@attrs.frozen(kw_only=True)
class Progress:
    """Which of a mail's recipients wait for it still, and which were refused for good."""

    recipients: tuple[str, ...]
    owed: tuple[str, ...]
    refused: Mapping[str, str] = attrs.field(factory=dict)
    """Mailbox -> the server's words."""
    is_bare: bool = False
    """Whether the attachments are left out, as the server found the mail too large."""

    @classmethod
    def resume(cls, state: Mapping[str, object], recipients: Iterable[str]) -> Progress:
        """Go on from what an earlier attempt left; what makes no sense is ignored."""
        everyone = tuple(recipients)
        owed, refused = state.get("owed"), state.get("refused")
        waiting = owed if isinstance(owed, list) else []
        words = refused if isinstance(refused, dict) else {}
        return cls(
            recipients=everyone,
            # none of those owed is a recipient any more: the settings have changed
            owed=tuple(who for who in everyone if who in waiting) or everyone,
            refused={who: str(words[who]) for who in everyone if who in words},
            is_bare=state.get("bare") is True,
        )

    @property
    def state(self) -> dict[str, object]:
        """What `resume` goes on from."""
        return {
            "owed": list(self.owed),
            "refused": dict(self.refused),
            "bare": self.is_bare,
        }

    @property
    def delivered(self) -> tuple[str, ...]:
        """Who has it."""
        waiting = {*self.owed, *self.refused}
        return tuple(who for who in self.recipients if who not in waiting)

    def refuse(self, replies: Mapping[str, Reply]) -> Progress:
        """Strike off those whose reply is a refusal for good, and keep its words."""
        words = {who: str(reply) for who, reply in replies.items() if reply.is_final}
        return attrs.evolve(
            self,
            owed=tuple(who for who in self.owed if who not in words),
            refused={**self.refused, **words},
        )

    def deliver(self, replies: Mapping[str, Reply]) -> Progress:
        """Strike off those whose reply is a success: they have it."""
        done = {who for who, reply in replies.items() if reply.is_success}
        return attrs.evolve(
            self, owed=tuple(who for who in self.owed if who not in done)
        )
