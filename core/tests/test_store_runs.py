"""What SQLite keeps of runs, where it is damaged, or forgotten."""

from __future__ import annotations

import attrs
from storing import NOW, claim_one, deliver, submit

from tocsin import Alert, Ending, Origin
from tocsin._report import alert_of
from tocsin._routing import Route
from tocsin._run_record import RunRecord

RECORD = RunRecord(
    origin=Origin(run="r1", job="77", rank=0),
    started_at=NOW,
    beat_at=NOW,
    progress_at=NOW,
)
HELD = Route("inbox", not_before=NOW + 2)


def rank(number, **changes):
    origin = attrs.evolve(RECORD.origin, rank=number)
    return attrs.evolve(RECORD, origin=origin, **changes)


def end(number, *, at=NOW, reason="ValueError: lr", **more):
    ending = Ending(state="failed", reason=reason, is_alone=False)
    alert = alert_of(ending, Origin(user="ada", run="r1", rank=number), at)
    return attrs.evolve(alert, **{"id": f"rank-{number}", **more})


def told_by(claim):
    return [claim.alert.origin.rank, *(echo.origin.rank for echo in claim.echoes)]


def test_a_record_that_is_torn(store):
    """It hides no other."""
    store.put_run(rank(0))
    store.put_run(rank(1))
    with store._database.transaction(5) as db:
        db.execute("UPDATE runs SET record = '{' WHERE member = '0'")

    assert store.runs() == [rank(1)]


def test_witnesses_are_forgotten_with_it(store):
    """Nothing of an end is left when its alert is pruned."""
    submit(store, end(0), plan=[HELD])
    submit(store, end(1), plan=[HELD])
    deliver(store, claim_one(store, NOW + 2), NOW + 2)
    submit(store, Alert("newer"), NOW + 5000)
    store.prune(NOW + 4000)

    with store._database.connection(5) as db:
        assert db.execute("SELECT count(*) FROM echoes").fetchone() == (0,)


def test_a_witness_that_cannot_be_read(store):
    """What a newer version wrote, or nobody, is left out; the rest is told."""
    submit(store, end(0), plan=[HELD])
    for number in (1, 2):
        submit(store, end(number), plan=[HELD])
    with store._database.transaction(5) as db:
        db.execute("UPDATE echoes SET envelope = '{' WHERE id = 'rank-1'")

    assert told_by(claim_one(store, NOW + 2)) == [0, 2]
