"""What a silence does to alerts: they are kept, not sent, and can be replayed."""

from __future__ import annotations

import pytest
from storing import NOW

from tocsin import (
    Admitted,
    Alert,
    Receipt,
    Status,
    Suppressed,
)
from tocsin._gate import MEMORY
from tocsin._silence import Silence


def silence(store, *, seconds=100.0, starts=NOW, **more):
    values = {"id": "s1", "title": "Loss*", "starts_at": starts} | more
    made = Silence(ends_at=starts + seconds, **values)
    store.silence(made)
    return made


@pytest.fixture
def silenced(notifier, inbox):
    """A notifier whose alert, with a wait of an hour, is silenced for 100 seconds."""
    silence(notifier.store())
    result = notifier.notify(Alert("Loss", wait_duration=3600))
    assert [d.status for d in result.wait(10)] == [Status.SILENCED]
    return notifier


def test_a_silence_is_no_wait(silenced, inbox, clock):
    """While it lasts alerts are counted; the first after it is sent and tells of them."""
    alert = Alert("Loss", wait_duration=3600)
    results = []
    for _ in range(9):
        clock.advance(11)
        results.append(silenced.notify(alert))
    assert {type(result) for result in results} == {Suppressed}
    clock.advance(2)
    result = silenced.notify(alert)

    assert isinstance(result, Admitted)
    assert result.wait(10)[0].status is Status.DELIVERED
    assert result.suppressed == 9
    assert inbox.titles == ["Loss"]


def test_the_gate_hears_of_its_end_a_little_later(silenced, inbox, clock):
    """A silence that somebody ends is known here after ten seconds at the latest."""
    alert = Alert("Loss", wait_duration=3600)
    assert silenced.store().expire("s1", clock())

    assert isinstance(silenced.notify(alert), Suppressed)
    clock.advance(MEMORY + 1)
    result = silenced.notify(alert)
    assert result.wait(10)[0].receipt == Receipt(reference="1")


def test_the_gate_knows_the_end_that_it_was_told(silenced, clock):
    """What the store said of the silence holds here too, to the second."""
    alert = Alert("Loss", wait_duration=3600)
    clock.advance(95)
    told = silenced.notify(alert)
    clock.advance(4)
    known = silenced.notify(alert)
    clock.advance(1)

    assert told.until == known.until
    assert told.until.timestamp() == NOW + 100
    assert isinstance(silenced.notify(alert), Admitted)
