"""What W&B's and Trackio's alerts share, with a tracker of our own."""

from __future__ import annotations

import pytest

import tocsin
from tocsin import Alert
from tocsin.integrations._forwarding import Forwarding, place


class RefusedError(Exception):
    """What the tracker raises."""


@pytest.fixture
def tracker():
    class Run:
        def __init__(self, run_id="owl1"):
            self.id = run_id
            self.told = []

        def alert(self, title, text=""):
            if title == "Refused":
                raise RefusedError
            self.told.append(title)
            return "told"

    return Run


def read(run, title, text=""):
    origin = place("mnist", run.id, "wise-owl")
    return Alert(title, text, url="https://t.example/owl1", origin=origin)


def test_an_alert_goes_to_both(tracker, delivered):
    run = tracker()
    with Forwarding(tracker, read).install():
        assert run.alert("Low", text="0.1") == "told"
        told = delivered.wait_for("Low")

    assert run.told == ["Low"]
    assert told["url"] == "https://t.example/owl1"
    assert (told["project"], told["run"], told["name"]) == ("mnist", "owl1", "wise-owl")


def test_in_a_run_of_ours(tracker, delivered):
    """It is that run's alert; the other run is named where it is another one."""
    with Forwarding(tracker, read).install(), tocsin.init(id="owl1"):
        tracker().alert("Same")
        tracker("owl2").alert("Other")

    told = {alert["title"]: alert for alert in delivered.all()}
    assert told["Same"]["fields"] == {}
    assert told["Other"]["fields"] == {"run": "mnist/wise-owl"}
    assert {alert["run"] for alert in told.values()} == {"owl1"}
    assert told["Other"]["url"] == "https://t.example/owl1"


def test_refused_is_not_forwarded(tracker, delivered):
    with Forwarding(tracker, read).install():
        with pytest.raises(RefusedError):
            tracker().alert("Refused")
        with pytest.raises(TypeError, match="unexpected keyword"):
            tracker().alert("Low", level="WARN")

    assert delivered.all() == []


def test_a_failure_of_ours_is_logged(tracker, delivered, caplog):
    def broken(run, title):
        raise OSError("disk")

    with Forwarding(tracker, broken).install():
        assert tracker().alert("Low") == "told"

    assert "an alert was not forwarded: disk" in caplog.text


@pytest.mark.parametrize("config", ["nonsense = 1", ""])
def test_without_a_channel_it_is_printed(tracker, delivered, config, tmp_path, capsys):
    (tmp_path / "tocsin.toml").write_text(config)
    with Forwarding(tracker, read).install():
        tracker().alert("Low", "0.1")

    assert "[INFO] Low: 0.1" in capsys.readouterr().err


def test_installed_and_undone(tracker, delivered):
    """Any number of times; nothing is left of it."""
    before = tracker.alert
    forwarding = Forwarding(tracker, read)
    for _ in range(2):
        forwarding.install().install()
        assert tracker.alert is not before
        forwarding.undo()
        forwarding.undo()
        assert tracker.alert is before
    tracker().alert("Low")

    assert delivered.all() == []


def test_a_function_that_was_looked_up(tracker, delivered):
    """It is found anew, both ways; anything else is left as it is."""
    forwarding = Forwarding(tracker, read)
    run = tracker()
    old = run.alert
    forwarding.install()
    new = forwarding.bound(old)
    assert new.__func__ is tracker.alert
    assert forwarding.bound(print) is print
    forwarding.undo()

    assert forwarding.bound(new) == old
