"""Taking alerts in, handing deliveries out, and writing down what came of them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from tocsin._alert import Alert, AlertLevel
from tocsin._attachment import Attachment
from tocsin._provider import Receipt
from tocsin._retry import MAX_CLAIMS, Delivered, Failed, Pending
from tocsin._store import Granted, Known, Status, Withheld
from tocsin._throttle import Suppression, Window, throttle_key
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
    from tocsin._store import Store


class Admissions:
    """Taking alerts in, handing deliveries out, and writing down what came of them."""

    @advise(
        "keep the whole alert: encode() and decode() hold all of it but the attachments, which you keep beside it"
    )
    def test_admitted_is_kept(self, store: Store) -> None:
        """What is granted can be claimed, with everything that was in it."""
        alert = Alert(
            "t",
            "x",
            "warn",
            id="1",
            fields={"a": 1},
            attachments=[Attachment("p", b"\0")],
        )

        submit(store, alert)

        assert claim_one(store).alert == alert

    @advise(
        "in submit, ask suppressed_until() with the key's last window; if it says a time, add one to the key's count and return Withheld, else keep the alert, begin a new window, and take the count along"
    )
    def test_suppressed_is_counted(self, store: Store) -> None:
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
        assert suppressed_by(third) == Suppression(2, NOW + 1)
        assert store.pending() == 2
        found = store.claim({"inbox": 9}, lease=30, now=NOW + 60)
        assert [one.suppressed for one in found] == [
            Suppression(),
            Suppression(2, NOW + 1),
        ]

    @advise("record a submission without a plan, and return Granted(window=None)")
    def test_a_plan_without_channels_opens_no_window(self, store: Store) -> None:
        """An alert that goes nowhere is recorded, and suppresses nothing."""
        submit(store, Alert("t"), plan=())
        verdict = submit(store, Alert("t"))

        assert isinstance(verdict, Granted)
        assert len(store.history(limit=9)) == 2

    @advise(
        "look for the alert's id, within the namespace, before you admit it; return Known if it is there"
    )
    def test_the_same_alert_twice_is_kept_once(self, store: Store) -> None:
        """A submission that is repeated, after a crash in between, changes nothing."""
        alert = Alert("t", wait_duration=0, id="1")
        submit(store, alert)
        submit(store, alert, NOW + 1)

        assert store.pending() == 1

    @advise(
        "note the id of every submission that is_adopted, and return Known when it comes again"
    )
    def test_adopted_is_counted_once(self, store: Store) -> None:
        """A spilled alert that is submitted again after a crash is counted once."""
        submit(store, Alert("t"))
        spilled = submission(Alert("t", id="1"), "inbox", is_adopted=True)

        store.submit(spilled, NOW + 1, timeout=5)
        store.submit(spilled, NOW + 2, timeout=5)

        (one,) = store.untold()
        assert one.suppression == Suppression(1, NOW + 1)

    @advise(
        "keep counts by key even where there is no window; the next admission takes them along"
    )
    def test_a_count_alone_suppresses_nothing(self, store: Store) -> None:
        """A count whose window is gone is kept, and the next alert is admitted and tells."""
        store.count({throttle_key(Alert("t")): Suppression(3, NOW)})

        assert suppressed_by(submit(store, Alert("t"), NOW)) == Suppression(3, NOW)

    @advise("when you hand a delivery out, put off its due time by the lease")
    def test_a_lease(self, store: Store) -> None:
        """What is claimed is not handed to anyone before the lease runs out."""
        submit(store, Alert("t"))

        assert claim_one(store).progress.attempt == 1
        assert store.claim({"inbox": 9}, lease=30, now=NOW + 29) == []
        assert claim_one(store, NOW + 30).progress.attempt == 2

    @advise(
        "sort what is due by its due time, then by the order of the admissions, and stop at the limit of the channel"
    )
    def test_claims_oldest_due_first(self, store: Store) -> None:
        """Deliveries are handed out in the order in which they are due, as many as asked."""
        for seconds in (3, 1, 2):
            submit(store, Alert(str(seconds)), NOW + seconds)

        first = store.claim({"inbox": 2}, lease=30, now=NOW + 9)
        second = store.claim({"inbox": 2}, lease=30, now=NOW + 9)

        assert [claim.alert.title for claim in first + second] == ["1", "2", "3"]

    @advise(
        "give each claim a token of its own; settle only where the delivery still has that token"
    )
    def test_a_stale_worker_is_refused(self, store: Store) -> None:
        """Who settles after the lease ran out and another claimed it is not heard."""
        submit(store, Alert("t"))
        stale = claim_one(store)
        current = claim_one(store, NOW + 31)

        assert not store.settle(stale, Failed(reason="stale"), NOW + 32)
        assert store.settle(current, Delivered(Receipt(reference="7")), NOW + 33)
        assert not store.settle(current, Failed(reason="again"), NOW + 34)
        (record,) = store.deliveries(current.alert.id)
        assert (record.status, record.receipt) == (
            Status.DELIVERED,
            Receipt(reference="7"),
        )

    @advise(
        "on Pending keep due, state, reason and remedy, and add to the ambiguous attempts"
    )
    def test_retry_comes_back_with_its_state(self, store: Store) -> None:
        """A postponed delivery is due at its time, with the provider's state."""
        submit(store, Alert("t"))
        pending = Pending(
            due=NOW + 5, reason="busy", state={"owed": ["a"]}, ambiguous=True
        )
        store.settle(claim_one(store), pending, NOW)

        assert store.next_due(["inbox"]) == NOW + 5
        assert store.claim({"inbox": 1}, lease=30, now=NOW + 4.9) == []
        progress = claim_one(store, NOW + 5).progress
        assert progress.state == {"owed": ["a"]}
        assert (progress.attempt, progress.ambiguous) == (2, 1)
        assert progress.first_attempt_at == NOW

    @advise(
        "after each outcome keep what circuit_after() returns for the channel, and hand out nothing while it is_open()"
    )
    def test_a_hold_stops_its_channel_alone(self, store: Store) -> None:
        """Until the time a service asked for, nothing is sent to that channel; others flow."""
        submit(store, Alert("t"), plan=("inbox", "other"))
        pending = Pending(due=NOW + 30, reason="429", hold_until=NOW + 30)
        store.settle(claim_one(store), pending, NOW)
        submit(store, Alert("u"), plan=("inbox", "other"))

        assert store.claim({"inbox": 9}, lease=30, now=NOW + 29) == []
        assert store.next_due(["inbox"]) == NOW + 30
        assert len(store.claim({"other": 9}, lease=30, now=NOW + 1)) == 2
        assert len(store.claim({"inbox": 9}, lease=30, now=NOW + 30)) == 2

    @advise(
        "on release take back the attempt and the claim, and the first attempt's time if it was that one"
    )
    def test_released_does_not_count(self, store: Store) -> None:
        """A claim that is given back was never an attempt."""
        submit(store, Alert("t"))
        store.release([claim_one(store)], NOW, delay=60)

        claim = claim_one(store, NOW + 60)
        assert claim.progress.attempt == 1
        assert claim.progress.first_attempt_at == NOW + 60

    @advise("count claims; at MAX_CLAIMS without an outcome end the delivery as failed")
    def test_poison_ends(self, store: Store) -> None:
        """A delivery that nobody survives is failed after so many claims, and visible."""
        submit(store, Alert("t"))
        for times in range(MAX_CLAIMS):
            claim_one(store, NOW + 31 * times)

        assert store.claim({"inbox": 1}, lease=30, now=NOW + 9999) == []
        (record,) = store.history(limit=1, failed_only=True)[0].deliveries
        assert record.status is Status.FAILED
        assert "without an outcome" in record.reason

    @advise(
        "forget attachments when all deliveries of the alert are delivered, and not before"
    )
    def test_attachments_go_with_the_last_delivery(self, store: Store) -> None:
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

    @advise("on requeue set the delivery back to what it was before its first claim")
    def test_requeue_starts_anew(self, store: Store) -> None:
        """A replayed delivery is pending again as if it had never been tried."""
        submit(store, Alert("t"))
        claim = claim_one(store)
        store.settle(claim, Failed(reason="no", remedy="do"), NOW)

        assert store.requeue(claim.delivery_id, NOW + 5)
        assert claim_one(store, NOW + 5).progress.attempt == 1
        assert not store.requeue("0.nowhere", NOW)

    @advise("forget an alert only if none of its deliveries is pending")
    def test_prune_keeps_what_is_pending(self, store: Store) -> None:
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

    @advise("have the namespace in every key and every look-up")
    def test_namespaces_are_apart(self, apart: tuple[Store, Store]) -> None:
        """Nobody claims, counts, finds or replays what belongs to another namespace."""
        one, two = apart
        alert = Alert("t", id="1")
        submit(one, alert)

        assert two.claim({"inbox": 9}, lease=30, now=NOW + 999) == []
        assert two.next_due(["inbox"]) is None
        assert two.history(limit=9) == []
        assert two.find(alert.id) == []
        assert not two.requeue(f"{alert.id}.inbox", NOW)
        assert isinstance(submit(two, Alert("t")), Granted)

    @advise("let one thread at a time change what is kept, or use transactions that do")
    def test_threads_share_a_store(self, store: Store) -> None:
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

    @advise(
        "keep text as JSON in ASCII; a reason may have its lone surrogates spelt out"
    )
    def test_lone_surrogates_are_kept(self, store: Store) -> None:
        """Any text is kept: in the title, the key, a reason."""
        alert = Alert("\ud800\0", "\udfff", key="\ud800", id="1")
        submit(store, alert)
        claim = claim_one(store)

        store.settle(claim, Failed(reason="\ud800"), NOW)

        assert claim.alert == alert
        assert store.deliveries(alert.id)[0].reason == "\\ud800"

    @advise(
        "hand out what is due later than the lease and HORIZON from now, unless its route holds it: a clock was ahead"
    )
    def test_a_clock_that_was_ahead_strands_nothing(self, store: Store) -> None:
        """What is due later than anything can be was put there by a clock: it is due now."""
        submit(store, Alert("t"), NOW + 30 * 86_400)

        assert claim_one(store, NOW).alert.title == "t"

    @advise("make what one store has submitted visible to all others at once")
    def test_a_crash_before_the_deliveries_are_made(
        self, stores: tuple[Store, Store]
    ) -> None:
        """Whoever looks next makes them, and each is made once."""
        one, two = stores
        submit(one, Alert("t", id="1"), plan=("inbox", "other"))
        one.close()

        assert claim_one(two).delivery_id == "1.inbox"
        assert claim_one(one, channel="other").delivery_id == "1.other"
        assert status(two, "1") == {"inbox": "pending", "other": "pending"}

    @advise("look for the id among what was submitted a moment ago, too")
    def test_the_same_id_right_after(self, store: Store) -> None:
        """An alert that is raised again under its own id is known before its deliveries are."""
        alert = Alert("t", id="1", wait_duration=0)
        submit(store, alert)

        again = store.submit(submission(alert, "other"), NOW, timeout=5)

        assert again == Known(channels=("inbox",))
        assert store.pending() == 1

    @advise(
        "never give an alert the address of another one, not even of one that is forgotten"
    )
    def test_no_number_comes_again(self, store: Store) -> None:
        """However much is forgotten, what comes then is new, and is delivered."""
        for number in range(3):
            submit(store, Alert(f"{number}", id=f"{number}"))
            deliver(store, claim_one(store))
        assert store.prune(NOW + 1) >= 2  # a store may keep the newest, for its number
        submit(store, Alert("3", id="3"), NOW + 2)
        deliver(store, claim_one(store, NOW + 2))

        assert store.prune(NOW + 3) >= 1
        submit(store, Alert("4", id="4"), NOW + 4)
        assert claim_one(store, NOW + 4).alert.title == "4"
        assert not store.knows("2")

    @advise("keep the addresses of namespaces apart, or count them together")
    def test_no_number_comes_again_for_others(self, apart: tuple[Store, Store]) -> None:
        """What one namespace forgets leaves another's numbers alone."""
        one, two = apart
        submit(one, Alert("t", id="1"))
        submit(two, Alert("t", id="1"))
        deliver(one, claim_one(one))

        assert one.prune(NOW + 1) == 1
        submit(one, Alert("u", id="2"), NOW + 2)
        assert claim_one(one, NOW + 2).alert.title == "u"
        assert status(two, "1") == {"inbox": "pending"}

    @advise("what nobody looked at yet is pending")
    def test_prune_keeps_what_has_no_deliveries_yet(self, store: Store) -> None:
        """What nobody looked at since it was submitted is pending, however old it is."""
        submit(store, Alert("a", id="a"))
        submit(store, Alert("b", id="b"), NOW + 1)

        assert store.prune(NOW + 99) == 0
        assert [claim.alert.id for claim in claims(store, NOW + 99)] == ["a", "b"]

    @advise("prune the rows of your own namespace alone")
    def test_prune_forgets_only_its_own(self, apart: tuple[Store, Store]) -> None:
        """How long one namespace keeps its history is no other's affair."""
        one, two = apart
        submit(one, Alert("t"))
        spilled = submission(Alert("t", id="1"), "inbox", is_adopted=True)
        one.submit(spilled, NOW + 1, timeout=5)
        two.prune(NOW + 9999)

        one.submit(spilled, NOW + 2, timeout=5)  # its file is read again after a crash
        assert one.untold()[0].suppression.count == 1
