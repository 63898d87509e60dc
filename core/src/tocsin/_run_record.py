"""What others can know of a run while it lives: its heartbeat."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs

from tocsin import _ending
from tocsin import _processes as processes
from tocsin._alert import Origin
from tocsin._ending import Ending, RunState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Address = tuple[str, str, str]
"""What a member is kept under: its scope, its run, and what it is there."""

SUPERVISOR = "supervisor"
"""The member that watches a command from outside."""


def _words(value: Iterable[str]) -> tuple[str, ...]:
    return tuple(value)


def _facts(value: Mapping[str, object]) -> dict[str, str]:
    return {str(name): str(fact) for name, fact in value.items()}


@attrs.frozen(kw_only=True)
class RunRecord:
    """One member of a run, a rank or its supervisor. Times are seconds since the epoch."""

    origin: Origin
    started_at: float = attrs.field(converter=float)
    beat_at: float = attrs.field(converter=float)
    """Its last heartbeat."""
    progress_at: float = attrs.field(converter=float)
    """When it last logged metrics, or started."""
    is_supervisor: bool = False
    tags: tuple[str, ...] = attrs.field(default=(), converter=_words)
    end_key: str = ""
    """What the alert of its end has for a key."""
    under: str = ""
    """The run of the supervisor that watches it, if one does."""
    pid: int = attrs.field(default=0, converter=int)
    place: str = ""
    """Where the pid means something; see `tocsin._processes.place`."""
    born: str = ""
    """Tells the process from a later one of the same pid."""
    stall_after: float = attrs.field(default=0.0, converter=float)
    """Seconds without progress after which it stalls; 0: never."""
    step: int | None = None
    metrics: Mapping[str, str] = attrs.field(factory=dict, converter=_facts, hash=False)
    """The last ones, as they are printed."""
    is_preempting: bool = False
    """It was told that the scheduler wants the machine."""
    ending: Ending | None = None
    """None while it runs."""
    lost_at: float | None = None
    """When somebody told that its heartbeat is lost."""

    @property
    def run(self) -> str:
        """The run's id."""
        return self.origin.run

    @property
    def member(self) -> str:
        """What tells it from the run's other members."""
        if self.is_supervisor:
            return SUPERVISOR
        return "" if self.origin.rank is None else str(self.origin.rank)

    @property
    def scope(self) -> str:
        """What it has in common with those that it is told together with."""
        return self.origin.job or self.origin.run

    @property
    def address(self) -> Address:
        """What it is kept under."""
        return self.scope, self.run, self.member

    @property
    def is_there(self) -> bool:
        """Whether its process is surely there."""
        return processes.is_there(self.pid, self.place, self.born)

    @property
    def state(self) -> RunState:
        """What it does, or how it ended."""
        return RunState.RUNNING if self.ending is None else self.ending.state


def encode(record: RunRecord) -> str:
    """Return the record as JSON."""
    values = attrs.asdict(record, recurse=False)
    del values["lost_at"]
    values["origin"] = attrs.asdict(record.origin)
    values["ending"] = record.ending and _ending.written(record.ending)
    return json.dumps(values)


def decode(text: str, lost_at: float | None = None) -> RunRecord:
    """Return the record that `encode` wrote; what a newer tocsin added is left out.

    Raises:
        ValueError: It is none.
        TypeError: Likewise.

    """
    values = json.loads(text)
    if not isinstance(values, dict):
        raise TypeError("it is no object")
    values = _known(values, RunRecord)
    values["origin"] = Origin(**_known(values.get("origin") or {}, Origin))
    if values.get("ending") is not None:
        values["ending"] = _ending.read(values["ending"])
    return RunRecord(**{**values, "lost_at": lost_at})


def _known(values: Mapping[str, Any], cls: type) -> dict[str, Any]:
    names = attrs.fields_dict(cls)
    return {name: value for name, value in values.items() if name in names}


def decoded(rows: Iterable[tuple[str, float | None]]) -> list[RunRecord]:
    """Return those that can be read, those that started first first."""
    records = []
    for text, lost_at in rows:
        try:
            records.append(decode(text, lost_at))
        except (ArithmeticError, ValueError, TypeError, AttributeError, RecursionError):
            continue  # somebody else's, or torn
    return sorted(records, key=lambda record: record.started_at)
