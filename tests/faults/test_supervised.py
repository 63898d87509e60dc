"""Programs that cannot tell of their own end: somebody beside them does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from support import LEASE, until

if sys.platform == "win32":
    pytest.skip("it needs signals", allow_module_level=True)


@pytest.fixture
def supervised(place):
    """Starts a command under `tocsin run`."""

    def start(*command: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "tocsin", "run", "--name", "wise-owl", *command],
            env=place.environment,
            cwd=place.path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        place.processes.append(process)
        return process

    place.write_config(submit_timeout="10s", finish_timeout="30s")
    return start


def titles(place):
    return [str(line["title"]) for line in place.delivered()]


SEGFAULT = "import ctypes; print('step 7', flush=True); ctypes.string_at(0)"
LEAVES = "import os; print('step 7', flush=True); os._exit(3)"
EATS = (
    "import resource; resource.setrlimit(resource.RLIMIT_AS, (10**9, 10**9));"
    "print('step 7', flush=True); bytearray(2 * 10**9)"
)


@pytest.mark.parametrize(
    ("code", "status", "title"),
    [
        (SEGFAULT, -signal.SIGSEGV, "wise-owl crashed (SIGSEGV)"),
        (LEAVES, 3, "wise-owl failed: exit code 3"),
        (EATS, 1, "wise-owl ran out of memory: MemoryError"),
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
            -signal.SIGKILL,
            "wise-owl was killed by SIGKILL",
        ),
    ],
)
def test_row_37_an_end_without_a_word(*, place, supervised, code, status, title):
    """It is told with its signal and its last lines, and whoever started it sees it."""
    process = supervised(
        "sh", "-c", 'ulimit -c 0; exec "$0" -c "$1"', sys.executable, code
    )
    output, errors = process.communicate(timeout=120)

    assert process.returncode == status, errors
    assert titles(place) == [title]
    shown = place.tocsin("log", "--json").stdout
    assert ("step 7" in output) == ("step 7" in shown) == ("step 7" in code)


def test_row_37_a_shell_script(place, supervised):
    """A command that knows nothing of Tocsin is told of too."""
    script = place.path / "night.sh"
    script.write_text("echo copying; cp /no/such/file . || exit 9\n")
    process = supervised("sh", str(script))
    process.communicate(timeout=120)

    assert process.returncode == 9
    assert titles(place) == ["wise-owl failed: exit code 9"]


def test_row_37_killed_from_outside(place, supervised):
    """So is one that somebody kills; what it had kept arrives as well."""
    code = (
        "import os, time, tocsin; tocsin.init(mode='offline').alert('kept');"
        "print(os.getpid(), flush=True); time.sleep(1000)"
    )
    process = supervised(sys.executable, "-c", code)
    pid = int(process.stdout.readline())
    os.kill(pid, signal.SIGKILL)
    process.communicate(timeout=120)

    assert process.returncode == -signal.SIGKILL
    assert sorted(titles(place)) == ["kept", "wise-owl was killed by SIGKILL"]


IN_HAND = """
import os, signal, time, tocsin
run = tocsin.init(id=os.environ["TOCSIN_RUN_ID"])
run.alert("in hand")
while not os.path.exists("tocsin.toml.lines.begun"): time.sleep(0.001)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_row_37_killed_in_the_middle_of_a_sending(place, supervised):
    """What it was sending arrives once its lease has run out, before we end."""
    config = place.write_config(submit_timeout="10s", finish_timeout="60s")
    config.write_text(config.read_text() + "delay = 3.0\n")
    process = supervised(sys.executable, "-c", IN_HAND)
    _, errors = process.communicate(timeout=LEASE + 200)

    assert process.returncode == -signal.SIGKILL
    assert errors == ""
    assert sorted(titles(place)) == ["in hand", "wise-owl was killed by SIGKILL"]


def test_row_37_whoever_does_not_want_to_wait(place, supervised):
    """Ctrl-C ends the waiting for that; it is kept."""
    config = place.write_config(submit_timeout="10s", finish_timeout="60s")
    config.write_text(config.read_text() + "delay = 3.0\n")
    process = supervised(sys.executable, "-c", IN_HAND)
    until(lambda: titles(place))
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    _, errors = process.communicate(timeout=LEASE + 200)

    assert time.monotonic() - began < LEASE / 2
    assert process.returncode == -signal.SIGKILL
    assert errors.startswith("tocsin: 1 delivery is kept: ")
    assert titles(place) == ["wise-owl was killed by SIGKILL"]


def test_row_37_a_descendant_that_is_killed(place, supervised):
    """Where a shell stands between, its exit code tells."""
    process = supervised(
        *("sh", "-c", 'ulimit -c 0; "$0" -c "$1"; exit $?', sys.executable, SEGFAULT)
    )
    process.communicate(timeout=120)

    assert process.returncode == 128 + signal.SIGSEGV
    told = "exit code 139, which a shell makes of SIGSEGV"
    assert until(lambda: titles(place)) == [f"wise-owl failed: {told}"]
