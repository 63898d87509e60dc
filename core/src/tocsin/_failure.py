"""What is told of an exception: its type, its text, its last frames. No values."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

from tocsin._ending import Ending, RunState
from tocsin._errors import printed
from tocsin._secrecy import blotted

if TYPE_CHECKING:
    from collections.abc import Iterator

_FRAMES = 8  # of a traceback, the last ones
_CAUSES = 3
_MEMBERS = 3  # of a group that are told with their frames
_REASON = 2000  # characters
_READ = 50_000  # likewise, that are looked at
_HUGE = 2**31
_HEADLINE = 120  # likewise, of a title
_LINE = 500  # characters of a frame
_EXHAUSTED = {"MemoryError", "OutOfMemoryError"}  # the latter is torch's, on a device


def reason_of(error: BaseException) -> str:
    """Return the exception's type, what it says, and its notes."""
    said = printed(error)[:_READ].strip()
    name = type(error).__name__
    notes = getattr(error, "__dict__", {}).get("__notes__")
    lines = map(printed, notes if isinstance(notes, list) else ())
    return _cut("\n".join([f"{name}: {said}" if said else name, *lines]), _REASON)


def _cut(text: str, length: int) -> str:
    """Return the beginning of a text, without the beginning of a secret."""
    return blotted(text[:_READ])[:length]


def headline(error: BaseException) -> str:
    """Return an exception's type and what it says, as one short line."""
    first, *more = reason_of(error).splitlines()
    is_cut = len(first) > _HEADLINE or more
    return f"{first[:_HEADLINE].rstrip()} …" if is_cut else first


def account(error: BaseException, *, without: str = "") -> str:
    """Return an exception's type, what it says, and its last frames.

    A first frame that is in the file `without` is left out.
    """
    parts = (reason_of(error), frames_of(error, without=without))
    return "\n\n".join(filter(None, parts))


def frames_of(error: BaseException, *, without: str = "") -> str:
    """Return the last frames of an exception, and those of what it holds and its causes."""
    parts = ["".join(_frames(error, without))]
    for member in _members(error):
        parts += [f"it holds {reason_of(member)}\n", "".join(_frames(member)[-2:])]
    for cause in _causes(error):
        parts += [f"caused by {reason_of(cause)}\n", "".join(_frames(cause)[-2:])]
    return "\n".join(filter(None, parts)).rstrip()


def _frames(error: BaseException, without: str = "") -> list[str]:
    trace = error.__traceback__
    if trace is not None and trace.tb_frame.f_code.co_filename == without:
        trace = trace.tb_next
    return _printed(traceback.extract_tb(trace, limit=-_FRAMES))


def _printed(frames: traceback.StackSummary) -> list[str]:
    lines = traceback.format_list(frames)
    return [_cut(line, _LINE).rstrip() + "\n" for line in lines]


def _members(error: BaseException) -> list[BaseException]:
    """Return the first exceptions that a group holds, those of groups within, too."""
    found: list[BaseException] = []
    waiting = [error]
    while waiting and len(found) < _MEMBERS:
        one = waiting.pop(0)
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions
        elif one is not error:
            found.append(one)
    return found


def _causes(error: BaseException) -> Iterator[BaseException]:
    for _ in range(_CAUSES):
        cause = error.__cause__
        if cause is None and not error.__suppress_context__:
            cause = error.__context__
        if cause is None:
            return
        yield cause
        error = cause


def ending_of(error: BaseException) -> Ending:
    """Return how a program ends that an exception leaves."""
    if isinstance(error, SystemExit):
        return _exited(error.code)
    if isinstance(error, KeyboardInterrupt):
        return Ending(state=RunState.INTERRUPTED, traceback=frames_of(error))
    is_exhausted = any(cls.__name__ in _EXHAUSTED for cls in type(error).__mro__)
    state = RunState.OUT_OF_MEMORY if is_exhausted else RunState.FAILED
    if not isinstance(error, Exception):  # a task was cancelled: somebody wanted that
        state = RunState.INTERRUPTED
    return Ending(
        state=state,
        exit_code=1 if isinstance(error, Exception) else None,
        reason=reason_of(error),
        traceback=frames_of(error),
    )


def _exited(code: object) -> Ending:
    """Return what ``sys.exit(code)`` does: text is printed, and means 1."""
    if code is None or code == 0:
        return Ending(state=RunState.FINISHED, exit_code=0)
    if isinstance(code, int):
        real = as_exit_code(code)
        state = RunState.FAILED if real else RunState.FINISHED
        return Ending(state=state, exit_code=real)
    reason = _cut(printed(code), _REASON)
    return Ending(state=RunState.FAILED, exit_code=1, reason=reason)


def as_exit_code(code: int) -> int:
    """Return what the system makes of an exit code: a byte; of a huge one, 255."""
    return code & 0xFF if abs(code) < _HUGE else 0xFF


def stack_of(thread_id: int) -> str:
    """Return where a thread is just now; empty when it is not there."""
    import sys

    frame = sys._current_frames().get(thread_id)  # noqa: SLF001 - documented
    if frame is None:
        return ""
    found = traceback.extract_stack(frame, limit=_FRAMES)
    return "".join(_printed(found)).rstrip()
