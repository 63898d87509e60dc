from __future__ import annotations

import shutil
import sqlite3
import tempfile
import threading
from pathlib import Path

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from storing import NOW, claim_one, submission, submit

from tocsin import (
    Alert,
    AlertLevel,
    Attachment,
    Receipt,
    Status,
    StoreBusy,
    StoreError,
    StoreFull,
)
from tocsin._alert import new_id
from tocsin._retry import MAX_CLAIMS, MAX_RETRY_AFTER, Delivered, Failed, Pending
from tocsin._store import Granted, Withheld
from tocsin._store.sqlite import SqliteStore
from tocsin._throttle import CLOCK_SKEW, Suppression, Window, throttle_key


def test_admitted_is_kept(store):
    """What is granted can be claimed, with everything that was in it."""
    alert = Alert(
        "t", "x", "warn", id="1", fields={"a": 1}, attachments=[Attachment("p", b"\0")]
    )

    submit(store, alert)

    assert claim_one(store).alert == alert


def test_suppressed_is_counted(store):
    """Within the window nothing is kept, and the next admission tells how many."""
    submit(store, Alert("t"))
    second = submit(store, Alert("t"), NOW + 1)
    submit(store, Alert("t"), NOW + 2)
    third = submit(store, Alert("t"), NOW + 60)

    assert second == Withheld(
        window=Window(NOW, AlertLevel.INFO),
        until=NOW + 60,
        suppressed=Suppression(1, NOW + 1),
    )
    assert third.suppressed == Suppression(2, NOW + 1)
    assert store.pending() == 2
    claims = store.claim({"inbox": 9}, lease=30, now=NOW + 60)
    assert [one.suppressed for one in claims] == [
        Suppression(),
        Suppression(2, NOW + 1),
    ]


def test_a_plan_without_channels_opens_no_window(store):
    """An alert that goes nowhere is recorded, and suppresses nothing."""
    submit(store, Alert("t"), plan=())
    verdict = submit(store, Alert("t"))

    assert isinstance(verdict, Granted)
    assert len(store.history(limit=9)) == 2


def test_the_same_alert_twice_is_kept_once(store):
    """A submission that is repeated, after a crash in between, changes nothing."""
    alert = Alert("t", wait_duration=0, id="1")
    submit(store, alert)
    submit(store, alert, NOW + 1)

    assert store.pending() == 1


def test_adopted_is_counted_once(store):
    """A spilled alert that is submitted again after a crash is counted once."""
    submit(store, Alert("t"))
    spilled = submission(Alert("t", id="1"), "inbox", is_adopted=True)

    store.submit(spilled, NOW + 1, timeout=5)
    store.submit(spilled, NOW + 2, timeout=5)

    (one,) = store.untold()
    assert one.suppression == Suppression(1, NOW + 1)


def test_a_count_alone_suppresses_nothing(store):
    """A count whose window is gone is kept, and the next alert is admitted and tells."""
    store.count({throttle_key(Alert("t")): Suppression(3, NOW)})

    assert submit(store, Alert("t"), NOW).suppressed == Suppression(3, NOW)


def test_a_lease(store):
    """What is claimed is not handed to anyone before the lease runs out."""
    submit(store, Alert("t"))

    assert claim_one(store).progress.attempt == 1
    assert store.claim({"inbox": 9}, lease=30, now=NOW + 29) == []
    assert claim_one(store, NOW + 30).progress.attempt == 2


def test_claims_oldest_due_first(store):
    """Deliveries are handed out in the order in which they are due, as many as asked."""
    for seconds in (3, 1, 2):
        submit(store, Alert(str(seconds)), NOW + seconds)

    first = store.claim({"inbox": 2}, lease=30, now=NOW + 9)
    second = store.claim({"inbox": 2}, lease=30, now=NOW + 9)

    assert [claim.alert.title for claim in first + second] == ["1", "2", "3"]


