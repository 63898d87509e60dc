"""What is raised in a capture is there to be seen, and nothing of it leaves."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from conftest import Inbox, Recorder, eventually

import tocsin
import tocsin.logging
from tocsin import Alert, Limits, Message, Provider, Receipt, Settings, Subscription
from tocsin.testing import capture

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


@attrs.frozen
class Loud(Provider):
    """A provider that must not be called, with ways of its own to render."""

    token: tocsin.Secret

    name = "loud"
    limits = Limits(title=9)
    escape = staticmethod(str.upper)

    def deliver(self, message, delivery):
        raise AssertionError("something left the process")

    def open(self):
        raise AssertionError("something left the process")

    def conversation(self, alert):
        return alert.origin.run


def loud(**subscription):
    return Settings(
        user="ada",
        channels={"ops": Loud(tocsin.Secret(tocsin.FromEnv("NOT_THERE")))},
        subscriptions=[Subscription(channels=["ops"], **subscription)],
    )


def test_an_alert_is_there_at_once():
    """Reading waits for what is under way: a test never does."""
    with capture() as alerts:
        tocsin.alert("Disk full", "0 bytes left", level="ERROR", tags=["disk"])

        (sent,) = alerts
        assert (sent.title, sent.text, sent.level.value) == (
            *("Disk full", "0 bytes left"),
            "ERROR",
        )
        assert (sent.channel, sent.kind, sent.tags) == (
            *("alerts", "scriptable"),
            ("disk",),
        )
        assert sent.message.text.startswith("[ERROR] Disk full\n\n0 bytes left")


def test_what_was_seen_stays_after_the_block():
    with capture() as alerts:
        tocsin.alert("Disk full")

    tocsin.alert("Another")
    assert alerts.titles == ["Disk full"]


def test_nothing_is_written(home, tmp_path):
    """No file is made, no store and no configuration."""
    with capture() as alerts:
        tocsin.init(project="mnist").alert("Disk full")
        assert len(alerts) == 1

    assert not home.exists()
    assert list(tmp_path.iterdir()) == []


def test_the_users_configuration_is_not_read(home):
    """A file with mistakes does not matter, nor where TOCSIN_CONFIG leads."""
    folder = home / ".config" / "tocsin"
    folder.mkdir(parents=True)
    (folder / "tocsin.toml").write_text("nonsense")

    with capture() as alerts:
        tocsin.alert("Disk full")

    alerts.assert_count(1)


@pytest.mark.parametrize("mode", ["disabled", "offline", "nonsense"])
def test_the_mode_of_the_environment_does_not_hold(mode, monkeypatch):
    """A machine for tests has alerts switched off: they are captured all the same."""
    monkeypatch.setenv("TOCSIN_MODE", mode)

    with capture() as alerts:
        tocsin.alert("Disk full")

    alerts.assert_count(1)
    assert os.environ["TOCSIN_MODE"] == mode


def test_a_mode_in_the_code_holds():
    with capture() as alerts, tocsin.init(mode="disabled") as run:
        run.alert("Disk full")

    alerts.assert_none()


def test_a_message_is_what_the_channel_would_get():
    """It is cut and escaped as the channel's own provider has it, and kept in one piece."""
    with capture(settings=loud()) as alerts:
        tocsin.alert("Disk full on /var")

    (sent,) = alerts
    assert sent.message.title.startswith("DISK")
    assert len(sent.message.title) <= 9
    assert sent.title == "Disk full on /var"


def test_conversations_are_those_of_the_provider():
    with capture(settings=loud()) as alerts:
        run = tocsin.init(project="mnist")
        run.alert("First")
        run.alert("Second")

    first, second = alerts
    assert first.delivery.thread is None
    assert second.delivery.thread == Receipt(reference="1", place="ops")


def test_teams_are_routed_by_a_file(tmp_path):
    """A configuration's routing holds wherever the program looks for one."""
    file = tmp_path / "tocsin.toml"
    file.write_text(
        """
        [user]
        name = "ada"
        channels = ["dm"]
        min_level = "ERROR"

        [teams.vision]
        members = ["ada"]
        channels = ["ops"]

        [channels.dm]
        provider = "slack"
        token = { env = "NOT_THERE" }
        channel = "U0ADA"

        [channels.ops]
        provider = "slack"
        token = { env = "NOT_THERE" }
        channel = "C0OPS"
        """
    )
    with capture(config=file) as alerts:
        tocsin.init(project="mnist", team="vision")
        tocsin.alert("Loss is high")
        tocsin.alert("Loss is NaN", level="ERROR")
        tocsin.finish()
        with tocsin.Notifier.from_config("elsewhere.toml") as notifier:
            notifier.notify(Alert("Bill is due"))
            notifier.notify(Alert("Disk full", level="ERROR"))

    assert [(one.title, one.channel) for one in alerts] == [
        ("Loss is high", "ops"),
        ("Loss is NaN", "dm"),
        ("Loss is NaN", "ops"),
        ("Disk full", "dm"),
    ]
    assert [one.title for one in alerts.unrouted] == ["Bill is due"]
    assert "title" in alerts[0].message.parts


