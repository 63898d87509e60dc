"""What people see. Words from elsewhere are data: cleaned, and never taken for markup."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tocsin._text import clean, clean_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import RenderableType

_WIDE = 10_000  # columns of what is no terminal: a line stays one line for grep
_LONG = 1000  # characters of a word from elsewhere that stands in a line

GOOD = Text("✓", "green")
POOR = Text("!", "yellow")
BAD = Text("✗", "red")
OPEN = Text("…", "yellow")


class Screen:
    """Standard output for what was asked for, standard error for all else."""

    def __init__(self, *, is_quiet: bool = False) -> None:
        self.is_quiet = is_quiet
        self.out = _console(is_error=False)
        self.err = _console(is_error=True)

    def show(self, *what: RenderableType) -> None:
        """Print what was asked for."""
        _print(self.out, what)

    def tell(self, *what: RenderableType) -> None:
        """Print good news, which ``--quiet`` keeps back."""
        if not self.is_quiet:
            self.show(*what)

    def warn(self, *what: RenderableType) -> None:
        """Print to standard error."""
        _print(self.err, what)

    @contextlib.contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Show on a terminal that something takes its time."""
        if self.is_quiet or not self.err.is_terminal:
            yield
            return
        with self.err.status(Text(what, "dim")):
            yield


def _print(console: Console, what: Iterable[RenderableType]) -> None:
    with console.capture() as captured:
        for one in what:
            console.print(one)
    stream = sys.stderr if console.stderr else sys.stdout
    if stream is None:  # closed by whoever called: what was done is done all the same
        return
    for text in captured.get().split("\n")[:-1]:
        stream.write(f"{text.rstrip()}\n")  # a table pads its last column
    stream.flush()


def _console(*, is_error: bool) -> Console:
    console = Console(stderr=is_error, markup=False, emoji=False, highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _WIDE
    return console


def line(text: str, style: str = "") -> Text:
    """Return a text from elsewhere as one line of bounded length."""
    text = clean_line(text)
    cut = text if len(text) <= _LONG else f"{text[:_LONG]}…"
    return Text(cut, style, overflow="fold")


def block(text: str, style: str = "") -> Text:
    """Return a text from elsewhere with its lines."""
    return Text(clean(text), style, overflow="fold")


def stacked(lines: Iterable[Text]) -> Text:
    """Return lines as one text."""
    return Text("\n", overflow="fold").join(lines)


def counted(count: int, one: str, more: str = "") -> str:
    """Return a number of things: ``1 file``, ``2 files``, ``3 deliveries``."""
    return f"{count:,} {one if count == 1 else more or f'{one}s'}"


def remedy_line(remedy: str) -> Text:
    """Return what to do about it."""
    return Text("→ ", "cyan").append_text(line(remedy))


def table(*headings: str, gap: int = 2) -> Table:
    """Return columns without lines between them."""
    columns = Table(
        box=None,
        show_header=bool(headings),
        header_style="dim",
        pad_edge=False,
        padding=(0, gap, 0, 0),
    )
    for heading in headings:
        columns.add_column(heading)
    return columns


def grid(rows: Iterable[Iterable[RenderableType]], gap: int = 2) -> Table:
    """Return rows in columns without headings."""
    columns = table(gap=gap)
    for row in rows:
        columns.add_row(*row)
    return columns
