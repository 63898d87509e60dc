"""A command, supervised: how long it may run, which signals it gets, how it ended."""

from __future__ import annotations

import errno
import os
import re
import signal
import time
from enum import Enum
from typing import TYPE_CHECKING, Protocol

import attrs

from tocsin import _places as places
from tocsin._ending import Ending, RunState
from tocsin._oom import Count, Victims
from tocsin._report import lasted
from tocsin._secrecy import blotted
from tocsin._supervisor._child import Child, start
from tocsin._supervisor._descendants import Process, family, signal_all

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tocsin._supervisor._signals import Caught, Signals

TIMED_OUT = 124
"""The exit code for a command whose time was up, as timeout(1) has it."""
NOT_EXECUTABLE = 126
NOT_FOUND = 127
"""The exit codes of a shell for what it cannot start."""

GRACE = 10.0
"""Seconds between SIGTERM and SIGKILL."""

_SHELL = 128  # and the number of a signal: how a shell tells of a command's
_LOOK = 0.5  # seconds between two looks whether what is stalled goes on
_SLICE = 0.05

_MEMORY = re.compile(
    r"^(?:[\w.]*\b(?:MemoryError|OutOfMemoryError)\b.*"
    r"|terminate called after throwing .*std::bad_alloc.*)$",
    re.MULTILINE,
)
_LAST_LINES = 20


@attrs.frozen(kw_only=True)
class Limits:
    """How long a command may do what. Seconds."""

    timeout: float | None = None
    """It may run."""
    grace: float = GRACE
    """It may take to end."""
    stall: float | None = None
    """It may print nothing."""


class Listener(Protocol):
    """Hears of what happens meanwhile; it must not raise, nor take long."""

    def stalled(self, seconds: float, output: str) -> None:
        """Hear that nothing was printed for so long."""

    def resumed(self) -> None:
        """Hear that something is printed again."""


@attrs.frozen(kw_only=True)
class Outcome:
    """How a command ended, and how whoever started us is to learn it."""

    ending: Ending
    exit_code: int
    signal: str = ""
    """What we are to die of."""
    has_begun: bool = True


@attrs.frozen(kw_only=True)
class Evidence:
    """What is known of a command that ended."""

    status: int
    """As wait(2) has it."""
    seconds: float = 0.0
    output: str = ""
    caught: frozenset[str] = frozenset()
    """The signals that came to us."""
    is_scheduled: bool = False
    """Whether a scheduler runs us."""
    time_limit: float | None = None
    """The one that was over."""
    victims: Victims = attrs.field(factory=Victims)


class Change(Enum):
    """What is new of a command's output."""

    STALLED = "stalled"
    RESUMED = "resumed"


class Pulse:
    """Tells when output stays away for so many seconds, and when it comes again. Pure."""

    def __init__(self, limit: float | None) -> None:
        self._limit = float("inf") if limit is None else limit
        self._stalled_at: float | None = None

    def look(self, heard_at: float, now: float) -> Change | None:
        """Return what is new; each change is told once."""
        if self._stalled_at is None:
            if now - heard_at < self._limit:
                return None
            self._stalled_at = now
            return Change.STALLED
        if heard_at <= self._stalled_at:
            return None
        self._stalled_at = None
        return Change.RESUMED

    def next_look(self, heard_at: float, now: float) -> float:
        """Return when to look again."""
        return now + _LOOK if self._stalled_at is not None else heard_at + self._limit


class Deadline:
    """Tells which signal a command has to get for its time limit. Pure."""

    def __init__(self, limits: Limits, began: float) -> None:
        self._limits = limits
        self._next = None if limits.timeout is None else began + limits.timeout
        self.is_over = False

    def due(self, now: float) -> str:
        """Return the signal that is due; each is told once."""
        if self._next is None or now < self._next:
            return ""
        if self.is_over:
            self._next = None
            return "SIGKILL"
        self.is_over = True
        self._next = now + self._limits.grace
        return "SIGTERM"

    def next_look(self) -> float:
        """Return when to look again."""
        return float("inf") if self._next is None else self._next