def test_mistakes_of_a_file_are_told(tmp_path):
    (tmp_path / "tocsin.toml").write_text("[user]\nchannels = ['ops']\n")

    with (
        pytest.raises(tocsin.ConfigError, match="no channel 'ops'"),
        capture(config=tmp_path / "tocsin.toml"),
    ):
        pass


def test_one_of_config_and_settings():
    with (
        pytest.raises(TypeError, match="not both"),
        capture(config="x.toml", settings=loud()),
    ):
        pass


def test_a_notifier_of_ones_own_is_captured():
    """Settings that a program makes itself keep their routing, and lose their channels."""
    with capture() as alerts, tocsin.Notifier(loud(), namespace="billing") as notifier:
        result = notifier.notify(Alert("Disk full", origin=tocsin.Origin(user="ada")))
        (delivery,) = result.wait(60)

    assert delivery.status is tocsin.Status.DELIVERED
    alerts.assert_sent("Disk full", to="ops", user="ada")


def test_a_notifier_from_before_is_captured_and_given_back(tmp_path):
    """What was made at import delivers for real again after the capture."""
    inbox = Inbox()
    settings = Settings(
        user="ada",
        channels={"ops": Recorder(inbox)},
        subscriptions=[Subscription(channels=["ops"])],
        state_dir=":memory:",
        submit_timeout=10.0,
    )
    with tocsin.Notifier(settings, namespace="billing") as notifier:
        with capture(now=NOON) as alerts:
            notifier.notify(Alert("In the test"))
            notifier.notify(Alert("In the test"))
            alerts.clock.advance(minutes=2)
            notifier.notify(Alert("In the test"))
            assert alerts.titles == ["In the test", "In the test"]
            assert alerts.suppressed == {"In the test": 1}
        notifier.notify(Alert("For real"))
        inbox.wait_for(1)

    assert inbox.titles == ["For real"]


def test_a_run_from_before_is_captured_and_given_back():
    """It is not the current one in there; whoever has it may raise alerts."""
    run = tocsin.init(project="mnist")
    with capture(now=NOON) as alerts:
        assert tocsin.run is None
        run.alert("In the test")
        run.alert("In the test")
        assert [one.project for one in alerts] == ["mnist"]
        assert alerts[0].alert.created_at == NOON

    assert tocsin.run is run
    run.finish()
    assert len(alerts) == 1


def test_a_run_from_before_goes_where_the_configuration_says():
    """Whoever the user is on this machine, the alert is one of the capture's user."""
    run = tocsin.init(project="mnist")
    with capture(settings=loud()) as alerts:
        run.alert("In the test")

        alerts.assert_sent("In the test", to="ops", user="ada")
    run.finish()


def test_the_alerts_of_any_user_are_captured():
    with capture() as alerts, tocsin.Notifier.from_config() as notifier:
        notifier.notify(Alert("x", origin=tocsin.Origin(user="grace", team="vision")))

    alerts.assert_sent("x", user="grace", team="vision")


def test_all_is_as_it_was():
    """A capture leaves no hook, no handler, no run and no thread behind."""

    def state():
        return (
            *(sys.excepthook, sys.unraisablehook, sys.exit, threading.excepthook),
            *(signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGHUP)),
            *(dict(os.environ), tocsin.run, logging.getLogger("asyncio").filters[:]),
        )

    before, threads = state(), set(threading.enumerate())
    with capture() as alerts:
        tocsin.init(project="mnist").alert("x")
        assert state() != before
        assert signal.getsignal(signal.SIGTERM) is before[4]
        assert len(alerts) == 1

    assert state() == before
    eventually(lambda: set(threading.enumerate()) <= threads)


def test_all_is_as_it_was_after_an_exception():
    """It goes on its way, and the run it ended is told as one that failed."""

    def train():
        tocsin.init(project="mnist", name="first")
        return 1 / 0

    before = sys.excepthook
    with pytest.raises(ZeroDivisionError), capture() as alerts:
        train()

    assert sys.excepthook is before
    alerts.assert_sent(kind="crashed", text="ZeroDivisionError", project="mnist")


def test_a_run_that_fails():
    with capture() as alerts:
        with pytest.raises(ValueError, match="no such"), tocsin.init(project="mnist"):
            raise ValueError("no such file")

        assert tocsin.run is None
        alerts.assert_sent(kind="crashed", level="ERROR", times=1)


