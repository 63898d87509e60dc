from __future__ import annotations

import contextlib
import gc
import logging
import signal
import sqlite3
import threading
import time
import uuid
from datetime import timedelta

import attrs
import pytest
from conftest import Recorder

import tocsin
from tocsin import (
    Admitted,
    Alert,
    ConfigError,
    Deferred,
    Disabled,
    Notifier,
    Origin,
    Receipt,
    Refused,
    Rejected,
    RetryLater,
    Settings,
    Status,
    Subscription,
    Suppressed,
    Unrouted,
)


def settings(inbox, submit_timeout=10.0, **changes):
    return Settings(
        submit_timeout=submit_timeout,
        user="ada",
        channels={"inbox": Recorder(inbox)},
        subscriptions=[Subscription(channels=["inbox"])],
        **changes,
    )


def test_an_alert_arrives(notifier, inbox):
    """An alert that is raised is delivered, and its receipt can be waited for."""
    result = notifier.notify(Alert("Disk full", "90 %", "ERROR"))

    (delivery,) = result.wait(10)
    assert result.channels == ("inbox",)
    assert delivery.status is Status.DELIVERED
    assert delivery.receipt == Receipt(reference="1")
    assert inbox.titles == ["Disk full"]
    assert inbox.messages[0].text.startswith("[ERROR] Disk full\n\n90 %")


def test_suppressed_then_told(notifier, inbox, clock):
    """A second one in the window is suppressed, and the one after it tells how many."""
    notifier.notify(Alert("Low", wait_duration=300)).wait(10)
    clock.advance(10)
    second = notifier.notify(Alert("Low", wait_duration=300))
    clock.advance(10)
    third = notifier.notify(Alert("Low", wait_duration=300))
    clock.advance(280)
    fourth = notifier.notify(Alert("Low", wait_duration=300))
    fourth.wait(10)

    assert isinstance(second, Suppressed)
    assert (second.count, third.count) == (1, 2)
    assert second.until == third.until
    assert isinstance(fourth, Admitted)
    assert fourth.suppressed == 2
    (note,) = inbox.messages[-1].notes
    assert note.startswith("2 more like it suppressed since")


def test_a_higher_level_passes(notifier, clock):
    """Within a window only a level above the last admitted one is admitted."""
    results = [
        notifier.notify(Alert("Low", level=level))
        for level in ("INFO", "INFO", "WARN", "INFO", "WARN", "ERROR", "ERROR")
    ]

    kinds = [type(result) for result in results]
    assert [kind is Admitted for kind in kinds] == [1, 0, 1, 0, 0, 1, 0]


def test_the_same_value_can_be_raised_again(notifier, inbox, clock):
    """An alert is a value: each time it is raised it is another one."""
    alert = Alert("Disk full")
    first = notifier.notify(alert)
    first.wait(10)
    clock.advance(60)
    second = notifier.notify(alert)
    second.wait(10)

    assert first.alert_id != second.alert_id
    assert inbox.titles == ["Disk full", "Disk full"]


def test_an_id_of_ones_own_is_kept_once(notifier, inbox, clock):
    """An alert that is raised again under its own id is the same one."""
    notifier.notify(Alert("Disk full", id="job-7")).wait(10)
    clock.advance(60)
    notifier.notify(Alert("Disk full", id="job-7")).wait(10)

    assert inbox.titles == ["Disk full"]
    assert inbox.deliveries[0].id == "job-7.inbox"


def test_unrouted_is_recorded(inbox, clock):
    """What goes nowhere is in the history, once in its wait, and opens no window."""
    wish = Subscription(channels=["inbox"], min_level=tocsin.AlertLevel.ERROR)
    quiet = attrs.evolve(settings(inbox, state_dir=":memory:"), subscriptions=[wish])
    with Notifier(quiet, namespace="tests", clock=clock) as notifier:
        results = [notifier.notify(Alert("x")) for _ in range(2)]
        loud = notifier.notify(Alert("x", level="ERROR"))

        assert [type(result) for result in results] == [Unrouted, Unrouted]
        assert isinstance(loud, Admitted)
        assert results[0] == results[1]
        assert len(notifier.store().history(limit=9)) == 2
        clock.advance(60)
        notifier.notify(Alert("x"))
        assert len(notifier.store().history(limit=9)) == 3