def test_a_stale_worker_is_refused(store):
    """Who settles after the lease ran out and another claimed it is not heard."""
    submit(store, Alert("t"))
    stale = claim_one(store)
    current = claim_one(store, NOW + 31)

    assert not store.settle(stale, Failed(reason="stale"), NOW + 32)
    assert store.settle(current, Delivered(Receipt(reference="7")), NOW + 33)
    assert not store.settle(current, Failed(reason="again"), NOW + 34)
    (record,) = store.deliveries(current.alert.id)
    assert (record.status, record.receipt) == (Status.DELIVERED, Receipt(reference="7"))


def test_retry_comes_back_with_its_state(store):
    """A postponed delivery is due at its time, with the provider's state."""
    submit(store, Alert("t"))
    pending = Pending(due=NOW + 5, reason="busy", state={"owed": ["a"]}, ambiguous=True)
    store.settle(claim_one(store), pending, NOW)

    assert store.next_due(["inbox"]) == NOW + 5
    assert store.claim({"inbox": 1}, lease=30, now=NOW + 4.9) == []
    progress = claim_one(store, NOW + 5).progress
    assert progress.state == {"owed": ["a"]}
    assert (progress.attempt, progress.ambiguous) == (2, 1)
    assert progress.first_attempt_at == NOW


def test_a_hold_stops_its_channel_alone(store):
    """Until the time a service asked for, nothing is sent to that channel; others flow."""
    submit(store, Alert("t"), plan=("inbox", "other"))
    pending = Pending(due=NOW + 30, reason="429", hold_until=NOW + 30)
    store.settle(claim_one(store), pending, NOW)
    submit(store, Alert("u"), plan=("inbox", "other"))

    assert store.claim({"inbox": 9}, lease=30, now=NOW + 29) == []
    assert store.next_due(["inbox"]) == NOW + 30
    assert len(store.claim({"other": 9}, lease=30, now=NOW + 1)) == 2
    assert len(store.claim({"inbox": 9}, lease=30, now=NOW + 30)) == 2


def test_released_does_not_count(store):
    """A claim that is given back was never an attempt."""
    submit(store, Alert("t"))
    store.release([claim_one(store)], NOW, delay=60)

    claim = claim_one(store, NOW + 60)
    assert claim.progress.attempt == 1
    assert claim.progress.first_attempt_at == NOW + 60


def test_poison_ends(store):
    """A delivery that nobody survives is failed after so many claims, and visible."""
    submit(store, Alert("t"))
    for claims in range(MAX_CLAIMS):
        claim_one(store, NOW + 31 * claims)

    assert store.claim({"inbox": 1}, lease=30, now=NOW + 9999) == []
    (record,) = store.history(limit=1, failed_only=True)[0].deliveries
    assert record.status is Status.FAILED
    assert "without an outcome" in record.reason


def test_attachments_go_with_the_last_delivery(store, tmp_path):
    """Contents are kept while a delivery may need them, a failed one for its replay."""
    alert = Alert("t", id="1", attachments=[Attachment("a", b"x")])
    submit(store, alert, plan=("inbox", "other"))
    store.settle(claim_one(store), Delivered(Receipt()), NOW)
    other = claim_one(store, channel="other")
    store.settle(other, Failed(reason="no"), NOW)
    store.requeue(f"{alert.id}.other", NOW)

    again = claim_one(store, channel="other")
    assert again.alert.attachments == alert.attachments
    store.settle(again, Delivered(Receipt()), NOW)
    store.requeue(f"{alert.id}.other", NOW)
    assert claim_one(store, channel="other").alert.attachments == ()


def test_full_store_refuses(tmp_path):
    """Past the bound nothing is taken, no window opens, and it says what to do."""
    store = SqliteStore(str(tmp_path / "s.db"), "tests", max_pending=2)
    submit(store, Alert("a"))
    submit(store, Alert("b"))

    with pytest.raises(StoreFull, match="tocsin drain"):
        submit(store, Alert("c"))
    store.settle(claim_one(store), Delivered(Receipt()), NOW)
    assert isinstance(submit(store, Alert("c")), Granted)
    store.close()


