"""Errors, as a person reads them: no traceback, everything at once, what to do next."""

from __future__ import annotations

from itertools import groupby
from typing import IO, TYPE_CHECKING, Any

import click

from tocsin._cli._exits import Exit
from tocsin._cli._screen import Screen, grid, line
from tocsin._text import clean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from tocsin._errors import ConfigError, Problem


class _Told(click.ClickException):
    def format_message(self) -> str:
        return clean(self.message)  # it may quote what came from elsewhere


class Failure(_Told):
    """Something outside failed: the store, above all."""

    exit_code = Exit.UNDELIVERED


class Mistake(_Told):
    """Something that was asked for is not there."""

    exit_code = Exit.MISUSED


class Mistakes(click.ClickException):
    """A configuration with mistakes."""

    exit_code = Exit.MISUSED

    def __init__(self, error: ConfigError) -> None:
        super().__init__(str(error))
        self.problems = error.problems

    def show(self, file: IO[Any] | None = None) -> None:  # noqa: ARG002 - click's own
        """Print every mistake, file by file."""
        count = len(self.problems)
        what = "a mistake" if count == 1 else f"{count} mistakes"
        heading = line(f"Error: the configuration has {what}:", "red")
        Screen().warn(heading, *listed(self.problems))


def listed(problems: tuple[Problem, ...]) -> Iterator[RenderableType]:
    """Return every mistake, file by file."""
    for file, found in groupby(problems, lambda problem: problem.file):
        if file:
            yield line(file, "bold")
        yield grid(["", line(_without_file(problem))] for problem in found)


def _without_file(problem: Problem) -> str:
    return ": ".join(filter(None, [problem.key, problem.message]))
