"""What the store knows of runs: their members, and what several tell of one end."""

from __future__ import annotations

import attrs
import pytest
from storing import NOW, claim_one, claims, deliver, status, submission, submit

from tocsin import Alert, Ending, Origin
from tocsin._report import alert_of
from tocsin._retry import Failed, Pending
from tocsin._routing import Route
from tocsin._run_record import RunRecord
from tocsin._store import Granted, Known, Withheld
from tocsin._store.sqlite import SqliteStore
from tocsin._throttle import Suppression

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


# --- members of runs


def test_a_member_has_one_record(store):
    """A heartbeat takes the place of the one before."""
    store.put_run(rank(0))
    store.put_run(rank(1, started_at=NOW - 1))
    store.put_run(rank(0, beat_at=NOW + 30))

    assert store.runs() == [rank(1, started_at=NOW - 1), rank(0, beat_at=NOW + 30)]


def test_a_job_alone(store):
    """The members of one job, or run, are asked for."""
    other = attrs.evolve(RECORD, origin=Origin(run="r9"))
    store.put_run(rank(0))
    store.put_run(other)

    assert store.runs("77") == [rank(0)]
    assert store.runs("r9") == [other]
    assert store.runs("") == []


def test_a_loss_outlives_heartbeats(store):
    """That a loss was told is kept until it is taken back, whatever is put there."""
    store.put_run(rank(0))
    store.put_run(rank(1))
    store.note_lost(rank(0), NOW + 300)
    store.put_run(rank(0, beat_at=NOW + 400))

    assert [one.lost_at for one in store.runs()] == [NOW + 300, None]
    store.note_lost(rank(0), None)
    assert [one.lost_at for one in store.runs()] == [None, None]


def test_an_end_is_kept(store):
    """How it ended is there for who looks later."""
    store.put_run(rank(0, ending=Ending(state="killed", signal="SIGKILL")))

    (record,) = store.runs()
    assert record.ending == Ending(state="killed", signal="SIGKILL")


def test_runs_of_another_namespace(tmp_path):
    """Nobody sees, or changes, what another configuration's programs run."""
    ours = SqliteStore(str(tmp_path / "tocsin.db"), "ours")
    theirs = SqliteStore(str(tmp_path / "tocsin.db"), "theirs")
    ours.put_run(rank(0))
    theirs.note_lost(rank(0), NOW)
    theirs.prune(NOW + 9999)

    assert theirs.runs() == []
    assert ours.runs() == [rank(0)]
    ours.close()
    theirs.close()


def test_a_name_that_is_no_unicode(store):
    """A run's id may have come from anywhere."""
    record = attrs.evolve(RECORD, origin=Origin(run="r\ud800", job="j\udfff"))
    store.put_run(record)
    store.note_lost(record, NOW)

    assert store.runs("j\udfff") == [attrs.evolve(record, lost_at=NOW)]


def test_a_record_that_is_torn(store):
    """It hides no other."""
    store.put_run(rank(0))
    store.put_run(rank(1))
    with store._database.transaction(5) as db:
        db.execute("UPDATE runs SET record = '{' WHERE member = '0'")

    assert store.runs() == [rank(1)]


def test_what_is_old_is_forgotten(store):
    """A member is, once its last heartbeat is old."""
    store.put_run(rank(0, beat_at=NOW - 1))
    store.put_run(rank(1))
    store.prune(NOW)

    assert store.runs() == [rank(1)]


# --- several witnesses of one end


def test_witnesses_join_the_first(store):
    """What others tell while nothing is sent goes along, and is not counted."""
    assert isinstance(submit(store, end(0), plan=[HELD]), Granted)
    for number in (1, 2):
        verdict = submit(store, end(number, at=NOW + 1), NOW + 1, plan=[HELD])
        assert isinstance(verdict, Withheld)
        assert verdict.suppressed == Suppression()

    assert claims(store, NOW + 1) == []  # it is held for them
    claim = claim_one(store, NOW + 2)
    assert told_by(claim) == [0, 1, 2]
    assert claim.suppressed == Suppression()
    assert store.untold() == []


