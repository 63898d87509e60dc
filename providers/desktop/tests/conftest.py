import json
import os
import sys
from datetime import UTC, datetime

import pytest

from tocsin import Alert, Delivery
from tocsin._rendering import Circumstances, render
from tocsin_desktop import Desktop

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)

PROGRAM = """#!{python} -I
import json, os, sys, time
words = sys.argv[1:], sys.stdin.read(), dict(os.environ), os.getpid()
file = os.open({record!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
os.write(file, json.dumps(words).encode() + b"\\n")  # at once: several may run
{then}
"""


class Programs:
    """A folder of programs that write down how they were run; PATH is nothing else."""

    def __init__(self, folder):
        self.folder = folder

    def make(self, name, then=""):
        record = str(self.folder / f"{name}.jsonl")
        file = self.folder / name
        file.write_text(PROGRAM.format(python=sys.executable, record=record, then=then))
        file.chmod(0o755)

    def runs(self, name):
        """Return arguments, stdin, environment and process id of each run."""
        file = self.folder / f"{name}.jsonl"
        text = file.read_text() if file.exists() else ""
        return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def programs(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    return Programs(tmp_path)


@pytest.fixture
def linux(monkeypatch, programs):
    """A Linux desktop that has notify-send, and a session bus."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere")
    programs.make("notify-send")
    return programs


@pytest.fixture
def message():
    """Render an alert as core does."""

    def message(title="Loss is NaN", *details, **more):
        alert = Alert(title, *details, created_at=NOW, **more)
        return render(Desktop, alert, Circumstances(now=NOW))

    return message


@pytest.fixture
def delivery():
    return Delivery(id="d1", channel="desktop", timeout=60)


@pytest.fixture
def is_alive():
    def is_alive(pid):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        return True

    return is_alive
