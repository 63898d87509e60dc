from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import endings, origins

from tocsin import AlertLevel, Ending, Origin
from tocsin._ending import read, written
from tocsin._report import Witness, alert_of, joined, lasted, report, spans

GIVEN = Origin(user="ada", run="r1", run_name="owl", host="n0")


@pytest.mark.parametrize(
    ("ending", "title", "kind", "level"),
    [
        (Ending(state="finished"), "owl finished", "finished", "INFO"),
        (
            Ending(state="failed", reason="ValueError: lr", exit_code=1),
            "owl failed: ValueError: lr",
            *("crashed", "ERROR"),
        ),
        (
            Ending(state="failed", exit_code=3),
            *("owl failed: exit code 3", "crashed", "ERROR"),
        ),
        (
            Ending(state="interrupted"),
            *("owl was interrupted (Ctrl-C)", "interrupted", "WARN"),
        ),
        (
            Ending(state="killed", signal="SIGKILL"),
            *("owl was killed by SIGKILL", "crashed", "ERROR"),
        ),
        (
            Ending(state="killed", signal="SIGSEGV", has_dumped_core=True),
            *("owl crashed (SIGSEGV, core dumped)", "crashed", "ERROR"),
        ),
        (
            Ending(state="killed", signal="SIGTERM", reason="time limit of 1 h"),
            *("owl was killed by SIGTERM: time limit of 1 h", "crashed", "ERROR"),
        ),
        (
            Ending(state="preempted", signal="SIGTERM"),
            *("owl was preempted (SIGTERM)", "preempted", "WARN"),
        ),
        (
            Ending(state="out of memory"),
            *("owl ran out of memory", "crashed", "ERROR"),
        ),
        (
            Ending(state="crashed", reason="no heartbeat for 5 min 0 s"),
            *("owl is gone: no heartbeat for 5 min 0 s", "crashed", "ERROR"),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_end_has_its_words(ending, title, kind, level):
    """The title says what happened; the kind and the level are what people choose by."""
    alert = alert_of(ending, GIVEN, 0.0)

    assert (alert.title, alert.kind, alert.level) == (title, kind, AlertLevel(level))


def test_a_failure_tells_what_is_known():
    """The exception, the frames, the last output, host, run time and metrics are there."""
    ending = Ending(
        state="failed",
        reason="ValueError: lr",
        traceback='  File "train.py", line 7',
        output="".join(f"line {n}\n" for n in range(30)),
        exit_code=1,
        seconds=4000,
        metrics={"loss": 0.5},
    )
    alert = alert_of(ending, GIVEN, 0.0, tags=["gpu"], url="https://example.org")

    assert alert.text.startswith('ValueError: lr\n\n  File "train.py", line 7\n\n')
    assert alert.text.endswith("line 28\nline 29")
    assert "line 9\n" not in alert.text
    assert alert.fields == {
        "host": "n0",
        "exit code": "1",
        "ran for": "1 h 6 min",
        "last metrics": "loss=0.5",
    }
    (attached,) = alert.attachments
    assert attached.name == "output.txt"
    assert attached.content.startswith(b"line 0\n")


def witness(rank, at, **ending):
    ending = {"state": "failed", **ending}
    return Witness(ending=Ending(**ending), rank=rank, host=f"n{rank // 8}", at=at)


def test_ranks_are_listed_together():
    """Those alike are in one line; what happened first leads, and what was asked for not."""
    told = report(
        "owl",
        [
            witness(0, 1.0, state="killed", signal="SIGTERM"),
            *(witness(rank, 5.0, reason="RuntimeError: NCCL") for rank in range(2, 64)),
            witness(1, 2.0, reason="ValueError: nan", traceback="here"),
        ],
    )

    assert told.title == "owl failed: ValueError: nan (64 ranks, first on 1)"
    assert told.text.splitlines() == [
        *("ValueError: nan", "", "here", ""),
        "rank 1: failed: ValueError: nan",
        "ranks 2-63: failed: RuntimeError: NCCL",
        "rank 0: was killed by SIGTERM",
    ]
    assert told.fields["ranks"] == "0-63"
    assert told.fields["host"] == "n0, n1, n2 and 5 more"


def test_a_supervisor_adds_what_the_program_could_not_know():
    """The exception is the program's, the exit code and the output are the supervisor's."""
    program = Ending(state="failed", reason="ValueError: lr", is_alone=False)
    supervisor = Ending(
        state="failed", exit_code=1, output="epoch 3\n", is_alone=False, seconds=9
    )
    first = alert_of(program, GIVEN, 1.0)
    whole = joined(first, [alert_of(supervisor, GIVEN, 2.0)])

    assert (whole.id, whole.key, whole.title) == (first.id, first.key, first.title)
    assert whole.text == "ValueError: lr\n\nLast output:\nepoch 3"
    assert whole.fields["exit code"] == "1"
    assert whole.fields["ran for"] == "9.0 s"


def test_a_cause_from_outside_leads():
    """Who was asked to end knows less than who asked: a time limit is the reason."""
    asked = witness(0, 1.0, state="killed", signal="SIGTERM")
    supervisor = Witness(
        ending=Ending(state="killed", signal="SIGTERM", reason="time limit of 6 h"),
        at=2.0,
    )

    assert "time limit of 6 h" in report("owl", [asked, supervisor]).title


def test_the_word_of_another_rank_is_named():
    """When the first one left no word, the frames of another are told as that one's."""
    told = report(
        "owl",
        [
            witness(0, 1.0, state="crashed", reason="its process ended without a word"),
            witness(1, 2.0, reason="RuntimeError: NCCL", traceback="here"),
        ],
    )

    assert told.title.startswith(
        "owl is gone: its process ended without a word (2 ranks"
    )
    assert "On rank 1: RuntimeError: NCCL\n\nhere" in told.text


@given(endings)
def test_an_ending_travels(ending):
    """What is written comes back as it was; what a newer version adds is left out."""
    assert read({**written(ending), "colour": "red"}) == ending


@given(st.lists(st.tuples(endings, origins), min_size=1, max_size=5))
def test_any_end_can_be_told(ends):
    """Whatever witnesses say, there is one alert of it."""
    first, *others = [alert_of(ending, origin, 1.0) for ending, origin in ends]

    assert joined(first, others).title


@pytest.mark.parametrize(
    ("numbers", "text"),
    [([], ""), ([3], "3"), ([2, 1, 0, 2], "0-2"), ([0, 2, 3, 9], "0, 2-3, 9")],
)
def test_spans(numbers, text):
    """Numbers in a row are one span."""
    assert spans(numbers) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.96, "10.0 s"),
        (59.9, "59 s"),
        (60, "1 min 0 s"),
        (3600, "1 h 0 min"),
        (100_000, "1 d 3 h"),
    ],
)
def test_lasted(seconds, text):
    """Two units at the most."""
    assert lasted(seconds) == text
