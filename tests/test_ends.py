"""How the end of a program is known from within: one alert, and nothing else is changed.

The rows are those of docs/explanation/ends.md.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest
from support import LEASE, ROOT, bot_at, inbox_at, until

from tocsin_email.testing import MailDouble
from tocsin_slack.testing import SlackDouble

if TYPE_CHECKING:
    from collections.abc import Iterable

    from support import Place

SECRET = "canary-9c1d77ab"
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


def start(
    place: Place, row: Row, *, before: Iterable[str] = (), **environment: str
) -> subprocess.Popen[str]:
    for name, text in (("here.py", HERE), ("train.py", row.program)):
        if not (place.path / name).exists():  # others may just be reading it
            (place.path / name).write_text(text)
    process = subprocess.Popen(
        [*before, sys.executable, *row.words],
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
        kind="ignored",
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
def test_an_end(place, row):
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
    sys.stdout.write(f"told after {told['at'] - moment:.2f} s\n")  # see the page
    assert told["at"] - moment < SOON


def test_the_page_has_these_rows():
    """Each row of the page is tested, with what its message says, and each test is there."""
    page = (ROOT / "docs" / "explanation" / "ends.md").read_text()
    _, _, rest = page.partition("| what happened |")
    table, _, _ = rest.partition("\n\n")
    rows = re.findall(r"^\| (.+?) \| `(.+?)` \|", table, re.MULTILINE)

    assert dict(rows) == {what: row.title for what, row in ROWS.items()}


@pytest.fixture
def place(place):
    yield place
    place.end()


def wanting(place: Place, kinds: str, **settings: object) -> None:
    """Write a configuration whose user wants these kinds."""
    config = place.write_config(submit_timeout="20s", flush_timeout="20s", **settings)
    text = config.read_text().replace("[user]", f"[user]\nkinds = {kinds}")
    config.write_text(text)


def titles(place: Place) -> list[object]:
    return [line["title"] for line in place.delivered()]


def program(code: str, **changes: object) -> Row:
    """Return a program of which no title is expected."""
    return Row(code=code, title="", **changes)


GOES_ON = """
import sys
try:
    sys.exit(3)
except SystemExit as error:
    caught = error
print("goes on")
"""
CAUGHT_BELOW = """
import sys
def main():
    try:
        sys.exit("no data")
    except SystemExit:
        print("goes on")
main()
"""
IN_A_THREAD_ONLY = """
import sys, threading
thread = threading.Thread(target=sys.exit, args=[3])
thread.start()
thread.join()
"""


@pytest.mark.parametrize("code", ["", GOES_ON, CAUGHT_BELOW, IN_A_THREAD_ONLY])
def test_what_is_caught_is_no_end(place, code):
    """A program that catches its own exit, or exits a thread, finishes."""
    wanting(place, '["*"]')
    assert finished(place, program(code)).status == 0

    assert titles(place) == ["owl finished"]
    assert alone(place)["kind"] == "finished"
    assert alone(place)["level"] == "INFO"


@pytest.mark.parametrize("call", ["sys.exit(3)", "exit(3)", "quit(3)"])
def test_each_way_to_exit(place, call):
    """It is the last code that counts, and `repr(exit)` is Python's own."""
    code = f"import sys\ntry: sys.exit(4)\nexcept SystemExit: print(exit)\n{call}"
    row = program(code, status=3)
    ended = finished(place, row)

    assert titles(place) == ["owl failed: exit code 3"]
    assert ended == without(place, row)


EXIT_FROM_BEFORE = """
from sys import exit
import tocsin
run = tocsin.init(name="owl")
exit(3)
"""


@pytest.mark.parametrize(
    ("code", "status", "told"),
    [
        ("raise SystemExit(3)", 3, ["owl finished"]),
        (EXIT_FROM_BEFORE, 3, ["owl finished"]),
        ("import os\nos._exit(3)", 3, []),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", -9, []),
        ("import ctypes\nctypes.string_at(0)", -signal.SIGSEGV, []),
    ],
)
def test_what_is_not_seen_from_within(place, code, status, told):
    """What ends the interpreter without a word is for a supervisor to see."""
    wanting(place, '["*"]')
    assert finished(place, program(code)).status == status

    assert titles(place) == told