def test_requeue_starts_anew(store):
    """A replayed delivery is pending again as if it had never been tried."""
    submit(store, Alert("t"))
    claim = claim_one(store)
    store.settle(claim, Failed(reason="no", remedy="do"), NOW)

    assert store.requeue(claim.delivery_id, NOW + 5)
    assert claim_one(store, NOW + 5).progress.attempt == 1
    assert not store.requeue("0.nowhere", NOW)


def test_prune_keeps_what_is_pending(store):
    """Only what is settled is forgotten, with its windows; pending ones stay."""
    old = Alert("old", id="00000000000000000000000000000001")
    waiting = Alert("waiting", id="00000000000000000000000000000002")
    submit(store, old)
    submit(store, waiting, plan=("other",))
    store.settle(claim_one(store), Delivered(Receipt()), NOW)
    submit(store, Alert("new"), NOW + 100)

    assert store.prune(NOW + 50) == 1
    titles = [record.alert.title for record in store.history(limit=9)]
    assert titles == ["waiting", "new"]


def test_namespaces_are_apart(tmp_path):
    """Nobody claims, counts, finds or replays what belongs to another namespace."""
    one = SqliteStore(str(tmp_path / "s.db"), "one")
    two = SqliteStore(str(tmp_path / "s.db"), "two")
    alert = Alert("t", id="1")
    submit(one, alert)

    assert two.claim({"inbox": 9}, lease=30, now=NOW + 999) == []
    assert two.next_due(["inbox"]) is None
    assert two.history(limit=9) == []
    assert two.find(alert.id) == []
    assert not two.requeue(f"{alert.id}.inbox", NOW)
    assert isinstance(submit(two, Alert("t")), Granted)
    one.close()
    two.close()


def test_busy_is_told_in_time(tmp_path):
    """A database that another process holds costs the caller its timeout, no more."""
    path = str(tmp_path / "s.db")
    store = SqliteStore(path, "tests")
    submit(store, Alert("t"))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")

    with pytest.raises(StoreBusy):
        store.submit(submission(Alert("u"), "inbox"), NOW, timeout=0.02)
    other.execute("ROLLBACK")
    other.close()
    assert isinstance(submit(store, Alert("u")), Granted)
    store.close()


def test_newer_schema_is_left_alone(tmp_path):
    """A file of a newer version is refused with a remedy, and not changed."""
    path = tmp_path / "s.db"
    SqliteStore(str(path), "tests").open("", NOW, timeout=5)
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()

    with pytest.raises(StoreError, match="upgrade tocsin"):
        SqliteStore(str(path), "tests").open("", NOW, timeout=5)


