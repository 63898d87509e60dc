from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin import (
    Ambiguous,
    DeliveryError,
    OutOfOrder,
    Receipt,
    Rejected,
    RetryLater,
)
from tocsin._retry import (
    MAX_AMBIGUOUS,
    MAX_BACKOFF,
    MAX_RETRY_AFTER,
    Delivered,
    Failed,
    Pending,
    Progress,
    backoff,
    outcome,
)

NOW = 1_800_000_000.0
DAY = 86_400.0

attempts = st.integers(1, 10_000)
chances = st.floats(0, 1, exclude_max=True)


def settle(result, *, age=0.0, chance=0.5, **more):
    """Return what becomes of a delivery whose first attempt was `age` seconds ago."""
    known = {"attempt": 1, "ambiguous": 0, "first_attempt_at": NOW - age} | more
    progress = Progress(**known)
    return outcome(result, progress, now=NOW, give_up_after=DAY, random=lambda: chance)


def test_receipt():
    """What has a receipt is delivered."""
    receipt = Receipt(reference="1")

    assert settle(receipt, attempt=7, ambiguous=2, age=2 * DAY) == Delivered(receipt)


@pytest.mark.parametrize("error", [Rejected, DeliveryError])
def test_refusal(error):
    """What the service refuses is not tried again; reason and remedy are kept."""
    result = settle(error("no such channel", remedy="invite the bot"))

    assert result == Failed(reason="no such channel", remedy="invite the bot")


@settings(deadline=None)
@given(st.floats() | st.integers(), attempts, chances)
def test_retry_after_is_honoured(after, attempt, chance):
    """Never sooner than the service wishes, but an hour is enough; nonsense is no wish."""
    result = settle(RetryLater("slow", after=after), attempt=attempt, chance=chance)

    is_wish = not math.isnan(after) and after > 0
    wish = min(after, MAX_RETRY_AFTER) if is_wish else 0
    assert NOW + wish <= result.due <= NOW + max(MAX_RETRY_AFTER, MAX_BACKOFF)
    assert result.hold_until == (result.due if is_wish else None)


@pytest.mark.parametrize(
    ("after", "wait"),
    [
        (30, 30),
        (0.5, 0.75),
        (3600, 3600),
        (3601, 3600),
        (1e9, 3600),
        (10**400, 3600),
        (math.inf, 3600),
        (None, 0.75),
        (math.nan, 0.75),
        (-1, 0.75),
        (-math.inf, 0.75),
    ],
)
def test_retry_after(after, wait):
    """The service's wish counts where it is longer than ours, up to an hour."""
    result = settle(RetryLater("slow", after=after), chance=0.375)

    assert result.due == NOW + wait


@pytest.mark.parametrize("after", ["30", b"30", {}, [30]], ids=repr)
def test_retry_after_of_a_wrong_type(after):
    """A provider that hands on a header as it came must not stop the worker."""
    result = settle(RetryLater("slow", after=after), chance=0.375)

    assert result.due >= NOW + 0.75


def test_at_once_in_another_form():
    """A provider that asks for 0 s with a state is called again at once."""
    result = settle(RetryLater("layout", after=0, state={"plain": True}), chance=0.9)

    assert (result.due, result.hold_until) == (NOW, None)
    assert result.state == {"plain": True}


def test_retry_after_zero_does_not_spin():
    """A service that says Retry-After: 0 again and again is not called without a pause."""
    result = settle(RetryLater("busy", after=0), attempt=9, chance=0.5)

    assert result.due > NOW


@settings(deadline=None)
@given(
    st.sampled_from([RetryLater("down"), RetryLater("down", after=600)]),
    attempts,
    st.floats(0, 2 * DAY),
    chances,
)
def test_end_by_age(error, attempt, age, chance):
    """A delivery is given up when its next attempt would be past its age, never sooner."""
    result = settle(error, attempt=attempt, age=age, chance=chance)

    if isinstance(result, Pending):
        assert result.due <= NOW - age + DAY
    else:
        assert result.reason == "down (given up after 24 h)"
        assert result.blames_channel
        assert age + max(MAX_BACKOFF, error.after or 0) > DAY


