"""What the callbacks share, without a framework."""

from __future__ import annotations

import logging
import math

import pytest

import tocsin
from tocsin.integrations._training import Training, counted, quiet


def training(**watch):
    return Training(watch, {"project": "mnist", "name": "wise-owl"})


def test_a_run_is_started_and_finished(delivered):
    """Losses are named first; what is no metric is left out."""
    it = training()
    it.begin(name="by the framework")
    run = tocsin.run
    it.log({"epoch": 1, "loss": 0.5, "image": object()}, 3)
    it.end("trained for 3 steps")
    told = delivered.wait_for("wise-owl finished")

    assert "trained for 3 steps: loss=0.5, epoch=1" in told["text"]
    assert run is not None
    assert tocsin.run is None


def test_the_frameworks_name_is_a_default(delivered):
    it = Training({}, {})
    it.begin(name="by the framework")

    assert tocsin.run.name == "by the framework"


def test_an_end_without_metrics(delivered):
    it = training()
    it.begin()
    it.end("tested")

    assert "tested" in delivered.wait_for("wise-owl finished")["text"].splitlines()


def test_a_run_that_is_there_is_not_ended(delivered):
    run = tocsin.init()
    it = training()
    it.begin()
    it.end("trained")
    it.begin()
    it.fail(OSError("disk"))

    assert tocsin.run is run
    assert delivered.all() == []


def test_a_failure_ends_a_run_that_was_started(delivered):
    it = training()
    it.begin()
    it.fail(OSError("disk"))

    assert tocsin.run is None
    assert len(delivered.of_kind("crashed")) == 1


def test_what_is_watched(delivered):
    it = training(loss={"above": 5})
    it.begin()
    it.log({"loss": 7.0}, 3)
    it.log({"loss": math.nan}, 4)

    assert "at step 3" in delivered.wait_for("loss is above 5: 7")["text"]
    assert "at step 4" in delivered.wait_for("loss is NaN")["text"]


def test_nothing_is_logged_before_the_begin_and_after_the_end(delivered):
    it = training(loss={})
    it.log({"loss": math.nan}, 1)
    it.end("nothing")
    it.begin()
    it.end("trained")
    it.log({"loss": math.nan}, 2)
    delivered.wait_for("wise-owl finished")

    assert len(delivered.all()) == 1


def test_a_training_that_failed_and_begins_again(delivered):
    """In a notebook: the run is still there, and goes on; or it is over, and one begins."""
    it = training()
    it.begin()
    first = tocsin.run
    it.begin()
    assert tocsin.run is first
    first.finish()
    it.begin()

    assert tocsin.run is not first
    it.end("trained")
    assert tocsin.run is None


def test_a_hook_that_fails_is_told_once(caplog):
    class Callback:
        @quiet
        def on_log(self, step):
            raise OSError(f"step {step}")

    callback = Callback()
    with caplog.at_level(logging.DEBUG, "tocsin"):
        for step in range(3):
            callback.on_log(step=step)

    assert [(r.levelname, r.message.partition(": ")[2]) for r in caplog.records] == [
        ("WARNING", "step 0"),
        ("DEBUG", "step 1"),
        ("DEBUG", "step 2"),
    ]


def test_what_ends_the_program_passes():
    @quiet
    def on_log():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        on_log()


def test_counted():
    assert [counted(n, "step") for n in (0, 1, 4000)] == [
        *("0 steps", "1 step", "4,000 steps")
    ]
