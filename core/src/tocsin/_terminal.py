"""An alert on the terminal, for whoever has no channel yet."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

from tocsin._text import clean, clean_line

if TYPE_CHECKING:
    from tocsin._alert import Alert

_hints = [
    (
        "tocsin: no channel is configured, so alerts are printed here and kept "
        "(see them with `tocsin log`); to have them sent, write {file}"
    )
]


def echo(alert: Alert, *, where_to_configure: str) -> None:
    """Print the alert to standard error; the first time, also say why only that."""
    text = f": {clean(alert.text)}" if alert.text else ""
    say(f"[{alert.level.value}] {clean_line(alert.title)}{text}")
    if where_to_configure:
        with contextlib.suppress(IndexError):  # it is said once
            say(_hints.pop().format(file=where_to_configure))


def say(line: str) -> None:
    """Print a line to standard error, wherever that leads, even nowhere."""
    stream = sys.stderr
    if stream is None:  # a program without a terminal, pythonw for one
        return
    encoding = getattr(stream, "encoding", None) or "ascii"
    with contextlib.suppress(OSError, ValueError):  # a pipe that nobody reads; closed
        print(line.encode(encoding, "replace").decode(encoding), file=stream)
