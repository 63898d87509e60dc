"""A process that makes calls of one kind, so that what one imports slows no other.

It is told how many to make and how long to pause before each, and answers with how long
each took. What the calls print goes to a file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from importlib import import_module
from typing import TYPE_CHECKING, Self

import attrs

if TYPE_CHECKING:
    from types import TracebackType

    from calls import Calls
    from places import Home


@attrs.frozen
class Answer:
    """What some calls took, in seconds."""

    times: list[float] = attrs.field(factory=list)
    """Of each call whose result is one that is measured."""
    others: int = 0
    """How many calls had another result."""
    wholes: list[float] = attrs.field(factory=list)
    """Of each round: all its calls, and the rest after them."""

    def __add__(self, other: Answer) -> Answer:
        return Answer(
            self.times + other.times,
            self.others + other.others,
            self.wholes + other.wholes,
        )


class Worker:
    """The side that asks."""

    def __init__(self, home: Home, *words: object) -> None:
        """Start the process: a module, a function of it that returns `Calls`, its words."""
        self._log = home.path / "worker.log"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, __file__, *map(str, words)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=home.environment,
                cwd=home.path,
                text=True,
            )
        self._read()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def calls(self, count: int, pause: float = 0.0) -> Answer:
        """Have so many calls made."""
        self.ask(count, pause)
        return self.answer()

    def ask(self, count: int, pause: float = 0.0) -> None:
        """Have so many calls made, and do not wait."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([count, pause]) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Answer:
        """Wait for what `ask` asked for."""
        return Answer(**json.loads(self._read()))

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            said = self._log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"a worker ended; it had said:\n{said}")
        return line


def make(calls: Calls, first: int, count: int, pause: float) -> Answer:
    """Make so many calls, then rest."""
    began = time.perf_counter()
    pairs = [timed(calls, number, pause) for number in range(first, first + count)]
    calls.rest([result for _, result in pairs])
    whole = time.perf_counter() - began
    meant = [seconds for seconds, result in pairs if calls.is_meant(result)]
    return Answer(meant, count - len(meant), [whole])


def timed(calls: Calls, number: int, pause: float) -> tuple[float, object]:
    """Make a call; return what it took, and its result."""
    if pause:
        time.sleep(pause)
    began = time.perf_counter()
    result = calls.make(number)
    return time.perf_counter() - began, result


def main() -> None:
    """Answer until nobody asks."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    module, function, *words = sys.argv[1:]
    calls: Calls = getattr(import_module(module), function)(*words)
    print("ready", file=answers, flush=True)
    first = 0
    for line in sys.stdin:
        count, pause = json.loads(line)
        answer = make(calls, first, count, pause)
        first += count
        print(json.dumps(attrs.asdict(answer)), file=answers, flush=True)


if __name__ == "__main__":
    main()
