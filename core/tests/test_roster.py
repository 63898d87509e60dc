from __future__ import annotations

import os

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import any_word

from tocsin import Origin
from tocsin._roster import Roster
from tocsin._run_record import RunRecord

RECORD = RunRecord(
    origin=Origin(run="r1", job="77", rank=0),
    started_at=1.0,
    beat_at=2.0,
    progress_at=1.0,
)


def rank(number, **changes):
    origin = attrs.evolve(RECORD.origin, rank=number)
    return attrs.evolve(RECORD, origin=origin, **changes)


@pytest.fixture
def roster(tmp_path):
    return Roster(tmp_path / "runs")


def test_another_machine_sees_it(roster, tmp_path):
    """What one puts there, whoever shares the folder finds."""
    roster.put_run(rank(0))
    roster.put_run(rank(1, started_at=0.5))

    assert Roster(tmp_path / "runs").runs() == [rank(1, started_at=0.5), rank(0)]


def test_one_member_has_one_record(roster):
    """A heartbeat takes the place of the one before."""
    for beat_at in (2.0, 32.0):
        roster.put_run(rank(0, beat_at=beat_at))

    assert [record.beat_at for record in roster.runs()] == [32.0]


def test_a_job_is_asked_for_alone(roster):
    """Runs of one job are found without reading the others."""
    other = attrs.evolve(RECORD, origin=Origin(run="r9"))
    for record in (rank(0), rank(1), other):
        roster.put_run(record)

    assert len(roster.runs("77")) == 2
    assert roster.runs("r9") == [other]
    assert roster.runs("nobody") == []


def test_a_loss_is_noted(roster):
    """It stays while heartbeats go on, until it is taken back."""
    roster.put_run(rank(0))
    roster.note_lost(rank(0), 400.5)
    roster.put_run(rank(0, beat_at=500.0))

    assert [record.lost_at for record in roster.runs()] == [400.5]
    roster.note_lost(rank(0), None)
    roster.note_lost(rank(0), None)
    assert [record.lost_at for record in roster.runs()] == [None]


def test_what_is_old_is_forgotten(roster, tmp_path):
    """With its loss; what beats is kept."""
    roster.put_run(rank(0))
    roster.note_lost(rank(0), 400.0)
    for file in (tmp_path / "runs").iterdir():
        os.utime(file, (10.0, 10.0))
    roster.put_run(rank(1))
    roster.prune(20.0)

    assert [record.origin.rank for record in roster.runs()] == [1]
    assert len(list((tmp_path / "runs").iterdir())) == 1


def test_what_lies_about_is_left_out(roster, tmp_path):
    """A file that is torn, or another's, or a half of one, hides nobody."""
    roster.put_run(rank(0))
    folder = tmp_path / "runs"
    (folder / "torn.run").write_text('{"origin": ')
    (folder / "bytes.run").write_bytes(b"\xff\xfe")
    (folder / ".half.run.1234").write_text("x")
    (folder / "folder.run").mkdir()
    (file,) = folder.glob("*-*.run")
    file.with_suffix(".lost").write_text("soon")

    assert roster.runs() == [rank(0)]


def test_before_anything_is_there(roster):
    """A folder that is not there has no runs in it."""
    assert roster.runs() == []
    roster.prune(5.0)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_the_folder_is_ours(roster, tmp_path):
    """Nobody else reads what is in it."""
    roster.put_run(rank(0))

    assert (tmp_path / "runs").stat().st_mode & 0o077 == 0


def test_a_folder_that_cannot_be_made(tmp_path):
    """It says so: the caller tries again."""
    (tmp_path / "runs").write_text("a file")

    with pytest.raises(OSError, match="runs"):
        Roster(tmp_path / "runs").put_run(rank(0))


@given(st.lists(any_word, min_size=1, max_size=5, unique=True))
@settings(max_examples=20, deadline=None)
def test_any_name(tmp_path_factory, names):
    """Whatever a job is called, it is found by that, and under no other name."""
    roster = Roster(tmp_path_factory.mktemp("runs"))
    for name in names:
        origin = Origin(run="r", job=name) if name else Origin(run="")
        roster.put_run(attrs.evolve(RECORD, origin=origin))

    for name in names:
        assert [record.scope for record in roster.runs(name)] == [name]