def test_teams_and_projects(inbox, clock):
    """`notify` takes a team and a project; the team must be known and have the user."""
    wish = Subscription(
        scope=tocsin.Scope.TEAM, owner="vision", channels=["inbox"], projects=["prod-*"]
    )
    teams = {"vision": frozenset({"ada"}), "audio": frozenset({"grace"})}
    ours = Settings(
        user="ada",
        channels={"inbox": Recorder(inbox)},
        subscriptions=[wish],
        teams=teams,
        state_dir=":memory:",
    )
    with Notifier(ours, namespace="tests", clock=clock) as notifier:
        taken = notifier.notify(Alert("x"), team="vision", project="prod-1")
        elsewhere = notifier.notify(Alert("x"), team="vision", project="play")

        assert isinstance(taken, Admitted)
        assert isinstance(elsewhere, Unrouted)
        with pytest.raises(ConfigError, match="did you mean 'vision'"):
            notifier.notify(Alert("x"), team="visoin")
        with pytest.raises(ConfigError, match="'ada' is not a member"):
            notifier.notify(Alert("x"), team="audio")


def test_disabled_does_nothing(inbox):
    """In disabled mode nothing is kept, nothing is opened."""
    with Notifier(settings(inbox), namespace="tests", mode="disabled") as notifier:
        assert notifier.notify(Alert("x")) == Disabled()
    assert inbox.messages == []


def test_offline_is_delivered_later(inbox, clock):
    """What is raised offline is kept with its own time, and marked late when delivered."""
    with Notifier(
        settings(inbox), namespace="tests", mode="offline", clock=clock
    ) as offline:
        result = offline.notify(Alert("x"))
        assert isinstance(result, Admitted)
        assert [d.status for d in result.wait(0)] == [Status.PENDING]
    clock.advance(timedelta(days=3).total_seconds())

    with Notifier(settings(inbox), namespace="tests", clock=clock) as online:
        online.flush(10)

    (message,) = inbox.messages
    assert message.notes == ("Delivered late: it happened at 2027-01-15 08:00:00 UTC.",)


def test_retry_after_holds_the_channel(notifier, inbox, clock):
    """After 429 with Retry-After nothing goes to that channel before, and then all do."""

    def busy():
        raise RetryLater("429", after=30)

    inbox.answers.append(busy)
    first = notifier.notify(Alert("a"))
    inbox.wait_for(1)
    notifier.flush(10)
    second = notifier.notify(Alert("b"))
    notifier.flush(10)
    clock.advance(29.9)
    notifier.flush(10)
    assert len(inbox.messages) == 1
    clock.advance(30)
    notifier.flush(10)

    assert {d.status for d in first.wait(0) + second.wait(0)} == {Status.DELIVERED}
    assert sorted(inbox.titles) == ["a", "a", "b"]
    assert {d.attempt for d in inbox.deliveries if d.id.startswith(first.alert_id)} == {
        1,
        2,
    }


def test_state_comes_back(notifier, inbox, clock):
    """What a provider gives along when it asks for a retry comes back with it."""

    def partly():
        raise RetryLater("one is owed", state={"owed": ["x@y"]})

    inbox.answers.append(partly)
    result = notifier.notify(Alert("a"))
    inbox.wait_for(1)
    notifier.flush(10)
    clock.advance(3)
    notifier.flush(10)

    assert result.wait(5)[0].status is Status.DELIVERED
    assert [d.state for d in inbox.deliveries] == [{}, {"owed": ["x@y"]}]
    assert len({d.id for d in inbox.deliveries}) == 1


def test_rejected_is_final_and_told(notifier, inbox, caplog):
    """A refusal ends as failed, with reason and remedy, and is told in the log once."""

    def refuse():
        raise Rejected("no such channel", remedy="create it")

    inbox.answers.append(refuse)
    (delivery,) = notifier.notify(Alert("a")).wait(10)
    notifier.flush(10)

    assert (delivery.status, delivery.reason) == (Status.FAILED, "no such channel")
    assert delivery.remedy == "create it"
    (record,) = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert "create it" in record.getMessage()
    assert f"tocsin replay {delivery.id}" in record.getMessage()


@pytest.mark.parametrize(
    "error", [ValueError("boom"), SystemExit(3), KeyboardInterrupt(), "no receipt"]
)
def test_a_provider_that_raises_anything_is_isolated(notifier, inbox, clock, error):
    """Whatever a provider does, it is asked a bounded number of times, and told."""

    def misbehave():
        if isinstance(error, str):
            return error
        raise error

    inbox.answers += [misbehave] * 9
    result = notifier.notify(Alert("a"))
    for count in (1, 2, 3):
        inbox.wait_for(count)
        notifier.flush(10)
        clock.advance(600)
    notifier.flush(10)

    (delivery,) = result.wait(5)
    assert delivery.status is Status.FAILED
    assert delivery.attempts == 3
    assert "may have arrived" in delivery.reason


