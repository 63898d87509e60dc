"""Channels that fail, that have to wait, and that are held."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tocsin._alert import Alert
from tocsin._circuit import THRESHOLD
from tocsin._errors import Ambiguous, OutOfOrder, RetryLater
from tocsin._retry import MAX_BACKOFF, Failed, outcome
from tocsin._routing import Route
from tocsin.testing._store_contract._storing import (
    DAY,
    HOUR,
    NOW,
    advise,
    claim_one,
    claims,
    deliver,
    status,
    submit,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tocsin._errors import DeliveryError
    from tocsin._store import Claim, Settled, Store


def settle(
    store: Store, claim: Claim, result: DeliveryError, now: float = NOW
) -> Settled | None:
    """Write down what the courier would."""
    ending = outcome(
        result, claim.progress, now=now, give_up_after=DAY, random=lambda: 0.5
    )
    return store.settle(claim, ending, now)


def keep(
    store: Store, count: int, now: float = NOW, plan: Iterable[str] = ("inbox",)
) -> None:
    for number in range(count):
        submit(store, Alert(f"{number}"), now, plan=plan)


def break_down(store: Store, now: float = NOW) -> None:
    """Let as many attempts fail as it takes; as many are kept for them."""
    keep(store, THRESHOLD, now)
    for claim in claims(store, now):
        settle(store, claim, RetryLater("down"), now)


def out_of_order(store: Store) -> Claim:
    """Let one of three find out; return its claim."""
    keep(store, 3)
    failed = claim_one(store)
    settle(store, failed, OutOfOrder("revoked"))
    return failed


class Circuits:
    """Channels that fail, that have to wait, and that are held."""

    @advise(
        "while a circuit is_failing hand out one delivery, and none while any of the channel is leased"
    )
    def test_channel_one_at_a_time_over_all_processes(
        self, stores: tuple[Store, Store]
    ) -> None:
        """From a channel that fails, one delivery is handed out, whoever asks."""
        one, two = stores
        break_down(one)
        keep(two, 3, NOW + 1)
        now = NOW + 60

        (probe,) = claims(two, now)

        assert probe.progress.is_probe
        assert claims(one, now + 29) == claims(two, now + 29) == []
        settle(two, probe, RetryLater("down"), now + 29)
        assert claims(one, now + 29) == []  # it has its pause
        assert len(claims(one, now + 60)) == 1
        assert (
            len(claims(two, now + 90)) == 1
        )  # the lease of a worker that died ran out

    @advise(
        "next_due of a channel that fails is not before the circuit's until, nor the end of the last lease"
    )
    def test_channel_nobody_looks_for_what_cannot_be_had(
        self, stores: tuple[Store, Store]
    ) -> None:
        """While the one is under way, nothing is due before its lease runs out."""
        one, two = stores
        break_down(one)
        now = NOW + 60
        (probe,) = claims(one, now)

        assert two.next_due(["inbox"]) == probe.lease_until
        settle(one, probe, RetryLater("down"), now)
        assert now < (two.next_due(["inbox"]) or 0.0) <= now + 3

    @advise(
        "leave out leases later than your own and HORIZON when you look whether one is under way"
    )
    def test_channel_a_lease_of_a_clock_that_was_ahead_blocks_nobody(
        self, store: Store
    ) -> None:
        """What a process with a wrong clock took and dropped does not stop the next try."""
        break_down(store)
        assert len(claims(store, NOW + 30 * DAY)) == 1

        assert len(claims(store, NOW + 60)) == 1

    @advise(
        "when a circuit that was failing closes, let be due what waits for its next try, but not what its route holds"
    )
    def test_channel_success_makes_all_due(self, stores: tuple[Store, Store]) -> None:
        """Once one arrives, whatever waits for its next try may go at once."""
        one, two = stores
        break_down(one)
        probe = claim_one(one, NOW + 60)
        settle(one, probe, Ambiguous("no answer"), NOW + 60)
        submit(
            one, Alert("held"), NOW + 61, plan=[Route("inbox", not_before=NOW + 900)]
        )

        settled = deliver(two, claim_one(two, NOW + 70), NOW + 70)

        assert settled is not None
        assert (settled.before.is_failing, settled.after.is_failing) == (True, False)
        assert one.circuits() == {}
        assert len(claims(one, NOW + 70)) == THRESHOLD - 1
        assert (
            len(claims(one, NOW + 900)) == 1 + THRESHOLD - 1
        )  # their leases ran out too

    @advise("keep what circuit_after() returns, and mend the channel if that is CLOSED")
    def test_channel_a_refusal_closes_too(self, store: Store) -> None:
        """A service that refuses one message works: the others may go."""
        break_down(store)
        probe = claim_one(store, NOW + 60)
        store.settle(probe, Failed(reason="no such address"), NOW + 60)

        assert len(claims(store, NOW + 60)) == THRESHOLD - 1

    @advise(
        "of those under way when a channel is out of order already, keep what fails with is_out_of_order: write Pending instead, unless it was a probe"
    )
    def test_channel_out_of_order(self, store: Store) -> None:
        """The delivery that finds out has failed; the others wait, and are tried in turn."""
        keep(store, 3)
        first = claim_one(store)
        settle(store, first, OutOfOrder("revoked", remedy="make another"))

        assert claims(store, NOW + MAX_BACKOFF - 1) == []
        probe = claim_one(store, NOW + MAX_BACKOFF)
        settle(store, probe, OutOfOrder("revoked"), NOW + MAX_BACKOFF)
        (circuit,) = store.circuits().values()
        assert circuit.is_out_of_order
        assert circuit.since == NOW
        assert status(store, first.alert.id) == {"inbox": "failed"}
        assert status(store, probe.alert.id) == {"inbox": "pending"}
        assert claims(store, NOW + 2 * MAX_BACKOFF - 1) == []

    @advise("a probe's Failed is final")
    def test_channel_out_of_order_ends_by_age(self, store: Store) -> None:
        """A delivery that only found it unchanged for a day has failed too."""
        keep(store, 2)
        settle(store, claim_one(store), OutOfOrder("revoked"))
        probe = claim_one(store, NOW + MAX_BACKOFF)
        settle(store, probe, OutOfOrder("revoked"), NOW + MAX_BACKOFF)
        again = claim_one(store, NOW + DAY + MAX_BACKOFF)
        settle(store, again, OutOfOrder("revoked"), NOW + DAY + MAX_BACKOFF)

        assert status(store, again.alert.id) == {"inbox": "failed"}

    @advise("mend forgets the circuit, and lets be due what waited for its next try")
    def test_channel_a_person_mends_it(self, store: Store) -> None:
        """Whoever says that it works again has all tried at once."""
        out_of_order(store)

        assert store.mend("inbox", NOW + 1)
        assert not store.mend("inbox", NOW + 1)
        assert store.circuits() == {}
        assert len(claims(store, NOW + 1)) == 2

    @pytest.mark.parametrize("is_repaired", [True, False])
    @advise(
        "requeue, and try_again, set until to now and failures to the threshold at least, where the channel fails or is out of order"
    )
    def test_channel_a_replay_tries_it(self, store: Store, is_repaired: bool) -> None:
        """A replay tries the channel with one delivery; if that fares no better, none is lost."""
        failed = out_of_order(store)

        assert store.requeue(failed.delivery_id, NOW + 1)
        (probe,) = claims(store, NOW + 1)
        if is_repaired:
            deliver(store, probe, NOW + 1)
            assert len(claims(store, NOW + 1)) == 2
        else:
            settle(store, probe, OutOfOrder("revoked"), NOW + 1)
            assert claims(store, NOW + 1) == []
            assert store.pending() == 3

    @advise(
        "of those under way when a channel is out of order already, keep what fails with is_out_of_order: write Pending instead"
    )
    def test_channel_what_is_under_way_is_kept(self, store: Store) -> None:
        """Of several that find the channel out of order at once, one ends as failed."""
        keep(store, 3)
        for claim in claims(store):
            settle(store, claim, OutOfOrder("revoked"))

        assert store.pending() == 2

    @advise("have namespace and channel in a circuit's key")
    def test_channel_others_flow(self, store: Store) -> None:
        """A channel that is out of order stops no other, nor its namesake elsewhere."""
        keep(store, 3, plan=("inbox", "other"))
        settle(store, claim_one(store), OutOfOrder("revoked"))

        assert claims(store) == []
        assert len(claims(store, channel="other")) == 3

    @advise("keep what circuit_after() returns, even after a success")
    def test_channel_a_hold_outlasts_a_success_that_began_before_it(
        self, store: Store
    ) -> None:
        """While the service wants time, what was under way succeeds, and the rest waits."""
        keep(store, 3)
        slow, asked = claims(store, most=2)
        settle(store, asked, RetryLater("busy", after=30))
        deliver(store, slow, NOW + 1)

        assert claims(store, NOW + 29) == []
        assert store.next_due(["inbox"]) == NOW + 30
        assert len(claims(store, NOW + 30)) == 2

    @advise("circuits returns all that are not CLOSED, by channel")
    def test_channel_what_is_kept_of_a_channel(self, store: Store) -> None:
        """Whoever asks is told which channels fail, since when, and why."""
        break_down(store)
        (name,) = store.circuits()
        circuit = store.circuits()[name]

        assert name == "inbox"
        assert (circuit.failures, circuit.since) == (THRESHOLD, NOW)
        assert circuit.reason == "down"

    @advise("keep not_before: what a route holds is not due before")
    def test_held_nobody_is_disturbed_by_a_restart(
        self, stores: tuple[Store, Store]
    ) -> None:
        """Whoever looks at the store leaves what is held."""
        one, two = stores
        submit(one, Alert("t"), plan=[Route("inbox", not_before=NOW + HOUR)])
        one.close()

        assert claims(two, NOW + HOUR - 1) == []
        assert two.next_due(["inbox"]) == NOW + HOUR
        assert len(claims(two, NOW + HOUR)) == 1

    @advise("a claim ends the hold of a route")
    def test_held_a_try_in_vain_is_repeated_as_ever(self, store: Store) -> None:
        """Once it may be sent, it is released, leased and tried again like any other."""
        submit(store, Alert("t"), plan=[Route("inbox", not_before=NOW + HOUR)])
        store.release([claim_one(store, NOW + HOUR)], NOW + HOUR, delay=5)

        assert claims(store, NOW + HOUR + 4) == []
        assert claim_one(store, NOW + HOUR + 5).progress.attempt == 1
        assert claim_one(store, NOW + HOUR + 35).progress.attempt == 2

    @advise("what a route holds is stranded only past a month")
    def test_held_a_clock_that_was_far_ahead(self, store: Store) -> None:
        """What was held until a time that never comes is sent once the clock is right."""
        ahead = NOW + 400 * 24 * HOUR
        submit(store, Alert("t"), ahead, plan=[Route("inbox", not_before=ahead + HOUR)])
        month = Route("inbox", not_before=NOW + 30 * 24 * HOUR)
        submit(store, Alert("a month"), NOW, plan=[month])

        assert [claim.alert.title for claim in claims(store, NOW)] == ["t"]
