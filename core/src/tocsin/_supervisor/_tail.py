"""The last of what a program printed, as a screen would show it."""

from __future__ import annotations

import re
import threading

KEPT = 64 * 1024
"""Bytes that are kept."""

_MOST_COLUMNS = 1000
_OVERWRITTEN = re.compile(rb"[^\r\n]*\r(?=[^\r\n])")
_WRITTEN = re.compile(
    r"""
      \x1b\[ (?P<number>\d*) [0-?]* [\ -/]* (?P<order>[@-~])
    | \x1b[\]PX^_] .*? (?:\x07|\x1b\\|\Z)       # titles, links
    | \x1b [\ -/]* [0-~]?
    | (?P<control>[\r\n\b])
    | (?P<text>[^\x00-\x08\x0a-\x1f\x7f]+)
    """,
    re.VERBOSE | re.DOTALL,
)


class Tail:
    """Keeps the end of what is added, from any thread.

    A progress bar that is drawn again and again is kept once, so that it does not drive
    out what was printed before.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._lock = threading.Lock()
        self._bytes = bytearray()
        self._is_cut = False

    def add(self, chunk: bytes) -> None:
        """Add what was just printed."""
        with self._lock:
            if len(chunk) > self._kept and b"\r" not in chunk:
                self._is_cut = True
                self._bytes[:] = chunk[-self._kept :]
                return
            self._bytes += chunk
            if len(self._bytes) > 2 * self._kept:
                self._shorten()

    def _shorten(self) -> None:
        if b"\r" in self._bytes:
            self._bytes = bytearray(_OVERWRITTEN.sub(b"", self._bytes))
        if len(self._bytes) > self._kept:
            self._is_cut = True
            del self._bytes[: -self._kept]

    def text(self) -> str:
        """Return it as people saw it: without colours, and without what was overwritten."""
        with self._lock:
            self._shorten()
            kept = bytes(self._bytes)
        if self._is_cut:  # what remains of the first line is no line
            _, end, rest = kept.partition(b"\n")
            kept = rest if end else kept
        return shown(kept.decode(errors="replace"))


def shown(text: str) -> str:
    """Return what a screen would show of a text that moves about on it. Pure."""
    screen = _Screen()
    for written in _WRITTEN.finditer(text):
        if written["text"]:
            screen.write(written["text"])
        elif written["control"]:
            screen.move(written["control"])
        elif written["order"]:
            screen.obey(written["order"], written["number"])
    return "\n".join(line.rstrip() for line in screen.lines).rstrip()


class _Screen:
    """As wide and as long as the text."""

    def __init__(self) -> None:
        self.lines = [""]
        self._row = 0
        self._column = 0

    def write(self, text: str) -> None:
        line = self.lines[self._row].ljust(self._column)
        end = self._column + len(text)
        self.lines[self._row] = f"{line[: self._column]}{text}{line[end:]}"
        self._column = end

    def move(self, control: str) -> None:
        if control == "\b":
            self._column = max(0, self._column - 1)
            return
        self._column = 0
        if control == "\n":
            self._row += 1
            if self._row == len(self.lines):
                self.lines.append("")

    def obey(self, order: str, number: str) -> None:
        count = max(1, int(number[:4] or 1))
        line = self.lines[self._row]
        if order == "A":
            self._row = max(0, self._row - count)
        elif order == "B":
            self._row = min(len(self.lines) - 1, self._row + count)
        elif order == "C":
            self._column = min(_MOST_COLUMNS, self._column + count)
        elif order == "D":
            self._column = max(0, self._column - count)
        elif order == "G":
            self._column = min(_MOST_COLUMNS, count - 1)
        elif order == "K":
            self.lines[self._row] = _erased(line, self._column, number)
        elif order == "J" and number in {"", "0"}:
            self.lines[self._row :] = [line[: self._column]]


def _erased(line: str, column: int, which: str) -> str:
    if which == "1":
        return " " * min(column, len(line)) + line[column:]
    return "" if which == "2" else line[:column]
