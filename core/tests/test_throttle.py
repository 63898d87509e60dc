from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from strategies import any_word, joined, levels, origins, times

from tocsin import Alert, AlertLevel, Origin
from tocsin._throttle import (
    CLOCK_SKEW,
    NONE_SUPPRESSED,
    Suppression,
    Window,
    suppressed_until,
    throttle_key,
    title_of,
)

INFO, WARN, ERROR = AlertLevel
NOW = 1_800_000_000.0


def is_admitted(window, level, wait, now):
    """The rule in plain words, written without a look at the code."""
    nothing_before = window is None
    if nothing_before:
        return True
    never_suppressed = wait == 0
    own_wait_is_over = now - window.admitted_at >= wait
    is_worse = level.severity > window.level.severity
    last_lies_in_the_future = window.admitted_at - now > CLOCK_SKEW
    return never_suppressed or own_wait_is_over or is_worse or last_lies_in_the_future


waits = st.sampled_from([0.0, 1.0, 60.0, 3600.0]) | st.floats(0, 1e6)
offsets = st.sampled_from([0.0, -3600.0, 3600.0, 60.0, -5.0]) | st.floats(-1e6, 1e6)


@settings(deadline=None, max_examples=500)
@given(st.none() | st.builds(Window, times, levels), levels, waits, offsets)
@example(Window(NOW, WARN), WARN, 60.0, 60.0)
@example(Window(NOW, WARN), WARN, 60.0, 59.999)
@example(Window(NOW, WARN), ERROR, 60.0, 1.0)
@example(Window(NOW, WARN), INFO, 60.0, 1.0)
@example(Window(NOW, WARN), WARN, 60.0, -3600.0)
@example(Window(NOW, WARN), WARN, 60.0, -1.0)
def test_the_rule(window, level, wait, offset):
    """An alert is suppressed exactly when the plain statement says so."""
    now = offset + (window.admitted_at if window else NOW)
    until = suppressed_until(window, level, wait, now)

    assert (until is None) is is_admitted(window, level, wait, now)
    assert until is None or until == window.admitted_at + wait


@settings(deadline=None)
@given(levels, st.floats(-CLOCK_SKEW, 1e6))
@example(INFO, -0.000_001)
def test_no_wait_is_never_suppressed(level, offset):
    """With a wait of 0 an alert is always admitted, whatever two clocks make of now."""
    assert suppressed_until(Window(NOW, ERROR), level, 0.0, NOW + offset) is None


def test_own_wait_decides():
    """It is the wait of the alert at hand that counts, not that of the last one."""
    window = Window(NOW, WARN)

    assert suppressed_until(window, WARN, 60, NOW + 30) == NOW + 60
    assert suppressed_until(window, WARN, 10, NOW + 30) is None
    assert suppressed_until(window, WARN, 3600, NOW + 90) == NOW + 3600


@settings(deadline=None)
@given(
    st.sampled_from([3600.0, -3600.0]) | st.floats(-7200, 7200),
    st.integers(1, 300),
    st.sampled_from([10.0, 60.0, 600.0]),
)
def test_clock_that_jumps(jump, at, wait):
    """A jump of the clock gives at most one extra alert, and never a lasting mute."""
    step = 10.0
    window = None
    admitted = []
    for tick in range(600):
        passed = tick * step
        now = NOW + passed + (jump if tick >= at else 0.0)
        if suppressed_until(window, INFO, wait, now) is None:
            window = Window(now, INFO)
            admitted.append(passed)

    gaps = [later - earlier for earlier, later in itertools.pairwise(admitted)]
    assert sum(gap < wait for gap in gaps) <= 1
    unseen = min(max(-jump, 0.0), wait)  # a short jump back cannot be told from no time
    assert max(gaps) <= wait + unseen + CLOCK_SKEW + step


@pytest.mark.parametrize("part", ["user", "team", "project", "job", "run"])
def test_key_tells_origins_apart(part):
    """Who, which team, which project and which job or run are part of the key."""
    one = Alert("Loss", origin=Origin(**{part: "a"}))
    other = Alert("Loss", origin=Origin(**{part: "b"}))

    assert throttle_key(one) != throttle_key(other)


@pytest.mark.parametrize(
    "changes",
    [
        {"text": "other"},
        {"level": "ERROR"},
        {"wait_duration": 5},
        {"kind": "crashed"},
        {"tags": ["a"]},
        {"fields": {"a": 1}},
        {"url": "https://example.org"},
        {"id": "other"},
        {"origin": Origin(job="7", run="b", host="b", rank=3, run_name="b")},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_key_of_the_same_alert(changes):
    """What else an alert says is no part of the key; with a job, neither is the run."""
    origin = Origin(job="7", run="a", host="a", rank=1)

    assert throttle_key(Alert("Loss", **({"origin": origin} | changes))) == (
        throttle_key(Alert("Loss", origin=origin))
    )


def test_own_key():
    """An alert's own key takes the title's place."""
    assert throttle_key(Alert("a", key="k")) == throttle_key(Alert("b", key="k"))
    assert throttle_key(Alert("a", key="k")) == throttle_key(Alert("k"))
    assert throttle_key(Alert("a", key="k")) != throttle_key(Alert("a"))


@settings(deadline=None)
@given(origins, any_word, origins, any_word)
def test_key_is_that_of_one_alert_alone(origin, title, other_origin, other_title):
    """Two keys are equal only when all their parts are: none runs into the next."""

    def parts(origin, title):
        scope = origin.job or origin.run
        return (origin.user, origin.team, origin.project, scope, title)

    one = throttle_key(Alert(title, origin=origin))
    other = throttle_key(Alert(other_title, origin=other_origin))

    same = parts(origin, title) == parts(other_origin, other_title)
    assert (one == other) is same


@settings(deadline=None)
@given(any_word, origins)
@example("\ud800", Origin(run="\udfff"))
def test_title_of_a_key(title, origin):
    """A key gives its title back to whoever knows its scope; any store can hold it."""
    key = throttle_key(Alert(title, origin=origin))
    scope = origin.job or origin.run

    assert key.isascii()
    assert title_of(key, scope) == title
    assert title_of(key, f"{scope}x") is None


def test_title_of_half_characters():
    """A pair of surrogates comes back as the character that it stands for."""
    key = throttle_key(Alert("\ud83d\ude00", origin=Origin(run="r")))

    assert title_of(key, "r") == joined("\ud83d\ude00") == "\U0001f600"
    assert key == throttle_key(Alert("\U0001f600", origin=Origin(run="r")))
    assert "\n" not in key
    assert isinstance(json.loads(key), list)


suppressions = st.builds(Suppression, st.integers(0, 100), st.none() | times)


@settings(deadline=None)
@given(suppressions, suppressions, suppressions)
def test_suppressions_add_up(one, two, three):
    """Counts add up, in any order, since the earliest."""
    assert one + two == two + one
    assert (one + two) + three == one + (two + three)
    assert one + NONE_SUPPRESSED == one
    assert (one + two).count == one.count + two.count
    since = [s.since for s in (one, two) if s.since is not None]
    assert (one + two).since == min(since, default=None)
