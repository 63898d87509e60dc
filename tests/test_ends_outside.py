"""How an end is known from outside: nothing in the program says a word of it.

The rows are those of the second table of docs/explanation/ends.md.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import attrs
import pytest
from support import ROOT, until

if TYPE_CHECKING:
    from support import Place

if sys.platform == "win32":
    pytest.skip("it needs signals", allow_module_level=True)

SOON = 30.0
"""Seconds within which it is told on a machine that has much else to do."""

HERE = """
import os, signal, time

def ends():
    with open("moment", "w") as file:
        file.write(repr(time.time()))
"""

OWL = """
import ctypes, os, resource, signal, sys, time
import tocsin
from here import ends
run = tocsin.init(name="owl")
run.log({"loss": 0.25}, step=7)
print("epoch 3", flush=True)
"""

EATS = """
resource.setrlimit(resource.RLIMIT_AS, (10**9, 10**9))
ends()
bytearray(2 * 10**9)
"""


@attrs.frozen(kw_only=True)
class Row:
    """A program under `tocsin run`, and what is told of its end."""

    code: str
    title: str
    status: int
    kind: str = "crashed"
    level: str = "ERROR"
    options: tuple[str, ...] = ()
    output: str = "epoch 3"


ROWS = {
    "SIGKILL": Row(
        code=OWL + "ends(); os.kill(os.getpid(), signal.SIGKILL)",
        title="owl was killed by SIGKILL",
        status=-signal.SIGKILL,
    ),
    "a segmentation fault": Row(
        code=OWL + "ends(); ctypes.string_at(0)",
        title="owl crashed (SIGSEGV)",
        status=-signal.SIGSEGV,
    ),
    "`os._exit(3)`": Row(
        code=OWL + "ends(); os._exit(3)", title="owl failed: exit code 3", status=3
    ),
    "memory that runs out, by `ulimit -v`": Row(
        code=OWL + EATS, title="owl ran out of memory: MemoryError", status=1
    ),
    "`raise SystemExit(3)`": Row(
        code=OWL + "ends(); raise SystemExit(3)",
        title="owl failed: exit code 3",
        status=3,
    ),
    "an exception, which the program tells as well": Row(
        code=OWL + "ends(); raise ValueError('lr')",
        title="owl failed: ValueError: lr",
        status=1,
    ),
    "exit code 3 of a program that imports nothing of ours": Row(
        code="from here import ends; ends(); print('no data'); raise SystemExit(3)",
        title="night.py failed: exit code 3",
        status=3,
        output="no data",
    ),
    "SIGTERM under a scheduler": Row(
        code="from here import ends; import time; print('x', flush=True); ends();"
        "time.sleep(60)",
        title="night.py was preempted (SIGTERM)",
        status=-signal.SIGTERM,
        kind="preempted",
        level="WARN",
        output="x",
    ),
    "`--timeout 2s`": Row(
        code=OWL + "ends(); time.sleep(60)",
        title="owl was killed by SIGTERM: time limit of 2.0 s",
        status=124,
        options=("--timeout", "2s"),
    ),
    "`--stall 1s`: nothing is printed": Row(
        code="from here import ends; import time; ends(); time.sleep(60)",
        title="night.py stalls: no output for 1.0 s",
        status=0,
        kind="stalled",
        options=("--stall", "1s"),
    ),
}


@pytest.fixture
def place(place):
    place.write_config(submit_timeout="20s", finish_timeout="20s", flush_timeout="20s")
    (place.path / "here.py").write_text(HERE)
    yield place
    place.end()


def start(place: Place, *words: str, **environment: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, *words],
        env=place.environment | environment,
        cwd=place.path,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    place.processes.append(process)
    return process


def told_after(place: Place, line: dict[str, object]) -> float:
    moment = float((place.path / "moment").read_text())
    took = float(str(line["at"])) - moment
    sys.stdout.write(f"told after {took:.2f} s\n")  # see the page
    return took


@pytest.mark.parametrize("row", ROWS.values(), ids=list(ROWS))
def test_an_end_that_is_seen_from_outside(place, row):
    """It is one alert, with the last output; whoever started the program sees its end."""
    (place.path / "night.py").write_text(row.code)
    scheduled = {"SLURM_JOB_ID": "7"} if row.kind == "preempted" else {}
    command = (*row.options, "--", "sh", "-c", 'ulimit -c 0; exec "$@"', "sh")
    process = start(
        place, "-m", "tocsin", "run", *command, sys.executable, "night.py", **scheduled
    )
    if row.kind in {"preempted", "stalled"}:
        until((place.path / "moment").exists)
    if row.kind == "preempted":
        process.send_signal(signal.SIGTERM)
    if row.kind == "stalled":
        until(place.delivered)
    else:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == row.status, errors

    (line,) = place.delivered()
    assert line["title"] == row.title
    assert (line["kind"], line["level"]) == (row.kind, row.level)
    assert row.kind == "stalled" or row.output in str(line["text"])
    assert told_after(place, line) < SOON


GONE = OWL + "ends(); os.kill(os.getpid(), signal.SIGKILL)"
HANGS = OWL + "ends(); time.sleep(60)"


def test_a_process_that_is_gone(place):
    """Who watches on the same machine tells at once, and once."""
    (place.path / "night.py").write_text(
        GONE.replace("ends()", "time.sleep(3); ends()")
    )
    start(place, "night.py").wait(60)
    for _ in range(2):
        place.tocsin("watch", "--once")

    (line,) = place.delivered()
    assert line["title"] == WATCHED["its process is gone"]
    assert told_after(place, line) < SOON


def test_a_heartbeat_that_is_lost(place):
    """Where nobody knows the process, that it is silent for `lost_after` is what is told."""
    place.write_config(submit_timeout="20s", finish_timeout="20s", lost_after="3s")
    place.python(ELSEWHERE).wait(60)
    for _ in range(2):
        place.tocsin("watch", "--once")

    (line,) = place.delivered()
    expected = WATCHED['its heartbeat is lost, with `lost_after = "3s"`']
    assert re.sub(r"\d+\.\d", "4.0", str(line["title"])) == expected


ELSEWHERE = """
import attrs, time, tocsin
from tocsin._run_record import RunRecord
with tocsin.Notifier.from_config() as notifier:
    origin = notifier.placed(tocsin.Origin(run="r1", run_name="owl"))
    now = time.time() - 4
    record = RunRecord(origin=origin, started_at=now, beat_at=now, progress_at=now)
    notifier.state.put_run(attrs.evolve(record, place="another machine"), now)
