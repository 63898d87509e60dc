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

_PATIENCE = 120.0
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
        deadline = time.monotonic() + _PATIENCE
        while (found := self.shown.find(text, self._read)) < 0:
            assert self._more(deadline - time.monotonic()), (
                f"no {text!r} in\n{self.shown}"
            )
        self._read = found + len(text)

    def type(self, answer: str) -> None:
        """Type a line."""
        os.write(self._master, f"{answer}\n".encode(errors="surrogateescape"))

    def answer(self, **answers: str) -> None:
        """Answer the questions, each of which begins with its setting."""
        for setting, answer in answers.items():
            self.expect(f"{setting}: ")
            self.expect("> ")
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
