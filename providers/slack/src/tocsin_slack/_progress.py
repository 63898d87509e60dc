"""How far a delivery came: what one attempt leaves to the next."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import attrs

from tocsin import Ambiguous, Rejected, RetryLater

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tocsin_slack._outcome import LayoutRefused, ThreadRefused

_PLAIN = "Sent as plain text: Slack refused the layout."
_ALONE = "Not in the thread: Slack takes no reply there."
_UNMARKED = "The earlier message is not marked as resolved: "


@attrs.frozen(kw_only=True)
class Progress:
    """What earlier attempts have achieved, as `Delivery.state` keeps it."""

    is_plain: bool = False
    """Slack refused the layout: the plain form is to be sent."""
    is_alone: bool = False
    """Slack took it for no reply: it is to be sent, or was, by itself."""
    is_marked: bool = False
    """The message that is over was edited, or Slack refused to."""
    unmarked: str = ""
    """Why Slack refused to."""
    channel: str = ""
    ts: str = ""
    """With `channel`, the message that was posted; empty when none was."""
    thread: str = ""
    """The `ts` of the message that it is a reply to, if it is one."""
    uploaded: tuple[int, ...] = ()
    """The positions of the attachments that are up."""

    @classmethod
    def parse(cls, state: Mapping[str, object]) -> Progress:
        """Read the state; what in it makes no sense counts as not achieved."""
        before = cls(
            is_plain=state.get("plain") is True,
            is_alone=state.get("alone") is True,
            is_marked=state.get("marked") is True,
            unmarked=_text(state, "unmarked"),
        )
        channel, ts = _text(state, "channel"), _text(state, "ts")
        if not (channel and ts):
            return before
        thread, uploaded = _text(state, "thread"), _positions(state.get("uploaded"))
        return attrs.evolve(
            before, channel=channel, ts=ts, thread=thread, uploaded=uploaded
        )

    def state(self) -> dict[str, object]:
        """Return it as JSON for `Delivery.state`; empty when nothing was achieved."""
        achieved = {
            "plain": self.is_plain,
            "alone": self.is_alone,
            "marked": self.is_marked,
            "unmarked": self.unmarked,
            "channel": self.channel,
            "ts": self.ts,
            "thread": self.thread,
        }
        state: dict[str, object] = {
            name: what for name, what in achieved.items() if what
        }
        return state | {"uploaded": list(self.uploaded)} if self.ts else state

    @property
    def root(self) -> str:
        """The `ts` of the thread that the message is in, or begins."""
        return self.thread or self.ts

    @property
    def note(self) -> str:
        """What a receipt says of how it was sent."""
        notes = (
            _PLAIN if self.is_plain else "",
            _ALONE if self.is_alone else "",
            f"{_UNMARKED}{self.unmarked}." if self.unmarked else "",
        )
        return " ".join(filter(None, notes))

    def after_layout(self, refusal: LayoutRefused) -> Rejected | RetryLater:
        """Return what ends this attempt: once more as plain text, then no more."""
        if self.is_plain:
            return Rejected(refusal.reason, remedy="shorten the alert")
        return _again(
            f"{refusal.reason}; it follows as plain text",
            attrs.evolve(self, is_plain=True),
        )

    def after_thread(self, refusal: ThreadRefused) -> Rejected | RetryLater:
        """Return what ends this attempt: once more by itself, then no more."""
        if self.is_alone:
            return refusal
        return _again(
            f"{refusal.reason}; it follows by itself",
            attrs.evolve(self, is_alone=True),
        )

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Let a failure that another attempt follows carry this progress to it."""
        try:
            yield
        except (RetryLater, Ambiguous) as failure:
            failure.state = self.state()
            raise


def _again(reason: str, progress: Progress) -> RetryLater:
    return RetryLater(reason, after=0, state=progress.state())


def _text(state: Mapping[str, object], name: str) -> str:
    text = state.get(name)
    return text if isinstance(text, str) else ""


def _positions(value: object) -> tuple[int, ...]:
    items = value if isinstance(value, list | tuple) else ()
    return tuple(item for item in items if isinstance(item, int))
