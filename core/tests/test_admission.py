"""Deliveries are made of what was submitted by whoever looks at the store next."""

from __future__ import annotations

import sqlite3

import pytest
from storing import NOW, claim_one, claims, submit

from tocsin import Alert
from tocsin._store._admission import _ENQUEUED_AT_ONCE
from tocsin._store.sqlite import SqliteStore

LOOKS = {
    "deliveries": lambda store: store.deliveries("1", timeout=5)[0].id == "1.inbox",
    "knows": lambda store: store.knows("1"),
    "find": lambda store: store.find("1") == ["1.inbox"],
    "pending": lambda store: store.pending() == store.pending(["inbox"]) == 1,
    "next_due": lambda store: store.next_due(["inbox"]) == NOW,
    "history": lambda store: store.history(limit=1)[0].deliveries,
    "standings": lambda store: store.standings()[0].count == 1,
    "namespaces": lambda store: sum(one.pending for one in store.namespaces()) == 1,
    "hand_over": lambda store: store.hand_over(
        "inbox", "other", NOW + 700, after=600, is_broken=True
    ),
    "claim": claim_one,
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_every_look_makes_them_first(store, look):
    """What was submitted a moment ago is there for whoever asks, however they ask."""
    store.open("", NOW, timeout=5)
    submit(store, Alert("t", id="1"))

    assert look(store)


def test_of_all_namespaces(tmp_path):
    """Whoever looks makes everybody's, and takes only those of its own namespace."""
    path = str(tmp_path / "tocsin.db")
    one, two = (SqliteStore(path, name) for name in ("one", "two"))
    for number in range(3):
        submit(one, Alert("t", id=f"{number}", wait_duration=0))
        submit(two, Alert("t", id=f"{number}", wait_duration=0))

    assert len(claims(two)) == 3
    assert claims(two) == []
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM deliveries").fetchone() == (6,)
    db.close()
    assert [claim.alert.id for claim in claims(one)] == ["0", "1", "2"]
    one.close()
    two.close()


def test_more_than_are_made_at_once(store):
    """However many came in, a look at the whole has all, and claims have each once."""
    count = 2 * _ENQUEUED_AT_ONCE + 100
    for number in range(count):
        submit(store, Alert(f"{number}"), NOW + number / count)

    first = claims(store, NOW + 1, most=5 * count)
    assert len(first) == _ENQUEUED_AT_ONCE
    assert store.next_due(["inbox"]) <= NOW + 1
    rest = claims(store, NOW + 1, most=5 * count)
    assert store.pending() == count
    assert [int(claim.alert.title) for claim in first + rest] == [*range(count)]
