"""The store as a whole: what it keeps, for whom, for how long, and how soon it answers."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, TypeVar

import attrs
import pytest

from tocsin import _envelope as envelope
from tocsin._alert import Alert
from tocsin._attachment import Attachment
from tocsin._ending import GATHER
from tocsin._errors import StoreBusy, StoreFull
from tocsin._provider import Receipt
from tocsin._retry import Delivered, Failed
from tocsin._routing import Route
from tocsin._silence import Silence
from tocsin._store import Granted, Status, Store, Withheld
from tocsin._throttle import Suppression
from tocsin.testing._store_contract._runs import RECORD, end, told_by
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
    from collections.abc import Callable
    from contextlib import AbstractContextManager

_T = TypeVar("_T")
_PORT = sorted(
    name
    for name, member in vars(Store).items()
    if callable(member) and not name.startswith("_")
)
_ANY_TEXT = "NUL \0, a lone surrogate \ud800, é, 日本, 🔔, \r\n\u2028'\"\\;--"


class Whole:
    """The store as a whole."""

    @pytest.mark.parametrize("name", _PORT)
    @advise("write the method: see tocsin.stores.Store, or derive from DocumentStore")
    def test_the_port_is_whole(self, store: Store, name: str) -> None:
        """Every method of the port is there."""
        assert callable(getattr(store, name, None)), f"there is no {name}()"

    @advise("let the provider's open() find what an earlier store has kept")
    def test_reopening_keeps_everything(self, reopen: Callable[..., Store]) -> None:
        """A store that is opened where one was closed has all that one had."""
        before = reopen("tests")
        silence = Silence(id="s", title="no", starts_at=NOW, ends_at=NOW + 99)
        submit(before, Alert("t", id="1", attachments=[Attachment("f", b"\0\xff")]))
        submit(before, Alert("t"), NOW + 1)
        submit(before, Alert("u", id="2"))
        (claim,) = claims(before, most=1)
        before.settle(claim, Failed(reason="no", is_out_of_order=True), NOW)
        before.silence(silence)
        before.put_run(RECORD)
        history, circuits = before.history(limit=9), before.circuits()
        before.close()

        after = reopen("tests")
        assert after.history(limit=9) == history
        assert after.circuits() == circuits
        assert after.silences(NOW) == [silence]
        assert after.runs() == [RECORD]
        assert [one.suppression for one in after.untold()] == [Suppression(1, NOW + 1)]
        assert after.requeue("1.inbox", NOW)
        assert claim_one(after).alert.attachments == (Attachment("f", b"\0\xff"),)

    @advise("keep text and bytes whole, whatever is in them, up to megabytes")
    def test_any_text_is_kept(self, store: Store) -> None:
        """NUL, lone surrogates, quotes and a megabyte come back as they were."""
        alert = Alert(
            _ANY_TEXT,
            _ANY_TEXT * 25_000,
            key=_ANY_TEXT,
            fields={_ANY_TEXT: _ANY_TEXT},
            tags=[_ANY_TEXT],
            id="1",
            attachments=[Attachment(_ANY_TEXT, bytes(range(256)) * 999)],
        )
        submit(store, alert)

        found = claim_one(store).alert
        assert attrs.evolve(found, attachments=()) == attrs.evolve(
            alert, attachments=()
        )
        (kept,) = found.attachments
        assert isinstance(kept, Attachment)
        assert kept.content == bytes(range(256)) * 999

    @advise(
        "on EnvelopeTooNew put the delivery off for an hour; on EnvelopeError fail it"
    )
    def test_what_a_newer_version_wrote_is_kept(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An alert that this version cannot read waits for one that can."""
        submit(store, end(0))
        with monkeypatch.context() as patch:
            patch.setattr(envelope, "VERSION", 1)
            assert claims(store) == []
            assert store.history(limit=9) == []
            assert store.pending() == 1

        assert claims(store, NOW + 3599) == []
        assert claim_one(store, NOW + 3600).alert == end(0)

    @advise("let windows, counts and leases be those of all stores of the namespace")
    def test_two_stores_are_one(self, stores: tuple[Store, Store]) -> None:
        """What one store admits suppresses, and is handed out, in the other, once."""
        one, two = stores
        assert isinstance(submit(one, Alert("t")), Granted)
        assert isinstance(submit(two, Alert("t"), NOW + 1), Withheld)
        two.count({submission(Alert("t")).key: Suppression(2, NOW + 2)})

        third = submit(one, Alert("t"), NOW + 60)
        assert suppressed_by(third) == Suppression(3, NOW + 1)
        assert two.untold() == one.untold() == []
        assert len(claims(two, NOW + 60)) == 2
        assert claims(one, NOW + 60) == []

    @advise(
        "remember the configuration that open() is given, with the namespace; and keep all "
        "namespaces in one place, so that each store sees the others' names"
    )
    def test_who_uses_it(self, apart: tuple[Store, Store]) -> None:
        """Whoever has kept something is known, with the configuration and what is left."""
        one, two = apart
        submit(one, Alert("t"), plan=["inbox", "other"])
        submit(two, Alert("t"))
        deliver(one, claim_one(one))

        known = {each.name: each for each in two.namespaces()}
        assert known["one"].pending == known["two"].pending == 1
        assert known["one"].config == "one"

    @advise("look for ids that begin so, of alerts and of deliveries; keep their order")
    def test_find(self, store: Store) -> None:
        """A delivery is found by how its id, or its alert's, begins."""
        submit(store, Alert("a", id="abc1"), plan=["inbox", "other"])
        submit(store, Alert("b", id="abc2"))

        assert store.find("abc") == ["abc1.inbox", "abc1.other", "abc2.inbox"]
        assert store.find("abc1.o") == ["abc1.other"]
        assert store.find("bc") == []
        assert store.find("abc1.x") == []

    @advise("take the newest that match, and return them oldest first")
    def test_history(self, store: Store) -> None:
        """The newest alerts are told, oldest first, with all that became of them."""
        for number in range(4):
            submit(store, Alert(f"{number}", id=f"{number}"), NOW + number)
        first, *_ = claims(store, NOW + 9, most=1)
        store.settle(first, Failed(reason="no", remedy="do"), NOW + 9)

        newest = store.history(limit=2)
        assert [record.alert.title for record in newest] == ["2", "3"]
        (failed,) = store.history(limit=2, failed_only=True)
        (delivery,) = failed.deliveries
        assert (delivery.id, delivery.reason, delivery.remedy) == (
            "0.inbox",
            "no",
            "do",
        )
        assert delivery.due_at is None
        assert delivery.settled_at is not None
        assert delivery.settled_at.timestamp() == NOW + 9

    @advise("count deliveries by channel, status, reason and remedy")
    def test_standings(self, store: Store) -> None:
        """Deliveries that stand alike are counted, with when the alerts came."""
        for number in range(3):
            submit(store, Alert(f"{number}"), NOW + number)
        for claim in claims(store, NOW + 9, most=2):
            store.settle(claim, Failed(reason="no", remedy="do"), NOW + 9)

        failed, pending = store.standings()
        assert (failed.status, failed.reason, failed.count) == (Status.FAILED, "no", 2)
        assert (failed.oldest, failed.newest) == (NOW, NOW + 1)
        assert (pending.status, pending.count) == (Status.PENDING, 1)
        assert [one.status for one in store.standings(NOW + 10)] == [Status.PENDING]

    @advise("with now, leave out a circuit that is not open and whose until is to come")
    def test_next_due(self, store: Store) -> None:
        """Whoever waits is told until when, of the channels that matter."""
        assert store.next_due(["inbox"]) is None
        submit(store, Alert("t"), plan=["inbox", Route("other", not_before=NOW + 60)])

        assert store.next_due(["inbox", "other"]) == NOW
        assert store.next_due(["other"]) == NOW + 60
        claim_one(store)
        assert store.next_due(["inbox"]) == NOW + 30

    @advise("knows() is true for what is there, and for what is_adopted and counted")
    def test_knows(self, store: Store) -> None:
        """What was submitted is known, and so is what was spilled and then suppressed."""
        submit(store, Alert("t", id="1"))
        spilled = submission(Alert("t", id="2"), "inbox", is_adopted=True)
        store.submit(spilled, NOW + 1, timeout=5)

        assert store.knows("1")
        assert store.knows("2")
        assert not store.knows("3")
        assert store.deliveries("2", timeout=5) == ()

    @advise("what is_admitted is kept, whatever the window says")
    def test_what_was_admitted_before(self, store: Store) -> None:
        """What another store had admitted passes the throttle of this one."""
        submit(store, Alert("t"))
        again = submission(Alert("t", id="2"), "inbox", is_admitted=True)

        assert isinstance(store.submit(again, NOW + 1, timeout=5), Granted)
        assert store.pending() == 2

    @advise("an ending that is_last lets go what is held for no more than GATHER")
    def test_the_last_witness_hastens(self, store: Store) -> None:
        """When nobody can have anything to add, what was held for it goes at once."""
        held = Route("inbox", not_before=NOW + GATHER)
        submit(store, end(0), plan=[held])
        submit(store, end(1, is_last=True), NOW + 1, plan=[held])

        assert told_by(claim_one(store, NOW + 1)) == [0, 1]

    @advise("count what is pending, and raise StoreFull; open no window then")
    def test_a_full_store_refuses(self, small_store: Store) -> None:
        """Past its bound nothing is taken, no window opens, and it says what to do."""
        submit(small_store, Alert("a"))
        submit(small_store, Alert("b"))

        with pytest.raises(StoreFull, match="tocsin drain"):
            submit(small_store, Alert("c"))
        deliver(small_store, claim_one(small_store))
        assert isinstance(submit(small_store, Alert("c")), Granted)

    @advise("wait for `timeout` seconds and no longer, then raise StoreBusy")
    def test_busy_is_told_in_time(
        self,
        store: Store,
        hold_store: Callable[[], AbstractContextManager[object]],
    ) -> None:
        """A store that somebody holds costs the caller its timeout, and little more."""
        submit(store, Alert("t"))
        with hold_store():
            began = time.monotonic()
            with pytest.raises(StoreBusy):
                store.submit(submission(Alert("u"), "inbox"), NOW, timeout=0.05)
            took = time.monotonic() - began

        assert took < 2, f"it took {took:.2f} s, with 0.05 s to wait"
        assert isinstance(submit(store, Alert("u")), Granted)

    @advise("let each delivery be claimed by one worker, and settled once")
    def test_many_threads(self, stores: tuple[Store, Store]) -> None:
        """Eight threads submit, claim and settle: nothing is lost, nothing sent twice."""
        sent: list[str] = []
        errors: list[BaseException] = []

        def work(number: int) -> None:
            store = stores[number % 2]
            try:
                for i in range(10):
                    alert = Alert(f"{number} {i}", id=f"{number}-{i}")
                    _patiently(lambda a=alert: submit(store, a))  # type: ignore[misc]  # a default
                    for claim in _patiently(lambda: claims(store, most=2)):
                        sent.append(claim.delivery_id)
                        _patiently(lambda c=claim: deliver(store, c))  # type: ignore[misc]  # likewise
            except BaseException as error:  # noqa: BLE001 - it is told below
                errors.append(error)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        while found := claims(stores[0], most=50):
            for claim in found:
                sent.append(claim.delivery_id)
                deliver(stores[0], claim)

        assert not errors
        assert len(sent) == len(set(sent)), "a delivery was handed out twice"
        expected = {f"{n}-{i}.inbox" for n in range(8) for i in range(10)}
        assert set(sent) == expected, "a delivery was never handed out"
        assert stores[0].pending() == 0

    @advise("hold a lock that other processes heed, or use the service's transactions")
    def test_two_processes(
        self, store: Store, in_processes: Callable[[str, int], None]
    ) -> None:
        """Two processes that submit at the same time keep all, and admit a key once."""
        in_processes(_IN_PROCESS, 2)

        records = store.history(limit=99)
        titles = [record.alert.title for record in records]
        assert sorted(titles) == sorted(
            [*(f"{n} {i}" for n in range(2) for i in range(15)), "same"]
        )
        (untold,) = store.untold()
        assert untold.suppression.count == 2 * 15 - 1

    @advise("commit the alert and its window together, before submit returns")
    def test_what_is_granted_survives_a_kill(
        self, store: Store, in_processes: Callable[[str, int], None]
    ) -> None:
        """A process that is killed right after submit returned has lost nothing."""
        in_processes(_KILLED, 1)

        assert claim_one(store).alert.title == "t"
        assert isinstance(submit(store, Alert("t"), NOW + 1), Withheld)

    @advise("settle writes once: after it the claim's token is worth nothing")
    def test_settled_once(self, store: Store) -> None:
        """Whoever settles a claim a second time is refused, and changes nothing."""
        submit(store, Alert("t", id="1"))
        claim = claim_one(store)
        settled = deliver(store, claim)

        assert settled is not None
        assert settled.outcome == Delivered(Receipt())
        assert store.settle(claim, Failed(reason="no"), NOW) is None
        store.release([claim], NOW)
        assert status(store, "1") == {"inbox": "delivered"}


def _patiently(step: Callable[[], _T]) -> _T:
    """Take a step again while somebody else holds the store, for a minute."""
    until = time.monotonic() + 60
    while True:
        try:
            return step()
        except StoreBusy:
            if time.monotonic() > until:
                raise


_IN_PROCESS = """
for i in range(15):
    for title, key in ((f"{number} {i}", ""), ("same", "same")):
        alert = Alert(title, key=key, wait_duration=3600)
        while True:
            try:
                submit(store, alert)
            except StoreBusy:
                continue
            break
"""
_KILLED = """
submit(store, Alert("t"))
import os
os._exit(0)
"""
