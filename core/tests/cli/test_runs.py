from __future__ import annotations

import json
import os
import re
import time

import attrs
import pytest

import tocsin
from tocsin import Ending, Origin
from tocsin import _processes as processes
from tocsin._run_record import RunRecord


@pytest.fixture
def put(post):
    """Return what puts a run there that began some seconds ago."""

    def put(run, *, began=100.0, beat=0.0, rank=None, **changes):
        now = time.time()
        record = RunRecord(
            origin=Origin(user="ada", run=run, run_name="owl", host="n0", rank=rank),
            started_at=now - began,
            beat_at=now - beat,
            progress_at=now - began,
            place="another machine",
        )
        with tocsin.Notifier.from_config() as notifier:
            notifier.state.put_run(attrs.evolve(record, **changes), now)

    return put


def test_how_runs_fare(cli, put):
    """A line for each, the last one last: its name, state, place, time, and what else."""
    ending = Ending(
        state="failed", exit_code=1, reason="ValueError: lr\nmore", seconds=3700
    )
    put("r1", began=9000, ending=ending)
    done = Ending(state="finished", seconds=60)
    put("r2", began=5000, ending=done, metrics={"loss": 0.5})
    put("r3", began=125, beat=7, rank=3, metrics={"step": 12, "loss": "0.25"})
    put("r4", began=50, beat=5)

    result = cli("runs")
    assert result.exit_code == 0
    rows = [" ".join(row.split()) for row in result.stdout.splitlines()]
    assert rows[:2] == [
        "owl failed n0 1 h 1 min ValueError: lr",
        "owl finished n0 1 min 0 s loss=0.5",
    ]
    assert re.fullmatch(
        r"owl running n0 rank 3 2 min \d+ s heartbeat \d\S* s ago; step=12, loss=0.25",
        rows[2],
    )
    assert re.fullmatch(r"owl running n0 5\d s heartbeat \d\S* s ago", rows[3])


@pytest.mark.parametrize(
    "changes",
    [
        {"beat": 301.0},
        {"pid": os.getpid(), "place": processes.place(), "born": "1"},
    ],
    ids=["silent", "process"],
)
def test_one_that_is_gone(cli, put, changes):
    """Who is gone is not said to run, whether or not anybody was told."""
    put("r1", began=900, **changes)

    assert cli("runs").stdout.split()[:3] == ["owl", "gone", "n0"]
    (line,) = cli("runs", "--json").stdout.splitlines()
    assert json.loads(line)["is_lost"] is True


def test_for_programs(cli, put):
    """``--json`` says the same, one object a line."""
    put("r1", beat=7, rank=3, metrics={"loss": "0.5"})
    ending = Ending(state="killed", exit_code=137, signal="SIGKILL")
    put("r2", began=50, is_supervisor=True, ending=ending)

    first, second = map(json.loads, cli("runs", "--json").stdout.splitlines())
    assert first.pop("beat_age") == pytest.approx(7, abs=5)
    assert first.pop("started_at") == pytest.approx(time.time() - 100, abs=60)
    assert first == {
        "run": "r1",
        "name": "owl",
        "project": "",
        "job": "",
        "host": "n0",
        "rank": 3,
        "is_supervisor": False,
        "state": "running",
        "is_lost": False,
        "exit_code": None,
        "reason": "",
        "metrics": {"loss": "0.5"},
    }
    assert (second["state"], second["exit_code"]) == ("killed", 137)
    assert second["is_supervisor"]
    assert second["is_lost"] is False


def test_the_newest(cli, put):
    """``--limit`` leaves out the older ones."""
    for number in range(4):
        put(f"r{number}", began=100 - number)

    found = cli("runs", "--json", "--limit", 2).stdout.splitlines()
    assert [json.loads(line)["run"] for line in found] == ["r2", "r3"]


def test_none(cli, post):
    """With none it says how to have one; a program is told nothing."""
    assert cli("runs").stdout.startswith("No run is known here: tocsin.init()")
    assert cli("-q", "runs").output == ""
    assert cli("runs", "--json").output == ""


def test_words_from_elsewhere(cli, put):
    """What a program said stays one line, and moves no cursor."""
    put("r1", ending=Ending(state="failed", reason="\x1b[2J[red]no\u202e\nmore"))

    (row,) = cli("runs").stdout.splitlines()
    assert "\x1b" not in row
    assert "[red]no" in row


def test_what_init_makes(cli, post):
    """A run of a program is there as soon as it has ended, at the latest."""
    with tocsin.init("mnist", name="hawk", mode="offline") as run:
        run.log({"loss": 0.5}, 3)

    (line,) = cli("runs", "--json").stdout.splitlines()
    found = json.loads(line)
    assert (found["name"], found["state"]) == ("hawk", "finished")
    assert found["metrics"] == {"step": "3", "loss": "0.5"}