class Supervisor:
    """Runs a command to its end; `signals` are held back already."""

    def __init__(
        self, command: Sequence[str], signals: Signals, limits: Limits
    ) -> None:
        self._command = command
        self._signals = signals
        self._limits = limits
        self._caught: set[str] = set()
        self._family: set[Process] = set()
        self._child: Child | None = None

    def run(self, environment: Mapping[str, str], listener: Listener) -> Outcome:
        """Start the command, and return how it ended."""
        count = Count()
        try:
            self._child = child = start(
                self._command, environment, self._signals.before
            )
        except (OSError, ValueError) as error:
            return not_started(self._command[0], error)
        deadline = Deadline(self._limits, child.began)
        seconds = self._accompany(child, deadline, listener)
        assert child.status is not None
        return outcome(
            Evidence(
                status=child.status,
                seconds=seconds,
                output=blotted(child.tail.text()),
                caught=frozenset(self._caught),
                is_scheduled=is_scheduled(os.environ),
                time_limit=self._limits.timeout if deadline.is_over else None,
                victims=count.victims(),
            )
        )

    def settle(self) -> None:
        """Let a slow reader have the rest of the output."""
        if self._child is not None:
            self._child.settle()

    def _accompany(self, child: Child, deadline: Deadline, listener: Listener) -> float:
        """Stay with a child until it has ended; return how many seconds it ran."""
        pulse = Pulse(self._limits.stall)
        while not self._is_over(child, deadline):
            self._wait(child, deadline, pulse)
            now = time.monotonic()
            self._end(child, deadline.due(now))
            if child.status is None and (change := pulse.look(child.heard_at, now)):
                self._tell(change, child, listener)
        seconds = time.monotonic() - child.began
        self._note_what_waits()
        child.drain()
        if pulse.look(child.heard_at, time.monotonic()) is Change.RESUMED:
            listener.resumed()
        return seconds

    def _wait(self, child: Child, deadline: Deadline, pulse: Pulse) -> None:
        """Wait until something happens, or is due."""
        now = time.monotonic()
        next_look = min(deadline.next_look(), pulse.next_look(child.heard_at, now))
        if deadline.is_over:  # nobody tells of the end of what the child started
            next_look = min(next_look, now + _SLICE)
        caught = self._signals.wait(max(0.0, next_look - now), child.pid)
        if caught is not None:
            self._pass_on(caught, child)
        if child.poll():
            os.kill(os.getpid(), signal.SIGSTOP)  # as the shell expects it of a job

    def _is_over(self, child: Child, deadline: Deadline) -> bool:
        if child.status is None:
            return False
        is_left = deadline.is_over and any(one.is_alive for one in self._family)
        return not is_left or deadline.next_look() == float("inf")

    def _pass_on(self, caught: Caught, child: Child) -> None:
        if caught.name == "SIGCHLD":
            return
        self._caught.add(caught.name)
        if caught.name == "SIGWINCH":
            child.resize()  # before the child asks how large it is
        if caught.name == "SIGCONT":
            child.note_continued()
        if caught.is_ours_alone or caught.name in {"SIGCONT", "SIGWINCH"}:
            child.send(caught.number)

    def _note_what_waits(self) -> None:
        """Take what came together with the child's end for what ended it."""
        while caught := self._signals.wait(0):
            self._caught.add(caught.name)

    def _end(self, child: Child, name: str) -> None:
        if name:
            roots = {one.id for one in self._family if one.is_alive}
            if child.status is None:
                roots.add(child.pid)
            self._family.update(*map(family, roots))
            number = signal.Signals[name]
            child.send(number)
            child.send(signal.SIGCONT)  # one that is stopped would not hear it
            signal_all({one for one in self._family if one.id != child.pid}, number)

    def _tell(self, change: Change, child: Child, listener: Listener) -> None:
        if change is Change.RESUMED:
            listener.resumed()
            return
        assert self._limits.stall is not None
        listener.stalled(self._limits.stall, blotted(child.tail.text()))


