from __future__ import annotations

import logging
import sys
import threading
import timeit
from datetime import UTC, datetime

import pytest
from conftest import eventually

from tocsin import Alert, Change, Origin
from tocsin import _listening as listening
from tocsin._listener import Listener
from tocsin._listening import Listening


def change(number=0):
    facts = {"loss": number}
    at = datetime(2026, 11, 23, tzinfo=UTC)
    return Change(kind="metrics", facts=facts, step=number, origin=Origin(), at=at)


def listening_to(*hears, notify=print):
    names = map(str, range(len(hears)))
    return Listening(map(Listener, names, hears), notify)


def test_each_change_in_turn():
    """Every listener hears every change, in the order of both, in one thread."""
    heard = []
    one = listening_to(
        lambda change, _: heard.append(("a", change.step, threading.get_ident())),
        lambda change, _: heard.append(("b", change.step, threading.get_ident())),
    )
    for number in range(100):
        one.offer(change(number))
    one.drain(10)

    assert [h[:2] for h in heard] == [(w, n) for n in range(100) for w in "ab"]
    assert {h[2] for h in heard} & {threading.get_ident()} == set()
    assert len({h[2] for h in heard}) == 1


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
def test_one_that_raises(error, caplog):
    """It is told once, by its name; the others hear on, and so does it."""
    calls, heard = [], []

    def raises(change, _):
        calls.append(change)
        raise error("not my kind")

    one = listening_to(raises, lambda change, _: heard.append(change.step))
    for number in range(3):
        one.offer(change(number))
    one.drain(10)

    assert (len(calls), heard) == (3, [0, 1, 2])
    (told,) = caplog.messages
    assert told.startswith(f"the listener '0' raised {error.__name__}: not my kind")


def test_one_that_hangs(caplog):
    """The end waits its time for it and no longer, and says what was not heard."""
    entered, end = threading.Event(), threading.Event()

    def hangs(*_):
        entered.set()
        end.wait()

    one = listening_to(hangs)
    for number in range(3):
        one.offer(change(number))
    assert entered.wait(10)
    one.drain(0.05)

    assert caplog.messages == ["3 changes of the run were not heard by the listeners"]
    end.set()
    one.drain(10)
    assert len(caplog.messages) == 1


def test_more_than_may_wait(monkeypatch, caplog):
    """What is offered to somebody who is too slow is dropped, counted, and told."""
    monkeypatch.setattr(listening, "MAX_WAITING", 5)
    entered, go_on = threading.Event(), threading.Event()
    heard = []

    def is_slow(change, _):
        entered.set()
        go_on.wait()
        heard.append(change.step)

    one = listening_to(is_slow)
    one.offer(change(0))
    assert entered.wait(10)
    for number in range(1, 9):
        one.offer(change(number))
    go_on.set()
    one.drain(10)

    assert heard == [0, 1, 2, 3, 4, 5]
    assert one.dropped == 3
    assert caplog.messages == ["3 changes of the run were not heard by the listeners"]


def test_what_a_listener_raises():
    """It gets what raises an alert."""
    raised = []
    one = listening_to(
        lambda change, notify: notify(Alert(f"loss is {change.step}")),
        notify=raised.append,
    )
    one.offer(change(12))
    one.drain(10)

    assert [alert.title for alert in raised] == ["loss is 12"]


def test_nobody_listens():
    """A plugin that is broken is no listener; no thread is started for it."""
    one = Listening([Listener("torn", None, "it is broken")], print)

    assert not one
    one.drain(0)


def test_the_end_of_the_interpreter(monkeypatch, caplog):
    """Where no thread can be started any more, what is left is told, and nothing raises."""
    one = listening_to(lambda *_: None)
    no = RuntimeError("can't create new thread at interpreter shutdown")
    monkeypatch.setattr(threading.Thread, "start", lambda _: (_ for _ in ()).throw(no))
    one.offer(change())
    one.drain(1)

    assert caplog.messages == ["1 changes of the run were not heard by the listeners"]


@pytest.mark.skipif(sys.gettrace() is not None, reason="it is slower when traced")
def test_it_costs_the_caller_little(caplog):
    """Offering a change to somebody who is slow takes microseconds."""
    caplog.set_level(logging.ERROR)
    end = threading.Event()
    one = listening_to(lambda *_: end.wait())
    one.offer(change())
    eventually(lambda: one._is_busy)
    made = change(1)
    best = min(timeit.repeat(lambda: one.offer(made), number=1000, repeat=5)) / 1000
    end.set()
    one.drain(10)

    assert best < 1e-4
