import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin import Ambiguous, Rejected, RetryLater
from tocsin_slack._outcome import LayoutRefused
from tocsin_slack._progress import Progress

posted = st.builds(
    Progress,
    is_plain=st.booleans(),
    channel=st.text(min_size=1),
    ts=st.text(min_size=1),
    uploaded=st.lists(st.integers(0, 99)).map(tuple),
)


@given(posted | st.builds(Progress, is_plain=st.booleans()))
def test_it_comes_back_from_json_as_it_was(progress):
    assert Progress.parse(json.loads(json.dumps(progress.state()))) == progress


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"plain": "yes"},
        {"channel": "C1"},
        {"ts": "1.2"},
        {"channel": 7, "ts": "1.2"},
        {"channel": "", "ts": "", "uploaded": [0]},
    ],
)
def test_what_makes_no_sense_is_not_achieved(state):
    assert Progress.parse(state) == Progress()


def test_positions_that_are_no_numbers_are_left_out():
    state = {"channel": "C1", "ts": "1.2", "uploaded": [0, "1", None, 2]}

    assert Progress.parse(state).uploaded == (0, 2)


@pytest.mark.parametrize("kind", [RetryLater, Ambiguous])
def test_a_failure_carries_it_to_the_next_attempt(kind):
    with (
        pytest.raises(kind) as raised,
        Progress(is_plain=True, channel="C1", ts="1.2").kept(),
    ):
        raise kind("no")

    assert raised.value.state == {
        "plain": True,
        "channel": "C1",
        "ts": "1.2",
        "uploaded": [],
    }


def test_a_refused_layout_is_tried_as_plain_text_once():
    refusal = LayoutRefused("Slack refused: invalid_blocks")

    first = Progress().after_refusal(refusal)
    second = Progress.parse(first.state).after_refusal(refusal)

    assert (first.after, first.state) == (0, {"plain": True})
    assert type(second) is Rejected