def test_a_signal_that_is_ignored(place):
    """It stays so, as under `nohup`."""
    code = """
import signal
signal.signal(signal.SIGHUP, signal.SIG_IGN)
import tocsin
run = tocsin.init(name="owl")
signal.raise_signal(signal.SIGHUP)
print("goes on")
"""
    assert finished(place, program(code)).output == "goes on\n"
    assert place.delivered() == []


@pytest.mark.parametrize(
    ("kinds", "code", "told"),
    [
        ("[]", "", []),
        ('["*", "!finished"]', "", []),
        ('["*"]', "", ["owl finished"]),
        ('["finished"]', "", ["owl finished"]),
        ('["!crashed"]', "", ["owl finished"]),
        ('["!crashed"]', "import sys\nsys.exit(3)", []),
        ('["finished"]', "import sys\nsys.exit(3)", []),
        ('["!crashed"]', "interrupted()", ["owl was interrupted (Ctrl-C)"]),
        ('["!interrupted"]', "interrupted()", []),
        ('["crashed"]', "import sys\nsys.exit(3)", ["owl failed: exit code 3"]),
    ],
)
def test_kinds_are_toggles(place, kinds, code, told):
    """People choose which ends they hear of; whoever says nothing gets all but the good."""
    if kinds != "[]":
        wanting(place, kinds)
    finished(place, program(code))

    assert titles(place) == told


def test_a_notebook_does_not_finish(place):
    """Where a person types, the end of the session is no news."""
    pytest.importorskip("IPython")
    wanting(place, '["*"]')
    code = IN_A_CELL.replace("raise ValueError", "str")
    assert finished(place, program(code)).status == 0

    assert place.delivered() == []


def test_a_rank(place):
    """A rank is named in the title, and among what is known."""
    environment = (("RANK", "3"), ("WORLD_SIZE", "1"))
    finished(place, program(RAISES, environment=environment))

    told = alone(place)
    assert told["title"] == "owl failed: ValueError: lr must be positive (rank 3)"
    assert told["fields"]["rank"] == "3"


def test_the_run_can_say_how_it_ended(place):
    """`finish` has the last word, once; a finished run takes nothing more."""
    code = """
run.finish(exit_code=3, message="diverged")
run.finish()
for call in (lambda: run.alert("x"), lambda: run.log({}), lambda: run.emit("x"),
             lambda: run.resolve("x")):
    try:
        call()
    except tocsin.RunFinished as error:
        print(error)
tocsin.alert("in no run")
raise ValueError("after the end")
"""
    ended = finished(place, program(code))

    assert ended.status == 1
    assert ended.output.count("the run owl is finished") == 4
    assert titles(place) == ["owl failed: exit code 3", "in no run"]


FORKS = """
import os, sys
pid = os.fork()
if not pid:
    {ends}
_, status = os.waitpid(pid, 0)
print(os.waitstatus_to_exitcode(status))
run.alert("goes on")
"""


@pytest.mark.parametrize(
    ("ends", "code", "told"),
    [
        ("sys.exit(0)", 0, []),
        ("sys.exit(3)", 3, []),
        ("os._exit(0)", 0, []),
        ("raise ValueError('lr')", 1, ["owl: unhandled ValueError"]),
        ("os.kill(os.getpid(), 15)", -15, []),
        ("run.finish(); sys.exit(3)", 3, []),
    ],
)
def test_a_child_that_was_forked(place, ends, code, told):
    """The run is its parent's: it goes on when a child ends."""
    wanting(place, '["*"]')
    ended = finished(place, program(FORKS.format(ends=ends)))

    assert ended.status == 0, ended.errors
    assert ended.output == f"{code}\n"
    assert sorted(titles(place)) == sorted([*told, "goes on", "owl finished"])