"""


def test_a_program_that_is_stopped(place):
    """One that is there and beats no more is told as that; so is that it goes on."""
    place.write_config(submit_timeout="20s", finish_timeout="20s", lost_after="3s")
    (place.path / "night.py").write_text(HANGS)
    process = start(place, "night.py")
    until(lambda: _beats(place))
    os.kill(process.pid, signal.SIGSTOP)
    watching = start(place, "-m", "tocsin", "watch", "--every", "0.5s")
    (line,) = until(place.delivered)
    os.kill(process.pid, signal.SIGCONT)
    until(lambda: len(place.delivered()) > 1)
    watching.terminate()

    expected = WATCHED['it is stopped, with `lost_after = "3s"`']
    assert re.sub(r"\d+\.\d", "3.0", str(line["title"])) == expected
    assert str(place.delivered()[1]["title"]).startswith("Resolved: owl stalls")


def _beats(place: Place) -> bool:
    return '"run"' in place.tocsin("runs", "--json").stdout


def test_a_program_that_hangs(place):
    """It tells itself that it makes no progress, and where it is."""
    place.write_config(submit_timeout="20s", stall_after="1s")
    (place.path / "night.py").write_text(HANGS)
    start(place, "night.py")
    (line,) = until(place.delivered)

    expected = WATCHED['it logs nothing, with `stall_after = "1s"`']
    assert re.sub(r"\d+\.\d", "1.0", str(line["title"])) == expected
    assert 'night.py", line' in str(line["text"])
    assert told_after(place, line) < SOON


WATCHED = {
    "its process is gone": "owl is gone: its process ended without a word",
    'its heartbeat is lost, with `lost_after = "3s"`': (
        "owl is gone: no heartbeat for 4.0 s"
    ),
    'it is stopped, with `lost_after = "3s"`': "owl stalls: no heartbeat for 3.0 s",
    'it logs nothing, with `stall_after = "1s"`': "owl stalls: no progress for 1.0 s",
}


def test_the_page_has_these_rows():
    """Each row of the page is tested, with what its message says, and each test is there."""
    page = (ROOT / "docs" / "explanation" / "ends.md").read_text()
    _, _, rest = page.partition("## What is seen from outside")
    table, _, _ = rest.partition("\n## ")
    rows = re.findall(r"^\| (.+?) \| `(.+?)` \|", table, re.MULTILINE)

    expected = {what: row.title for what, row in ROWS.items()} | WATCHED
    assert dict(rows) == expected
