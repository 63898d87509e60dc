"""What people are told of the end of a run. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs

from tocsin._alert import DEFAULT_WAIT_DURATION, Alert, Origin
from tocsin._attachment import Attachment
from tocsin._ending import KINDS, LEVELS, Ending, RunState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_TRACEBACK = "Traceback (most recent call last):\n"

END = "end of run"
"""How the key of an alert begins that tells of an end."""

MAX_OUTPUT_LINES = 20
"""Of the last output, lines that are in the text; all that is known is attached."""

_FAULTS = {"SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSYS", "SIGTRAP"}
_VERBS = {
    RunState.FINISHED: "finished",
    RunState.FAILED: "failed",
    RunState.INTERRUPTED: "was interrupted",
    RunState.PREEMPTED: "was preempted",
    RunState.OUT_OF_MEMORY: "ran out of memory",
    RunState.CRASHED: "is gone",
}
_REASON = 120  # characters of a reason that are in the title


def name_of(origin: Origin) -> str:
    """Return what people call a run."""
    return origin.run_name or origin.run or "The program"


def end_key(run: str, step: str | None) -> str:
    """Return what the throttle counts as the same end.

    A job may have many runs, each with its end, and several ranks of one run, which are
    known by the `step` of the job that they are; None: it has no ranks.
    """
    return f"{END} {run}" if step is None else f"{END} {step}".rstrip()


def alert_of(
    ending: Ending,
    origin: Origin,
    at: float,
    *,
    tags: Iterable[str] = (),
    url: str = "",
    key: str = "",
    id: str = "",  # noqa: A002 - the alert's own word
) -> Alert:
    """Return the alert that tells of an end.

    `key` is the run's own (see `end_key`). Where others may have something to add, theirs have the same key, and join it while it
    waits for them.
    """
    kind = KINDS[ending.state]
    alert = Alert(
        "",
        level=LEVELS.get(kind, "ERROR"),
        wait_duration=0 if ending.is_alone else DEFAULT_WAIT_DURATION,
        kind=kind,
        key=(key or END) + ("" if ending.is_bad else f": {kind}"),
        tags=tuple(tags),
        url=url,
        origin=origin,
        id=id,
        created_at=datetime.fromtimestamp(at, UTC),
        ending=ending,
    )
    return _told_by(alert, [alert])


def joined(alert: Alert, others: Iterable[Alert]) -> Alert:
    """Return one alert of what several witnesses of an end told."""
    return _told_by(alert, [alert, *others])


def _told_by(alert: Alert, alerts: Sequence[Alert]) -> Alert:
    told = report(name_of(alert.origin), [_witness(one) for one in alerts])
    return attrs.evolve(
        alert,
        title=told.title,
        text=told.text,
        fields=told.fields,
        attachments=tuple(
            Attachment(name, text.encode(errors="replace"), "text/plain")
            for name, text in told.attached.items()
        ),
    )


def _witness(alert: Alert) -> Witness:
    assert alert.ending is not None
    return Witness(
        ending=alert.ending,
        rank=alert.origin.rank,
        host=alert.origin.host,
        at=alert.created_at.timestamp() if alert.created_at else 0.0,
    )


@attrs.frozen(kw_only=True)
class Witness:
    """One process that tells how it, or another one, ended."""

    ending: Ending
    rank: int | None = None
    host: str = ""
    at: float = 0.0
    """Seconds since the epoch."""


@attrs.frozen(kw_only=True)
class Report:
    """What an alert says of an end."""

    title: str
    text: str
    fields: dict[str, str]
    attached: dict[str, str]
    """File name -> what is too long for the text."""


def report(name: str, witnesses: Sequence[Witness]) -> Report:
    """Return what is told of a run's end that these processes saw, one at least.

    What happened first, and was not asked for, leads; the others add what it lacks.
    """
    ordered = sorted(witnesses, key=lambda one: (one.ending.is_consequence, one.at))
    ending = _whole([one.ending for one in ordered])
    ranks = {one.rank for one in ordered if one.rank is not None and ending.is_bad}
    lead = ordered[0].rank
    text = "\n\n".join(filter(None, _paragraphs(ending, ordered, ranks)))
    return Report(
        title=f"{name} {_verdict(ending)}{_on_ranks(ranks, lead)}",
        text=text,
        fields=dict(_told(ending, ordered, ranks)),
        attached=_attached(ending),
    )


def _whole(endings: Sequence[Ending]) -> Ending:
    """Return the first one, with what it does not know and others do."""
    first, *others = endings
    for other in others:
        first = attrs.evolve(
            first,
            exit_code=_first(first.exit_code, other.exit_code),
            signal=first.signal or ("" if first.reason else other.signal),
            has_dumped_core=first.has_dumped_core or other.has_dumped_core,
            output=first.output or other.output,
            seconds=_first(first.seconds, other.seconds),
            metrics=first.metrics or other.metrics,
            message=first.message or other.message,
        )
    return first


def _first(one: Any, other: Any) -> Any:  # noqa: ANN401 - of any one type
    return other if one is None else one


def _verdict(ending: Ending) -> str:
    reason = _line(ending.reason)
    if ending.state is RunState.INTERRUPTED and not reason:
        return "was interrupted (Ctrl-C)"
    if ending.state is RunState.FAILED and not reason and ending.exit_code:
        reason = f"exit code {ending.exit_code}"
    return f"{_verb(ending)}{f': {reason}' if reason else ''}"


def _verb(ending: Ending) -> str:
    if ending.state is not RunState.KILLED:
        asked = f" ({ending.signal})" if ending.signal else ""
        return _VERBS[ending.state] + asked
    if ending.signal in _FAULTS:
        core = ", core dumped" if ending.has_dumped_core else ""
        return f"crashed ({ending.signal}{core})"
    return f"was killed by {ending.signal}" if ending.signal else "was killed"


def _line(text: str) -> str:
    first, *more = text.strip().splitlines() or [""]
    is_cut = len(first) > _REASON or more
    return f"{first[:_REASON].rstrip()} …" if is_cut else first


def _on_ranks(ranks: Iterable[int], lead: int | None) -> str:
    ranks = sorted(ranks)
    if not ranks:
        return ""
    if len(ranks) == 1:
        return f" (rank {ranks[0]})"
    first = "" if lead is None else f", first on {lead}"
    return f" ({len(ranks):,} ranks{first})"


def _paragraphs(
    ending: Ending, witnesses: Sequence[Witness], ranks: Iterable[int]
) -> Iterator[str]:
    yield ending.message
    yield "\n\n".join(filter(None, [ending.reason, ending.traceback]))
    if not ending.traceback:  # the one who saw it first may have left no word
        yield next(filter(None, map(_trace, witnesses)), "")
    if len(set(ranks)) > 1:
        yield "\n".join(_by_rank(witnesses))
    output = ending.output
    if ending.traceback:  # it is told already
        output = output.partition(_TRACEBACK)[0]
    if lines := output.rstrip().splitlines():
        yield "Last output:\n" + "\n".join(lines[-MAX_OUTPUT_LINES:])


def _trace(witness: Witness) -> str:
    ending = witness.ending
    if not ending.traceback:
        return ""
    return f"On rank {witness.rank}: {ending.reason}\n\n{ending.traceback}"


def _by_rank(witnesses: Sequence[Witness]) -> Iterator[str]:
    """Name what became of each rank, those alike in one line."""
    alike: dict[str, list[int]] = {}
    for one in witnesses:
        if one.rank is not None:
            alike.setdefault(_line(_verdict(one.ending)), []).append(one.rank)
    for verdict, ranks in alike.items():
        several = "s" if len(set(ranks)) > 1 else ""
        yield f"rank{several} {spans(ranks)}: {verdict}"


def spans(numbers: Iterable[int]) -> str:
    """Return numbers as people write them: ``0-6, 9``."""
    found: list[list[int]] = []
    for number in sorted(set(numbers)):
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in found)


def _told(
    ending: Ending, witnesses: Sequence[Witness], ranks: Iterable[int]
) -> Iterator[tuple[str, str]]:
    if hosts := list(dict.fromkeys(one.host for one in witnesses if one.host)):
        more = f" and {len(hosts) - 3:,} more" if len(hosts) > 3 else ""  # noqa: PLR2004 - as many as fit
        yield "host", ", ".join(hosts[:3]) + more
    if ranks:
        yield "rank" if len(set(ranks)) == 1 else "ranks", spans(ranks)
    if ending.exit_code is not None and ending.is_bad:
        yield "exit code", str(ending.exit_code)
    if ending.signal:
        yield "signal", ending.signal
    if ending.seconds is not None:
        yield "ran for", lasted(ending.seconds)
    if ending.metrics:
        yield (
            "last metrics",
            ", ".join(f"{name}={value}" for name, value in ending.metrics.items()),
        )


def lasted(seconds: float) -> str:
    """Return a length of time as people say it: ``3 h 20 min``."""
    minutes, whole = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    if minutes:
        return f"{minutes} min {whole} s"
    return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"  # noqa: PLR2004 - two digits


def _attached(ending: Ending) -> dict[str, str]:
    lines = ending.output.splitlines()
    return {"output.txt": ending.output} if len(lines) > MAX_OUTPUT_LINES else {}
