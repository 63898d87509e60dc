"""What a test asks about the alerts that were captured."""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from tocsin._store import Status
from tocsin.testing._telling import line, listed, story
from tocsin.testing._wanted import Wanted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tocsin._alert import Alert, AlertLevel
    from tocsin._errors import DeliveryError
    from tocsin._settings import Settings
    from tocsin.testing._clock import Clock
    from tocsin.testing._records import Sent, Unsent
    from tocsin.testing._stage import Stage
    from tocsin.testing._wanted import Text, Title


class Alerts:
    """The messages that were sent while alerts were captured, in the order of their alerts.

    It is a sequence of `Sent`. To look at it, or to ask it anything, first has all done
    that is due: nobody has to wait. An alert to two channels is two messages. What is asked
    about may be given as

    - a title: the whole title, a compiled pattern that is searched for in it, or a function
      that is called with each `Sent`;
    - `to`: the name of the channel;
    - `text`: something that the text contains, or a compiled pattern;
    - `level`, `kind`, `user`, `team`, `project`: exactly that; `tag`: among others.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    @property
    def clock(self) -> Clock:
        """The time that the alerts go by, which a test moves on."""
        return self._stage.clock

    @property
    def settings(self) -> Settings:
        """What holds where the program names no configuration, with channels that record."""
        return self._stage.default

    @property
    def sent(self) -> tuple[Sent, ...]:
        """The messages that channels got."""
        return self._stage.look().sent

    @property
    def titles(self) -> list[str]:
        """The titles of the messages that channels got."""
        return [one.title for one in self.sent]

    @property
    def suppressed(self) -> dict[str, int]:
        """How many were suppressed, by their key or else title."""
        return dict(self._stage.look().suppressed)

    @property
    def unrouted(self) -> tuple[Alert, ...]:
        """The alerts that no subscription lets through, once each in its own wait."""
        return self._stage.look().unrouted

    @property
    def pending(self) -> tuple[Unsent, ...]:
        """What is held, or is to be tried again: move the clock on to have it sent."""
        return self._unsent(Status.PENDING)

    @property
    def failed(self) -> tuple[Unsent, ...]:
        """What is given up."""
        return self._unsent(Status.FAILED)

    def _unsent(self, status: Status) -> tuple[Unsent, ...]:
        unsent = self._stage.look().unsent
        return tuple(one for one in unsent if one.status is status)

    def __len__(self) -> int:
        return len(self.sent)

    def __bool__(self) -> bool:
        """Say that it is there, though nothing may be in it: ask for its length."""
        return True

    def __iter__(self) -> Iterator[Sent]:
        return iter(self.sent)

    @overload
    def __getitem__(self, index: int) -> Sent: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Sent, ...]: ...
    def __getitem__(self, index: int | slice) -> Sent | tuple[Sent, ...]:
        return self.sent[index]

    def __repr__(self) -> str:
        return f"<Alerts {', '.join(map(line, self.sent)) or 'none'}>"

    def fail(
        self, channel: str, error: DeliveryError, *, times: int | None = None
    ) -> None:
        """Have a channel fail with an error, so many times or until it is mended."""
        self._stage.flush()
        self._stage.inbox.fail(channel, error, times)

    def mend(self, channel: str) -> None:
        """Have a channel work again."""
        self._stage.flush()
        self._stage.inbox.mend(channel)

    def matching(
        self,
        title: Title | None = None,
        /,
        *,
        to: str | None = None,
        level: AlertLevel | str | None = None,
        kind: str | None = None,
        text: Text | None = None,
        user: str | None = None,
        team: str | None = None,
        project: str | None = None,
        tag: str | None = None,
    ) -> list[Sent]:
        """Return the messages that are as asked for."""
        wanted = Wanted.of(
            title,
            to=to,
            level=level,
            kind=kind,
            text=text,
            user=user,
            team=team,
            project=project,
            tag=tag,
        )
        return [one for one in self.sent if wanted.is_met_by(one)]

    def assert_sent(
        self,
        title: Title | None = None,
        /,
        *,
        times: int | None = None,
        to: str | None = None,
        level: AlertLevel | str | None = None,
        kind: str | None = None,
        text: Text | None = None,
        user: str | None = None,
        team: str | None = None,
        project: str | None = None,
        tag: str | None = None,
    ) -> Sent:
        """Assert that a message was sent, or exactly so many; return the first one.

        Raises:
            AssertionError: It was not: with what was sent, and in what that is otherwise.
            ValueError: `times` is less than one, or the level is unknown.

        """
        __tracebackhide__ = True
        if times is not None and times < 1:
            raise ValueError("times must be at least 1: else use assert_not_sent()")
        wanted = Wanted.of(
            title,
            to=to,
            level=level,
            kind=kind,
            text=text,
            user=user,
            team=team,
            project=project,
            tag=tag,
        )
        seen = self._stage.look()
        found = [one for one in seen.sent if wanted.is_met_by(one)]
        if not found:
            raise AssertionError(f"{wanted} was not sent\n{story(seen, wanted)}")
        if times not in {None, len(found)}:
            raise AssertionError(
                f"{wanted} was sent {_times(len(found))}, not {_times(times or 0)}\n"
                f"{story(seen, wanted)}"
            )
        return found[0]

    def assert_not_sent(
        self,
        title: Title | None = None,
        /,
        *,
        to: str | None = None,
        level: AlertLevel | str | None = None,
        kind: str | None = None,
        text: Text | None = None,
        user: str | None = None,
        team: str | None = None,
        project: str | None = None,
        tag: str | None = None,
    ) -> None:
        """Assert that no such message was sent.

        Raises:
            AssertionError: One was.
            ValueError: The level is unknown.

        """
        __tracebackhide__ = True
        found = self.matching(
            title,
            to=to,
            level=level,
            kind=kind,
            text=text,
            user=user,
            team=team,
            project=project,
            tag=tag,
        )
        if found:
            raise AssertionError(
                f"what should not be sent was sent {_times(len(found))}:\n"
                f"{listed(found)}"
            )

    def assert_none(self) -> None:
        """Assert that nothing at all was sent, nor is to be.

        Raises:
            AssertionError: Something was, is held, or has failed.

        """
        __tracebackhide__ = True
        seen = self._stage.look()
        if seen.sent or seen.unsent:
            raise AssertionError(f"there should be no alert\n{story(seen)}")

    def assert_count(self, count: int) -> None:
        """Assert how many messages were sent.

        Raises:
            AssertionError: More were, or fewer.

        """
        __tracebackhide__ = True
        seen = self._stage.look()
        if len(seen.sent) != count:
            raise AssertionError(
                f"{_messages(len(seen.sent))} sent, not {count}\n{story(seen)}"
            )

    def assert_sent_in_order(self, *titles: Title, to: str | None = None) -> None:
        """Assert that these were sent one after the other; others may be in between.

        Raises:
            AssertionError: One of them was not, or not after the one before.

        """
        __tracebackhide__ = True
        seen = self._stage.look()
        left = iter(seen.sent)
        before = ""
        for title in titles:
            wanted = Wanted.of(title, to=to)
            if not any(wanted.is_met_by(one) for one in left):
                raise AssertionError(
                    f"{wanted} was not sent{before}\n{story(seen, wanted)}"
                )
            before = f" after {wanted}"

    def assert_suppressed(self, key_or_title: str, times: int | None = None) -> None:
        """Assert that alerts of a key, or title, were suppressed, or exactly so many.

        Raises:
            AssertionError: None were, or not so many.

        """
        __tracebackhide__ = True
        seen = self._stage.look()
        count = seen.suppressed.get(key_or_title, 0)
        if count == 0 or times not in {None, count}:
            wish = "" if times is None else f", not {_times(times)}"
            raise AssertionError(
                f"{key_or_title!r} was suppressed {_times(count)}{wish}\n{story(seen)}"
            )


def _times(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")


def _messages(count: int) -> str:
    return "1 message was" if count == 1 else f"{count} messages were"