NESTED = """
from here import ends
import tocsin
with tocsin.init(name="owl"):
    with tocsin.watching("epoch"), tocsin.watching("step"):
        raise ValueError("lr must be positive")
"""
NESTED_IN_A_GROUP = """
import tocsin
tocsin.init(name="owl")
found = []
for lr in (1, 2):
    try:
        with tocsin.watching("step"):
            raise ValueError("lr must be positive")
    except ValueError as error:
        found.append(error)
raise ExceptionGroup("two", found)
"""


@pytest.mark.parametrize("code", [NESTED, NESTED_IN_A_GROUP])
def test_what_several_see_is_told_once(place, code):
    """The innermost block tells; the end of the run adds nothing to it."""
    assert finished(place, program(code)).status == 1

    assert titles(place) == ["step failed: ValueError: lr must be positive"]


HOOKED = """
import asyncio, atexit, gc, signal, sys, threading, time
from here import ends
import tocsin

def says(what):
    return lambda *_: print(what, flush=True)

def stops(*_):
    print("signal", flush=True)
    raise KeyError("theirs")

def hooks():
    sys.excepthook = says("excepthook")
    threading.excepthook = says("thread")
    sys.unraisablehook = says("unraisable")
    signal.signal(signal.SIGTERM, stops)
    atexit.register(says("atexit"))

class Batch:
    def __del__(self):
        raise ValueError("del")

async def step():
    raise ValueError("task")

async def main(handler):
    asyncio.get_running_loop().set_exception_handler(handler)
    task = asyncio.create_task(step())
    await asyncio.sleep(0.01)
    del task
    gc.collect()
    await asyncio.sleep(0.01)

def by_default(loop, context):
    print("loop", flush=True)
    loop.default_exception_handler(context)
{order}
thread = threading.Thread(target=int, args=["lr"], name="loader")
thread.start()
thread.join()
Batch()
asyncio.run(main(by_default))
signal.raise_signal(signal.SIGTERM)
"""
CALLED = ["thread", "unraisable", "loop", "signal", "excepthook", "atexit"]
STUMBLED = [
    "owl: unhandled ValueError (Task exception was never retrieved)",
    "owl: unhandled ValueError in Batch.__del__",
    "owl: unhandled ValueError in thread loader",
]
TOLD = ["owl failed: KeyError: 'theirs'", "owl was killed by SIGTERM", *STUMBLED]


RELOADED = """
hooks()
tocsin.init(name='eagle').finish()
import importlib, tocsin._hooks, tocsin._session
importlib.reload(tocsin._hooks)
importlib.reload(tocsin._session)
tocsin._session.init(name='owl')
"""


@pytest.mark.parametrize(
    "order",
    [
        "hooks()\ntocsin.init(name='owl')",
        "hooks()\ntocsin.init(name='eagle').finish()\ntocsin.init(name='owl')",
        RELOADED,
    ],
    ids=["before", "twice", "reloaded"],
)
def test_hooks_that_were_there(place, order):
    """Each hook of the program's own is called once, and each alert is raised once."""
    ended = finished(place, program(HOOKED.replace("{order}", order)))

    assert ended.status == 1, ended.errors
    assert ended.output.split() == CALLED
    assert sorted(titles(place)) == TOLD


def test_hooks_that_come_later(place):
    """They are the program's decision: they are called. The end is told all the same."""
    order = "tocsin.init(name='owl')\nhooks()"
    ended = finished(place, program(HOOKED.replace("{order}", order)))

    assert ended.status == 1
    assert ended.output.split() == CALLED
    assert sorted(titles(place)) == ["owl failed: KeyError: 'theirs'", STUMBLED[0]]


def test_hooks_that_come_later_and_chain(place):
    """Ours is called through theirs, and nothing is told twice."""
    code = """
import sys, threading
def chained(previous):
    return lambda *args: (print("theirs"), previous(*args))
sys.excepthook = chained(sys.excepthook)
threading.excepthook = chained(threading.excepthook)
thread = threading.Thread(target=int, args=["lr"], name="loader")
thread.start()
thread.join()
raise ValueError("lr must be positive")
"""
    ended = finished(place, program(code))

    assert ended.output == "theirs\ntheirs\n"
    assert ended.errors.count("ValueError: lr must be positive") == 1
    assert sorted(titles(place)) == [
        "owl failed: ValueError: lr must be positive",
        "owl: unhandled ValueError in thread loader",
    ]


