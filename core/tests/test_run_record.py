from __future__ import annotations

import json

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import any_word, endings, origins, times

from tocsin import Ending, Origin, RunState
from tocsin._run_record import RunRecord, decode, decoded, encode

RECORD = RunRecord(
    origin=Origin(run="r1", rank=3), started_at=1.0, beat_at=2.0, progress_at=1.5
)

records = st.builds(
    RunRecord,
    origin=origins,
    started_at=times,
    beat_at=times,
    progress_at=times,
    is_supervisor=st.booleans(),
    tags=st.lists(any_word, max_size=3),
    pid=st.integers(0, 1 << 22),
    place=any_word,
    born=any_word,
    stall_after=st.floats(0, 1e6),
    step=st.none() | st.integers(0),
    metrics=st.dictionaries(any_word, any_word, max_size=3),
    is_preempting=st.booleans(),
    ending=st.none() | endings,
)

anything = st.sampled_from(
    [None, True, -1, 0.5, 1e400, "", "noon", [], [1], {}, {"x": None}, {"state": "x"}]
)


@given(records, st.none() | times)
def test_a_record_travels(record, lost_at):
    """What is written comes back as it was, with what is kept beside it."""
    assert decode(encode(record), lost_at) == attrs.evolve(record, lost_at=lost_at)


def test_what_a_newer_version_adds():
    """It is left out, in the record and in what is within."""
    values = json.loads(encode(attrs.evolve(RECORD, ending=Ending(state="failed"))))
    values |= {"colour": "red", "origin": {**values["origin"], "shape": "round"}}
    values["ending"] |= {"taste": "sour"}

    assert decode(json.dumps(values)).ending == Ending(state="failed")


@given(st.dictionaries(st.sampled_from(list(attrs.fields_dict(RunRecord))), anything))
def test_rubbish_is_left_out(values):
    """Whatever is among the files, those that can be read are read, and sorted."""
    good = encode(RECORD)
    torn = json.dumps({**json.loads(good), **values})

    found = decoded([(torn, None), (good, 9.0)])

    assert attrs.evolve(RECORD, lost_at=9.0) in found


@pytest.mark.parametrize(
    "text",
    [
        *("", "null", "[]", "{}", '{"origin": 3}', "[" * 100_000, encode(RECORD)[:-9]),
        encode(RECORD).replace('"started_at": 1.0', '"started_at": "noon"'),
    ],
    ids=["empty", "null", "list", "nothing", "number", "deep", "torn", "noon"],
)
def test_no_record(text):
    """What is no record is none."""
    assert decoded([(text, None)]) == []


def test_the_order():
    """Those that started first come first."""
    rows = [(encode(attrs.evolve(RECORD, started_at=at)), None) for at in (3, 1, 2)]

    assert [record.started_at for record in decoded(rows)] == [1.0, 2.0, 3.0]


def test_members():
    """A run's ranks, and who watches it from outside, are kept apart; a job is a scope."""
    of_job = attrs.evolve(RECORD, origin=Origin(run="r1", job="77", rank=0))

    assert RECORD.address == ("r1", "r1", "3")
    assert of_job.address == ("77", "r1", "0")
    assert attrs.evolve(RECORD, is_supervisor=True).address[2] == "supervisor"
    assert attrs.evolve(RECORD, origin=Origin(run="r1")).address[2] == ""


def test_its_state():
    """It runs until it has an end."""
    assert RECORD.state is RunState.RUNNING
    assert attrs.evolve(RECORD, ending=Ending(state="killed")).state is RunState.KILLED
