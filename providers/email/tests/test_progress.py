import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin_email._progress import Progress
from tocsin_email._reply import Reply

EVERYONE = ("a@example.org", "b@example.org", "c@example.org")
TAKEN, LATER, NEVER = Reply(250, "ok"), Reply(451, "later"), Reply(550, "no")


def test_begin():
    """At first everyone is owed the mail."""
    progress = Progress.resume({}, EVERYONE)

    assert progress.owed == EVERYONE
    assert progress.delivered == ()


def test_replies():
    """Who was refused for good is struck off, and who has it; the others are owed it."""
    a, b, c = EVERYONE
    replies = {a: TAKEN, b: LATER, c: NEVER}

    progress = Progress.resume({}, EVERYONE).refuse(replies).deliver(replies)

    assert progress.delivered == (a,)
    assert progress.owed == (b,)
    assert progress.refused == {c: "550 no"}


@given(
    st.lists(st.sampled_from(EVERYONE), unique=True, min_size=1),
    st.dictionaries(st.sampled_from(EVERYONE), st.text()),
    st.booleans(),
)
def test_resume(owed, refused, is_bare):
    """The state is JSON, from which the next attempt goes on."""
    progress = Progress(
        recipients=EVERYONE,
        owed=tuple(who for who in EVERYONE if who in owed),
        refused=refused,
        is_bare=is_bare,
    )

    assert Progress.resume(json.loads(json.dumps(progress.state)), EVERYONE) == progress


@pytest.mark.parametrize(
    "state",
    [
        {"owed": "a@example.org"},
        {"owed": [["a@example.org"], 5, None]},
        {"owed": ["eve@example.org"]},
        {"owed": 5, "refused": ["a@example.org"], "bare": "yes"},
        {"refused": {"eve@example.org": "550"}},
    ],
)
def test_odd_state(state):
    """A state that makes no sense, or is of other settings, is as good as none."""
    assert Progress.resume(state, EVERYONE) == Progress.resume({}, EVERYONE)