def test_an_asyncio_handler_that_swallows(place):
    """A loop's own exception handler decides; what it keeps to itself is not told."""
    order = "tocsin.init(name='owl')"
    code = HOOKED.replace("{order}", order).replace("main(by_default)", "main(says(1))")
    finished(place, program(code))

    assert STUMBLED[0] not in titles(place)


FAULTS = """
import faulthandler, signal
faulthandler.register(signal.SIGUSR1, all_threads=False)
faulthandler.register(signal.{name}, all_threads=False)
import tocsin
run = tocsin.init(name="owl")
assert faulthandler.is_enabled()
signal.raise_signal(signal.SIGUSR1)
signal.raise_signal(signal.{name})
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells elsewhere")
@pytest.mark.parametrize("name", ["SIGUSR2", "SIGTERM"])
def test_faulthandler(place, name):
    """What is handled outside Python stays so, be it a signal that we want too."""
    row = program(FAULTS.format(name=name), words=("-X", "faulthandler", "train.py"))
    ended = finished(place, row)

    assert ended.status == 0, ended.errors
    assert ended.errors.count("most recent call first") == 2
    assert ended == without(place, row)


CONTAINER = ("unshare", "--pid", "--fork")
CONTAINS = (
    shutil.which("unshare") is not None
    and subprocess.run(
        [*CONTAINER, "true"], check=False, capture_output=True
    ).returncode
    == 0
)


def hanging(place: Place, **settings: object) -> None:
    config = place.write_config(submit_timeout="20s", **settings)
    config.write_text(config.read_text() + "delay = 50.0\n")


def test_a_second_signal(place):
    """Whoever asks again does not wait for the first alert to be sent."""
    hanging(place, flush_timeout="30s")
    process = start(place, program("ready()"))
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    until((place.path / "tocsin.toml.lines.begun").exists)
    began = time.monotonic()
    while process.poll() is None:  # in the first half a second it is the same one
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.1)
    process.communicate(timeout=60)

    assert process.returncode == -signal.SIGTERM
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (RAISES, 1),
        ("import sys\nsys.exit(3)", 3),
        ("import os\nos.kill(os.getpid(), 15)", -15),
        ("with run:\n    raise ValueError('lr must be positive')", 1),
    ],
)
def test_a_provider_that_hangs(place, code, status):
    """The process ends within its bound all the same; the alert is kept."""
    hanging(place, flush_timeout="1s", finish_timeout="1s")
    began = time.monotonic()
    assert finished(place, program(code)).status == status
    took = time.monotonic() - began
    place.write_config()
    place.later(LEASE + 5)

    assert took < SOON
    assert len(place.delivered()) == 1


def test_a_store_that_is_locked(place):
    """The alert is kept beside it, and the process ends within its bound."""
    place.write_config(flush_timeout="1s")
    place.run("import tocsin; tocsin.init().finish()")
    with place.held():
        began = time.monotonic()
        ended = finished(place, program(RAISES))
        took = time.monotonic() - began
    place.write_config()
    place.later(LEASE + 5)

    assert ended.status == 1
    assert ended.errors.endswith("ValueError: lr must be positive\n")
    assert took < SOON
    assert titles(place) == ["owl failed: ValueError: lr must be positive"]


@pytest.mark.parametrize(
    "code", [RAISES, IN_A_THREAD, "import sys\nsys.exit('no data')"]
)
@pytest.mark.parametrize("has_file", [True, False])
def test_no_channels(place, code, has_file):
    """With nobody to tell, an end prints nothing beside what Python prints."""
    (place.path / "tocsin.toml").write_text('[user]\nname = "ada"\n')
    given = {} if has_file else {"TOCSIN_CONFIG": "", "HOME": str(place.path / "home")}
    row = program(code, environment=tuple(given.items()))

    assert finished(place, row) == without(place, row)


IN_ALERTS = """
import itertools
ends()
for number in itertools.count():
    run.alert(f"x {number}")
    if number == 50:
        print("ready", flush=True)
