"""A call like one before is answered without the disk, and the answer is the same."""

from __future__ import annotations

import math
import threading
from datetime import timedelta

import pytest
from conftest import Clock, Inbox, Recorder
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin import (
    Admitted,
    Alert,
    AlertLevel,
    Notifier,
    Origin,
    Settings,
    Subscription,
    Suppressed,
    Unrouted,
)
from tocsin._run import Run
from tocsin._throttle import Window, suppressed_until

INFO, WARN, ERROR = AlertLevel
ORIGIN = Origin(user="ada", run="r1")


def offline(clock, **wish):
    made = Settings(
        user="ada",
        submit_timeout=10.0,
        channels={"inbox": Recorder(Inbox())},
        subscriptions=[Subscription(channels=["inbox"], **wish)],
        state_dir=":memory:",
    )
    return Notifier(made, namespace="tests", mode="offline", clock=clock)


@pytest.fixture
def run(notifier):
    return Run(notifier, ORIGIN, ())


LEVELS = [None, "", "info", INFO, "Warn", WARN, "ERROR", ERROR]
WAITS = [None, 0, 1, 60, 60.0, True, timedelta(seconds=30), 1e10]

calls = st.fixed_dictionaries(
    {"title": st.sampled_from("ab"), "level": st.sampled_from(LEVELS)},
    optional={
        "text": st.sampled_from(["", "x"]),
        "wait_duration": st.sampled_from(WAITS),
        "key": st.sampled_from(["", "a", "k"]),
        "kind": st.sampled_from(["scriptable", "crashed"]),
        "tags": st.sampled_from([(), ["t"]]),
        "fields": st.sampled_from([None, {}, {"step": 1}]),
        "url": st.sampled_from(["", "https://example.org"]),
    },
)
chores = st.sampled_from(["write counts", "forget calls", "forget windows"])
steps = st.tuples(st.floats(-30, 90), calls | chores)


def do(chore, intake):
    if chore == "write counts":
        intake.write_counts()
    elif chore == "forget calls":
        intake._known.clear()
    else:
        intake.gate.forget('["ada", "", "", "r1", "a"]')


@settings(deadline=None, max_examples=60)
@given(st.lists(steps, max_size=40))
def test_any_calls(steps):
    """However it is called, each answer is that of the rule for the last admission."""
    clock, windows, counts = Clock(), {}, {}
    notifier = offline(clock)
    run = Run(notifier, ORIGIN, ())
    for seconds, call in steps:
        clock.advance(seconds)
        if isinstance(call, str):
            do(call, notifier.intake)
            continue
        result = run.alert(**call)

        alert = Alert(call["title"], "", call["level"], call.get("wait_duration"))
        key = call.get("key") or call["title"]
        until = suppressed_until(
            windows.get(key), alert.level, alert.wait_duration, clock.now
        )
        if until is None:
            assert isinstance(result, Admitted)
            assert result.suppressed == counts.get(key, 0)
            windows[key], counts[key] = Window(clock.now, alert.level), 0
        else:
            counts[key] += 1
            assert isinstance(result, Suppressed)
            assert result.until.timestamp() == pytest.approx(until, abs=1e-3)
            assert result.count == counts[key]
    notifier.intake.write_counts()
    told = notifier.store().untold()
    assert sum(one.suppression.count for one in told) == sum(counts.values())
    notifier.close(0)


MISTAKES = {
    "title": ({"title": ["Loss"]}, TypeError),
    "text": ({"text": 1}, TypeError),
    "no text": ({"text": None}, TypeError),
    "level": ({"level": "loud"}, ValueError),
    "levels": ({"level": ["WARN"]}, ValueError),
    "key": ({"key": []}, TypeError),
    "kind": ({"kind": {}}, TypeError),
    "url": ({"url": 5}, TypeError),
    "fields": ({"fields": 5}, (TypeError, AttributeError)),
    "attachments": ({"attachments": 5}, TypeError),
    "negative": ({"wait_duration": -1}, ValueError),
    "not a number": ({"wait_duration": math.nan}, ValueError),
    "for ever": ({"wait_duration": math.inf}, ValueError),
    "for too long": ({"wait_duration": 1e11}, ValueError),
    "no time": ({"wait_duration": "300"}, TypeError),
}


@pytest.mark.parametrize(("wrong", "error"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_raises_in_an_open_window(run, wrong, error):
    """A wrong argument is told at the call, also where the alert would be suppressed."""
    assert isinstance(run.alert("Loss"), Admitted)

    with pytest.raises(error):
        run.alert(**{"title": "Loss"} | wrong)
    assert isinstance(run.alert("Loss"), Suppressed)


@pytest.mark.parametrize("level", [[], {}, 0, False], ids=repr)
def test_what_cannot_be_looked_up(run, level):
    """An argument that is odd, but stands for nothing, is one: it costs no alert."""
    first, second = (run.alert("Loss", level=level) for _ in range(2))

    assert isinstance(first, Admitted)
    assert isinstance(second, Suppressed)


def test_another_route_is_no_such_call(clock):
    """Calls of one title that go elsewhere, or nowhere, are not taken for each other."""
    notifier = offline(clock, kinds=["crashed"])
    run = Run(notifier, ORIGIN, ())

    assert isinstance(run.alert("x"), Unrouted)
    assert isinstance(run.alert("x", kind="crashed"), Admitted)
    assert isinstance(run.alert("x"), Unrouted)
    assert isinstance(run.alert("x", kind="crashed"), Suppressed)
    notifier.close(0)


def test_unrouted_is_recorded_once_in_its_wait(clock):
    """However often it is raised, what goes nowhere is in the history once a wait."""
    notifier = offline(clock, min_level="ERROR")
    run = Run(notifier, ORIGIN, ())
    for _ in range(3):
        results = {run.alert("x", wait_duration=60).alert_id for _ in range(5)}
        assert len(results) == 1
        clock.advance(60)
    run.alert("y", wait_duration=0)
    run.alert("y", wait_duration=0)

    titles = [record.alert.title for record in notifier.store().history(limit=9)]
    assert titles == ["x", "x", "x", "y", "y"]
    clock.advance(-7200)  # a clock that is set back does not swallow the next
    run.alert("x", wait_duration=60)
    assert len(notifier.store().history(limit=9)) == 6
    notifier.close(0)


def test_threads_lose_no_count(run, notifier):
    """Counts are right however many threads raise the same alert."""
    barrier, results = threading.Barrier(8), []

    def work():
        barrier.wait()
        results.extend(run.alert("Loss") for _ in range(500))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    notifier.flush(10)

    assert sum(isinstance(result, Admitted) for result in results) == 1
    assert sum(isinstance(result, Suppressed) for result in results) == 3999
    assert notifier.store().untold()[0].suppression.count == 3999