def is_scheduled(environment: Mapping[str, str]) -> bool:
    """Say whether a scheduler may have wanted the machine. Pure."""
    return bool(places.scheduler(environment))


def not_started(program: str, error: Exception) -> Outcome:
    """Return the outcome of a command that could not even begin. Pure."""
    is_missing = isinstance(error, FileNotFoundError | NotADirectoryError)
    if is_missing:
        reason = f"there is no command {program!r}"
    elif getattr(error, "errno", None) == errno.EACCES:
        reason = f"{program!r} may not be executed"
    else:
        reason = f"{program!r} cannot be started: {getattr(error, 'strerror', None) or error}"
    code = NOT_FOUND if is_missing else NOT_EXECUTABLE
    ending = Ending(
        state=RunState.FAILED, exit_code=code, reason=reason, is_alone=False
    )
    return Outcome(ending=ending, exit_code=code, has_begun=False)


def outcome(seen: Evidence) -> Outcome:
    """Return how a command ended. Pure."""
    name = _signal_of(seen.status)
    code = None if name else os.WEXITSTATUS(seen.status)
    state, reason = _judged(seen, name, code)
    ending = Ending(
        state=state,
        reason=reason,
        exit_code=code,
        signal=name,
        has_dumped_core=bool(name) and os.WCOREDUMP(seen.status),
        output=seen.output,
        seconds=seen.seconds,
        is_alone=False,
    )
    if seen.time_limit is not None:
        return Outcome(ending=ending, exit_code=TIMED_OUT)
    if code is not None:
        return Outcome(ending=ending, exit_code=code)
    is_named = name in signal.Signals.__members__
    return Outcome(
        ending=ending,
        exit_code=_SHELL + os.WTERMSIG(seen.status),
        signal=name if is_named else "",
    )


def _signal_of(status: int) -> str:
    if not os.WIFSIGNALED(status):
        return ""
    number = os.WTERMSIG(status)
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"SIG{number}"


def _judged(seen: Evidence, name: str, code: int | None) -> tuple[RunState, str]:
    if seen.time_limit is not None:
        return RunState.KILLED, f"time limit of {lasted(seen.time_limit)}"
    if "SIGTERM" in seen.caught and seen.is_scheduled:
        return RunState.PREEMPTED, ""
    if code == 0:
        return RunState.FINISHED, ""
    if _is_of(signal.SIGINT, seen, name, code):
        return RunState.INTERRUPTED, ""
    if reason := _want_of_memory(seen, name, code):
        return RunState.OUT_OF_MEMORY, reason
    is_killed = name or _is_of(signal.SIGTERM, seen, name, code)
    return (RunState.KILLED, "") if is_killed else (RunState.FAILED, _of_shell(code))


def _is_of(asked: signal.Signals, seen: Evidence, name: str, code: int | None) -> bool:
    """Say whether a signal ended it, be it by way of a shell or a handler."""
    return name == asked.name or (code == _SHELL + asked and asked.name in seen.caught)


def _want_of_memory(seen: Evidence, name: str, code: int | None) -> str:
    victims = seen.victims
    is_killed = name == "SIGKILL" or code == _SHELL + signal.SIGKILL
    if victims.count and (is_killed or victims.is_ours):
        return str(victims)
    if code or name == "SIGABRT":
        last = "\n".join(seen.output.splitlines()[-_LAST_LINES:])
        if found := _MEMORY.findall(last):
            return str(found[-1]).strip()
    return ""


def _of_shell(code: int | None) -> str:
    """Return what an exit code says that a shell made of a signal."""
    try:
        name = signal.Signals((code or 0) - _SHELL).name
    except ValueError:
        return ""
    return f"exit code {code}, which a shell makes of {name}"
