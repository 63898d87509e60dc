"""Programs that end: right after the call, by a signal, by an exception."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from support import LEASE, interpreters, until

RUNS = 25


@pytest.fixture
def slow_sink(place):
    """The sink takes half a second for each message."""
    config = place.write_config(submit_timeout="10s", flush_timeout="10s")
    config.write_text(config.read_text() + "delay = 0.5\n")


WITH_A_HANDLER = """
import os, signal, sys, time, tocsin

def handle(signum, frame):
    {handles}
    os.write(1, b"handled\\n")  # print() must not be entered twice
    {ends}

if {before}: signal.signal(signal.SIGTERM, handle)
run = tocsin.init()
if not {before}: signal.signal(signal.SIGTERM, handle)
run.alert("x")
while not os.path.exists("tocsin.toml.lines.begun"):
    time.sleep(0.001)
print("sending", flush=True)
for _ in range(600):
    time.sleep(0.1)
"""


@pytest.mark.usefixtures("slow_sink")
@pytest.mark.parametrize(
    ("before", "handles", "ends", "code", "told"),
    [
        (True, "pass", "sys.exit(3)", 3, "was killed by SIGTERM"),
        (False, "pass", "sys.exit(3)", 3, "failed: exit code 3"),
        (
            *(True, "pass", "raise KeyboardInterrupt", -signal.SIGINT),
            "was killed by SIGTERM",
        ),
        (
            *(True, "run.alert('in the handler')", "sys.exit(3)", 3),
            "was killed by SIGTERM",
        ),
        (True, "run.finish()", "os._exit(3)", 3, "was killed by SIGTERM"),
    ],
)
def test_row_26_sigterm_with_a_handler(*, place, before, handles, ends, code, told):
    """A program's own handler runs, and ours if it was first; what is being sent, or
    raised in it, arrives before the program ends, and so does the alert of its end."""
    process = place.python(
        WITH_A_HANDLER.format(before=before, handles=handles, ends=ends)
    )
    assert process.stdout.readline() == "sending\n"
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=60)

    assert output == "handled\n"
    assert process.returncode == code, errors
    expected = {"x", "in the handler"} if "alert" in handles else {"x"}
    titles = [str(line["title"]) for line in place.delivered()]
    (end,) = [title for title in titles if title not in expected]
    assert end.endswith(told)
    assert expected < set(titles)


BUSY = """
import itertools, signal, sys, time, tocsin

def handle(signum, frame):
    result = run.alert("in the handler")
    assert isinstance(result, (tocsin.Admitted, tocsin.Deferred)), result
    sys.exit(3)

signal.signal(signal.SIGTERM, handle)
run = tocsin.init()
print("ready", flush=True)
for number in itertools.count():
    run.alert(f"x {number}")
    time.sleep(0.0005)
"""


def test_row_26_sigterm_in_the_middle_of_a_call(place):
    """An alert that a handler raises while it interrupts another call arrives too."""
    place.write_config(flush_timeout="20s")
    processes = [place.python(BUSY) for _ in range(4)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    until(lambda: len(place.delivered()) > 20)
    for process in processes:
        process.send_signal(signal.SIGTERM)
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 3, errors
    place.later(LEASE + 5)

    lines = place.delivered()
    assert len({line["id"] for line in lines if line["title"] == "in the handler"}) == 4


@pytest.mark.parametrize("seconds", [0, 1])
def test_row_26_sigterm_while_the_sink_hangs(place, seconds):
    """The end of a program waits for its flush timeout, and no longer; the alert is
    kept."""
    config = place.write_config(submit_timeout="10s", flush_timeout=seconds)
    config.write_text(config.read_text() + "delay = 50.0\n")
    process = place.python(
        WITH_A_HANDLER.format(before=True, handles="pass", ends="sys.exit(3)")
    )
    assert process.stdout.readline() == "sending\n"
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    took = time.monotonic() - began
    place.write_config()
    place.later(LEASE + 5)

    assert process.returncode == 3
    assert took < seconds + 3
    assert "x" in [line["title"] for line in place.delivered()]


def test_row_26_sigterm_without_a_handler(place):
    """A signal that nobody handles ends the program as ever; the alert is kept."""
    process = place.python(
        "import os, signal, tocsin; tocsin.init(mode='offline').alert('x');"
        "os.kill(os.getpid(), signal.SIGTERM); input()"
    )
    process.communicate(timeout=60)
    place.later(0)

    assert process.returncode == -signal.SIGTERM
    end, alert = sorted(
        (str(line["title"]) for line in place.delivered()), key=len, reverse=True
    )
    assert alert == "x"
    assert end.endswith("was killed by SIGTERM")


IN_MAIN = """
import tocsin
tocsin.init(name="wise-owl")
raise ValueError("lr")
"""
IN_A_THREAD = """
import threading, tocsin
run = tocsin.init(name="wise-owl")
thread = threading.Thread(target=lambda: int("lr"))
thread.start()
thread.join()
"""
IN_A_CHILD = """
import multiprocessing, tocsin
run = tocsin.init(name="wise-owl")
child = multiprocessing.get_context("fork").Process(target=lambda: int("lr"))
child.start()
child.join()
assert child.exitcode == 1
"""


@pytest.mark.parametrize(
    ("code", "status", "told"),
    [
        pytest.param(IN_MAIN, 1, "wise-owl failed: ValueError: lr", id="main"),
        pytest.param(
            *(IN_A_THREAD, 0, "wise-owl: unhandled ValueError in thread "), id="thread"
        ),
        pytest.param(IN_A_CHILD, 0, "wise-owl: unhandled ValueError", id="child"),
    ],
)
def test_row_27_an_uncaught_exception(place, code, status, told):
    """An exception that nobody catches is one alert, and is printed as ever."""
    process = place.python(code)
    _, errors = process.communicate(timeout=60)
    place.later(LEASE + 5)

    assert process.returncode == status
    assert len(re.findall("^ValueError: ", errors, re.MULTILINE)) == 1
    (line,) = place.delivered()
    assert str(line["title"]).startswith(told)


@pytest.fixture(scope="module", params=interpreters())
def interpreter(request, fresh_environment):
    return fresh_environment("tocsin[cli]", python=request.param)


@pytest.mark.slow
def test_row_28_exit_right_after_the_call(place, interpreter):
    """Of 25 alerts each is delivered or kept, and those that are kept arrive."""

    def alert(number: int) -> None:
        place.run(f"import tocsin; tocsin.alert('x {number}')", interpreter=interpreter)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(alert, range(RUNS)))
    delivered = len(place.delivered())
    subprocess.run(
        [interpreter, "-m", "tocsin", "drain"],
        env=place.environment,
        cwd=place.path,
        check=True,
        capture_output=True,
    )

    titles = {str(line["title"]) for line in place.delivered()}
    assert titles == {f"x {number}" for number in range(RUNS)}
    assert delivered > 0
