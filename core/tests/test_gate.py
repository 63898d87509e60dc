from __future__ import annotations

import threading

from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import levels

from tocsin import AlertLevel
from tocsin._gate import MAX_WINDOWS, MEMORY, Gate
from tocsin._throttle import NONE_SUPPRESSED, Suppression, Window, suppressed_until

INFO, WARN, ERROR = AlertLevel
NOW = 1_800_000_000.0


def opened(*keys):
    """Return a gate that remembers an admission of each key at `NOW`."""
    gate = Gate()
    for key in keys:
        gate.remember(key, Window(NOW, WARN), NOW)
    return gate


calls = st.tuples(
    st.sampled_from(["a", "b", "c"]),
    levels,
    st.sampled_from([0.0, 10.0, 60.0]),
    st.floats(-20, 100),
)


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), calls), max_size=30))
def test_it_suppresses_what_the_rule_suppresses(steps):
    """The gate answers as the rule does for the last admission that it was told of lately."""
    gate = Gate()
    windows = {}
    counts = {}
    for is_admission, (key, level, wait, offset) in steps:
        if is_admission:
            windows[key] = Window(NOW + offset, level)
            gate.remember(key, windows[key], NOW + offset)
            continue
        known = gate.suppress(key, level, wait, NOW + offset)
        window = windows.get(key)
        if window and abs(NOW + offset - window.admitted_at) > MEMORY:
            window = None  # it was told of too long ago
        until = suppressed_until(window, level, wait, NOW + offset)
        assert (known and known[0]) == until
        counts[key] = counts.get(key, 0) + (until is not None)

    taken = gate.take_all()
    assert {key: taken[key].count for key in taken} == {
        k: n for k, n in counts.items() if n
    }


def test_unknown_key():
    """What was never admitted here is for the store to decide."""
    gate = opened("a")

    assert gate.suppress("b", INFO, 60, NOW) is None
    assert gate.take_all() == {}


def test_what_is_old_is_asked_for_again():
    """After a while the store is asked, which knows what other processes did."""
    gate = opened("a")

    assert gate.suppress("a", WARN, 60, NOW + MEMORY) is not None
    assert gate.suppress("a", WARN, 60, NOW + MEMORY + 1) is None


def test_forget():
    """A key that is forgotten is for the store to decide; its count is kept."""
    gate = opened("a")
    gate.suppress("a", WARN, 60, NOW + 1)
    gate.forget("a")

    assert gate.suppress("a", WARN, 60, NOW + 2) is None
    assert gate.take("a") == Suppression(1, NOW + 1)


def test_count():
    """Each suppressed alert is counted, since the first, until the count is taken."""
    gate = opened("a")
    gate.suppress("a", WARN, 60, NOW + 1)
    gate.suppress("a", INFO, 60, NOW + 2)
    gate.suppress("a", ERROR, 60, NOW + 3)

    assert gate.take("a") == Suppression(2, NOW + 1)
    assert gate.take("a") == NONE_SUPPRESSED
    # written or not, the caller is told of all
    assert gate.suppress("a", WARN, 60, NOW + 4) == (NOW + 60, 3)


def test_count_outlives_an_admission():
    """A new admission of the key does not forget what was counted before."""
    gate = opened("a")
    gate.suppress("a", WARN, 60, NOW + 1)
    gate.remember("a", Window(NOW + 2, ERROR), NOW + 2)

    assert gate.take("a") == Suppression(1, NOW + 1)


def test_count_does_not_fall():
    """What the store told another thread is added to what was counted here meanwhile."""
    gate = opened("a")
    gate.suppress("a", WARN, 60, NOW + 1)
    gate.remember("a", Window(NOW, WARN), NOW + 2, 5)

    assert gate.suppress("a", WARN, 60, NOW + 3) == (NOW + 60, 7)
    assert gate.take("a") == Suppression(2, NOW + 1)


def test_take_all():
    """All counts are handed over once."""
    gate = opened("a", "b", "c")
    gate.suppress("a", WARN, 60, NOW + 1)
    gate.suppress("b", WARN, 60, NOW + 2)

    assert gate.take_all() == {
        "a": Suppression(1, NOW + 1),
        "b": Suppression(1, NOW + 2),
    }
    assert gate.take_all() == {}


def test_give_back():
    """Counts that could not be written are added to those that came since."""
    gate = opened("a", "b")
    gate.suppress("a", WARN, 60, NOW + 1)
    gate.suppress("b", WARN, 60, NOW + 1)
    taken = gate.take_all()
    gate.suppress("a", WARN, 60, NOW + 2)
    gate.give_back(taken)

    assert gate.take_all() == {
        "a": Suppression(2, NOW + 1),
        "b": Suppression(1, NOW + 1),
    }


def test_give_back_nothing():
    """Giving nothing back leaves nothing to write."""
    gate = opened("a")
    gate.give_back({"a": gate.take("a")})

    assert gate.take("a") == NONE_SUPPRESSED


def test_memory_is_bounded():
    """The key that was admitted longest ago is forgotten first; then the store decides."""
    gate = opened(*map(str, range(MAX_WINDOWS)))
    gate.remember("0", Window(NOW, WARN), NOW)
    gate.remember("one more", Window(NOW, WARN), NOW)

    assert gate.suppress("1", WARN, 60, NOW + 1) is None
    assert gate.suppress("0", WARN, 60, NOW + 1) == (NOW + 60, 1)
    assert gate.suppress("2", WARN, 60, NOW + 1) == (NOW + 60, 1)
    assert gate.suppress("one more", WARN, 60, NOW + 1) == (NOW + 60, 1)


def test_threads_lose_no_count():
    """Counts are right however many threads count and take at once."""
    gate = opened("a")
    taken = []

    def work():
        for _ in range(2000):
            gate.suppress("a", WARN, 60, NOW + 1)
            taken.append(gate.take("a").count)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(taken) + gate.take("a").count == 16_000


def test_after_fork():
    """A child suppresses what its parent would; the counts stay the parent's."""
    gate = opened("a")
    gate.suppress("a", WARN, 60, NOW + 1)
    gate._lock.acquire()  # another thread of the parent's had it when it forked
    gate.after_fork_in_child()

    assert gate.take_all() == {}
    assert gate.suppress("a", WARN, 60, NOW + 1) == (NOW + 60, 2)
    assert gate.take("a").count == 1
