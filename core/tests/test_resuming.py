"""Which run `init` goes on with, and which id it has."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import attrs
import pytest

import tocsin
from tocsin import RunState
from tocsin import _processes as processes
from tocsin import _run_id as run_id
from tocsin._alert import Origin
from tocsin._run_record import RunRecord

NOW = 1_800_000_000.0


@pytest.fixture(autouse=True)
def _config(tmp_path, monkeypatch):
    file = tmp_path / "tocsin.toml"
    file.write_text("[user]\nname = 'ada'\n")
    monkeypatch.setenv("TOCSIN_CONFIG", str(file))
    for name in ("WORLD_SIZE", "SLURM_NTASKS", "TORCHELASTIC_RUN_ID", "TOCSIN_RUN_ID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def known():
    """Return what puts an earlier run there."""

    def known(run, *, started_at=NOW, **changes):
        origin = Origin(user="ada", project="mnist", run_name="owl", run=run)
        record = RunRecord(
            origin=attrs.evolve(origin, **changes.pop("origin", {})),
            started_at=started_at,
            beat_at=started_at,
            progress_at=started_at,
            pid=os.getpid(),
            place=processes.place(),
            born="1",
        )
        with tocsin.Notifier.from_config() as notifier:
            record = attrs.evolve(record, **changes)
            notifier.state.put_run(record, started_at)

    return known


@pytest.fixture
def start():
    """Return what starts a run of one project and name; each is finished by the next."""
    yield lambda **options: tocsin.init("mnist", name="owl", mode="offline", **options)
    tocsin.finish()


def test_the_last_that_did_not_finish(known, start):
    """With `auto` its id is taken."""
    known("one", ending=tocsin.Ending(state="failed"))
    known("two", started_at=NOW + 1)  # its process is gone, without a word

    assert start(resume=True).id == "two"


@pytest.mark.parametrize(
    "changes",
    [
        {"ending": tocsin.Ending(state="finished")},
        {"is_supervisor": True},
        {"origin": {"project": "cifar"}},
        {"origin": {"run_name": "hawk"}},
        {"origin": {"user": "grace"}},
        {"origin": {"rank": 1}},
    ],
    ids=["finished", "supervisor", "project", "name", "user", "rank"],
)
def test_one_that_is_another(known, start, changes):
    """A run that finished, or another one, is left alone."""
    known("one", **changes)

    assert start(resume="auto").id != "one"


@pytest.mark.skipif(sys.platform != "linux", reason="where no process has a birth")
def test_one_that_is_still_there(known, start):
    """Two that run beside each other do not become one."""
    known("one", ending=tocsin.Ending(state="failed"))
    known("two", started_at=NOW + 1, born=processes.born(os.getpid()))

    assert start(resume="auto").id == "one"


def test_one_of_another_machine(known, start):
    """Nobody knows whether it is there: a job that was moved goes on, once it is silent."""
    known("one", place="another machine", beat_at=time.time() - 10)
    assert start(resume="auto").id != "one"
    known("one", place="another machine", beat_at=time.time() - 301)

    assert start(resume="auto").id == "one"


def test_must(known, start):
    """There has to be one of this id, of whatever rank."""
    with pytest.raises(ValueError, match="a run 'one' is not known here"):
        start(id="one", resume="must")
    known("one", is_supervisor=True)  # it watches this very start
    with pytest.raises(ValueError, match="a run 'one' is not known here"):
        start(id="one", resume="must")
    known("one", origin={"rank": 3})

    assert start(id="one", resume="must").id == "one"


def test_never(known, start):
    """There must be none of this id; other ranks of the same start may be there."""
    known("one", origin={"rank": 3})
    known("one", is_supervisor=True)
    assert start(id="one", resume="never").id == "one"
    tocsin.finish()

    with pytest.raises(ValueError, match="a run 'one' is already known here"):
        start(id="one", resume="never")


def test_disabled(start):
    """In disabled mode nothing is known, and nothing is refused."""
    assert tocsin.init(id="one", resume="must", mode="disabled").id == "one"


def test_no_such_wish(start):
    with pytest.raises(ValueError, match="resume must be one of"):
        start(resume="perhaps")


def test_the_id_that_was_given(start, monkeypatch):
    """What a supervisor gives is taken, and not handed on to what the program starts."""
    monkeypatch.setenv("TOCSIN_RUN_ID", "given")

    assert start().id == "given"
    assert "TOCSIN_RUN_ID" not in os.environ


def test_goes_on_since(known, start):
    """A run that is resumed began when it did; what was told of it is over."""
    known("one", ending=tocsin.Ending(state="failed"))
    run = start(id="one")
    run._life.tick()

    (record,) = run._notifier.state.known_runs()
    assert (record.started_at, record.state) == (NOW, RunState.RUNNING)


# --- an id that ranks share

ASK = """
import os
import time
from tocsin import _run_id as run_id
from tocsin import _session as session
from tocsin._alert import Origin
rank, job = os.environ.get("RANK"), os.environ.get("JOB", "")
print(run_id.shared_id(Origin(rank=int(rank) if rank else None, job=job)))
"""


def asked(**environment):
    """Return what children of this process would take for their id."""
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


@pytest.mark.skipif(sys.platform != "linux", reason="where no process has a birth")
def test_ranks_of_one_launcher_share_an_id():
    """What one process started is one run, where there is nothing else to go by."""
    first, second = (asked(RANK=rank, WORLD_SIZE="2") for rank in "01")

    assert first == second
    assert len(first) == 8


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"RANK": "0", "WORLD_SIZE": "1"},
        {"RANK": "0"},
        {"RANK": "0", "WORLD_SIZE": "2", "JOB": "77"},
    ],
    ids=["no rank", "alone", "size unknown", "of a job"],
)
def test_who_shares_nothing(environment):
    """One that is alone has an id of its own; a job is shared already."""
    assert asked(**environment) == ""


def test_orphans_share_nothing(monkeypatch):
    """Whom the first process of the machine took on has no launcher."""
    monkeypatch.setattr(os, "getppid", lambda: 1)
    monkeypatch.setenv("WORLD_SIZE", "2")

    assert run_id.shared_id(Origin(rank=0)) == ""
