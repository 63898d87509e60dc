"""Deliveries are made of what was submitted by whoever looks at the store next."""

from __future__ import annotations

import sqlite3

import pytest
from storing import NOW, claim_one, claims, deliver, status, submission, submit

from tocsin import Alert
from tocsin._store import Known
from tocsin._store._admission import _ENQUEUED_AT_ONCE
from tocsin._store.sqlite import SqliteStore


def test_a_crash_before_the_deliveries_are_made(stores):
    """Whoever looks next makes them, and each is made once."""
    one, two = stores
    submit(one, Alert("t", id="1"), plan=("inbox", "other"))
    one.close()

    assert claim_one(two).delivery_id == "1.inbox"
    assert claim_one(one, channel="other").delivery_id == "1.other"
    assert status(two, "1") == {"inbox": "pending", "other": "pending"}


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


def test_the_same_id_right_after(store):
    """An alert that is raised again under its own id is known before its deliveries are."""
    alert = Alert("t", id="1", wait_duration=0)
    submit(store, alert)

    again = store.submit(submission(alert, "other"), NOW, timeout=5)

    assert again == Known(channels=("inbox",))
    assert store.pending() == 1


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


def test_no_number_comes_again(store):
    """However much is forgotten, what comes then is new, and is delivered."""
    for number in range(3):
        submit(store, Alert(f"{number}", id=f"{number}"))
        deliver(store, claim_one(store))
    forgotten = store.prune(NOW + 1)
    submit(store, Alert("3", id="3"), NOW + 2)
    deliver(store, claim_one(store, NOW + 2))

    assert forgotten == 2
    assert store.prune(NOW + 3) == 1
    submit(store, Alert("4", id="4"), NOW + 4)
    assert claim_one(store, NOW + 4).alert.title == "4"
    assert not store.knows("2")


def test_no_number_comes_again_for_others(tmp_path):
    """What one namespace forgets leaves another's numbers alone."""
    path = str(tmp_path / "tocsin.db")
    one, two = (SqliteStore(path, name) for name in ("one", "two"))
    submit(one, Alert("t", id="1"))
    submit(two, Alert("t", id="1"))
    deliver(one, claim_one(one))

    assert one.prune(NOW + 1) == 1
    submit(one, Alert("u", id="2"), NOW + 2)
    assert claim_one(one, NOW + 2).alert.title == "u"
    assert status(two, "1") == {"inbox": "pending"}
    one.close()
    two.close()


def test_prune_keeps_what_has_no_deliveries_yet(store):
    """What nobody looked at since it was submitted is pending, however old it is."""
    submit(store, Alert("a", id="a"))
    submit(store, Alert("b", id="b"), NOW + 1)

    assert store.prune(NOW + 99) == 0
    assert [claim.alert.id for claim in claims(store, NOW + 99)] == ["a", "b"]


def test_prune_forgets_only_its_own(tmp_path):
    """How long one namespace keeps its history is no other's affair."""
    path = str(tmp_path / "tocsin.db")
    one, two = (SqliteStore(path, name) for name in ("one", "two"))
    submit(one, Alert("t"))
    spilled = submission(Alert("t", id="1"), "inbox", is_adopted=True)
    one.submit(spilled, NOW + 1, timeout=5)
    two.prune(NOW + 9999)

    one.submit(spilled, NOW + 2, timeout=5)  # its file is read again after a crash
    assert one.untold()[0].suppression.count == 1
    one.close()
    two.close()
