"""How the end of a program is known from within: one alert, and nothing else is changed.

The rows are those of docs/explanation/ends.md.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import attrs
import pytest
from support import ROOT

if TYPE_CHECKING:
    from support import Place

SOON = 20.0
"""Seconds within which an end is told on a machine that has much else to do."""

HERE = """
import os, signal, time

def ends():
    with open("moment", "w") as file:
        file.write(repr(time.time()))

def ready():
    ends()
    print("ready", flush=True)
    time.sleep(60)

def interrupted():
    ends()
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)
"""
"""What the programs share: they say when they end."""

STUB = """
from unittest.mock import MagicMock

class Run:
    def __enter__(self): return self
    def __exit__(self, *_): pass
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return nothing

def nothing(*_, **__): pass
def init(*_, **__): return Run()

class watching(Run):
    def __init__(self, *_): pass
"""
"""A module `tocsin` that does nothing: a program says with it what it says without."""

HEAD = """\
from here import ends, interrupted, ready
import tocsin
run = tocsin.init(name="owl")
run.log({"loss": 0.25}, step=7)
"""


@attrs.frozen(kw_only=True)
class Row:
    """A program, and what is told of its end."""

    code: str
    """It comes after `HEAD`, unless it says ``import tocsin`` itself."""
    title: str
    kind: str = "crashed"
    level: str = "ERROR"
    status: int = 1
    says: tuple[str, ...] = ()
    """What the text holds."""
    fields: tuple[str, ...] = ("exit code", "ran for", "last metrics")
    """Those that there are, beside the host."""
    sends: int = 0
    """The signal that it is sent."""
    environment: tuple[tuple[str, str], ...] = ()
    words: tuple[str, ...] = ("train.py",)
    """Python's arguments."""

    @property
    def program(self) -> str:
        """The whole of it."""
        return self.code if "import tocsin" in self.code else HEAD + self.code


@attrs.frozen
class Ended:
    """A program that ended."""

    status: int
    output: str
    errors: str


