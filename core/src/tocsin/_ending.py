"""How a run ended: what one witness knows of it. Pure."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping

GATHER = 2.0
"""Seconds that the alert of an end waits for what other ranks, or a supervisor, know."""

_REQUESTS = {"SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"}


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


def _facts(value: Mapping[str, object] | None) -> dict[str, str]:
    return {str(name): str(fact) for name, fact in (value or {}).items()}


def _is_end(_: object, __: object, state: RunState) -> None:
    if state is RunState.RUNNING:
        raise ValueError("a run that is running has not ended")


@attrs.frozen(kw_only=True)
class Ending:
    """How one process of a run ended, as one witness knows it."""

    state: RunState = attrs.field(converter=RunState, validator=_is_end)
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
    is_last: bool = False
    """Nobody can have something to add any more."""

    @property
    def is_bad(self) -> bool:
        """Whether people would rather have seen another end."""
        return self.state is not RunState.FINISHED

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
