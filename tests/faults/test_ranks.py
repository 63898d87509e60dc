"""Jobs of many ranks: real processes, forked by one launcher as a real one starts them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys

import attrs
import pytest
from support import until, write_distribution

SIZE = 64
FEW = 24
PATIENCE = 120  # seconds: a busy machine starts 64 processes slowly

TEXTS = '''
import json
import attrs
from tocsin import Provider, Receipt, hookimpl

@attrs.frozen
class Texts(Provider):
    """Appends what a message says to a file."""

    path: str

    name = "texts"

    def deliver(self, message, delivery):
        told = {"title": message.title, "text": message.alert.text,
                "fields": dict(message.alert.fields), "kind": message.alert.kind}
        with open(self.path, "ab", buffering=0) as file:
            file.write(json.dumps(told).encode() + b"\\n")
        return Receipt(reference=delivery.id)

@hookimpl
def tocsin_register(registrar):
    registrar.provider(Texts)
'''

LAUNCHER = """
import gc, json, os, signal, sys, threading, time
from pathlib import Path
import tocsin, tocsin._attempt, tocsin._life, tocsin._session, tocsin._store.sqlite
import tocsin._terminal, jinja2, tocsin_texts

size = int(os.environ.pop("SIZE"))
gates = [os.pipe() for _ in range(size)]
ready, is_ready = os.pipe()
life, alive = os.pipe()  # rank 0 alone holds it open: the others see when it is gone
gc.freeze()  # what is imported stays the memory of all
pids = []
for rank in range(size):
    pids.append(os.fork())
    if pids[-1] == 0:
        break
else:
    os.close(alive)
    left = size
    while left:
        left -= len(os.read(ready, left))
    print(json.dumps(pids), flush=True)
    for line in sys.stdin:  # ranks whose gate is opened
        for number in json.loads(line):
            os.write(gates[number][1], b"x")
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    print(json.dumps(codes), flush=True)
    sys.exit(0)

sys.stdin = open(os.devnull)
os.environ.update(RANK=str(rank), WORLD_SIZE=str(size))
if rank:
    os.close(alive)

def gate():
    os.write(is_ready, b"x")
    os.read(gates[rank][0], 1)

"""


@attrs.define
class Job:
    """The ranks of one job, which wait at their gates."""

    process: subprocess.Popen[str]
    pids: list[int]

    def go(self, *ranks):
        """Open the gates of some ranks, or of all."""
        self.process.stdin.write(f"{json.dumps(ranks or [*range(len(self.pids))])}\n")
        self.process.stdin.flush()

    def codes(self):
        """Wait for the end of all; return their exit codes."""
        output, _ = self.process.communicate(timeout=PATIENCE)
        return json.loads(output)


@pytest.fixture
def launch(place):
    """Start a job; what its ranks do is `code`, which waits at its ``gate()``."""
    write_distribution(place.path / "site", "tocsin_texts", TEXTS, entry="texts")
    configure(place)

    def launch(code, size=SIZE, **environment):
        process = place.python(
            LAUNCHER + code,
            stdin=subprocess.PIPE,
            env={**place.environment, "SIZE": str(size), **environment},
        )
        return Job(process, json.loads(process.stdout.readline()))

    return launch


def configure(place, **settings):
    """Write a configuration that sends every kind of alert to the file of texts."""
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    (place.path / "tocsin.toml").write_text(
        "\n".join(
            [
                'submit_timeout = "10s"',
                *lines,
                '[user]\nname = "ada"',
                '[[user.subscriptions]]\nkinds = ["*"]\nchannels = ["out"]',
                f'[channels.out]\nprovider = "texts"\npath = "{place.path}/texts"',
                "",
            ]
        )
    )


def messages(place):
    """Return what arrived."""
    file = place.path / "texts"
    return (
        [json.loads(line) for line in file.read_text().splitlines()]
        if file.exists()
        else []
    )


def members(place):
    """Return what is known of each member of each run."""
    return [
        json.loads(line)
        for line in place.tocsin("runs", "--json", "--limit", "999").stdout.splitlines()
    ]


CRASH = """
run = tocsin.init(name="owl")
gate()
raise ValueError("loss is nan")
"""


def drain(place):
    """Send what is left: there is nothing that would come later."""
    assert place.tocsin("drain").returncode == 0


def suppressed(place):
    """Return how many were suppressed, and no alert told of yet."""
    return int(place.run(SUPPRESSED))


SUPPRESSED = """
import tocsin
with tocsin.Notifier.from_config() as notifier:
    print(sum(one.suppression.count for one in notifier.store().untold()))
