"""How a run ended, and what people are told of it. Pure."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

MAX_OUTPUT_LINES = 20
"""Of the last output, lines that are in the text; all that is known is attached."""

GATHER = 2.0
"""Seconds that the alert of an end waits for what other ranks, or a supervisor, know."""

_FAULTS = {"SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSYS", "SIGTRAP"}
_REQUESTS = {"SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"}
_REASON = 120  # characters of a reason that are in the title


class RunState(Enum):
    """What a run does, or how it ended."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    """An exception that nobody caught, or an exit code that is not 0."""
    INTERRUPTED = "interrupted"
    """Ctrl-C."""
    KILLED = "killed"
    """A signal."""
    PREEMPTED = "preempted"
    """A scheduler wanted the machine."""
    OUT_OF_MEMORY = "out of memory"
    CRASHED = "crashed"
    """Its heartbeat is lost: nobody knows more."""


KINDS = {
    RunState.FINISHED: "finished",
    RunState.FAILED: "crashed",
    RunState.INTERRUPTED: "interrupted",
    RunState.KILLED: "crashed",
    RunState.PREEMPTED: "preempted",
    RunState.OUT_OF_MEMORY: "crashed",
    RunState.CRASHED: "crashed",
}
"""The kind of the alert that tells of each end; subscriptions choose by it."""

LEVELS = {"finished": "INFO", "interrupted": "WARN", "preempted": "WARN"}
"""The level of each kind; what is not here is an ERROR."""


_VERBS = {
    RunState.RUNNING: "is running",
    RunState.FINISHED: "finished",
    RunState.FAILED: "failed",
    RunState.INTERRUPTED: "was interrupted",
    RunState.PREEMPTED: "was preempted",
    RunState.OUT_OF_MEMORY: "ran out of memory",
    RunState.CRASHED: "is gone",
}


def _facts(value: Mapping[str, object] | None) -> dict[str, str]:
    return {str(name): str(fact) for name, fact in (value or {}).items()}


@attrs.frozen(kw_only=True)
class Ending:
    """How one process of a run ended, as one witness knows it."""

    state: RunState = attrs.field(converter=RunState)
    exit_code: int | None = None
    signal: str = ""
    """Such as ``SIGKILL``."""
    has_dumped_core: bool = False
    reason: str = ""
    """Why, in a line: an exception's type and text, a time limit, a lost heartbeat."""
    message: str = ""
    """What the program said when it finished."""
    traceback: str = ""
    """The last frames, without values."""
    output: str = ""
    """The last of what it printed."""
    seconds: float | None = None
    """How long it ran."""
    metrics: Mapping[str, str] = attrs.field(default=None, converter=_facts, hash=False)
    """The last ones."""
    is_alone: bool = True
    """Nobody else can have something to add: no other ranks, no supervisor."""

    @property
    def is_bad(self) -> bool:
        """Whether people would rather have seen another end."""
        return self.state not in {RunState.RUNNING, RunState.FINISHED}

    @property
    def is_consequence(self) -> bool:
        """Whether somebody asked for it: then what happened first is elsewhere."""
        is_asked = self.signal in _REQUESTS and not self.reason
        return is_asked or self.state is RunState.FINISHED


def written(ending: Ending) -> dict[str, Any]:
    """Return the ending as what JSON can hold."""
    return {**attrs.asdict(ending), "state": ending.state.value}


def read(values: Mapping[str, Any]) -> Ending:
    """Return the ending that `written` wrote; what a newer tocsin added is left out.

    Raises:
        ValueError: The state is unknown.
        TypeError: There is no state.

    """
    known = {field.name for field in attrs.fields(Ending)}
    return Ending(**{name: value for name, value in values.items() if name in known})


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
    ranks = {one.rank for one in ordered if one.rank is not None}
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
    if ending.output:
        lines = ending.output.rstrip().splitlines()
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
