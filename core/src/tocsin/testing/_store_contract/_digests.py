"""Alerts that are gathered for a while, and go as one message."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tocsin._alert import Alert
from tocsin._attachment import Attachment
from tocsin._provider import Receipt
from tocsin._retry import Failed, Pending
from tocsin._routing import Route
from tocsin._silence import Silence
from tocsin._store import Status
from tocsin.testing._store_contract._storing import (
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

    from tocsin._store import Claim, Store


WAIT = 60.0
PLAN = (Route("inbox", digest=WAIT),)


def keep(
    store: Store,
    titles: str,
    now: float = NOW,
    plan: Iterable[Route] = PLAN,
    attachments: Iterable[Attachment] = (),
) -> None:
    """Submit an alert of each title, a second apart."""
    for seconds, title in enumerate(titles):
        alert = Alert(title, id=title, attachments=tuple(attachments))
        submit(store, alert, now + seconds, plan=plan)


def gathered(store: Store, titles: str = "abcd") -> Claim:
    """Let the first go at once; return the claim of the others, when their time comes."""
    keep(store, titles)
    deliver(store, claim_one(store, NOW + 9))
    return claim_one(store, NOW + WAIT)


def titles(claim: Claim) -> list[str]:
    return [member.alert.title for member in claim.members] or [claim.alert.title]


def fates(store: Store, titles: str = "abcd") -> list[str]:
    return [status(store, title)["inbox"] for title in titles]


class Digests:
    """Alerts that are gathered for a while, and go as one message."""

    @advise(
        "a route with a digest: the first goes at once, and begins a window of so many seconds; what comes within is held until its end, under its id"
    )
    def test_digest_the_first_goes_at_once(self, store: Store) -> None:
        """Then the rest of the window goes as one, and none of them sooner."""
        keep(store, "abcd")

        (first,) = claims(store, NOW + 9)
        assert titles(first) == ["a"]
        assert store.next_due(["inbox"]) == NOW + 39  # the lease of the first
        deliver(store, first)
        assert store.next_due(["inbox"]) == NOW + WAIT
        assert claims(store, NOW + WAIT - 1) == []
        (rest,) = claims(store, NOW + WAIT)
        assert titles(rest) == ["b", "c", "d"]

    @advise("a claim has the places of all members; settle writes the outcome to each")
    def test_digest_one_attempt_settles_all(self, store: Store) -> None:
        """One delivery is made, under the first one's id, and all have its receipt."""
        claim = gathered(store)
        assert (claim.delivery_id, claim.progress.attempt) == ("b.inbox", 1)
        deliver(store, claim, NOW + WAIT, reference="42")

        records = [store.deliveries(title)[0] for title in "bcd"]
        assert {record.status for record in records} == {Status.DELIVERED}
        assert {record.receipt for record in records} == {Receipt(reference="42")}
        assert {record.settled_at for record in records} == {
            datetime.fromtimestamp(NOW + WAIT, UTC)
        }
        assert store.pending() == 0

    @advise(
        "members of a claim keep the digest's id, so that they are claimed together again, and begin a new one for what comes then"
    )
    def test_digest_a_retry_has_the_same_members(self, store: Store) -> None:
        """What is tried again is the same message, whatever came in since."""
        claim = gathered(store)
        pending = Pending(
            due=NOW + 65, reason="down", state={"owed": 1}, ambiguous=True
        )
        store.settle(claim, pending, NOW + WAIT)
        keep(store, "ef", NOW + 61)

        (again,) = claims(store, NOW + 65)
        assert again.delivery_id == claim.delivery_id
        assert titles(again) == titles(claim)
        assert again.progress.attempt == 2
        assert again.progress.ambiguous == 1
        assert again.progress.state == {"owed": 1}

    @advise(
        "members of a claim keep the digest's id, so that they are claimed together again, and begin a new one for what comes then"
    )
    def test_digest_a_worker_that_dies(self, stores: tuple[Store, Store]) -> None:
        """A claim that is lost is made once more, with the same id and members."""
        one, two = stores
        claim = gathered(one)
        keep(two, "e", NOW + 61)

        (again,) = claims(two, NOW + WAIT + 30)
        assert again.delivery_id == claim.delivery_id
        assert titles(again) == titles(claim)
        assert one.settle(claim, Failed(reason="stale"), NOW + 95) is None
        deliver(two, again, NOW + 95)
        assert fates(two) == ["delivered"] * 4

    @advise("release gives back every place of the claim")
    def test_digest_what_is_released(self, store: Store) -> None:
        """A claim that is given back is no attempt, for none of them."""
        claim = gathered(store)
        store.release([claim], NOW + WAIT, delay=5)

        again = claim_one(store, NOW + 65)
        assert titles(again) == titles(claim)
        assert again.progress.attempt == 1

    @advise(
        "each member ends as failed by itself; one that is requeued is in no digest"
    )
    def test_digest_all_fail(self, store: Store) -> None:
        """A message that is refused is a failed delivery of each; one alone can be replayed."""
        store.settle(gathered(store), Failed(reason="no"), NOW + WAIT)

        assert fates(store) == ["delivered", "failed", "failed", "failed"]
        assert store.requeue("c.inbox", NOW + 61)
        claim = claim_one(store, NOW + 61)
        assert (claim.delivery_id, claim.members) == ("c.inbox", ())

    @advise("a digest of one is no digest: no members, and it leaves the digest")
    def test_digest_one_alone(self, store: Store) -> None:
        """With a single one in the window, it is an alert like any other."""
        claim = gathered(store, "ab")

        assert (claim.delivery_id, claim.members) == ("b.inbox", ())
        assert claim.alert.title == "b"

    @advise(
        "a claim of a digest's first attempt begins the next window, of as many seconds"
    )
    def test_digest_it_gathers_again(self, store: Store) -> None:
        """After a message of many the window begins anew; a quiet window ends it."""
        deliver(store, gathered(store, "abc"), NOW + WAIT)
        keep(store, "de", NOW + 61)

        assert claims(store, NOW + 119) == []
        (second,) = claims(store, NOW + 120)
        assert titles(second) == ["d", "e"]
        deliver(store, second, NOW + 120)
        keep(store, "f", NOW + 180)
        assert titles(claim_one(store, NOW + 180)) == ["f"]

    @advise("give the next window an id of its own")
    def test_digest_two_windows_are_two_messages(self, store: Store) -> None:
        """What was gathered before and after a message of many does not mix, however late."""
        keep(store, "abc")
        deliver(store, claim_one(store, NOW + 9))
        first = claim_one(store, NOW + 500)
        keep(store, "de", NOW + 501)

        assert titles(first) == ["b", "c"]
        # the worker of the first died
        again, second = claims(store, NOW + 500 + WAIT)
        assert titles(again) == ["b", "c"]
        assert titles(second) == ["d", "e"]

    @advise("keep one open window for each channel")
    def test_digest_channels_gather_apart(self, store: Store) -> None:
        """Each channel has its own window, and its own members."""
        for title, plan in (("a", PLAN), ("b", [*PLAN, Route("other", digest=WAIT)])):
            keep(store, title, plan=plan)
        keep(store, "c", plan=[Route("other", digest=WAIT)])

        assert titles(claim_one(store, NOW + 1)) == ["a"]
        assert titles(claim_one(store, NOW + 1, "other")) == ["b"]
        assert titles(claim_one(store, NOW + WAIT)) == ["a"]  # its lease ran out first
        assert titles(claim_one(store, NOW + WAIT)) == ["b"]
        assert titles(claim_one(store, NOW + WAIT + 1, "other")) == ["b"]
        assert titles(claim_one(store, NOW + WAIT + 1, "other")) == ["c"]

    @advise("what a route holds until one time, and gathers, is claimed as one")
    def test_digest_held_and_gathered(self, store: Store) -> None:
        """What quiet hours hold goes as one message at their end."""
        held = [Route("inbox", not_before=NOW + 3600, digest=WAIT)]
        keep(store, "abc", plan=held)

        assert claims(store, NOW + 3599) == []
        (claim,) = claims(store, NOW + 3600)
        assert titles(claim) == ["a", "b", "c"]

    @advise("look at silences for each member")
    def test_digest_a_silenced_member(self, store: Store) -> None:
        """What is silenced meanwhile is left out, of what is tried again too."""
        keep(store, "abcd")
        deliver(store, claim_one(store, NOW + 9))
        store.silence(Silence(id="s", title="c", starts_at=NOW, ends_at=NOW + 999))

        assert titles(claim_one(store, NOW + WAIT)) == ["b", "d"]
        assert status(store, "c") == {"inbox": "silenced"}
        store.silence(Silence(id="t", title="b", starts_at=NOW, ends_at=NOW + 999))
        again = claim_one(store, NOW + WAIT + 30)
        assert titles(again) == ["d"]

    @advise(
        "give each member its attachments, and keep them until all of its deliveries are delivered"
    )
    def test_digest_attachments_of_all(self, store: Store) -> None:
        """Each member has its attachments, and they are kept until it has arrived."""
        keep(store, "abc", attachments=[Attachment("f", b"x")])
        deliver(store, claim_one(store, NOW + 9))
        claim = claim_one(store, NOW + WAIT)
        store.settle(claim, Pending(due=NOW + 65, reason="down"), NOW + WAIT)

        again = claim_one(store, NOW + 65)
        assert all(member.alert.attachments for member in again.members)