"""


def test_row_29_all_ranks_crash_at_once(place, launch):
    """64 ranks fail in the same moment: one message, which lists them all."""
    job = launch(CRASH)
    job.go()
    assert job.codes() == [1] * SIZE
    drain(place)

    (message,) = messages(place)
    listed = SIZE - suppressed(
        place
    )  # whoever takes too long on a busy machine is counted
    assert listed > SIZE // 2
    assert re.fullmatch(
        rf"owl failed: ValueError: loss is nan \({listed} ranks, first on \d+\)",
        message["title"],
    )
    if listed == SIZE:
        assert message["fields"]["ranks"] == "0-63"
        told = "\n\nranks 0-63: failed: ValueError: loss is nan"
        assert message["text"].endswith(told)
    assert {one["state"] for one in members(place)} == {"failed"}


DIFFER = """
run = tocsin.init(name="owl")
gate()
if rank == 17:
    raise ValueError("loss is nan")
time.sleep(0.2)  # the others notice
raise ConnectionError("NCCL") if rank % 2 else TimeoutError("NCCL")
"""


def test_row_29_ranks_crash_differently(place, launch):
    """What happened first leads; errors that are alike are one line."""
    job = launch(DIFFER, FEW)
    job.go(17)
    job.go(*range(17), *range(18, FEW))
    assert job.codes() == [1] * FEW
    drain(place)

    (message,) = messages(place)
    assert (
        message["title"]
        == "owl failed: ValueError: loss is nan (24 ranks, first on 17)"
    )
    first, *others = message["text"].splitlines()[-3:]
    assert first == "rank 17: failed: ValueError: loss is nan"
    assert sorted(line.rpartition(": failed: ")[2] for line in others) == [
        "ConnectionError: NCCL",
        "TimeoutError: NCCL",
    ]


GO_ON = """
run = tocsin.init(name="owl")
gate()
run.finish()
"""


def test_row_30_a_rank_is_killed_and_the_others_go_on(place, launch):
    """Another rank tells it, once; that the others finish is told by the last of them."""
    job = launch(GO_ON)
    until(lambda: len(members(place)) == SIZE, PATIENCE)  # else nobody knows of it
    os.kill(job.pids[0], signal.SIGKILL)
    until(lambda: messages(place), PATIENCE)
    job.go(*range(1, SIZE))
    assert job.codes() == [-signal.SIGKILL, *[0] * (SIZE - 1)]
    drain(place)

    gone, finished = messages(place)
    assert gone["title"] == "owl is gone: its process ended without a word (rank 0)"
    assert finished["title"] == "owl finished"


FOLLOW = """
run = tocsin.init(name="owl")
os.write(is_ready, b"x")
if rank == 0:
    time.sleep(600)
