"""The disk under the store: full, read-only, held by another; and a sink that is down."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess

import pytest
from support import LEASE, Service, bot_at

FLOOD = """
import json, statistics, time, tocsin, tocsin._transport
from collections import Counter

def resident():  # KB; not ru_maxrss, which a process inherits from whoever started it
    with open("/proc/self/status") as status:
        return int(next(line for line in status if line.startswith("VmRSS")).split()[1])

run = tocsin.init()
for number in range(500):
    run.alert(f"warm {number}")
before, took, kinds = resident(), [], Counter()
for number in range(alerts):
    began = time.perf_counter()
    result = run.alert(f"title {number}", f"{number} " * 300)
    took.append(time.perf_counter() - began)
    kinds[type(result).__name__] += 1
seen = [kinds, statistics.median(took), max(took), resident() - before]
print(json.dumps(seen))
run.finish(timeout=0)
"""
COUNT = """
import tocsin
with tocsin.Notifier.from_config(mode="offline") as notifier:
    while not notifier.flush(10):  # what was deferred is submitted
        pass
    print(notifier.pending())
"""


@contextlib.contextmanager
def refusing():
    with socket.socket() as nobody:  # bound, and not listening
        nobody.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{nobody.getsockname()[1]}/"


@contextlib.contextmanager
def silent():
    with Service(lambda request: request.service.closing.wait(60)) as service:
        yield f"{service.origin}/"


@pytest.mark.slow
@pytest.mark.parametrize(("sink", "alerts"), [(silent, 10_000), (refusing, 1_000)])
def test_row_10_a_flood_while_the_sink_is_down(place, sink, alerts):
    """Every alert of a flood is kept, the calls stay fast, and memory grows by 16 MB at
    most."""
    with sink() as url:
        place.configure({"dm": bot_at(url)})
        kinds, median, worst, grown = json.loads(
            place.run(f"alerts = {alerts}\n{FLOOD}", timeout=120)
        )
        kept = int(place.run(COUNT))

    assert set(kinds) <= {"Admitted", "Deferred"}
    assert kept == 500 + sum(kinds.values()) == 500 + alerts
    assert median < 0.02
    assert worst < 1
    assert grown < 16 * 1024


FULL_DISK = """
path = os.path.join(os.environ["TOCSIN_STATE_DIR"], "..", "filler")

def fill():
    with open(path, "wb", buffering=0) as filler:
        with contextlib.suppress(OSError):
            while True:
                filler.write(bytes(1024))
        filler.truncate(filler.tell() - {room})

def free():
    os.remove(path)
"""
NO_WRITES = """
import resource
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)

def fill():
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, most))

def free():
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
"""
RAISE_WITHOUT_ROOM = """
import contextlib, json, os, tocsin
{disk}
run = tocsin.init()
run.alert("before").wait(20)
fill()
results = [run.alert(f"full {{number}}", "x" * 3000) for number in range(30)]
free()
results.append(run.alert("after"))
for result in results:
    result.wait(20)
