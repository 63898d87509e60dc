"""What a store knows of runs: their members, and what several tell of one end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest

from tocsin._alert import Alert, Origin
from tocsin._ending import Ending, RunState
from tocsin._report import alert_of
from tocsin._retry import Failed, Pending
from tocsin._routing import Route
from tocsin._run_record import RunRecord
from tocsin._store import Granted, Known, Withheld
from tocsin._throttle import Suppression
from tocsin.testing._store_contract._storing import (
    NOW,
    advise,
    claim_one,
    claims,
    deliver,
    status,
    submission,
    submit,
    suppressed_by,
)

if TYPE_CHECKING:
    from typing import Any

    from tocsin._store import Claim, Store


RECORD = RunRecord(
    origin=Origin(run="r1", job="77", rank=0),
    started_at=NOW,
    beat_at=NOW,
    progress_at=NOW,
)
HELD = Route("inbox", not_before=NOW + 2)


def rank(number: int, **changes: Any) -> RunRecord:
    origin = attrs.evolve(RECORD.origin, rank=number)
    return attrs.evolve(RECORD, origin=origin, **changes)


def end(number: int, *, at: float = NOW, id: str = "", is_last: bool = False) -> Alert:
    ending = Ending(
        state=RunState.FAILED, reason="ValueError: lr", is_alone=False, is_last=is_last
    )
    alert = alert_of(ending, Origin(user="ada", run="r1", rank=number), at)
    return attrs.evolve(alert, id=id or f"rank-{number}")


def told_by(claim: Claim) -> list[int | None]:
    return [claim.alert.origin.rank, *(echo.origin.rank for echo in claim.echoes)]


class Runs:
    """What a store knows of runs: their members, and what several tell of one end."""

    @advise(
        "keep a run's record under record.address, in place of the one before; sort by the start"
    )
    def test_run_a_member_has_one_record(self, store: Store) -> None:
        """A heartbeat takes the place of the one before."""
        store.put_run(rank(0))
        store.put_run(rank(1, started_at=NOW - 1))
        store.put_run(rank(0, beat_at=NOW + 30))

        assert store.runs() == [rank(1, started_at=NOW - 1), rank(0, beat_at=NOW + 30)]

    @advise(
        'runs(scope) returns those whose record.scope it is; None means all, and "" does not'
    )
    def test_run_a_job_alone(self, store: Store) -> None:
        """The members of one job, or run, are asked for."""
        other = attrs.evolve(RECORD, origin=Origin(run="r9"))
        store.put_run(rank(0))
        store.put_run(other)

        assert store.runs("77") == [rank(0)]
        assert store.runs("r9") == [other]
        assert store.runs("") == []

    @advise("keep lost_at beside the record, and leave it alone in put_run")
    def test_run_a_loss_outlives_heartbeats(self, store: Store) -> None:
        """That a loss was told is kept until it is taken back, whatever is put there."""
        store.put_run(rank(0))
        store.put_run(rank(1))
        store.note_lost(rank(0), NOW + 300)
        store.put_run(rank(0, beat_at=NOW + 400))

        assert [one.lost_at for one in store.runs()] == [NOW + 300, None]
        store.note_lost(rank(0), None)
        assert [one.lost_at for one in store.runs()] == [None, None]

    @advise("keep the record with encode_run() and decode_run()")
    def test_run_an_end_is_kept(self, store: Store) -> None:
        """How it ended is there for who looks later."""
        store.put_run(rank(0, ending=Ending(state="killed", signal="SIGKILL")))

        (record,) = store.runs()
        assert record.ending == Ending(state="killed", signal="SIGKILL")

    @advise("have the namespace in the address of a run's member")
    def test_run_runs_of_another_namespace(self, apart: tuple[Store, Store]) -> None:
        """Nobody sees, or changes, what another configuration's programs run."""
        ours, theirs = apart
        ours.put_run(rank(0))
        theirs.note_lost(rank(0), NOW)
        theirs.prune(NOW + 9999)

        assert theirs.runs() == []
        assert ours.runs() == [rank(0)]

    @advise(
        "spell out lone surrogates in addresses, in the same way wherever you look one up"
    )
    def test_run_a_name_that_is_no_unicode(self, store: Store) -> None:
        """A run's id may have come from anywhere."""
        record = attrs.evolve(RECORD, origin=Origin(run="r\ud800", job="j\udfff"))
        store.put_run(record)
        store.note_lost(record, NOW)

        assert store.runs("j\udfff") == [attrs.evolve(record, lost_at=NOW)]

    @advise("prune forgets members of runs whose beat_at is before the time")
    def test_run_what_is_old_is_forgotten(self, store: Store) -> None:
        """A member is, once its last heartbeat is old."""
        store.put_run(rank(0, beat_at=NOW - 1))
        store.put_run(rank(1))
        store.prune(NOW)

        assert store.runs() == [rank(1)]

    @advise(
        "what tells of an ending, within the window of one of which nothing was tried, is kept as an echo of it, and is not counted"
    )
    def test_run_witnesses_join_the_first(self, store: Store) -> None:
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

    @advise(
        "once a delivery of the first was claimed, count instead of keeping an echo"
    )
    def test_run_who_comes_late_is_counted(self, store: Store) -> None:
        """Once it is under way, what comes is suppressed; it does not change the message."""
        submit(store, end(0), plan=[HELD])
        claim = claim_one(store, NOW + 2)
        verdict = submit(store, end(1), NOW + 3, plan=[HELD])

        assert suppressed_by(verdict) == Suppression(1, NOW + 3)
        store.settle(claim, Pending(due=NOW + 9, reason="busy"), NOW + 3)
        assert told_by(claim_one(store, NOW + 9)) == [0]

    @advise("once a delivery of the first is settled, count instead of keeping an echo")
    def test_run_who_comes_after_it_was_sent_is_counted(self, store: Store) -> None:
        """Likewise after it was delivered, or failed."""
        submit(store, end(0), plan=[HELD])
        deliver(store, claim_one(store, NOW + 2), NOW + 2)
        submit(store, end(1), NOW + 5, plan=[HELD])

        (untold,) = store.untold()
        assert untold.suppression == Suppression(1, NOW + 5)
        assert claims(store, NOW + 99) == []

    @advise("look at all deliveries of the first: if any was tried, no echo joins")
    def test_run_one_of_several_channels_is_enough(self, store: Store) -> None:
        """What one channel was sent alone, no other one is sent with more."""
        plan = [Route("inbox"), Route("other", not_before=NOW + 60)]
        submit(store, end(0), plan=plan)
        claim_one(store, NOW)
        submit(store, end(1), NOW + 1, plan=plan)

        assert told_by(claim_one(store, NOW + 60, "other")) == [0]

    @advise("keep echoes by their id")
    def test_run_one_that_is_told_twice_is_one(self, store: Store) -> None:
        """What two find out of a third has one id: it goes along once."""
        submit(store, end(0), plan=[HELD])
        for at in (NOW, NOW + 1):
            submit(store, end(7, at=at, id="gone-7"), at, plan=[HELD])

        assert told_by(claim_one(store, NOW + 2)) == [0, 7]

    @advise("only an alert with an ending joins")
    def test_run_an_alert_of_the_same_key_does_not_join(self, store: Store) -> None:
        """What tells of no end is suppressed and counted as ever."""
        first = end(0)
        submit(store, first, plan=[HELD])
        same = Alert("x", key=first.key, level="ERROR", origin=first.origin)
        assert suppressed_by(submit(store, same, NOW + 1, plan=[HELD])).count == 1

        assert told_by(claim_one(store, NOW + 2)) == [0]

    @advise("keep echoes with the alert, whatever becomes of its deliveries")
    def test_run_witnesses_survive_a_replay(self, store: Store) -> None:
        """What failed is sent again with all that was told."""
        submit(store, end(0), plan=[HELD])
        submit(store, end(1), plan=[HELD])
        claim = claim_one(store, NOW + 2)
        store.settle(claim, Failed(reason="no"), NOW + 2)
        assert status(store, "rank-0") == {"inbox": "failed"}
        store.requeue("rank-0.inbox", NOW + 99)

        assert told_by(claim_one(store, NOW + 99)) == [0, 1]

    @advise("keep echoes with the alert, not with the claim")
    def test_run_witnesses_survive_the_worker(self, store: Store) -> None:
        """A worker that dies leaves them to the next one."""
        submit(store, end(0), plan=[HELD])
        submit(store, end(1), plan=[HELD])
        claim_one(store, NOW + 2)

        assert told_by(claim_one(store, NOW + 33)) == [0, 1]

    @advise("put the echoes into claims of every channel of the alert")
    def test_run_a_fallback_tells_of_all(self, store: Store) -> None:
        """The channel that gets it instead is told what all of them told."""
        submit(store, end(0), plan=[HELD])
        submit(store, end(1), plan=[HELD])
        failed = Failed(reason="no")
        store.settle(claim_one(store, NOW + 2), failed, NOW + 2, fallback="other")

        assert told_by(claim_one(store, NOW + 3, "other")) == [0, 1]

    @pytest.mark.parametrize("is_admitted", [False, True])
    @advise("what is_admitted passes the throttle; anything else joins as ever")
    def test_run_what_was_spilled(self, store: Store, is_admitted: bool) -> None:
        """A witness whom the store did not take in time joins when it is taken in."""
        submit(store, end(0), plan=[HELD])
        spilled = submission(end(1), HELD, is_adopted=True, is_admitted=is_admitted)
        store.submit(spilled, NOW + 1, timeout=5)
        again = store.submit(spilled, NOW + 1, timeout=5)

        assert isinstance(again, Known)
        heard = [told_by(claim) for claim in claims(store, NOW + 2)]
        assert heard == ([[0], [1]] if is_admitted else [[0, 1]])
