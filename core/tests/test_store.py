"""What is SQLite's own; what every store promises is in test_store_suites.py."""

from __future__ import annotations

import sqlite3

import pytest
from storing import NOW, claim_one, claims, deliver, submit

from tocsin import Alert, Attachment, StoreError
from tocsin._store.sqlite import SqliteStore


def test_newer_schema_is_left_alone(tmp_path):
    """A file of a newer version is refused with a remedy, and not changed."""
    path = tmp_path / "s.db"
    SqliteStore(str(path), "tests").open("", NOW, timeout=5)
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()

    with pytest.raises(StoreError, match="upgrade tocsin"):
        SqliteStore(str(path), "tests").open("", NOW, timeout=5)


@pytest.fixture
def store(tmp_path):
    opened = SqliteStore(str(tmp_path / "s.db"), "tests")
    opened.open("", NOW, timeout=5)
    yield opened
    opened.close()


@pytest.mark.parametrize("count", [1, 63, 64, 65, 200])
def test_the_deliveries_of_many_alerts_at_once(store, count):
    """Each channel gets each alert, in the order in which they came."""
    titles = [f"Loss is NaN {number}" for number in range(count)]
    for title in titles:
        submit(store, Alert(title), plan=["inbox", "pager"])

    for channel in ("inbox", "pager"):
        taken = claims(store, NOW, channel, 2 * count)
        assert [claim.alert.title for claim in taken] == titles


def test_an_end_that_touches_nothing_else_is_one_statement(store):
    """One that does is a transaction: attachments are forgotten with the delivery."""
    statements = []
    submit(store, Alert("Loss is NaN"))
    plain = claim_one(store)
    submit(store, Alert("Loss fell", attachments=[Attachment("a.txt", b"12")]))
    rich = claim_one(store)
    with store._database.connection(5) as db:
        db.set_trace_callback(statements.append)

    assert deliver(store, plain) is not None
    alone, statements[:] = [one.split()[0] for one in statements], []
    assert deliver(store, rich) is not None

    assert alone.count("UPDATE") == len([one for one in alone if one != "PRAGMA"]) == 1
    assert any(one.startswith("DELETE FROM attachments") for one in statements)


def test_an_end_is_written_down_once(store):
    """The second who says so, or whose lease somebody else has by now, is told."""
    submit(store, Alert("Loss is NaN"))
    late = claim_one(store)
    claim = claim_one(store, NOW + 31)

    assert deliver(store, late, NOW + 32) is None
    assert deliver(store, claim, NOW + 33) is not None
    assert deliver(store, claim, NOW + 34) is None