def test_a_run_that_finishes_well_is_told_to_whoever_asks():
    with capture() as alerts:
        tocsin.init(project="mnist").finish()
    with capture(settings=loud(kinds=["finished"])) as asked:
        tocsin.init(project="mnist")

    alerts.assert_none()
    asked.assert_sent(kind="finished", times=1)


def test_a_run_that_is_left_is_over_with_the_block():
    with capture():
        run = tocsin.init(project="mnist")

    assert run.state is tocsin.RunState.FINISHED
    with pytest.raises(tocsin.RunFinished):
        run.alert("x")


def test_a_run_is_resumed_in_one_capture():
    """What one notifier kept, the next one of the same configuration has."""
    with capture() as alerts:
        tocsin.init(project="mnist", id="r1").finish(1, "out of luck")
        tocsin.init(project="mnist", id="r1", resume="must")

    alerts.assert_count(2)
    assert alerts[0].kind == "crashed"


def test_watched_code_and_log_records():
    handler = tocsin.logging.AlertHandler()
    log = logging.getLogger("tests.capture")
    log.propagate = False
    log.addHandler(handler)
    try:
        with capture() as alerts:
            with pytest.raises(KeyError), tocsin.watching("export"):
                raise KeyError("x")
            with tocsin.watching("export"):
                pass
            log.error("no answer from %s", "db1")
    finally:
        log.removeHandler(handler)

    assert [(one.kind, one.title.split(":")[0]) for one in alerts] == [
        ("crashed", "export failed"),
        ("resolved", "Resolved"),
        ("log", "no answer from db1"),
    ]


def test_alerts_of_threads():
    """All threads of the process are captured, each alert once."""
    with capture() as alerts:
        threads = [
            threading.Thread(target=tocsin.alert, args=[f"alert {number}"])
            for number in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sorted(alerts.titles) == sorted(f"alert {n}" for n in range(20))


def test_messages_are_in_the_order_of_their_alerts():
    """However fast a channel is; an alert's own are in the order of the channels."""
    inbox = Inbox()
    settings = Settings(
        user="ada",
        channels={"b": Recorder(inbox), "a": Recorder(inbox)},
        subscriptions=[Subscription(channels=["a", "b"])],
    )
    with capture(settings=settings) as alerts:
        for number in range(50):
            tocsin.alert(f"alert {number}")

        assert [(one.title, one.channel) for one in alerts] == [
            (f"alert {number}", name) for number in range(50) for name in "ba"
        ]
    assert inbox.messages == []


def test_a_capture_in_a_capture():
    with capture() as outer:
        tocsin.alert("before")
        with capture() as inner:
            tocsin.alert("within")
        tocsin.alert("after")

    assert outer.titles == ["before", "after"]
    assert inner.titles == ["within"]


def test_a_run_of_the_outer_capture_raises_in_the_inner_one():
    with capture() as outer:
        run = tocsin.init(project="mnist")
        run.alert("before")
        with capture() as inner:
            run.alert("within")
        run.alert("after")

    assert outer.titles == ["before", "after"]
    assert inner.titles == ["within"]


def test_children_that_are_started_send_nothing():
    """They are not captured: alerts are switched off for them."""
    code = "import tocsin; print(tocsin.alert('x'))"
    with capture() as alerts:
        done = subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True
        )

    assert done.stdout.strip() == "Disabled()"
    alerts.assert_none()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_children_that_are_forked_send_nothing():
    with capture(settings=loud()) as alerts:
        tocsin.alert("of the parent")
        pid = os.fork()
        if not pid:
            tocsin.alert("of the child")
            os._exit(0 if "of the child" in alerts.titles else 1)
        _, status = os.waitpid(pid, 0)

        assert os.waitstatus_to_exitcode(status) == 0
        assert alerts.titles == ["of the parent"]


def test_attachments_and_fields_come_along():
    with capture() as alerts:
        tocsin.alert("x", fields={"step": 3}, attachments=[b"\x89PNG"])

    (sent,) = alerts
    assert sent.fields == {"step": "3"}
    assert [item.content for item in sent.attachments] == [b"\x89PNG"]
    assert isinstance(sent.message, Message)


def test_what_a_listener_raises_is_there():
    """Listeners hear changes in a thread of their own: a look waits for that."""

    def hear(change, notify):
        if change.kind == "metrics" and change.facts["loss"] > 1:
            notify(Alert("Loss is high"))

    settings = attrs.evolve(loud(), listeners={"rules": hear})
    with capture(settings=settings) as alerts:
        tocsin.init(project="mnist").log({"loss": 2.0})

        alerts.assert_sent("Loss is high")


def test_a_stall_goes_by_the_clock():
    with capture() as alerts:
        tocsin.init(project="mnist", stall_after=timedelta(hours=1))
        alerts.assert_none()
        alerts.clock.advance(hours=2)

        alerts.assert_sent(kind="stalled")
