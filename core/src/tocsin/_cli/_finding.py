from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import attrs

from tocsin._cli._screen import BAD, GOOD, POOR, block, remedy_line, stacked

if TYPE_CHECKING:
    from rich.text import Text


class Verdict(Enum):
    """How a check came out."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


_MARKS = {Verdict.OK: GOOD, Verdict.WARNING: POOR, Verdict.PROBLEM: BAD}


@attrs.frozen
class Finding:
    """What a check found, and what to do about it."""

    verdict: Verdict
    what: str
    remedy: str = ""

    def row(self) -> tuple[Text, Text]:
        """Return it as people read it."""
        remedy = [remedy_line(self.remedy)] if self.remedy else []
        return _MARKS[self.verdict], stacked([block(self.what), *remedy])


def ok(what: str) -> Finding:
    """Return that something is as it should be."""
    return Finding(Verdict.OK, what)


def warning(what: str, remedy: str = "") -> Finding:
    """Return that something works, and should be looked at."""
    return Finding(Verdict.WARNING, what, remedy)


def problem(what: str, remedy: str = "") -> Finding:
    """Return that something does not work."""
    return Finding(Verdict.PROBLEM, what, remedy)