run.finish()
print(json.dumps([type(result).__name__ for result in results]))
"""


@pytest.fixture
def small_disk(place):
    """The beginning of a command that has a file system of one megabyte."""
    folder = place.path / "disk"
    folder.mkdir()
    script = 'mount -t tmpfs -o size=1m tmpfs "$0" && exec "$@"'
    command = ["unshare", "-rm", "sh", "-c", script, str(folder)]
    with contextlib.suppress(FileNotFoundError):
        if not subprocess.run([*command, "true"], check=False).returncode:
            place.environment["TOCSIN_STATE_DIR"] = str(folder / "state")
            return command
    pytest.skip("no file system can be mounted here")


@pytest.mark.parametrize("room", [0, 100_000])
def test_row_11_the_disk_is_full(place, small_disk, room):
    """While the disk is full the program goes on, and each loss is counted and told;
    what was accepted is delivered, and so is what comes once there is room."""
    disk = FULL_DISK.format(room=room)

    process = place.python(RAISE_WITHOUT_ROOM.format(disk=disk), before=small_disk)

    kinds = told_losses(process)
    assert titles(place) == {"before", *accepted(kinds), "after"}


def test_row_11_no_file_can_grow(place):
    """A limit on the size of files does no worse than a full disk."""
    process = place.python(RAISE_WITHOUT_ROOM.format(disk=NO_WRITES))

    kinds = told_losses(process)
    assert titles(place) == {"before", *accepted(kinds), "after"}


def told_losses(process):
    """Return what became of each alert, once it is sure that every loss was told."""
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    *kinds, last = json.loads(output)
    assert last == "Admitted"
    told = re.findall(r"alerts? (?:is|are) lost \((\d+) so far\)", errors)
    assert int(told[0]) == 1
    assert int(told[-1]) == kinds.count("Refused")  # the last line tells of all
    return kinds


def accepted(kinds):
    return [f"full {number}" for number, kind in enumerate(kinds) if kind != "Refused"]


def titles(place):
    return {str(line["title"]) for line in place.delivered()}


READ_ONLY = """
import ctypes, os, tocsin
if os.geteuid() == 0:  # root writes everywhere: let go of that
    libc = ctypes.CDLL(None)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)()
    assert libc.capget(header, sets) == 0
    sets[0] &= ~0b110  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    assert libc.capset(header, sets) == 0
assert not os.access(os.environ["TOCSIN_STATE_DIR"], os.W_OK, effective_ids=True)
run = tocsin.init()
results = [run.alert(title) for title in ("one", "two", "one")]
print(*[type(result).__name__ for result in results])
print(*[one.status.value for result in results for one in result.wait(20)])
run.finish()
"""


@pytest.mark.parametrize("was_used", [False, True])
def test_row_12_a_read_only_state_directory(place, was_used):
    """Where nothing can be written, alerts are kept in memory and delivered, and one
    warning says so."""
    state = place.path / "state"
    state.mkdir()
    if was_used:
        place.run("import tocsin; tocsin.init().finish()")
    for path in (*state.rglob("*"), state):
        path.chmod(0o500 if path.is_dir() else 0o400)

    process = place.python(READ_ONLY)
    output, errors = process.communicate(timeout=60)
    state.chmod(0o700)

    assert process.returncode == 0, errors
    assert output.split() == ["Admitted", "Admitted", "Suppressed", *2 * ["delivered"]]
    assert titles(place) == {"one", "two"}
    assert errors.count("alerts are kept in memory only") == 1


TIME = """
import json, sys, time, tocsin

def timed(step):
    began = time.monotonic()
    done = step()
    took.append(time.monotonic() - began)
    return done

took = []
if {is_open}:
    run = tocsin.init()
    run.alert("before").wait(20)
print("ready", flush=True)
sys.stdin.readline()
if not {is_open}:
    run = timed(tocsin.init)
kinds = [type(timed(lambda: run.alert(f"x {{n}}"))).__name__ for n in range(10)]
timed(lambda: run.finish(timeout=0.5))
print(json.dumps([kinds, took]))
"""


@pytest.mark.parametrize(
    ("is_open", "mode"), [(False, "NORMAL"), (False, "EXCLUSIVE"), (True, "NORMAL")]
)
def test_row_14_the_database_is_locked(place, is_open, mode):
    """While another process holds the database no call waits for it much longer than it
    may, and what was raised is delivered afterwards."""
    place.run("import tocsin; tocsin.init().finish()")
    raiser = place.python(TIME.format(is_open=is_open), stdin=subprocess.PIPE)
    assert raiser.stdout.readline() == "ready\n"

    with place.held(mode):
        output, errors = raiser.communicate("go\n", timeout=60)
    place.later(LEASE + 5)

    assert raiser.returncode == 0, errors
    kinds, took = json.loads(output)
    assert kinds == ["Deferred"] * 10
    assert max(took) < 0.5 + 2
    assert sorted(took)[len(took) // 2] < 0.05 + 0.2
    assert titles(place) - {"before"} == {f"x {number}" for number in range(10)}
