"""An alert on the terminal, for whoever has no channel yet."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tocsin import _places as places
from tocsin._text import clean, clean_line

if TYPE_CHECKING:
    from tocsin._alert import Alert

_hints = [
    (
        "tocsin: no channel is configured, so alerts are printed here and kept "
        "(see them with `tocsin log`); to have them sent, write {file}"
    )
]


def echo(alert: Alert) -> None:
    """Print the alert to standard error; the first time, also say why only that."""
    text = f": {clean(alert.text)}" if alert.text else ""
    _print(f"[{alert.level.value}] {clean_line(alert.title)}{text}")
    if _hints:
        _print(_hints.pop().format(file=places.config_dir() / "tocsin.toml"))


def _print(line: str) -> None:
    stream = sys.stderr
    if stream is None:  # a program without a terminal, pythonw for one
        return
    encoding = getattr(stream, "encoding", None) or "ascii"
    print(line.encode(encoding, "replace").decode(encoding), file=stream)
