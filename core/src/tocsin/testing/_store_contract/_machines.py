"""Whatever comes in whatever order: a store against a plain model."""

# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False
# mypy: disable-error-code="no-untyped-call, operator, type-var, union-attr"
# ruff: noqa: ANN001, ANN202, ANN204, ANN205

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tocsin._alert import Alert, AlertLevel, new_id
from tocsin._errors import Ambiguous, OutOfOrder, Rejected, RetryLater
from tocsin._provider import Receipt
from tocsin._retry import MAX_RETRY_AFTER, Delivered, Failed, Pending, outcome
from tocsin._routing import Route
from tocsin._silence import Silence
from tocsin._store import Granted, Withheld
from tocsin._throttle import CLOCK_SKEW, Suppression
from tocsin.testing._store_contract._storing import DAY, NOW, submission, submit

if TYPE_CHECKING:
    from collections.abc import Callable

    from tocsin._store import Store


def check(
    machine: type[_Machine],
    opener: Callable[[Path], Store],
    *,
    examples: int,
    steps: int,
) -> None:
    """Run a machine on stores that are opened in a folder of each example's own."""
    ours = type(machine.__name__, (machine,), {"opener": staticmethod(opener)})
    run_state_machine_as_test(
        ours,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
        ),
    )


class _Machine(RuleBasedStateMachine):
    """Opens stores, and closes them at the end."""

    opener: ClassVar[Any]

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.stores: list[Store] = []

    def open(self) -> Store:
        store: Store = self.opener(self.folder)
        return store

    def teardown(self):
        for store in self.stores:
            store.close()
        shutil.rmtree(self.folder)


@attrs.define
class _Key:
    """The plain model of one key."""

    admitted_at: float
    level: AlertLevel
    suppressed: int = 0


class AdmissionMachine(_Machine):
    """The throttle and two stores against a plain model.

    Clocks jump, processes restart, another process writes there, too, workers die.
    """

    def __init__(self):
        super().__init__()
        self.now = NOW
        self.keys: dict[str, _Key] = {}
        self.owed: dict[str, float] = {}  # delivery id -> when it may be claimed
        self.done: set[str] = set()
        self.claims = []

    @initialize()
    def open_stores(self):
        self.stores = [self.open(), self.open()]

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
            self.keys[title] = _Key(self.now, level)
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
        self.stores[who] = self.open()

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
        if not self.stores:
            return
        store = self.stores[0]
        assert store.pending() == len(self.owed)
        assert len(store.history(limit=10_000)) == len(self.owed) + len(self.done)
        assert sum(one.suppression.count for one in store.untold()) == sum(
            known.suppressed for known in self.keys.values()
        )


LEASE = 30.0
HORIZON = 2 * MAX_RETRY_AFTER
FALLBACK = {"a": "b", "b": "c", "c": ""}
ENDS = {"delivered", "failed", "silenced"}

PLANS = [  # channel, seconds that it is held, seconds for which it gathers
    [("a", 0, 0)],
    [("a", 0, 60)],
    [("a", 0, 60), ("b", 0, 0)],
    [("a", 600, 60), ("c", 0, 0)],
    [("b", 600, 0)],
]
results = st.sampled_from(
    [
        *[Receipt(reference="r")] * 4,
        Rejected("no such address"),
        OutOfOrder("revoked"),
        RetryLater("down"),
        RetryLater("busy", after=45),
        RetryLater("layout", after=0, state={"plain": True}),
        Ambiguous("no answer"),
    ]
)
channels = st.sampled_from("aaabc")
titles = st.sampled_from(["Loss", "Low", "Disk"])
# what is raised without a level is over
raised = st.lists(
    st.tuples(titles, st.sampled_from(AlertLevel) | st.none()), min_size=1, max_size=4
)
who = st.integers(0, 1)
seconds = st.sampled_from([0, 1, 1, 31, 61, 61, 301, 601, -60, -3600])
shifts = st.tuples(channels, results | st.sampled_from(["released", "died"]), seconds)