def test_a_hanging_provider_is_given_up(inbox, clock):
    """A worker that hangs is given up after its time; other channels flow."""
    release = threading.Event()

    def hang():
        release.wait(30)
        return Receipt()

    slow = type(inbox)()
    slow.answers += [hang]
    both = Settings(
        user="ada",
        channels={"slow": Recorder(slow), "inbox": Recorder(inbox)},
        subscriptions=[Subscription(channels=["slow", "inbox"])],
        timeout=0.2,
        state_dir=":memory:",
    )
    with Notifier(both, namespace="tests", clock=clock) as notifier:
        result = notifier.notify(Alert("a"))
        inbox.wait_for(1)
        deadline = time.monotonic() + 10
        while not result.wait(0)[0].reason and time.monotonic() < deadline:
            notifier.flush(0.1)

        stuck, fine = result.wait(0)
        assert stuck.status is Status.PENDING
        assert stuck.reason == "no answer within 0.2 s"
        assert fine.status is Status.DELIVERED
        release.set()
        notifier.close(0)


def test_a_locked_database_defers(inbox, tmp_path):
    """A store that is held costs the caller its deadline, and nothing is lost."""
    with Notifier(settings(inbox, 0.05), namespace="tests") as notifier:
        while not notifier.notify(Alert("first", wait_duration=0, id="1")).wait(10):
            pass
        other = sqlite3.connect(tmp_path / "state" / "tocsin.db", isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        result = notifier.notify(Alert("second"))
        took = time.monotonic() - began
        again = notifier.notify(Alert("second"))
        other.execute("ROLLBACK")
        other.close()

        assert isinstance(result, Deferred)
        assert took < 2
        assert isinstance(again, Suppressed)
        assert result.wait(10)[0].status is Status.DELIVERED
        assert inbox.titles == ["first", "second"]
        assert inbox.messages[1].notes[0].startswith("1 more like it suppressed")


def test_a_read_only_state_directory(inbox, tmp_path, caplog):
    """Without a folder to write to, alerts are kept in memory, delivered, and it is told."""
    (tmp_path / "file").write_text("")
    blocked = settings(inbox, state_dir=str(tmp_path / "file" / "state"))
    with Notifier(blocked, namespace="tests") as notifier:
        result = notifier.notify(Alert("x"))

        assert result.wait(10)[0].status is Status.DELIVERED
    (record,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert "TOCSIN_STATE_DIR" in record.getMessage()


def test_a_full_store_refuses_and_tells(inbox, clock, caplog, monkeypatch):
    """Past the bound a call is refused, says so, and the program goes on."""
    full = settings(inbox, state_dir=":memory:")
    with Notifier(full, namespace="tests", mode="offline", clock=clock) as notifier:
        notifier.store()._max_pending = 1
        results = [notifier.notify(Alert(title)) for title in ("a", "b")]

    assert [type(result) for result in results] == [Admitted, Refused]
    assert "tocsin drain" in caplog.text


def test_attachments_are_copied_when_raised(notifier, inbox, tmp_path, clock):
    """A file is read when the alert is admitted; one that is gone is told in the text."""
    plot = tmp_path / "plot.png"
    plot.write_bytes(b"PNG")
    notifier.notify(Alert("a", "text", attachments=[plot, tmp_path / "gone.png"]))
    plot.unlink()
    notifier.flush(10)

    (message,) = inbox.messages
    assert [(a.name, a.content) for a in message.attachments] == [("plot.png", b"PNG")]
    assert "attachment left out: gone.png: No such file" in message.alert.text


def test_a_suppressed_alert_reads_no_attachment(notifier):
    """What is suppressed costs nothing: no figure is drawn."""

    class Figure:
        drawn = 0

        def savefig(self, file, *, format):  # noqa: A002
            Figure.drawn += 1

    for _ in range(3):
        notifier.notify(Alert("a", attachments=Figure()))

    assert Figure.drawn == 1


def test_counts_are_written_within_a_second_or_two(inbox):
    """A local count reaches the store while the program goes on."""
    with Notifier(settings(inbox), namespace="tests") as notifier:
        notifier.notify(Alert("a")).wait(10)
        notifier.notify(Alert("a"))
        deadline = time.monotonic() + 10
        while not notifier.store().untold() and time.monotonic() < deadline:
            threading.Event().wait(0.02)

        assert notifier.store().untold()[0].suppression.count == 1


def test_origin_is_filled_in(notifier, inbox):
    """User and host are filled in; what the alert says itself stays."""
    notifier.notify(Alert("a", origin=Origin(host="node7", run="r1"))).wait(10)

    origin = inbox.messages[0].alert.origin
    assert (origin.user, origin.host, origin.run) == ("ada", "node7", "r1")


def test_threads_raise_at_once(inbox):
    """Many threads raise one key at the same time: one is admitted, all are counted."""
    barrier = threading.Barrier(16)
    results = []
    with Notifier(settings(inbox), namespace="tests") as notifier:

        def raise_one():
            barrier.wait()
            results.append(notifier.notify(Alert("a")))

        threads = [threading.Thread(target=raise_one) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        notifier.flush(10)

        assert sum(isinstance(result, Admitted) for result in results) == 1
        assert notifier.store().untold()[0].suppression.count == 15
    assert inbox.titles == ["a"]


def test_settings_check_themselves(inbox):
    """Settings made in code name every mistake, with the nearest right name."""
    wishes = [
        Subscription(channels=["inbx"]),
        Subscription(scope=tocsin.Scope.TEAM, owner="t", channels=["inbox"]),
    ]

    with pytest.raises(ConfigError) as caught:
        Settings(channels={"inbox": Recorder(inbox)}, subscriptions=wishes)

    messages = [problem.message for problem in caught.value.problems]
    assert messages == [
        "no channel 'inbx': did you mean 'inbox'?",
        "no team 't': there is none",
    ]


def test_a_closed_notifier_starts_again(inbox):
    """An alert that is raised after close() is delivered like any other."""
    notifier = Notifier(settings(inbox), namespace="tests")
    notifier.notify(Alert("a")).wait(10)
    notifier.close()

    (delivery,) = notifier.notify(Alert("b")).wait(10)
    notifier.close()

    assert delivery.status is Status.DELIVERED
    assert inbox.titles == ["a", "b"]


def test_a_full_store_delivers_all_the_same(inbox):
    """With no room for what was spilled, what is pending is delivered first."""
    with Notifier(settings(inbox), namespace="tests", mode="offline") as offline:
        offline.store()._max_pending = 2
        for title in ("a", "b"):
            offline.notify(Alert(title))
        offline.state.spill.write(Alert("c", id="c", origin=Origin(user="ada")))
    with Notifier(settings(inbox), namespace="tests") as online:
        online.store()._max_pending = 2
        online.flush(10)

    assert sorted(inbox.titles) == ["a", "b", "c"]


def test_an_alert_in_a_signal_handler(notifier, inbox):
    """An alert that is raised while another is being raised does not deadlock."""
    previous = signal.signal(
        signal.SIGALRM, lambda *_: notifier.notify(Alert("alarm", wait_duration=0))
    )
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    try:
        results = [notifier.notify(Alert(f"loop {n}")) for n in range(300)]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)

    assert notifier.flush(30)
    assert not any(isinstance(result, Refused) for result in results)
    assert inbox.titles.count("alarm") > 0
    assert len(set(inbox.titles) - {"alarm"}) == 300


@pytest.mark.parametrize(
    "answer",
    [
        lambda: Receipt(reference=uuid.uuid4()),
        lambda: _raised(Rejected(ValueError("no"))),
        lambda: _raised(RetryLater("later", state={("a", "b"): 1})),
        lambda: _raised(Unspeakable()),
    ],
    ids=["reference of another type", "reason of another type", "state", "no message"],
)
def test_an_answer_that_fits_nothing_costs_no_worker(notifier, inbox, clock, answer):
    """A careless provider's answer is kept as well as can be, and the channel goes on."""
    for _ in range(9):
        inbox.answers.append(answer)
        notifier.notify(Alert("careless", wait_duration=0))
        notifier.flush(10)
        clock.advance(400)
    inbox.answers.clear()

    (delivery,) = notifier.notify(Alert("good")).wait(10)
    assert delivery.status is Status.DELIVERED


class Unspeakable(Exception):  # noqa: N818
    def __str__(self):
        raise RuntimeError("even its message is broken")


def _raised(error):
    raise error


def test_a_long_time_limit_needs_a_long_lease(inbox):
    """An attempt that may take longer than the usual lease is made all the same."""
    patient = settings(inbox, timeout=60.0, state_dir=":memory:")
    with Notifier(patient, namespace="tests") as notifier:
        assert notifier.notify(Alert("a")).wait(10)[0].status is Status.DELIVERED


def test_an_id_belongs_to_its_namespace(inbox):
    """The same id in two namespaces, or after it went nowhere, is never a false promise."""
    with (
        Notifier(settings(inbox), namespace="one") as one,
        Notifier(settings(inbox), namespace="two") as two,
    ):
        alert = Alert("nightly", id="nightly-1")
        results = [one.notify(alert), two.notify(alert)]

        assert [len(result.wait(10)) for result in results] == [1, 1]
        nowhere = Notifier(Settings(user="ada"), namespace="three")
        nowhere.notify(alert)
        nowhere.close()
        three = Notifier(settings(inbox), namespace="three")
        assert isinstance(three.notify(attrs.evolve(alert, level="ERROR")), Unrouted)
        three.close()
    assert len(inbox.messages) == 2


def test_finish_keeps_its_time(inbox, tmp_path):
    """With a store that another process holds, closing takes its limit, and raises nothing."""
    notifier = Notifier(settings(inbox, 0.05), namespace="tests")
    notifier.notify(Alert("a")).wait(10)
    other = sqlite3.connect(tmp_path / "state" / "tocsin.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    notifier.notify(Alert("b"))
    notifier.notify(Alert("b"))
    began = time.monotonic()
    notifier.flush(0.5)
    assert notifier.untold("", timeout=0.2) == []
    notifier.close(0.5)
    took = time.monotonic() - began
    other.execute("ROLLBACK")
    other.close()

    assert took < 4
    with Notifier(settings(inbox), namespace="tests") as again:
        assert again.flush(10)
    assert inbox.titles == ["a", "b"]


def test_close_during_an_attempt(inbox):
    """What is under way when time is up goes on, and a later alert is delivered too."""
    release = threading.Event()

    def hang():
        release.wait(10)
        return Receipt()

    inbox.answers.append(hang)
    notifier = Notifier(settings(inbox), namespace="tests")
    notifier.notify(Alert("slow"))
    inbox.wait_for(1)
    notifier.close(0.05)
    result = notifier.notify(Alert("later"))
    release.set()

    assert result.wait(10)[0].status is Status.DELIVERED
    notifier.close()


def test_an_interrupt_leaves_the_store_usable(inbox, tmp_path):
    """An exception out of a signal handler, in the middle of a call, holds no lock."""
    patient = attrs.evolve(settings(inbox), submit_timeout=10.0)
    notifier = Notifier(patient, namespace="tests", mode="offline")
    notifier.notify(Alert("first"))

    def interrupt(*_):
        raise KeyboardInterrupt

    gc.collect()  # an interrupt in a finalizer of an earlier test's would be told
    previous = signal.signal(signal.SIGALRM, interrupt)
    try:
        for number in range(40):
            with contextlib.suppress(KeyboardInterrupt):
                signal.setitimer(signal.ITIMER_REAL, 0.0002 + number * 0.00005)
                while True:  # until the interrupt
                    notifier.notify(Alert(f"{number} {time.monotonic()}"))
    finally:
        signal.signal(signal.SIGALRM, previous)
    last = notifier.notify(Alert("last"))
    notifier.close()

    assert isinstance(last, Admitted)
    with sqlite3.connect(tmp_path / "state" / "tocsin.db", timeout=1) as database:
        database.execute("BEGIN IMMEDIATE")
    database.close()


def test_suppressed_counts_do_not_fall(notifier, clock):
    """What a caller is told grows with each suppressed alert, whatever is written when."""
    notifier.notify(Alert("a"))
    counts = []
    for _ in range(4):
        counts.append(notifier.notify(Alert("a")).count)
        notifier.flush(10)

    assert counts == [1, 2, 3, 4]


def test_offline_counts_are_written(inbox):
    """Offline too, counts reach the store while the program goes on."""
    offline = settings(inbox)
    with Notifier(offline, namespace="tests", mode="offline") as notifier:
        notifier.notify(Alert("a"))
        notifier.notify(Alert("a"))
        deadline = time.monotonic() + 10
        while not notifier.store().untold() and time.monotonic() < deadline:
            threading.Event().wait(0.02)

        assert notifier.store().untold()[0].suppression.count == 1
        assert inbox.messages == []
