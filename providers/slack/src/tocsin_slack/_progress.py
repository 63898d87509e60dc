"""How far a delivery came: what one attempt leaves to the next."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import attrs

from tocsin import Ambiguous, Rejected, RetryLater

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tocsin_slack._outcome import LayoutRefused


@attrs.frozen(kw_only=True)
class Progress:
    """What earlier attempts have achieved, as `Delivery.state` keeps it."""

    is_plain: bool = False
    """Slack refused the layout: the plain form is to be sent."""
    channel: str = ""
    ts: str = ""
    """With `channel`, the message that was posted; empty when none was."""
    uploaded: tuple[int, ...] = ()
    """The positions of the attachments that are up."""

    @classmethod
    def parse(cls, state: Mapping[str, object]) -> Progress:
        """Read the state; what in it makes no sense counts as not achieved."""
        channel, ts = state.get("channel"), state.get("ts")
        if not (isinstance(channel, str) and isinstance(ts, str) and channel and ts):
            return cls(is_plain=state.get("plain") is True)
        uploaded = state.get("uploaded")
        positions = uploaded if isinstance(uploaded, list | tuple) else ()
        return cls(
            is_plain=state.get("plain") is True,
            channel=channel,
            ts=ts,
            uploaded=tuple(item for item in positions if isinstance(item, int)),
        )

    def state(self) -> dict[str, object]:
        """Return it as JSON for `Delivery.state`; empty when nothing was achieved."""
        state: dict[str, object] = {"plain": True} if self.is_plain else {}
        if self.ts:
            state |= {"channel": self.channel, "ts": self.ts}
            state["uploaded"] = list(self.uploaded)
        return state

    @property
    def note(self) -> str:
        """What a receipt says of the form."""
        return "Sent as plain text: Slack refused the layout." if self.is_plain else ""

    def after_refusal(self, refusal: LayoutRefused) -> Rejected | RetryLater:
        """Return what ends this attempt: once more as plain text, then no more."""
        if self.is_plain:
            return Rejected(refusal.reason, remedy="shorten the alert")
        return RetryLater(
            f"{refusal.reason}; it follows as plain text",
            after=0,
            state=attrs.evolve(self, is_plain=True).state(),
        )

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Let a failure that another attempt follows carry this progress to it."""
        try:
            yield
        except (RetryLater, Ambiguous) as failure:
            failure.state = self.state()
            raise