def test_count_is_no_end():
    """However often it was tried honestly, a young delivery is tried again."""
    assert isinstance(settle(RetryLater("down"), attempt=1_000_000), Pending)


def test_ambiguous_ends_by_count():
    """An answer that is lost again and again makes at most 3 attempts."""
    made, result = 0, None
    while not isinstance(result, Failed):
        result = settle(Ambiguous("no answer"), attempt=made + 1, ambiguous=made)
        made += 1

    assert made == MAX_AMBIGUOUS == 3
    assert result.reason == "no answer (3 times: it may have arrived)"


def test_honest_retries_do_not_count_as_ambiguous():
    """Only attempts that may have arrived are bounded."""
    result = settle(Ambiguous("no answer"), attempt=500, ambiguous=1)

    assert isinstance(result, Pending)
    assert result.ambiguous
    assert not settle(RetryLater("down"), ambiguous=2).ambiguous


@pytest.mark.parametrize("error", [RetryLater, Ambiguous])
@pytest.mark.parametrize(
    ("carried", "state"),
    [(None, {"owed": ["a"]}), ({}, {}), ({"owed": []}, {"owed": []})],
    ids=["nothing", "empty", "another"],
)
def test_state(error, carried, state):
    """An error's state replaces the one before; one without state leaves it."""
    result = settle(error("down", state=carried), state={"owed": ["a"]})

    assert result.state == state


@pytest.mark.parametrize("error", [RetryLater, Ambiguous])
def test_reason_and_remedy(error):
    """Why it is tried again is kept, and so is what to do about it."""
    result = settle(error("down", remedy="look at the status page"))

    assert (result.reason, result.remedy) == ("down", "look at the status page")


@settings(deadline=None)
@given(attempts, chances)
def test_backoff(attempt, chance):
    """The wait is anything up to twice as much as before, and never over 5 minutes."""
    seconds = backoff(attempt, lambda: chance)

    assert 0 <= seconds <= min(MAX_BACKOFF, 2.0 ** min(attempt, 20))


def test_backoff_grows():
    """Without the jitter: 2, 4, 8 … 256, 300, 300 seconds."""
    ceilings = [backoff(attempt, lambda: 1.0) for attempt in range(1, 12)]

    assert ceilings == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]


@pytest.mark.parametrize(
    ("result", "blames"),
    [
        (Rejected("no such address"), False),
        (RetryLater("down"), True),
        (RetryLater("busy", after=30), False),
        (RetryLater("layout", after=0, state={"plain": True}), False),
        (RetryLater("busy", after=0), True),
        (Ambiguous("no answer"), True),
    ],
    ids=repr,
)
def test_what_blames_the_channel(result, blames):
    """The channel is to blame where the next message would fare no better."""
    ending = settle(result)

    assert ending.blames_channel is blames
    assert not ending.is_out_of_order


@pytest.mark.parametrize(
    "result", [RetryLater("down"), Ambiguous("no answer")], ids=repr
)
def test_what_is_given_up_blames_the_channel(result):
    """A delivery that ends by its age, or by lost answers, says that the channel fails."""
    ending = settle(result, age=DAY, ambiguous=2)

    assert isinstance(ending, Failed)
    assert ending.blames_channel


def test_out_of_order():
    """The delivery that finds out has failed, and says what to do."""
    error = OutOfOrder("the token was revoked", remedy="make another")

    assert settle(error) == Failed(
        reason="the token was revoked", remedy="make another", is_out_of_order=True
    )


def test_a_try_that_finds_it_out_of_order():
    """A delivery that is sent to find out is kept while it is young, and due again."""
    error = OutOfOrder("the token was revoked", remedy="make another")

    assert settle(error, is_probe=True, age=DAY - 1) == Pending(
        due=NOW,
        reason="the token was revoked",
        remedy="make another",
        is_out_of_order=True,
    )
    assert isinstance(settle(error, is_probe=True, age=DAY), Failed)
