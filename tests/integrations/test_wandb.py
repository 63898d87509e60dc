"""Alerts of real runs of W&B, offline."""

from __future__ import annotations

import functools
import inspect
import os
import subprocess
import sys
import warnings
from datetime import timedelta

import pytest
from support import until

import tocsin

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the framework's own
    wandb = pytest.importorskip("wandb", reason="wandb is not installed")
    from tocsin.integrations.wandb import forward

pytestmark = pytest.mark.filterwarnings("ignore")  # the framework's own


@pytest.fixture(scope="module", autouse=True)
def service():
    yield
    wandb.teardown()


@pytest.fixture
def start(delivered, tmp_path, monkeypatch):
    """Start a run; at the end of the test it is finished, and nothing is forwarded."""
    monkeypatch.setenv("WANDB_SILENT", "true")
    defaults = {"dir": tmp_path, "id": "owl1", "mode": "offline", "project": "mnist"}
    runs = []

    def start(**options):
        runs.append(wandb.init(name="wise-owl", **{**defaults, **options}))
        return runs[-1]

    yield start
    for run in runs:
        run.finish()
    with forward():
        pass


def test_alerts_go_to_both(start, delivered):
    """Of the run and of the module, whichever comes first: forward or init."""
    with forward():
        run = start()
        run.alert("Low accuracy", "0.1", wandb.AlertLevel.WARN, 300)
        wandb.alert("High loss", text="7.1", level="ERROR")
        low = delivered.wait_for("Low accuracy")
        high = delivered.wait_for("High loss")

    assert (low["text"], low["level"]) == ("0.1", "WARN")
    assert (high["text"], high["level"]) == ("7.1", "ERROR")
    assert low["project"] == "mnist"
    assert low["run"] == "owl1"
    assert low["name"] == "wise-owl"
    assert low["url"] == ""


def test_a_run_that_has_begun(start, delivered):
    """`wandb.alert` is bound to it already; that one is looked up again, both ways."""
    start()
    with forward():
        wandb.alert("Low", "x")
        delivered.wait_for("Low")
    wandb.alert("Later", "x")

    assert delivered.titles() == ["Low"]


def test_throttled_as_in_wandb(start, delivered):
    """By the title, within the run, for a minute where nothing, or zero, is said."""
    with forward():
        run = start()
        for wait in (None, 0, timedelta(minutes=5), 300):
            run.alert("Low", "x", wait_duration=wait)
        other = start(id="owl2", reinit="create_new")
        other.alert("Low", "y", wait_duration=timedelta(0))
        run.alert("Last", "x")
        delivered.wait_for("Last")

        until(lambda: len(delivered.all()) == 3)

    assert {(told["title"], told["run"]) for told in delivered.all()} == {
        ("Low", "owl1"),
        ("Low", "owl2"),
        ("Last", "owl1"),
    }


def test_what_wandb_refuses_is_not_forwarded(start, delivered):
    """Its errors are the caller's, as they are without us."""
    with forward():
        with pytest.raises(wandb.Error, match=r"wandb\.init\(\)|is finished"):
            wandb.alert("Before", "x")
        run = start()
        with pytest.raises(ValueError, match="level must be one of"):
            run.alert("Unknown", "x", level="FATAL")
        with pytest.raises(TypeError, match="wait_duration must be"):
            run.alert("No time", "x", wait_duration="300")
        with pytest.raises(TypeError, match="missing"):
            run.alert()
        run.alert("Last", "x")
        delivered.wait_for("Last")
        run.finish()
        with pytest.raises(wandb.errors.UsageError, match="is finished"):
            run.alert("After", "x")

    assert delivered.titles() == ["Last"]