os.read(life, 1)  # until rank 0 is gone
raise ConnectionError("NCCL: rank 0 hung up")
"""


def test_row_30_a_rank_is_killed_and_the_others_fail(place, launch):
    """The others fail because of it: one message, which the one leads that is gone."""
    job = launch(FOLLOW)
    until(lambda: len(members(place)) == SIZE, PATIENCE)
    os.kill(job.pids[0], signal.SIGKILL)
    assert job.codes() == [-signal.SIGKILL, *[1] * (SIZE - 1)]
    drain(place)

    (message,) = messages(place)
    listed = SIZE - suppressed(place)  # as above
    assert listed > SIZE // 2
    assert message["title"] == (
        f"owl is gone: its process ended without a word ({listed} ranks, first on 0)"
    )
    assert ": failed: ConnectionError: NCCL: rank 0 hung up" in message["text"]


ONE_ALERT = """
run = tocsin.init(name="owl")
gate()
run.alert("Loss is NaN")
"""


def test_an_alert_on_all_ranks(place, launch):
    """64 ranks of a launcher that names no job are one run: one alert, one end."""
    job = launch(ONE_ALERT, TORCHELASTIC_RUN_ID="none")
    job.go()
    assert job.codes() == [0] * SIZE
    drain(place)

    assert sorted(one["title"] for one in messages(place)) == [
        "Loss is NaN",
        "owl finished",
    ]
    found = members(place)
    assert len({one["run"] for one in found}) == 1
    assert sorted(one["rank"] for one in found) == [*range(SIZE)]
    assert suppressed(place) >= SIZE - 1


def test_a_launcher_ends_the_others(place, launch):
    """SIGTERM to all ranks because one failed: that one's exception leads."""
    job = launch(CRASH, FEW)
    job.go(3)
    for rank, pid in enumerate(job.pids):
        if rank != 3:
            os.kill(pid, signal.SIGTERM)
    codes = job.codes()
    drain(place)

    assert codes.pop(3) == 1
    assert set(codes) == {-signal.SIGTERM}
    (message,) = messages(place)
    assert message["title"].startswith("owl failed: ValueError: loss is nan (")
    assert message["title"].endswith("ranks, first on 3)")
    assert "was killed by SIGTERM" in message["text"]


def test_a_rank_that_fails_late(place, launch):
    """What comes after the message is counted, and sends no other one."""
    job = launch(CRASH, 4)
    job.go(0, 1, 2)
    until(lambda: messages(place), PATIENCE)
    job.go(3)
    assert job.codes() == [1] * 4
    drain(place)

    (message,) = messages(place)
    assert message["fields"]["ranks"] == "0-2"
    assert suppressed(place) == 1


ELSEWHERE = """
from tocsin import _processes as processes
processes._BOOT = Path(os.environ["BOOT"])  # another machine was booted another time
run = tocsin.init(name="owl", id="wise-owl")
gate()
run.finish()
"""


@pytest.fixture
def watching(place):
    """Return what starts `tocsin watch` on a machine that shares the folder."""
    started = []

    def watching():
        process = subprocess.Popen(
            [sys.executable, "-m", "tocsin", "watch", "--every", "0.2s"],
            env=place.environment | {"TOCSIN_LOCAL_DIR": str(place.path / "here")},
            cwd=place.path,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout.readline().startswith("Watching")
        return process

    yield watching
    for process in started:
        process.kill()
        process.communicate()


def test_row_38_the_machine_dies(place, launch, watching):
    """Another machine that shares the folder tells it, once; and that they came back."""
    configure(place, network_state=True, lost_after="6s")
    (place.path / "boot").write_text("another boot")
    there = {
        "TOCSIN_LOCAL_DIR": str(place.path / "there"),
        "BOOT": str(place.path / "boot"),
    }
    watching(), watching()
    job = launch(ELSEWHERE, 4, **there)
    until(lambda: len(list((place.path / "state" / "runs").glob("*/*.run"))) == 4)
    for pid in job.pids:
        os.kill(pid, signal.SIGKILL)
    assert job.codes() == [-signal.SIGKILL] * 4
    (message,) = until(lambda: messages(place), PATIENCE)

    assert re.match(
        r"owl is gone: no heartbeat for \d.* \(4 ranks, first on ", message["title"]
    )
    assert message["fields"]["ranks"] == "0-3"
    back = launch(ELSEWHERE, 4, **there)
    until(lambda: len(messages(place)) > 1, PATIENCE)
    back.go()
    assert back.codes() == [0] * 4
    titles = [one["title"] for one in messages(place)]
    assert titles[1].startswith(f"Resolved: {titles[0].partition(' (')[0]} (rank ")
    assert titles[2:] == ["owl finished"]
