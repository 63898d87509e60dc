"""A command at a terminal of its own, and a person who types."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

_PATIENCE = 60.0
# The first terminal that the leader of a session opens is the one that it is asked at.
_BEGIN = (
    "import os, sys; os.close(os.open(os.ttyname(0), os.O_RDWR)); "
    "os.execv(sys.executable, [sys.executable, '-m', 'tocsin', *sys.argv[1:]])"
)
_ESCAPES = re.compile(r"\x1b\[[?0-9;]*[A-Za-z]")


class Terminal:
    """`tocsin` with these words, asked and answered."""

    def __init__(self, *words: object) -> None:
        self._master, slave = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _BEGIN, *map(str, words)],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "200"},
        )
        os.close(slave)
        self._raw = b""
        self._read = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        os.close(self._master)

    @property
    def shown(self) -> str:
        """All that the screen has shown, without colours."""
        return _ESCAPES.sub("", self._raw.decode(errors="replace"))

    @property
    def told(self) -> str:
        """What everybody can read of the process: its words, and its environment."""
        found = ""
        for name in ("cmdline", "environ"):
            with contextlib.suppress(OSError):
                found += Path(f"/proc/{self._process.pid}/{name}").read_text()
        return found

    def expect(self, text: str) -> None:
        """Wait until the screen shows this, below what was expected before."""
        self.until(text)

    def ready(self) -> None:
        """Wait until it waits for an answer."""
        deadline = time.monotonic() + _PATIENCE
        while not self.shown.endswith("> "):
            assert self._more(deadline - time.monotonic()), self.shown
        self._read = len(self.shown)

    def until(self, *texts: str) -> str:
        """Wait until the screen shows one of these; return what is above its end."""
        deadline = time.monotonic() + _PATIENCE
        while not (ends := self._ends(texts)):
            assert self._more(deadline - time.monotonic()), (
                f"no {' or '.join(texts)} in\n{self.shown}"
            )
        read, self._read = self._read, min(ends)
        return self.shown[read : self._read]

    def _ends(self, texts: tuple[str, ...]) -> list[int]:
        shown, read = self.shown, self._read
        return [found + len(t) for t in texts if (found := shown.find(t, read)) >= 0]

    def type(self, answer: str) -> None:
        """Type a line."""
        os.write(self._master, f"{answer}\n".encode(errors="surrogateescape"))

    def answer(self, **answers: str) -> None:
        """Answer the questions, each of which begins with its setting."""
        for setting, answer in answers.items():
            self.expect(f"{setting}: ")
            self.ready()
            self.type(answer)

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        os.killpg(self._process.pid, signal.SIGINT)

    def end(self) -> int:
        """Wait for the end; return the exit code."""
        while self._more(_PATIENCE):
            pass
        return self._process.wait(_PATIENCE)

    def _more(self, seconds: float) -> bool:
        if not select.select([self._master], [], [], max(0.0, seconds))[0]:
            return False
        try:
            chunk = os.read(self._master, 65536)
        except OSError:  # nobody has the other end any more
            return False
        self._raw += chunk
        return bool(chunk)