def test_wandb_has_what_it_would_have(start, delivered, tmp_path):
    """The alert is in what W&B keeps of the run, once."""
    with forward():
        run = start()
        assert run.alert("Low accuracy", "0.1") is None
        run.finish()

    (kept,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    until(lambda: b"Low accuracy" in kept.read_bytes())
    assert kept.read_bytes().count(b"Low accuracy") == 1


def test_a_failure_of_ours_is_logged(start, delivered, caplog):
    """W&B takes what we do not: a wait in the past."""
    with forward():
        assert start().alert("Low", "x", wait_duration=-1) is None

    assert "an alert was not forwarded: wait_duration must be zero" in caplog.text
    assert delivered.titles() == []


def test_a_configuration_with_mistakes(start, delivered, tmp_path, caplog, capsys):
    """The alert is printed, and why, as `tocsin.alert` does it."""
    (tmp_path / "tocsin.toml").write_text("nonsense = 1")
    with forward():
        assert start().alert("Low", "x") is None

    assert "nonsense" in caplog.text
    assert "[INFO] Low: x" in capsys.readouterr().err


def test_a_run_of_ours_takes_them(start, delivered):
    """With its own name, and that of the other one."""
    with forward(), tocsin.init(project="mine", name="mine") as mine:
        start().alert("Low", "x", wandb.AlertLevel.ERROR)

    (told,) = [told for told in delivered.all() if told["title"] == "Low"]
    assert told["run"] == mine.id
    assert told["fields"] == {"run": "mnist/wise-owl"}
    assert told["level"] == "ERROR"


def test_twice_is_once(start, delivered):
    """And one undo is enough."""
    first, second = forward(), forward()
    run = start()
    run.alert("Low", "x", wait_duration=0.001)
    delivered.wait_for("Low")
    second.undo()
    first.undo()
    run.alert("After", "x")

    assert delivered.titles() == ["Low"]


def test_undo_leaves_no_trace(start, delivered):
    before = wandb.Run.alert
    start()
    bound = wandb.alert
    with forward():
        assert wandb.Run.alert is not before
        assert inspect.signature(wandb.Run.alert) == inspect.signature(before)
        assert wandb.Run.alert.__doc__ == before.__doc__

    assert wandb.Run.alert is before
    assert wandb.alert == bound


def test_somebody_else_on_top(start, delivered, monkeypatch):
    """What wraps ours stays; ours only passes on, until it is asked for again."""
    forwarding = forward()
    ours = wandb.Run.alert

    @functools.wraps(ours)
    def theirs(*args, **kwargs):
        return ours(*args, **kwargs)

    monkeypatch.setattr(wandb.Run, "alert", theirs)
    run = start()
    forwarding.undo()
    run.alert("Quiet", "x")
    assert wandb.Run.alert is theirs
    forward()
    run.alert("Loud", "x")
    delivered.wait_for("Loud")
    forwarding.undo()

    assert delivered.titles() == ["Loud"]


def test_a_disabled_run_tells_nothing(start, delivered):
    with forward():
        run = start(mode="disabled")
        assert run.alert() is None
        assert wandb.alert("Low", "x") is None

    assert delivered.titles() == []


def test_the_page(start, delivered, run_page, tmp_path, monkeypatch):
    """Its examples run, offline, and what it says arrives does."""
    offline = functools.partial(wandb.init, mode="offline", dir=tmp_path)
    monkeypatch.setattr(wandb, "init", offline)

    assert run_page("how-to/wandb.md", "wandb") == 3
    delivered.wait_for("This goes to both")
    until(lambda: delivered.titles().count("Low accuracy") == 2)
    assert "High loss" in delivered.titles()
    assert "This goes to W&B" not in delivered.titles()


def test_a_process_of_its_own(delivered, tmp_path):
    """Nothing is closed by hand: what was forwarded is delivered at the end."""
    code = """if True:
        import wandb
        from tocsin.integrations.wandb import forward
        forward()
        run = wandb.init(project="mnist", name="wise-owl", mode="offline")
        run.alert("Low accuracy", "0.1")
        run.finish()
    """
    subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )

    assert delivered.wait_for("Low accuracy")["name"] == "wise-owl"
