from __future__ import annotations

import copy
import json
import pickle
import signal
import sys

import pytest

import tocsin
from tocsin import (
    Admitted,
    AlertLevel,
    ConfigError,
    RunFinished,
    Suppressed,
    Unrouted,
)


@pytest.fixture
def config(tmp_path, monkeypatch):
    """A configuration with a file for a channel; returns the file's lines."""
    from support import PROVIDER, write_distribution

    from tocsin import _plugins

    write_distribution(tmp_path / "site", "tocsin_lines", PROVIDER, entry="lines")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.delitem(sys.modules, "tocsin_lines", raising=False)
    _plugins._entry_points.cache_clear()
    file = tmp_path / "tocsin.toml"
    file.write_text(
        f"""
        submit_timeout = 10
        [user]
        name = "ada"
        channels = ["out"]
        [teams.vision]
        members = ["ada"]
        channels = ["out"]
        [channels.out]
        provider = "lines"
        path = "{tmp_path}/lines"
        """
    )
    monkeypatch.setenv("TOCSIN_CONFIG", str(file))
    yield tmp_path / "lines"
    _plugins._entry_points.cache_clear()


def test_the_example_of_the_readme(config):
    """init, alert, finish: with W&B's names in W&B's order."""
    run = tocsin.init(project="mnist", team="vision")
    result = run.alert("Low accuracy", "0.1", AlertLevel.WARN, 300)
    again = run.alert(title="Low accuracy", text="0.1", wait_duration=300)
    run.finish()

    assert isinstance(result, Admitted)
    assert isinstance(again, Suppressed)
    assert len(config.read_text().splitlines()) == 1


def test_the_end_of_a_run_tells_counts(config, capsys):
    """What was suppressed and not told by an alert is told when the run ends."""
    with tocsin.init() as run:
        for _ in range(3):
            run.alert("Low")

    assert "2 more like 'Low' suppressed" in capsys.readouterr().err


def test_a_new_run_finishes_the_one_before(config):
    """A cell that is run again starts a new run in place of the old one."""
    first = tocsin.init()
    second = tocsin.init()

    with pytest.raises(RunFinished):
        first.alert("x")
    assert isinstance(tocsin.alert("x"), Admitted)
    second.finish()


def test_what_is_over(config):
    """`resolve` tells whom the alert was told; a finished run takes it no more."""
    run = tocsin.init()
    tocsin.alert("Disk full", key="disk").wait(10)
    result = tocsin.resolve("disk", "60 % again")
    assert isinstance(result, Admitted)
    assert isinstance(run.resolve("disk"), Unrouted)
    with pytest.raises(TypeError, match="title must be a str"):
        tocsin.resolve(3)
    run.finish()

    titles = [json.loads(line)["title"] for line in config.read_text().splitlines()]
    assert titles == ["Disk full", "Resolved: Disk full"]
    with pytest.raises(RunFinished):
        run.resolve("disk")


def test_runs_are_throttled_apart(config):
    """The window is the run's: another run may raise the same title."""
    for _ in range(2):
        with tocsin.init() as run:
            assert isinstance(run.alert("x"), Admitted)


def test_a_job_is_throttled_as_one(config, monkeypatch):
    """Runs of one job share their windows, but not under torchrun's default id."""
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    with tocsin.init() as run:
        assert run.origin.job == ""
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    kinds = []
    for _ in range(2):
        with tocsin.init() as run:
            kinds.append(type(run.alert("x")))

    assert kinds == [Admitted, Suppressed]