def test_who_comes_late_is_counted(store):
    """Once it is under way, what comes is suppressed; it does not change the message."""
    submit(store, end(0), plan=[HELD])
    claim = claim_one(store, NOW + 2)
    verdict = submit(store, end(1), NOW + 3, plan=[HELD])

    assert verdict.suppressed == Suppression(1, NOW + 3)
    store.settle(claim, Pending(due=NOW + 9, reason="busy"), NOW + 3)
    assert told_by(claim_one(store, NOW + 9)) == [0]


def test_who_comes_after_it_was_sent_is_counted(store):
    """Likewise after it was delivered, or failed."""
    submit(store, end(0), plan=[HELD])
    deliver(store, claim_one(store, NOW + 2), NOW + 2)
    submit(store, end(1), NOW + 5, plan=[HELD])

    (untold,) = store.untold()
    assert untold.suppression == Suppression(1, NOW + 5)
    assert claims(store, NOW + 99) == []


def test_one_of_several_channels_is_enough(store):
    """What one channel was sent alone, no other one is sent with more."""
    plan = [Route("inbox"), Route("other", not_before=NOW + 60)]
    submit(store, end(0), plan=plan)
    claim_one(store, NOW)
    submit(store, end(1), NOW + 1, plan=plan)

    assert told_by(claim_one(store, NOW + 60, "other")) == [0]


def test_one_that_is_told_twice_is_one(store):
    """What two find out of a third has one id: it goes along once."""
    submit(store, end(0), plan=[HELD])
    for at in (NOW, NOW + 1):
        submit(store, end(7, at=at, id="gone-7"), at, plan=[HELD])

    assert told_by(claim_one(store, NOW + 2)) == [0, 7]


def test_an_alert_of_the_same_key_does_not_join(store):
    """What tells of no end is suppressed and counted as ever."""
    first = end(0)
    submit(store, first, plan=[HELD])
    same = Alert("x", key=first.key, level="ERROR", origin=first.origin)
    assert submit(store, same, NOW + 1, plan=[HELD]).suppressed.count == 1

    assert told_by(claim_one(store, NOW + 2)) == [0]


def test_witnesses_survive_a_replay(store):
    """What failed is sent again with all that was told."""
    submit(store, end(0), plan=[HELD])
    submit(store, end(1), plan=[HELD])
    claim = claim_one(store, NOW + 2)
    store.settle(claim, Failed(reason="no"), NOW + 2)
    assert status(store, "rank-0") == {"inbox": "failed"}
    store.requeue("rank-0.inbox", NOW + 99)

    assert told_by(claim_one(store, NOW + 99)) == [0, 1]


def test_witnesses_survive_the_worker(store):
    """A worker that dies leaves them to the next one."""
    submit(store, end(0), plan=[HELD])
    submit(store, end(1), plan=[HELD])
    claim_one(store, NOW + 2)

    assert told_by(claim_one(store, NOW + 33)) == [0, 1]


def test_a_fallback_tells_of_all(store):
    """The channel that gets it instead is told what all of them told."""
    submit(store, end(0), plan=[HELD])
    submit(store, end(1), plan=[HELD])
    failed = Failed(reason="no")
    store.settle(claim_one(store, NOW + 2), failed, NOW + 2, fallback="other")

    assert told_by(claim_one(store, NOW + 3, "other")) == [0, 1]


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


@pytest.mark.parametrize("is_admitted", [False, True])
def test_what_was_spilled(store, is_admitted):
    """A witness whom the store did not take in time joins when it is taken in."""
    submit(store, end(0), plan=[HELD])
    spilled = submission(end(1), HELD, is_adopted=True, is_admitted=is_admitted)
    store.submit(spilled, NOW + 1, timeout=5)
    again = store.submit(spilled, NOW + 1, timeout=5)

    assert isinstance(again, Known)
    heard = [told_by(claim) for claim in claims(store, NOW + 2)]
    assert heard == ([[0], [1]] if is_admitted else [[0, 1]])