class DeliveryMachine(_Machine):
    """Two processes with one store, and everything that a plan may say.

    The model knows which deliveries there must be, who holds which, and how each ended;
    that is all it takes to say what must never be.
    """

    def __init__(self):
        super().__init__()
        self.now = NOW
        self.raised = 0
        self.planned: set[str] = set()
        self.held: dict[str, float] = {}
        self.ended: dict[str, str] = {}
        self.leases = {}  # delivery id -> the claim that has it
        self.resolved: dict[str, str] = {}  # a resolution's id -> its alert's
        self.originals: dict[str, str] = {}  # likewise, of their deliveries
        self.last: dict[str, str] = {}  # title -> the last admitted alert's id
        self.silences: list[Silence] = []
        self.lost = []  # claims of workers that are slow, or dead

    @initialize(raised=raised, plan=st.sampled_from(PLANS))
    def open_stores(self, raised, plan):
        self.stores = [self.open(), self.open()]
        self.raise_alerts(0, raised, 0, plan)

    def teardown(self):
        if self.stores:
            self.everything_ends()
        super().teardown()

    @rule(
        who=who,
        raised=raised,
        wait=st.sampled_from([0, 60]),
        plan=st.sampled_from(PLANS),
        seconds=seconds,
    )
    def come_in(self, *, who, raised, wait, plan, seconds):
        self.raise_alerts(who, raised, wait, plan)
        self.now += seconds

    def raise_alerts(self, who, raised, wait, plan):
        for title, level in raised:
            if level is None:
                self.resolve(self.stores[who], title)
                continue
            alert = Alert(title, level=level, wait_duration=wait, id=self.next_id())
            self.raise_alert(self.stores[who], alert, plan)

    def next_id(self):
        self.raised += 1
        return f"{self.raised:04}"  # the same in each run of the same steps

    def raise_alert(self, store, alert, plan):
        plan = [
            Route(name, self.now + held if held else 0.0, float(digest))
            for name, held, digest in plan
        ]
        verdict = submit(store, alert, self.now, plan=plan)
        if isinstance(verdict, Granted):
            self.last[alert.title] = alert.id
            for route in plan:
                delivery = f"{alert.id}.{route.channel}"
                self.planned.add(delivery)
                self.held[delivery] = route.not_before

    def resolve(self, store, title):
        alert = Alert(title, kind="resolved", id=self.next_id())
        statuses = self.statuses()
        channels = store.resolve(submission(alert), self.now, timeout=5)

        original = self.last.get(title, "")
        had = {
            channel
            for channel in "abc"
            if statuses.get(f"{original}.{channel}") in {"pending", "delivered"}
        }
        assert set(channels) == had
        if channels:
            del self.last[title]
        self.resolved[alert.id] = original
        for channel in channels:
            self.planned.add(f"{alert.id}.{channel}")
            self.originals[f"{alert.id}.{channel}"] = f"{original}.{channel}"

    @rule(title=st.sampled_from(["L*", "Disk"]), length=st.sampled_from([10, 600]))
    def silence(self, title, length):
        known = next((s for s in self.silences if s.id == title), None)
        if known is not None:
            is_on = self.stores[1].expire(title, self.now)
            assert is_on == (known.ends_at > self.now)
            self.silences.remove(known)
            return
        ends_at = self.now + length
        made = Silence(id=title, title=title, starts_at=self.now, ends_at=ends_at)
        self.silences.append(made)
        self.stores[0].silence(made)

    @rule(who=who, channel=channels)
    def mend_and_restart(self, who, channel):
        was = channel in self.stores[who].circuits()
        assert self.stores[who].mend(channel, self.now) == was
        self.stores[who].close()
        self.stores[who] = self.open()

    @rule(who=who, shifts=st.lists(shifts, min_size=1, max_size=4))
    def work(self, who, shifts):
        """A process takes what it can of a channel, all of it ends alike, and time passes."""
        for channel, ending, seconds in shifts:
            for claim in self.claim(self.stores[who], channel):
                if ending == "released":
                    self.stores[who].release([claim], self.now, delay=5)
                    self.let_go(claim)
                elif ending == "died":
                    self.lost.append(claim)
                else:
                    self.end(claim, who, ending)
            self.now += seconds

    def claim(self, store, channel):
        circuit = store.circuits().get(channel)
        before = self.statuses()
        claims = store.claim({channel: 5}, lease=LEASE, now=self.now)

        assert len(claims) <= 5
        if circuit is not None and claims:
            assert not circuit.is_open(self.now)
            assert not circuit.is_failing or (
                len(claims) == 1 and not self.is_any_under_way(channel)
            )
        self.follow()
        for claim in claims:
            self.take(claim, before)
        return claims

    def follow(self):
        """A resolution goes where its alert went instead; nothing else comes of itself."""
        statuses = self.statuses()
        for one in statuses.keys() - self.planned:
            alert, channel = one.split(".")
            original = f"{self.resolved[alert]}.{channel}"
            assert original in statuses
            self.planned.add(one)
            self.originals[one] = original

    def let_go(self, claim):
        for one in self.ids_of(claim):
            if self.leases.get(one) is claim:
                del self.leases[one]

    def take(self, claim, before):
        """Check what was handed out, and note who has it."""
        ids = self.ids_of(claim)
        assert claim.delivery_id == ids[0]
        assert len(set(ids)) == len(claim.places) == len(ids)
        for one, alert in zip(ids, self.alerts_of(claim), strict=True):
            assert one in self.planned
            assert one not in self.ended
            assert not self.is_under_way(one), "it is in two hands"
            assert self.held.pop(one, 0) <= self.now
            assert not any(s.matches(alert, self.now) for s in self.silences)
            if one in self.originals:
                assert before.get(self.originals[one], "delivered") == "delivered"
            self.leases[one] = claim

    def is_under_way(self, delivery):
        claim = self.leases.get(delivery)
        until = 0.0 if claim is None else claim.lease_until
        return self.now < until <= self.now + LEASE + HORIZON

    def is_any_under_way(self, channel):
        return any(
            self.is_under_way(one) for one in self.leases if one.endswith(f".{channel}")
        )

    @staticmethod
    def alerts_of(claim):
        return [member.alert for member in claim.members] or [claim.alert]

    def ids_of(self, claim):
        return [f"{alert.id}.{claim.channel}" for alert in self.alerts_of(claim)]

    @precondition(lambda self: self.lost)
    @rule(who=who, result=results)
    def come_back(self, who, result):
        """A worker that was slow, or was taken for dead, says what came of it."""
        self.end(self.lost.pop(), who, result)

    def end(self, claim, who, result):
        ending = outcome(
            result,
            claim.progress,
            now=self.now,
            give_up_after=DAY,
            random=lambda: 0.5,
        )
        fallback = FALLBACK[claim.channel]
        mine = [one for one in self.ids_of(claim) if self.leases.get(one) is claim]

        settled = self.stores[who].settle(claim, ending, self.now, fallback=fallback)

        if settled is None:
            return
        assert mine
        ending = settled.outcome  # what was under way may be excused
        for one in mine:
            del self.leases[one]
            if isinstance(ending, Delivered | Failed):
                is_good = isinstance(ending, Delivered)
                self.ended[one] = "delivered" if is_good else "failed"
            if isinstance(ending, Failed) and fallback:
                self.planned.add(f"{one.partition('.')[0]}.{fallback}")

    @rule(channel=st.sampled_from("ab"), is_broken=st.booleans())
    def hand_over(self, channel, is_broken):
        fallback, before = FALLBACK[channel], self.statuses()
        handed = self.stores[1].hand_over(
            channel, fallback, self.now, after=300, is_broken=is_broken
        )

        after = self.statuses()
        gone = {d for d in before if before[d] == "pending" and after[d] == "failed"}
        assert len(gone) == handed
        for one in gone:
            assert one.endswith(f".{channel}")
            assert not self.is_under_way(one)
            assert self.held.get(one, 0) <= self.now - 300
            self.ended[one] = "failed"
            self.leases.pop(one, None)
            self.planned.add(f"{one.partition('.')[0]}.{fallback}")

    @precondition(lambda self: self.ended)
    @rule(data=st.data(), who=who)
    def replay(self, data, who):
        one = data.draw(st.sampled_from(sorted(self.ended)))
        assert self.stores[who].requeue(one, self.now)
        del self.ended[one]
        self.held.pop(one, None)

    def statuses(self):
        """Return what became of each delivery, as whoever looks at the store sees it."""
        return {
            delivery.id: delivery.status.value
            for alert_id in {one.partition(".")[0] for one in self.planned}
            for delivery in self.stores[0].deliveries(alert_id, timeout=5)
        }

    @invariant()
    def nothing_vanishes(self):
        if not self.stores:
            return
        statuses = self.statuses()
        assert set(statuses) == self.planned
        for one, status in statuses.items():
            if status == "silenced":
                self.ended.setdefault(one, status)
            assert self.ended.get(one, "pending") == status
        pending = sum(status == "pending" for status in statuses.values())
        assert self.stores[1].pending() == pending

    def everything_ends(self):
        """Once all channels work, everything that is pending is sent, and soon."""
        store, rounds = self.stores[0], 0
        while store.pending():
            rounds += 1
            assert rounds < 200, self.statuses()
            due = store.next_due(list("abc"))
            assert due is not None
            self.now = max(self.now + rounds, due)
            for claim in store.claim(
                dict.fromkeys("abc", 9), lease=LEASE, now=self.now
            ):
                assert store.settle(claim, Delivered(Receipt()), self.now)
        self.follow()
        assert set(self.statuses().values()) <= ENDS