"""


@pytest.mark.skipif(not CONTAINS, reason="it takes a namespace of its own")
def test_the_first_process_of_a_container(place):
    """A signal does not end it, as without Tocsin: it is told, and the program goes on."""
    code = """
ends()
print("ready", flush=True)
while not tocsin_was_told():
    time.sleep(0.01)
time.sleep(0.1)
run.log({"loss": 0.125})
print("goes on")
"""
    told = (
        "import os, time\ntocsin_was_told = lambda: os.path.exists('tocsin.toml.lines')"
    )
    row = program(f"{told}\n{code}", words=("train.py",))
    process = start(place, row, before=CONTAINER)
    assert process.stdout.readline() == "ready\n"
    (first,) = until(lambda: children(process.pid))
    os.kill(first, signal.SIGTERM)
    output, errors = process.communicate(timeout=60)

    assert (process.returncode, output, errors) == (0, "goes on\n", "")
    assert titles(place) == ["owl was killed by SIGTERM"]


def children(pid: int) -> list[int]:
    return [int(word) for word in _children(pid).read_text().split()]


def _children(pid: int) -> Path:
    return Path(f"/proc/{pid}/task/{pid}/children")


def test_a_signal_in_the_middle_of_an_alert(place):
    """What the main thread holds just then is not waited for: the end is told, at once."""
    wanting(place, '["crashed"]')
    processes = [start(place, program(IN_ALERTS)) for _ in range(8)]
    took = []
    for process in processes:
        assert process.stdout.readline() == "ready\n"
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        took.append(time.monotonic() - began)

    assert {process.returncode for process in processes} == {-signal.SIGTERM}
    assert titles(place) == ["owl was killed by SIGTERM"] * 8
    assert max(took) < SOON


LEAKS = """
import os
def connect(token): raise ConnectionError(
    "https://ada:{secret}2@example.org refused " + token + " and " + os.environ["API_KEY"])
connect(token="xoxb-{secret}1")
"""


def test_secrets_are_blotted(place):
    """Neither the text of an exception, nor a line of a frame, nor the title has one."""
    code = LEAKS.format(secret=SECRET)
    finished(place, program(code, environment=(("API_KEY", SECRET + "3"),)))

    told = alone(place)
    assert told["title"].startswith(
        "owl failed: ConnectionError: https://…@example.org"
    )
    assert 'connect(token="…' in told["text"]
    assert SECRET not in str(told)
    raw = b"".join(file.read_bytes() for file in (place.path / "state").rglob("*.*"))
    assert SECRET.encode() not in raw


BROKEN = """
class Broken(Exception):
    def __str__(self): raise RuntimeError("no text")
raise Broken
"""
RECURSES = """
def again(): again()
again()
"""
GROUPS = """
import asyncio
async def loads(): raise OSError("disk")
async def steps(): raise ValueError("lr must be positive")
async def main():
    async with asyncio.TaskGroup() as group:
        group.create_task(loads())
        group.create_task(steps())
asyncio.run(main())
"""
CAUSES = """
def load():
    raise OSError("disk")
try:
    load()
except OSError as error:
    raise ValueError("no data") from error
