from __future__ import annotations

import logging
import os
import sys
import threading
import timeit

import pytest
from conftest import eventually

from tocsin import _listening as listening
from tocsin._listener import ALERTS_COUNTED, DELIVERY_SETTLED, HOOKS, Listener
from tocsin._listening import Listening

HOOK = "tocsin_run_changed"


def listening_to(*hears):
    """Return what calls functions of one argument, with what it is offered as `n`."""
    return Listening([Listener(str(i), {HOOK: h}) for i, h in enumerate(hears)])


def offer(one, *numbers):
    for number in numbers:
        one.offer(HOOK, {"n": number})


def into(heard):
    """Return what keeps whatever it hears, by any one name."""

    def hear(**facts):
        heard.extend(facts.values())

    return hear


def test_each_notice_in_turn():
    """Every listener hears every notice, in the order of both, in one thread."""
    heard = []
    one = listening_to(
        lambda n: heard.append(("a", n, threading.get_ident())),
        lambda n: heard.append(("b", n, threading.get_ident())),
    )
    offer(one, *range(100))

    assert one.drain(10) == 0
    assert [h[:2] for h in heard] == [(w, n) for n in range(100) for w in "ab"]
    assert {h[2] for h in heard} & {threading.get_ident()} == set()
    assert len({h[2] for h in heard}) == 1


def test_each_hook_by_itself():
    """A listener hears of the hooks that it has; for another one nothing need be made."""
    heard = []
    one = Listening(
        [
            Listener("a", {DELIVERY_SETTLED: into(heard)}),
            Listener("b", {ALERTS_COUNTED: into(heard)}),
        ]
    )
    one.offer(DELIVERY_SETTLED, {"settled": 1})
    one.offer(HOOK, {"change": 2, "notify": 3})
    one.insist(ALERTS_COUNTED, {"counts": 4})
    one.drain(10)

    assert heard == [1, 4]
    assert [one.hears(hook) for hook in HOOKS] == [False, True, True]


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
def test_one_that_raises(error, caplog):
    """It is told once, by its name; the others hear on, and so does it."""
    calls, heard = [], []

    def raises(n):
        calls.append(n)
        raise error("not my kind")

    one = listening_to(raises, into(heard))
    offer(one, 0, 1, 2)
    one.close(10)

    assert (len(calls), heard) == (3, [0, 1, 2])
    (told,) = caplog.messages
    assert told.startswith(f"the listener '0' raised {error.__name__}: not my kind")


def test_one_that_hangs(caplog):
    """The end waits its time for it and no longer, and says what was not heard."""
    entered, end = threading.Event(), threading.Event()

    def hangs(n):
        entered.set()
        end.wait()

    one = listening_to(hangs)
    offer(one, 0, 1, 2)
    assert entered.wait(10)
    one.close(0.05)

    assert caplog.messages == ["listeners did not hear of 3 things that happened"]
    end.set()
    eventually(lambda: one.drain(10) == 0)


def test_more_than_may_wait(monkeypatch, caplog):
    """What is offered to somebody who is too slow is dropped, counted, and told."""
    monkeypatch.setattr(listening, "MAX_WAITING", 5)
    entered, go_on = threading.Event(), threading.Event()
    heard = []

    def is_slow(n):
        entered.set()
        go_on.wait()
        heard.append(n)

    one = listening_to(is_slow)
    offer(one, 0)
    assert entered.wait(10)
    offer(one, *range(1, 9))
    one.insist(HOOK, {"n": "what sums up"})
    go_on.set()
    one.close(10)

    assert heard == [0, 1, 2, 3, 4, 5, "what sums up"]
    assert one.dropped == 3
    assert caplog.messages == [
        "listeners are too slow, and do not hear of all",
        "listeners did not hear of 3 things that happened",
    ]


def test_nobody_listens(caplog):
    """A plugin that is broken is told, and is no listener; no thread is started for it."""
    one = Listening([Listener("torn", problem="it is broken")])
    one.start()
    offer(one, 1)
    one.close(0)

    assert not any(map(one.hears, HOOKS))
    assert one._thread is None
    assert caplog.messages == ["the listener 'torn': it is broken"]


def test_the_end_of_the_interpreter(monkeypatch, caplog):
    """Where no thread can be started any more, what is left is told, and nothing raises."""
    one = listening_to(lambda n: None)
    no = RuntimeError("can't create new thread at interpreter shutdown")
    monkeypatch.setattr(threading.Thread, "start", lambda _: (_ for _ in ()).throw(no))
    offer(one, 1)
    one.close(1)

    assert caplog.messages == ["listeners did not hear of 1 things that happened"]


def test_the_thread_ends():
    """Closed, it has no thread; whatever is offered after that starts another."""
    heard = []
    one = listening_to(into(heard))
    offer(one, 1)
    thread = one._thread
    one.close(10)
    thread.join(10)
    assert not thread.is_alive()
    offer(one, 2)
    one.close(10)

    assert heard == [1, 2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_a_forked_child_begins_anew():
    """It hears of what happens in it, and of nothing that waited for its parent."""
    entered, go_on = threading.Event(), threading.Event()
    heard = []

    def hears(n):
        if not heard:
            entered.set()
            go_on.wait()
        heard.append(n)

    one = listening_to(hears)
    offer(one, "parent's", "parent's too")
    assert entered.wait(10)
    child = os.fork()
    if child == 0:
        go_on.set()
        one.after_fork_in_child()
        offer(one, "child's")
        os._exit(0 if one.drain(10) == 0 and heard == ["child's"] else 1)
    go_on.set()

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert one.drain(10) == 0
    assert heard == ["parent's", "parent's too"]


@pytest.mark.skipif(sys.gettrace() is not None, reason="it is slower when traced")
def test_it_costs_the_caller_little(caplog):
    """Offering a notice to somebody who is slow takes microseconds."""
    caplog.set_level(logging.ERROR)
    end = threading.Event()
    one = listening_to(lambda n: end.wait())
    offer(one, 0)
    eventually(lambda: one._is_busy)
    facts = {"n": 1}
    best = min(timeit.repeat(lambda: one.offer(HOOK, facts), number=1000, repeat=5))
    end.set()
    one.drain(10)

    assert best / 1000 < 1e-4
