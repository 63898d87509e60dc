from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time

import attrs
import pytest
from conftest import eventually  # core/tests/conftest.py

import tocsin
from tocsin import Ending, Origin
from tocsin import _processes as processes
from tocsin._run_record import RunRecord

PATIENCE = 60  # seconds


@pytest.fixture
def put(post):
    """Return what puts a run there as its heartbeats left it, some seconds ago."""

    def put(run="r1", *, ago=0.0, idle=0.0, **changes):
        now = time.time()
        record = RunRecord(
            origin=Origin(user="ada", run=run, run_name=f"owl {run}", host="n0"),
            started_at=now - ago - 100,
            beat_at=now - ago,
            progress_at=now - ago - idle,
            place="another machine",
        )
        record = attrs.evolve(record, **changes)
        with tocsin.Notifier.from_config() as notifier:
            notifier.state.put_run(record, now)
        return record

    return put


def untimed(text):
    """Return a text without what depends on when it is looked at."""
    return re.sub(r"\d+ min \d+ s", "TIME", text)


def titles(post):
    return [untimed(message["parts"]["title"]) for message in post.messages]


def test_a_lost_heartbeat(cli, put, post):
    """A run that is silent for five minutes is told; one that beats is not."""
    put("lost", ago=301)
    put("here", ago=100)
    put("ended", ago=999, ending=Ending(state="finished"))

    result = cli("watch", "--once")
    assert result.exit_code == 0
    assert untimed(result.stdout) == "owl lost (n0) is gone: no heartbeat for TIME\n"
    assert titles(post) == ["ERROR: owl lost is gone: no heartbeat for TIME"]


def test_a_process_that_is_gone(cli, put, post):
    """Where the process is known, nobody waits for the heartbeat."""
    put(pid=os.getpid(), place=processes.place(), born="1")

    result = cli("watch", "--once")
    assert "is gone: its process ended without a word" in result.stdout
    assert len(post.messages) == 1


def test_a_stall(cli, put, post):
    """A run whose heartbeats go on, while it logs nothing, is told once."""
    record = put(ago=5, idle=601, stall_after=600)

    result = cli("watch", "--once")
    assert untimed(result.stdout) == "owl r1 (n0) stalls: no progress for TIME\n"
    put(progress_at=record.progress_at, beat_at=record.beat_at + 2, stall_after=600)
    cli("watch", "--once")
    assert titles(post) == ["ERROR: owl r1 stalls: no progress for TIME"]


def test_it_is_back(cli, put, post):
    """A heartbeat after the loss was told resolves it, once."""
    put(ago=400)
    cli("watch", "--once")
    put(ago=0)

    result = cli("watch", "--once")
    assert result.stdout == "owl r1 (n0) is back\n"
    assert cli("watch", "--once").stdout == ""
    assert titles(post)[1:] == ["INFO: Resolved: owl r1 is gone: no heartbeat for TIME"]


def test_it_is_told_once(cli, put, post):
    """From cron, each look finds what the one before it told."""
    put(ago=400)

    assert cli("watch", "--once").stdout != ""
    assert cli("watch", "--once").stdout == ""
    assert len(post.messages) == 1


def test_a_patience_of_its_own(cli, put):
    """``--lost-after`` is taken instead of the configuration's."""
    put(ago=30)

    assert cli("watch", "--once", "--lost-after", "1m").stdout == ""
    assert (
        "is gone: no heartbeat for"
        in cli("watch", "--once", "--lost-after", "20s").stdout
    )


def test_the_patience_of_the_configuration(cli, put, post):
    """`lost_after` is the configuration's, unless it is given."""
    post.config.write_text(f'lost_after = "10s"\n{post.config.read_text()}')
    put(ago=11)

    assert "is gone: no heartbeat for 1" in cli("watch", "--once").stdout


def test_all_is_well(cli, put, post):
    """With nothing to tell it says nothing: cron would send a mail."""
    put()

    result = cli("watch", "--once")
    assert (result.exit_code, result.output) == (0, "")
    assert post.messages == []


def test_quiet(cli, put, process, post):
    """With --quiet it says what it found, and not that it watches."""
    put(pid=os.getpid(), place=processes.place(), born="1")

    watching = process("-q", "watch", "--every", "0.05")
    assert watching.stdout.readline().startswith("owl r1 (n0) is gone")


def test_without_channels(cli, configure, put):
    """Without a channel it is on the screen, and in the log."""
    configure("[user]\nname = 'ada'\n")
    with tocsin.Notifier.from_config() as notifier:
        now = time.time()
        record = RunRecord(
            origin=Origin(user="ada", run="r1"),
            started_at=now - 500,
            beat_at=now - 400,
            progress_at=now - 500,
        )
        notifier.state.put_run(record, now)

    result = cli("watch", "--once")
    assert result.exit_code == 0
    assert untimed(result.stdout) == "r1 () is gone: no heartbeat for TIME\n"


def test_a_configuration_with_mistakes(cli, configure):
    """A configuration that cannot be read is a mistake, as for every command."""
    configure("lost_after = 'soon'")

    result = cli("watch", "--once")
    assert result.exit_code == 2
    assert "lost_after" in result.stderr


@pytest.mark.slow
def test_it_goes_on_until_ctrl_c(put, process, post):
    """It tells what comes to pass while it watches; Ctrl-C ends it with 130."""
    watching = process("watch", "--every", "0.05", "--lost-after", "1s")
    assert watching.stdout.readline() == f"Watching the runs of {post.config} …\n"
    put(ago=0.5)

    assert watching.stdout.readline().startswith("owl r1 (n0) is gone: no heartbeat")
    put(ago=-PATIENCE)
    assert watching.stdout.readline() == "owl r1 (n0) is back\n"
    eventually(lambda: len(post.messages) == 2, PATIENCE)
    watching.send_signal(signal.SIGINT)
    _, err = watching.communicate(timeout=PATIENCE)
    assert (watching.returncode, err.strip()) == (130, "")


@pytest.mark.slow
def test_several_may_watch(cli, put, process, post):
    """What two find at once is told once."""
    watching = [process("watch", "--every", "0.05") for _ in range(2)]
    for one in watching:
        assert one.stdout.readline().startswith("Watching")
    for number in range(5):
        put(f"r{number}", pid=os.getpid(), place=processes.place(), born="1")

    eventually(lambda: len(post.messages) >= 5, PATIENCE)
    cli("drain")
    assert len(set(titles(post))) == len(titles(post)) == 5


@pytest.mark.slow
def test_a_real_process(process, post, cli):
    """A training that is killed is told within a moment; nobody else would have."""
    code = (
        "import sys, time, tocsin; tocsin.init(name='owl', id='r1'); "
        "time.sleep(2); print('here', flush=True); sys.stdin.read()"
    )
    training = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with training:
        assert training.stdout.readline() == "here\n"
        assert cli("watch", "--once").stdout == ""
        training.kill()
    result = cli("watch", "--once")

    assert "is gone: its process ended without a word" in result.stdout
    assert titles(post) == [
        "ERROR: owl is gone: its process ended without a word",
    ]