def test_threads_share_a_store(store):
    """Submissions from many threads are all kept."""
    threads = [
        threading.Thread(
            target=lambda n=n: [submit(store, Alert(f"{n} {i}")) for i in range(25)]
        )
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert store.pending() == 200


def test_lone_surrogates_are_kept(store):
    """Any text is kept: in the title, the key, a reason."""
    alert = Alert("\ud800\0", "\udfff", key="\ud800", id="1")
    submit(store, alert)
    claim = claim_one(store)

    store.settle(claim, Failed(reason="\ud800"), NOW)

    assert claim.alert == alert
    assert store.deliveries(alert.id)[0].reason == "\\ud800"


@attrs.define
class Known:
    """The plain model of one key."""

    admitted_at: float
    level: AlertLevel
    suppressed: int = 0


class StoreMachine(RuleBasedStateMachine):
    """The throttle and the SQLite store against a plain model.

    Clocks jump, processes restart, another process writes to the same file, workers die.
    """

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.now = NOW
        self.keys: dict[str, Known] = {}
        self.owed: dict[str, float] = {}  # delivery id -> when it may be claimed
        self.done: set[str] = set()
        self.claims = []

    @initialize()
    def open_stores(self):
        path = str(self.folder / "tocsin.db")
        self.stores = [SqliteStore(path, "model"), SqliteStore(path, "model")]

    def teardown(self):
        for store in self.stores:
            store.close()
        shutil.rmtree(self.folder)

    @rule(
        who=st.integers(0, 1),
        title=st.sampled_from("abc"),
        level=st.sampled_from(AlertLevel),
        wait=st.sampled_from([0, 1, 60, 7200]),
        counted=st.integers(0, 2),
    )
    def raise_alert(self, *, who, title, level, wait, counted):
        alert = Alert(title, level=level, wait_duration=wait, id=new_id())
        suppressed = Suppression(counted, self.now if counted else None)
        known = self.keys.get(title)
        more = (known.suppressed if known else 0) + counted

        verdict = submit(self.stores[who], alert, self.now, suppressed=suppressed)

        elapsed = None if known is None else self.now - known.admitted_at
        if (
            known is None
            or wait == 0
            or elapsed >= wait
            or elapsed < -CLOCK_SKEW
            or level.severity > known.level.severity
        ):
            assert isinstance(verdict, Granted)
            assert verdict.suppressed.count == more
            self.keys[title] = Known(self.now, level)
            self.owed[f"{alert.id}.inbox"] = self.now
        else:
            assert isinstance(verdict, Withheld)
            assert verdict.suppressed.count == more + 1
            assert verdict.until <= max(known.admitted_at, self.now) + wait
            known.suppressed = more + 1

    @rule(seconds=st.sampled_from([0, 0.5, 1, 31, 60, 3600, -1, -9, -60, -3600]))
    def move_clock(self, seconds):
        self.now += seconds

    @rule(who=st.integers(0, 1))
    def restart(self, who):
        self.stores[who].close()
        self.stores[who] = SqliteStore(str(self.folder / "tocsin.db"), "model")

    def is_due(self, when):
        """Its time has come, or lies where only a clock that jumped can have put it."""
        return when <= self.now or when > self.now + 30 + 2 * MAX_RETRY_AFTER

    @rule(who=st.integers(0, 1), most=st.integers(1, 3))
    def claim(self, who, most):
        claims = self.stores[who].claim({"inbox": most}, lease=30, now=self.now)

        due = [d for d, when in self.owed.items() if self.is_due(when)]
        assert len(claims) == min(most, len(due))
        for claim in claims:
            assert self.is_due(self.owed[claim.delivery_id])
            self.owed[claim.delivery_id] = claim.lease_until
        self.claims += claims

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), who=st.integers(0, 1))
    def settle(self, data, who):
        claim = data.draw(st.sampled_from(self.claims))
        outcome = data.draw(
            st.sampled_from(
                [
                    Delivered(Receipt()),
                    Failed(reason="no"),
                    Pending(due=self.now + 5, reason="later"),
                ]
            )
        )
        is_current = (
            claim.delivery_id in self.owed
            and claim
            == [c for c in self.claims if c.delivery_id == claim.delivery_id][-1]
        )

        settled = self.stores[who].settle(claim, outcome, self.now)
        assert (settled is not None) == is_current

        if is_current:
            self.claims.remove(claim)
            if isinstance(outcome, Pending):
                self.owed[claim.delivery_id] = outcome.due
                self.claims = [
                    c for c in self.claims if c.delivery_id != claim.delivery_id
                ]
            else:
                del self.owed[claim.delivery_id]
                self.done.add(claim.delivery_id)

    @invariant()
    def nothing_is_lost(self):
        if not hasattr(self, "stores"):
            return
        store = self.stores[0]
        assert store.pending() == len(self.owed)
        assert len(store.history(limit=10_000)) == len(self.owed) + len(self.done)
        assert sum(one.suppression.count for one in store.untold()) == sum(
            known.suppressed for known in self.keys.values()
        )


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None
)


def test_a_clock_that_was_ahead_strands_nothing(tmp_path):
    """What is due later than anything can be was put there by a clock: it is due now."""
    store = SqliteStore(str(tmp_path / "s.db"), "tests")
    submit(store, Alert("t"), NOW + 30 * 86_400)

    assert claim_one(store, NOW).alert.title == "t"
    store.close()
