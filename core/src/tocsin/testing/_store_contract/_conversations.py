"""Of messages that belong together the first stands alone, and the others reply to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tocsin._alert import Alert
from tocsin._provider import Receipt
from tocsin._retry import Failed, Pending
from tocsin._store import Turn
from tocsin.testing._store_contract._storing import NOW, advise, claims, deliver, submit

if TYPE_CHECKING:
    from tocsin._store import Store


RUN = "run-7"


def keep(store: Store, count: int = 3, now: float = NOW) -> None:
    for number in range(count):
        submit(store, Alert(f"{number}", id=f"{number}"), now)


class Conversations:
    """Of messages that belong together the first stands alone, and the others reply to it."""

    @advise(
        "join: the first one of a name and channel gets BEGIN; while its lease lasts give others back for half a second, and return WAIT; once it is delivered return its receipt, and let those that wait be due"
    )
    def test_conversation_exactly_one_is_first(
        self, stores: tuple[Store, Store]
    ) -> None:
        """Whoever asks first begins; the others, wherever they are, wait for its receipt."""
        one, two = stores
        keep(one)
        first, *others = claims(one)

        assert one.join(first, RUN, NOW) is Turn.BEGIN
        assert one.join(first, RUN, NOW) is Turn.BEGIN
        assert {two.join(other, RUN, NOW) for other in others} == {Turn.WAIT}
        assert claims(one, NOW + 0.4) == []
        deliver(one, first, NOW + 0.4, reference="42")
        again = claims(two, NOW + 0.4)
        assert [claim.progress.attempt for claim in again] == [1, 1]
        receipts = {two.join(claim, RUN, NOW + 0.4) for claim in again}
        assert receipts == {Receipt(reference="42")}

    @advise("give a claim that must WAIT back with half a second's delay")
    def test_conversation_whoever_waits_looks_again(
        self, stores: tuple[Store, Store]
    ) -> None:
        """Its turn is asked for twice a second, in case that nobody calls it."""
        one, two = stores
        keep(one, 2)
        first, second = claims(one)
        one.join(first, RUN, NOW)
        two.join(second, RUN, NOW)

        assert claims(two, NOW + 0.4) == []
        (again,) = claims(two, NOW + 0.5)
        assert two.join(again, RUN, NOW + 0.5) is Turn.WAIT

    @pytest.mark.parametrize(
        "outcome",
        [Failed(reason="no"), Pending(due=NOW + 60, reason="down")],
        ids=["failed", "tried again"],
    )
    @advise(
        "an outcome other than Delivered forgets who was to begin, and lets those that wait be due"
    )
    def test_conversation_when_the_first_does_not_arrive(
        self, store: Store, outcome: Failed | Pending
    ) -> None:
        """Another begins at once; the one that is tried again replies to it."""
        keep(store)
        first, second, third = claims(store)
        store.join(first, RUN, NOW)
        store.join(second, RUN, NOW)
        store.release([second], NOW, delay=0.5)
        store.settle(first, outcome, NOW + 0.1)

        assert store.join(third, RUN, NOW + 0.1) is Turn.BEGIN
        (again,) = claims(store, NOW + 0.1)
        assert again.delivery_id == second.delivery_id
        assert store.join(again, RUN, NOW + 0.1) is Turn.WAIT

    @advise("release forgets that the claim was to begin a conversation")
    def test_conversation_when_the_first_is_given_back(self, store: Store) -> None:
        """A claim that is released without an attempt holds nobody up."""
        keep(store, 2)
        first, second = claims(store)
        store.join(first, RUN, NOW)
        store.release([first], NOW, delay=60)

        assert store.join(second, RUN, NOW) is Turn.BEGIN

    @advise("who begins has it until the lease runs out, and no longer")
    def test_conversation_when_the_first_dies(self, store: Store) -> None:
        """Another begins when the lease of the first has run out."""
        keep(store, 2)
        first, _ = claims(store)
        store.join(first, RUN, NOW)
        _, second = claims(store, NOW + 30)

        assert store.join(second, RUN, NOW + 29) is Turn.WAIT
        assert store.join(second, RUN, NOW + 30) is Turn.BEGIN

    @advise("who begins has it for HORIZON at the most")
    def test_conversation_a_clock_that_was_ahead(self, store: Store) -> None:
        """What a process with a wrong clock began and dropped holds nobody up."""
        keep(store, 1, NOW + 400 * 86_400)
        (ahead,) = claims(store, NOW + 400 * 86_400)
        store.join(ahead, RUN, NOW + 400 * 86_400)
        keep(store, 1)
        second, *_ = claims(store)

        assert store.join(second, RUN, NOW) is Turn.BEGIN

    @advise("have namespace, channel and name in a conversation's key")
    def test_conversation_apart(self, apart: tuple[Store, Store]) -> None:
        """Conversations of other names, channels and namespaces are others."""
        one, two = apart
        for store in (one, two):
            submit(store, Alert("t"), plan=["inbox", "other"])
        (first,), (other,), (theirs,) = (
            claims(one),
            claims(one, NOW, "other"),
            claims(two),
        )

        assert one.join(first, RUN, NOW) is Turn.BEGIN
        assert one.join(other, RUN, NOW) is Turn.BEGIN
        assert two.join(theirs, RUN, NOW) is Turn.BEGIN
        assert one.join(first, "another", NOW) is Turn.BEGIN
        two.prune(NOW + 9999)
        deliver(one, first, reference="1")
        assert one.join(other, RUN, NOW) is Turn.BEGIN

    @advise("prune forgets conversations that began before the time")
    def test_conversation_prune_forgets(self, store: Store) -> None:
        """After as long as the history is kept a conversation begins anew."""
        keep(store, 2)
        first, second = claims(store)
        store.join(first, RUN, NOW)
        deliver(store, first, NOW, reference="42")
        store.prune(NOW)
        assert store.join(second, RUN, NOW) == Receipt(reference="42")
        store.prune(NOW + 1)

        assert store.join(second, RUN, NOW + 1) is Turn.BEGIN