def start(place: Place, row: Row, **environment: str) -> subprocess.Popen[str]:
    (place.path / "here.py").write_text(HERE)
    (place.path / "train.py").write_text(row.program)
    process = subprocess.Popen(
        [sys.executable, *row.words],
        env=place.environment | dict(row.environment) | environment,
        cwd=place.path,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    place.processes.append(process)
    return process


def finished(place: Place, row: Row, **environment: str) -> Ended:
    """Run a program to its end, whatever that is."""
    process = start(place, row, **environment)
    if row.sends:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(row.sends)
    is_typed = "-i" in row.words
    output, errors = process.communicate(row.program if is_typed else "", timeout=120)
    return Ended(process.returncode, output, re.sub(r"0x\w+", "0x…", errors))


def without(place: Place, row: Row) -> Ended:
    """Run a program to its end without Tocsin."""
    folder = place.path / "stub"
    folder.mkdir()
    (folder / "tocsin.py").write_text(STUB)
    return finished(place, row, PYTHONPATH=str(folder))


def alone(place: Place) -> dict[str, object]:
    """Return what the one alert was."""
    (line,) = place.delivered()
    return line


RAISES = "ends()\nraise ValueError('lr must be positive')\n"
SAID = ("ValueError: lr must be positive", 'File "', "train.py")
UNHANDLED: dict[str, object] = {"status": 0, "fields": (), "says": SAID}

IN_A_THREAD = """
import threading
def load():
    ends()
    raise ValueError("lr must be positive")
thread = threading.Thread(target=load, name="loader")
thread.start()
thread.join()
"""
IN_A_TASK = """
import asyncio, gc
async def step():
    ends()
    raise ValueError("lr must be positive")
async def main():
    task = asyncio.create_task(step(), name="step")
    await asyncio.sleep(0.01)
    del task
    gc.collect()
    await asyncio.sleep(0.01)
asyncio.run(main())
"""
IN_A_DEL = """
class Batch:
    def __del__(self):
        ends()
        raise ValueError("lr must be positive")
Batch()
print("goes on")
"""
IN_A_CHILD = """
import multiprocessing
from here import ends
import tocsin

def work(*_):
    {begins}
    ends()
    raise ValueError("lr must be positive")

if __name__ == "__main__":
    run = tocsin.init(name="owl")
    context = multiprocessing.get_context("{method}")
    child = context.Process(target=work, name="worker", args=[{sends}])
    child.start()
    child.join()
    assert child.exitcode == 1
"""
IN_A_POOL = """
import concurrent.futures, multiprocessing
from here import ends
import tocsin

def work():
    ends()
    raise ValueError("lr must be positive")

if __name__ == "__main__":
    run = tocsin.init(name="owl")
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        pool.submit(work).result()
"""
IN_A_CELL = """
import os
os.environ["IPYTHONDIR"] = "ipython"
from IPython.core.interactiveshell import InteractiveShell
from here import ends
import tocsin
shell = InteractiveShell.instance(colors="nocolor", history_length=0)
shell.history_manager.enabled = False
shell.run_cell("import tocsin; run = tocsin.init(name='owl')")
shell.run_cell("from here import ends; ends()\\nraise ValueError('lr must be positive')")
shell.run_cell("print('goes on')")
"""
EXITS_IN_A_TASK = """
import asyncio, sys
async def main():
    ends()
    sys.exit(3)
asyncio.run(main())
"""
IS_CANCELLED = """
import asyncio
async def main():
    with run:
        ends()
        await asyncio.sleep(60)
async def cancels():
    task = asyncio.create_task(main())
    await asyncio.sleep(0.01)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        print("goes on")
asyncio.run(cancels())
"""


def child(method: str, *, begins: str = "pass", sends: str = "") -> str:
    """Return a program with a child that fails."""
    return IN_A_CHILD.format(method=method, begins=begins, sends=sends)


ROWS = {
    "an exception that nobody catches": Row(
        code=RAISES, title="owl failed: ValueError: lr must be positive", says=SAID
    ),
    "… that leaves `with tocsin.init() as run:`": Row(
        code="with run:\n    ends()\n    raise ValueError('lr must be positive')",
        title="owl failed: ValueError: lr must be positive",
        says=SAID,
    ),
    "… where the program put a `sys.excepthook` of its own over ours": Row(
        code="import sys\nsys.excepthook = sys.__excepthook__\n" + RAISES,
        title="owl failed: ValueError: lr must be positive",
        says=SAID,
    ),
    "`sys.exit(3)`, `exit(3)`": Row(
        code="import sys\nends()\nsys.exit(3)",
        title="owl failed: exit code 3",
        status=3,
    ),
    "… in a coroutine": Row(
        code=EXITS_IN_A_TASK, title="owl failed: exit code 3", status=3
    ),
    '`sys.exit("no data")`': Row(
        code="import sys\nends()\nsys.exit('no data')",
        title="owl failed: no data",
        says=("no data",),
    ),
    "`raise SystemExit(3)` in `with tocsin.init() as run:`": Row(
        code="with run:\n    ends()\n    raise SystemExit(3)",
        title="owl failed: exit code 3",
        status=3,
    ),
    '`run.finish(exit_code=3, message="diverged")`': Row(
        code="ends()\nrun.finish(exit_code=3, message='diverged')",
        title="owl failed: exit code 3",
        says=("diverged",),
        status=0,
    ),
    "`MemoryError`": Row(
        code="ends()\nraise MemoryError('64 GiB')",
        title="owl ran out of memory: MemoryError: 64 GiB",
        says=("MemoryError: 64 GiB", "train.py"),
    ),
    "an `OutOfMemoryError`, such as torch's": Row(
        code="class OutOfMemoryError(RuntimeError): pass\nends()\n"
        "raise OutOfMemoryError('tried to allocate 2 GiB')",
        title="owl ran out of memory: OutOfMemoryError: tried to allocate 2 GiB",
    ),
    "Ctrl-C (SIGINT)": Row(
        code="interrupted()",
        title="owl was interrupted (Ctrl-C)",
        kind="interrupted",
        level="WARN",
        status=-signal.SIGINT,
        says=("train.py",),
        fields=("ran for", "last metrics"),
    ),
    "a coroutine with the run is cancelled": Row(
        code=IS_CANCELLED,
        title="owl was interrupted: CancelledError",
        kind="interrupted",
        level="WARN",
        status=0,
        fields=("ran for", "last metrics"),
    ),
    "SIGTERM": Row(
        code="ready()",
        title="owl was killed by SIGTERM",
        status=-signal.SIGTERM,
        sends=signal.SIGTERM,
        fields=("signal", "ran for", "last metrics"),
    ),
    "SIGHUP, as of a terminal that is closed": Row(
        code="ready()",
        title="owl was killed by SIGHUP",
        status=-signal.SIGHUP,
        sends=signal.SIGHUP,
        fields=("signal", "ran for", "last metrics"),
    ),
    "SIGTERM under a scheduler": Row(
        code="ready()",
        title="owl was preempted (SIGTERM)",
        kind="preempted",
        level="WARN",
        status=-signal.SIGTERM,
        sends=signal.SIGTERM,
        environment=(("SLURM_JOB_ID", "77"),),
        fields=("signal", "ran for", "last metrics"),
    ),
    "`run.mark_preempting()`, and then exit code 1": Row(
        code="import sys\nrun.mark_preempting()\nends()\nsys.exit(1)",
        title="owl was preempted",
        kind="preempted",
        level="WARN",
    ),
    "an exception in a thread": Row(
        code=IN_A_THREAD,
        title="owl: unhandled ValueError in thread loader",
        **UNHANDLED,
    ),
    "… in an asyncio task that nobody awaits": Row(
        code=IN_A_TASK,
        title="owl: unhandled ValueError (Task exception was never retrieved)",
        **UNHANDLED,
    ),
    "… in a `__del__`, or where else none can be raised": Row(
        code=IN_A_DEL,
        title="owl: unhandled ValueError in Batch.__del__",
        level="WARN",
        **UNHANDLED,
    ),
    "… in a child of multiprocessing: fork": Row(
        code=child("fork"), title="owl: unhandled ValueError", **UNHANDLED
    ),
    "… spawn, with the run among what it is sent": Row(
        code=child("spawn", sends="run"), title="owl: unhandled ValueError", **UNHANDLED
    ),
    "… forkserver, likewise": Row(
        code=child("forkserver", sends="run"),
        title="owl: unhandled ValueError",
        **UNHANDLED,
    ),
    "… spawn, with a run of its own": Row(
        code=child("spawn", begins="tocsin.init(name='eaglet')"),
        title="eaglet failed: ValueError: lr must be positive",
        status=0,
        says=SAID,
        fields=("exit code", "ran for"),
    ),
    "… in a ProcessPoolExecutor, whose result is asked for": Row(
        code=IN_A_POOL,
        title="owl failed: ValueError: lr must be positive",
        says=(*SAID, "caused by _RemoteTraceback"),
        fields=("exit code", "ran for"),
    ),
    "… at the prompt": Row(
        code=RAISES + "\nprint('goes on')\n",
        title="owl: unhandled ValueError at the prompt",
        words=("-i",),
        status=0,
        fields=(),
        says=("ValueError: lr must be positive",),
    ),
    "… in a cell of a notebook": Row(
        code=IN_A_CELL,
        title="owl: unhandled ValueError in a cell",
        status=0,
        fields=(),
        says=("ValueError: lr must be positive",),
    ),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=list(ROWS))
def test_an_end(place, row, record_property):
    """It is one alert with all that is known; exit code and output are as without."""
    place.write_config(submit_timeout="20s", flush_timeout="20s", finish_timeout="20s")
    if "IPython" in row.code:
        pytest.importorskip("IPython")
    ended = finished(place, row)
    told = alone(place)
    moment = float((place.path / "moment").read_text())
    as_ever = without(place, row)

    assert told["title"] == row.title
    assert (told["kind"], told["level"]) == (row.kind, row.level)
    assert all(part in told["text"] for part in row.says), told["text"]
    if row.fields:
        assert tuple(told["fields"]) == ("host", *row.fields)
    if "last metrics" in row.fields:
        assert told["fields"]["last metrics"] == "step=7, loss=0.25"
    assert ended == as_ever
    assert ended.status == row.status
    record_property("told_after", round(told["at"] - moment, 3))
    assert told["at"] - moment < SOON


def test_the_page_has_these_rows():
    """Each row of the page is tested, with what its message says, and each test is there."""
    page = (ROOT / "docs" / "explanation" / "ends.md").read_text()
    _, _, table = page.partition("| what happened |")
    rows = re.findall(r"^\| (.+?) \| `(.+?)` \|", table, re.MULTILINE)

    assert dict(rows) == {what: row.title for what, row in ROWS.items()}