"""


@pytest.mark.parametrize(
    ("code", "title", "says"),
    [
        (BROKEN, "owl failed: Broken: <a Broken that cannot be printed>", ("Broken",)),
        (
            "raise ValueError(10_000_000 * 'x')",
            *("owl failed: ValueError: " + 108 * "x" + " …", ("train.py",)),
        ),
        (
            "error = ValueError('x')\nerror.add_note(10_000_000 * 'y')\nraise error",
            *("owl failed: ValueError: x …", ("y", "train.py")),
        ),
        (
            GROUPS,
            "owl failed: ExceptionGroup: unhandled errors in a TaskGroup (2 sub-exceptions)",
            (
                "it holds OSError: disk",
                "it holds ValueError: lr",
                "in loads",
                "in steps",
            ),
        ),
        (
            CAUSES,
            *(
                "owl failed: ValueError: no data",
                ("caused by OSError: disk", "in load"),
            ),
        ),
        (
            RECURSES,
            "owl failed: RecursionError: maximum recursion depth exceeded",
            ("in again",),
        ),
    ],
    ids=["broken", "long", "note", "group", "causes", "recursion"],
)
def test_exceptions_of_every_sort(place, code, title, says):
    """Whatever is raised is told in a message that people can read."""
    row = program(code)
    ended = finished(place, row)

    told = alone(place)
    assert told["title"] == title
    assert all(part in told["text"] for part in says), told["text"]
    assert len(told["text"]) < 10_000
    assert ended == without(place, row)


def test_slack_and_mail(place):
    """A crash reaches both, with its frames and what is known."""
    with SlackDouble() as slack, MailDouble(username="ada", password="secret") as mail:
        place.configure(
            {"dm": bot_at(slack.base_url), "inbox": inbox_at(mail)},
            flush_timeout="20s",
            submit_timeout="20s",
        )
        assert finished(place, program(RAISES)).status == 1
        (post,) = slack.messages
        (received,) = mail.messages

    for text in (str(post.payload), received.text):
        assert "owl failed: ValueError: lr must be positive" in text
        assert "train.py" in text
        assert "loss=0.25" in text
        assert "exit code" in text
    assert "owl failed" in received.message["Subject"]


PRINTS = """
import multiprocessing, traceback
import tocsin

def work(run):
    tocsin.init(name="eaglet")
    try:
        int("lr")
    except ValueError:
        traceback.print_exc()

if __name__ == "__main__":
    run = tocsin.init(name="owl")
    child = multiprocessing.get_context("spawn").Process(target=work, args=[run])
    child.start()
    child.join()
    assert child.exitcode == 0
"""


def test_a_child_that_prints_an_exception(place):
    """What a child catches and prints does not end it."""
    ended = finished(place, program(PRINTS))

    assert ended.status == 0
    assert ended.errors.count("ValueError: ") == 1
    assert place.delivered() == []


IN_C = """
import sqlite3
ends()
print("ready", flush=True)
counts = "with recursive c(x) as (select 1 union all select x + 1 from c) select count(*) from c"
sqlite3.connect(":memory:").execute(counts).fetchall()
"""


def test_a_signal_while_the_program_is_in_c(place):
    """Python's handlers wait for the main thread, which does not come back: we do not."""
    place.write_config(submit_timeout="20s", flush_timeout="20s")
    ended = finished(place, program(IN_C, sends=signal.SIGTERM))

    assert ended.status == -signal.SIGTERM
    assert titles(place) == ["owl was killed by SIGTERM"]


def test_a_forked_child_ends_as_ever(place):
    """`Process.terminate()` ends a child at once, and is nobody's end but its own."""
    code = """
import multiprocessing, sqlite3, time
for _ in range(20):
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    child.start()
    child.terminate()
    child.join()
    assert child.exitcode == -signal.SIGTERM
time.sleep(3)  # a signal of theirs that reached us would have ended us by now
"""
    wanting(place, '["*"]')
    ended = finished(place, program("import signal\n" + code))

    assert ended.status == 0, ended.errors
    assert titles(place) == ["owl finished"]


def test_the_same_signal_twice_at_once(place):
    """Launchers do that; the alert is sent all the same."""
    place.write_config(submit_timeout="20s", flush_timeout="20s")
    process = start(place, program("ready()"))
    assert process.stdout.readline() == "ready\n"
    process.terminate()
    time.sleep(0.001)
    process.terminate()
    process.communicate(timeout=60)

    assert process.returncode == -signal.SIGTERM
    assert titles(place) == ["owl was killed by SIGTERM"]


def test_groups_in_groups(place):
    """However deep they are, that it failed is told."""
    code = """
error = ValueError("lr")
for _ in range(400):
    error = ExceptionGroup("g", [error])
raise error
"""
    place.write_config(submit_timeout="20s", flush_timeout="20s")
    ended = finished(place, program(code))

    assert ended.status == 1
    assert [str(one)[:11] for one in titles(place)] == ["owl failed:"]