@pytest.mark.parametrize(
    "variable", ["RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "SLURM_PROCID"]
)
def test_ranks(config, monkeypatch, variable):
    """The rank is found where launchers put it; LOCAL_RANK is not one."""
    monkeypatch.setenv("LOCAL_RANK", "3")
    monkeypatch.setenv(variable, "17")

    with tocsin.init() as run:
        assert run.origin.rank == 17


def test_no_configuration(capsys, home):
    """Without a configuration an alert is printed and kept, with a hint where to go on."""
    result = tocsin.alert("hi\x1b[31m", "there")

    assert isinstance(result, Unrouted)
    error = capsys.readouterr().err
    assert "[INFO] hi\ufffd[31m: there\n" in error


def test_a_bad_configuration_without_init(tmp_path, monkeypatch, capsys, caplog):
    """It is told once, the alert is printed, and nothing is raised."""
    (tmp_path / "bad.toml").write_text("nonsense = 1")
    monkeypatch.setenv("TOCSIN_CONFIG", str(tmp_path / "bad.toml"))

    tocsin.alert("a")
    tocsin.alert("b")

    assert caplog.text.count("nonsense") == 1
    assert "[INFO] a" in capsys.readouterr().err


def test_a_bad_configuration_with_init(tmp_path):
    """`init` raises for it."""
    (tmp_path / "bad.toml").write_text("nonsense = 1")

    with pytest.raises(ConfigError, match="nonsense"):
        tocsin.init(config=tmp_path / "bad.toml")


def test_a_wrong_team(config):
    """`init` raises for a team that is not there, with the nearest that is."""
    with pytest.raises(ConfigError, match="did you mean 'vision'"):
        tocsin.init(team="visoin")


def test_a_wrong_mode():
    """A mode that is none is a mistake in code."""
    with pytest.raises(ValueError, match="'online', 'offline' or 'disabled'"):
        tocsin.init(mode="on")


def test_an_exception_in_a_with_block(config):
    """An exception that leaves the block is one alert of kind crashed."""
    with pytest.raises(ZeroDivisionError), tocsin.init(name="owl"):
        1 / 0  # noqa: B018

    (line,) = config.read_text().splitlines()
    assert "owl failed: ZeroDivisionError" in line


def test_the_excepthook_is_chained_once(config, monkeypatch):
    """However often a run is started, an uncaught exception is one alert, and the hook
    that was there runs."""
    seen = []
    monkeypatch.setattr(sys, "excepthook", lambda *_: seen.append("mine"))
    tocsin.init(name="owl")
    run = tocsin.init(name="owl")
    error = ValueError("lr")

    sys.excepthook(ValueError, error, None)
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    run.finish()

    assert seen == ["mine", "mine"]
    assert len(config.read_text().splitlines()) == 1


class Strange:
    """A step as a tensor is, or worse."""

    def __init__(self, number):
        self.number = number

    def __index__(self):
        return self.number


@pytest.mark.parametrize(
    ("step", "kept"),
    [(7, 7), (Strange(7), 7), ("seven", None), (1.5, None), (10**30, None), (-1, None)],
)
def test_a_step_of_any_sort(config, step, kept):
    """What is no whole number is no step, and costs the run nothing."""
    run = tocsin.init()
    run.log({"loss": 0.5, "huge": 10**6000}, step=step)
    run._life.tick()
    run.finish()

    assert run._life.step == kept
    assert run.summary["loss"] == 0.5


def test_an_exit_code_that_is_none(config):
    """It is told at the call; a message may be anything."""
    run = tocsin.init()
    with pytest.raises(TypeError):
        run.finish(exit_code="x")
    run.finish(exit_code=256 + 3, message=ValueError("x"))

    assert run._life.ending.exit_code == 3
    assert run._life.ending.message == "x"


def test_a_copy_of_a_run_is_the_run(config):
    """What holds a run may be copied, or sent to itself; there is one of it."""
    run = tocsin.init()

    assert copy.deepcopy({"run": run})["run"] is run
    assert pickle.loads(pickle.dumps(run)) is run


def test_disabled_hooks_into_nothing(monkeypatch, tmp_path):
    """In disabled mode the process is as it was."""
    hooks = sys.excepthook, sys.exit, signal.getsignal(signal.SIGTERM)
    run = tocsin.init(mode="disabled")
    run.mark_preempting("x")
    run._failed(ValueError("x"))

    assert hooks == (sys.excepthook, sys.exit, signal.getsignal(signal.SIGTERM))
    assert not (tmp_path / "state").exists()


def test_the_current_run_by_name(config):
    """`tocsin.config` is W&B's: the settings that `init` was given."""
    assert tocsin.config == {}
    run = tocsin.init("mnist", config={"lr": 0.1})

    assert tocsin.run is run
    assert (run.project, tocsin.config.lr, tocsin.config["lr"]) == ("mnist", 0.1, 0.1)
    with pytest.raises(AttributeError, match="no 'momentum'"):
        run.config.momentum  # noqa: B018
