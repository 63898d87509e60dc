"""Alerts of real runs of Trackio, on this machine's disk."""

from __future__ import annotations

import warnings

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the framework's own
    trackio = pytest.importorskip("trackio", reason="trackio is not installed")
    from tocsin.integrations.trackio import forward

pytestmark = pytest.mark.filterwarnings("ignore")  # the framework's own


@pytest.fixture
def run(delivered):
    run = trackio.init(project="mnist", name="wise-owl", embed=False)
    yield run
    trackio.finish()


def test_alerts_go_to_both(run, delivered, capsys):
    """Of the run and of the module, with Trackio's level, which is WARN by default."""
    with forward():
        trackio.alert("Low accuracy", "0.1")
        run.alert("High loss", level=trackio.AlertLevel.ERROR, step=7)
        low = delivered.wait_for("Low accuracy")
        high = delivered.wait_for("High loss")

    assert (low["text"], low["level"]) == ("0.1", "WARN")
    assert (high["text"], high["level"]) == ("", "ERROR")
    assert high["fields"] == {"step": "7"}
    assert low["project"] == "mnist"
    assert low["name"] == "wise-owl"
    assert low["run"] == run.id
    assert "Low accuracy: 0.1" in capsys.readouterr().out


def test_undone(run, delivered):
    forward()
    forwarding = forward()
    trackio.alert("Low", "x")
    delivered.wait_for("Low")
    forwarding.undo()
    trackio.alert("After", "x")

    assert delivered.titles() == ["Low"]


def test_trackios_errors_are_the_callers(delivered):
    with forward(), pytest.raises(RuntimeError, match=r"trackio\.init"):
        trackio.alert("Before", "x")


def test_the_page(delivered, run_page):
    assert run_page("how-to/wandb.md", "trackio") == 1
    assert delivered.wait_for("Low accuracy")["project"] == "mnist"
    forward().undo()
