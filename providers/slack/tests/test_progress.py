import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin import Ambiguous, Rejected, RetryLater
from tocsin_slack._outcome import LayoutRefused, ThreadRefused
from tocsin_slack._progress import Progress

before = {
    "is_plain": st.booleans(),
    "is_alone": st.booleans(),
    "is_marked": st.booleans(),
    "unmarked": st.text(),
}
posted = st.builds(
    Progress,
    **before,
    thread=st.text(),
    channel=st.text(min_size=1),
    ts=st.text(min_size=1),
    uploaded=st.lists(st.integers(0, 99)).map(tuple),
)


@given(posted | st.builds(Progress, **before))
def test_it_comes_back_from_json_as_it_was(progress):
    assert Progress.parse(json.loads(json.dumps(progress.state()))) == progress


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"plain": "yes", "alone": 1, "marked": "true", "unmarked": ["no"]},
        {"thread": "1.2"},
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

    first = Progress().after_layout(refusal)
    second = Progress.parse(first.state).after_layout(refusal)

    assert (first.after, first.state) == (0, {"plain": True})
    assert type(second) is Rejected


def test_a_refused_reply_is_tried_by_itself_once():
    refusal = ThreadRefused("Slack refused: cannot_reply_to_message")

    first = Progress(is_marked=True).after_thread(refusal)
    second = Progress.parse(first.state).after_thread(refusal)

    assert (first.after, first.state) == (0, {"alone": True, "marked": True})
    assert second is refusal


def test_a_message_begins_a_thread_or_is_in_one():
    assert Progress(ts="2.0").root == "2.0"
    assert Progress(ts="2.0", thread="1.0").root == "1.0"


def test_a_note_tells_all_that_is_not_as_it_was_wished():
    progress = Progress(is_plain=True, is_alone=True, unmarked="no such message")

    assert progress.note == (
        "Sent as plain text: Slack refused the layout. "
        "Not in the thread: Slack takes no reply there. "
        "The earlier message is not marked as resolved: no such message."
    )
    assert Progress(is_marked=True).note == ""
