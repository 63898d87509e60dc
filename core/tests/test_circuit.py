from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin import Ambiguous, OutOfOrder, Receipt, Rejected, RetryLater
from tocsin._circuit import CLOSED, THRESHOLD, Circuit, after
from tocsin._retry import MAX_BACKOFF, MAX_RETRY_AFTER, Progress, outcome

NOW = 1_800_000_000.0
DAY = 86_400.0

RESULTS = [
    Receipt(),
    Rejected("no such address"),
    OutOfOrder("the token was revoked", remedy="make another"),
    RetryLater("down"),
    RetryLater("busy", after=30),
    RetryLater("busy", after=1e9),
    RetryLater("layout", after=0, state={"plain": True}),
    Ambiguous("no answer"),
]
results = st.sampled_from(RESULTS)
chances = st.floats(0, 1, exclude_max=True)


def attempted(circuit, result, now=NOW, chance=0.5):
    """Return how the channel fares after an attempt that ended so."""
    progress = Progress(
        attempt=1, ambiguous=0, first_attempt_at=now, is_probe=circuit.is_failing
    )
    ending = outcome(
        result, progress, now=now, give_up_after=DAY, random=lambda: chance
    )
    return after(circuit, ending, now, lambda: chance)


def after_all(*results, now=NOW):
    circuit = CLOSED
    for result in results:
        circuit = attempted(circuit, result, now)
    return circuit


def failing(now=NOW):
    return after_all(*[RetryLater("down")] * THRESHOLD, now=now)


@pytest.mark.parametrize(
    "error", [RetryLater("down"), Ambiguous("no answer")], ids=repr
)
def test_it_opens(error):
    """After five failures in a row, and no sooner, the channel waits."""
    almost = after_all(*[error] * (THRESHOLD - 1))
    failing = attempted(almost, error)

    assert not almost.is_failing
    assert not almost.is_open(NOW)
    assert failing.is_failing
    assert failing.is_open(NOW)
    assert failing.since == NOW
    assert failing.reason == error.reason


def test_pauses_grow():
    """The pauses between two tries grow from a second to five minutes; half is chance."""
    circuit, now, pauses = failing(), NOW, []
    for _ in range(11):
        pauses.append(circuit.until - now)
        now = circuit.until
        circuit = attempted(circuit, RetryLater("down"), now, chance=1)

    assert pauses == [0.75, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    now = circuit.until
    assert attempted(circuit, RetryLater("down"), now, chance=0).until == now + 150


@pytest.mark.parametrize("result", [Receipt(), Rejected("no such address")], ids=repr)
def test_it_closes(result):
    """What succeeds closes it, and so does a refusal of this one message."""
    assert attempted(failing(), result, NOW + 1) == CLOSED
    assert attempted(after_all(OutOfOrder("revoked")), result, NOW + 1) == CLOSED


def test_failures_in_a_row():
    """A success in between begins the count again."""
    circuit = after_all(*[RetryLater("down")] * 4, Receipt(), RetryLater("down"))

    assert circuit.failures == 1
    assert not circuit.is_open(NOW)


def test_retry_after():
    """What the service asks for is waited for, and is no failure of its own."""
    circuit = attempted(after_all(RetryLater("down")), RetryLater("busy", after=30))

    assert (circuit.failures, circuit.until) == (0, NOW + 30)
    assert not circuit.is_failing
    assert circuit.is_open(NOW + 29.9)
    assert not circuit.is_open(NOW + 30)


def test_retry_after_outlasts_what_began_before_it():
    """What comes of attempts that were under way does not shorten the service's wish."""
    asked = attempted(CLOSED, RetryLater("busy", after=900))

    for result in RESULTS:
        later = attempted(asked, result, NOW + 1)
        assert later.until >= NOW + 900, result
    assert attempted(asked, Receipt(), NOW + 900) == CLOSED


def test_another_form():
    """A message that is sent again in another form says nothing of the channel."""
    error = RetryLater("layout", after=0, state={"plain": True})

    assert after_all(error) == CLOSED
    assert attempted(failing(), error, NOW + 400) == CLOSED


def test_out_of_order():
    """At once, it is tried once in five minutes, and says what a person can do."""
    circuit = after_all(OutOfOrder("revoked", remedy="make another token"))

    assert circuit.is_out_of_order
    assert circuit.is_failing
    assert (circuit.until, circuit.since) == (NOW + MAX_BACKOFF, NOW)
    assert (circuit.reason, circuit.remedy) == ("revoked", "make another token")


def test_out_of_order_lasts():
    """While the next tries fail otherwise, it still needs the person; since the first."""
    circuit = after_all(OutOfOrder("revoked"))
    circuit = attempted(circuit, Ambiguous("no answer"), NOW + 300)
    again = attempted(circuit, OutOfOrder("revoked"), NOW + 600)

    assert circuit.is_out_of_order
    assert again.is_out_of_order
    assert again.since == NOW
    assert again.until == NOW + 900


steps = st.lists(st.tuples(results, st.floats(0, 7200), chances), max_size=30)


@given(steps)
def test_it_is_never_open_for_longer(steps):
    """From the last attempt on it is open for an hour at most, for five minutes unless asked."""
    circuit, now, wishes = CLOSED, NOW, [NOW]
    for result, seconds, chance in steps:
        now += seconds
        circuit = attempted(circuit, result, now, chance)
        if isinstance(result, RetryLater) and result.after:
            wishes.append(now + max(MAX_BACKOFF, min(result.after, MAX_RETRY_AFTER)))

        longest = max(now + MAX_BACKOFF, *wishes)
        assert longest <= now + MAX_RETRY_AFTER
        assert not circuit.is_open(longest)


@given(steps)
def test_success_always_closes_what_fails(steps):
    """However it came to fail, one success ends it."""
    circuit, now = CLOSED, NOW
    for result, seconds, chance in steps:
        now += seconds
        circuit = attempted(circuit, result, now, chance)
    closed = attempted(circuit, Receipt(), now)

    assert not closed.is_failing
    assert closed == CLOSED or not circuit.is_failing
    assert attempted(closed, Receipt(), max(now, circuit.until)) == CLOSED


@given(
    st.floats(NOW - 400 * DAY, NOW + 400 * DAY),
    st.integers(0, 9),
)
def test_a_clock_that_jumped(until, failures):
    """What only a clock that was ahead can have written does not stop a channel."""
    circuit = Circuit(failures=failures, until=until)

    if circuit.is_open(NOW):
        assert 0 < until - NOW <= 2 * MAX_RETRY_AFTER


@given(st.lists(results, max_size=20))
def test_since(results):
    """Since when it fails is the first attempt after it last worked."""
    circuit, since = CLOSED, None
    for seconds, result in enumerate(results):
        circuit = attempted(circuit, result, NOW + seconds)
        if circuit == CLOSED:
            since = None
        elif since is None:
            since = NOW + seconds
        assert circuit.since == since
