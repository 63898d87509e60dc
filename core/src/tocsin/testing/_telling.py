"""What did happen, for a test that expected something else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tocsin._text import clean_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tocsin._alert import Alert
    from tocsin.testing._records import Sent
    from tocsin.testing._stage import Seen
    from tocsin.testing._wanted import Wanted

_MOST = 30  # lines of each sort


def story(seen: Seen, wanted: Wanted | None = None) -> str:
    """Return all that is known, one line for each; those that are nearly it say why not."""
    return "\n".join(_story(seen, wanted))


def listed(sent: Sequence[Sent]) -> str:
    """Return a line for each message."""
    return "\n".join(_some(f"  {line(one)}" for one in sent))


def line(sent: Sent) -> str:
    """Return what was sent, and where."""
    return f"{_name(sent.alert)} -> {sent.channel}"


def _story(seen: Seen, wanted: Wanted | None) -> Iterator[str]:
    yield "sent:" if seen.sent else "nothing was sent"
    yield from _some(
        f"  {line(one)}{'' if wanted is None else _verdict(one, wanted)}"
        for one in seen.sent
    )
    if seen.suppressed:
        yield "suppressed:"
        yield from _some(
            f"  {key!r}: {count}" for key, count in seen.suppressed.items()
        )
    if seen.unrouted:
        yield "let through by no subscription:"
        yield from _some(f"  {_name(one)}" for one in seen.unrouted)
    if seen.unsent:
        yield "not sent, or not yet:"
        yield from _some(
            f"  {_name(one.alert)} -> {one.channel}: {one.status.value}"
            f"{f', {one.reason}' if one.reason else ''}"
            for one in seen.unsent
        )


def _some(lines: Iterable[str]) -> list[str]:
    found = list(lines)
    more = len(found) - _MOST
    return found if more <= 0 else [*found[:_MOST], f"  … and {more} more"]


def _name(alert: Alert) -> str:
    return f"[{alert.level.value}] {clean_line(alert.title)}"


def _verdict(sent: Sent, wanted: Wanted) -> str:
    differences = list(wanted.differences(sent))
    if not differences:
        return "   <- this one"
    if wanted.is_like(sent):
        return f"   <- nearly: {', '.join(differences)}"
    return ""
