"""How W&B's alerts behave, and ours: a test for each fact that a switch of one import needs."""

from __future__ import annotations

import enum
import inspect
import statistics
import sys
import time
from datetime import timedelta

import pytest
from support import bot_at

import tocsin
from tocsin import (
    Admitted,
    AlertLevel,
    Disabled,
    RunFinished,
    Status,
    Suppressed,
    _plugins,
)
from tocsin_slack.testing import SlackDouble


@pytest.fixture
def here(place, monkeypatch):
    """The place is this process' own, too."""
    for name in ("RANK", "WORLD_SIZE", "SLURM_JOB_ID", "TOCSIN_MODE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in place.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(place.environment["PYTHONPATH"])
    monkeypatch.delitem(sys.modules, "tocsin_lines", raising=False)
    _plugins._entry_points.cache_clear()
    place.write_config(submit_timeout="20s", flush_timeout="20s", finish_timeout="20s")
    yield place
    tocsin.finish()
    place.end()
    _plugins._entry_points.cache_clear()


def told(place):
    return [(line["title"], line["text"], line["level"]) for line in place.delivered()]


EXAMPLE = """
{imports}

acc, threshold = 0.71, 0.9

run = wandb.init()

if acc < threshold:
    run.alert(
        title="Low accuracy",
        text=f"Accuracy {{acc}} is below the acceptable threshold {{threshold}}",
        level=AlertLevel.WARN,
        wait_duration=300,
    )
"""


@pytest.mark.parametrize(
    "imports",
    [
        "import tocsin as wandb\nfrom tocsin import AlertLevel",
        "import tocsin as wandb\nfrom tocsin import *\nfrom tocsin import AlertLevel",
    ],
    ids=["import", "star"],
)
def test_the_example_of_their_page(here, imports):
    """It is theirs to the letter, but for the name that is imported."""
    here.run(EXAMPLE.format(imports=imports))

    text = "Accuracy 0.71 is below the acceptable threshold 0.9"
    assert told(here) == [("Low accuracy", text, "WARN")]


@pytest.mark.parametrize(
    "alert", [tocsin.alert, tocsin.Run.alert], ids=["module", "run"]
)
def test_signature(alert):
    """The same names in the same order; what is added is by keyword alone."""
    parameters = dict(inspect.signature(alert).parameters)
    parameters.pop("self", None)
    theirs = ["title", "text", "level", "wait_duration"]

    assert list(parameters)[:4] == theirs
    assert [parameters[name].default for name in theirs[2:]] == [None, None]
    more = list(parameters.values())[4:]
    assert {one.kind for one in more} == {inspect.Parameter.KEYWORD_ONLY}


class Theirs(enum.Enum):
    """As ``wandb.AlertLevel`` is."""

    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"


@pytest.mark.parametrize(
    ("level", "meant"),
    [
        *[(None, "INFO"), ("", "INFO"), (0, "INFO"), ("WARN", "WARN")],
        *[("warn", "WARN"), (AlertLevel.ERROR, "ERROR"), (Theirs.WARN, "WARN")],
    ],
)
def test_level(here, level, meant):
    """Anything false is INFO; a member of another enum is taken by its value."""
    with tocsin.init() as run:
        run.alert("x", "y", level)

    assert told(here) == [("x", "y", meant)]


@pytest.mark.parametrize("level", ["loud", 3, "WARNING"])
def test_level_that_is_none(here, level):
    """The message is W&B's."""
    words = "level must be one of 'INFO', 'WARN', or 'ERROR'"
    with tocsin.init() as run, pytest.raises(ValueError, match=words):
        run.alert("x", "y", level)


class Ages:
    """What has ``total_seconds()``, as pandas' Timedelta."""

    def total_seconds(self) -> float:
        return 300.0


@pytest.mark.parametrize("wait", [None, 60, 0.5, timedelta(minutes=5), Ages()])
def test_wait_duration(here, wait):
    """Seconds, or a length of time."""
    with tocsin.init() as run:
        kinds = [type(run.alert("x", "y", None, wait)) for _ in range(2)]

    assert kinds == [Admitted, Suppressed]


def test_wait_duration_of_nothing(here):
    """With 0 nothing is suppressed."""
    with tocsin.init() as run:
        assert {type(run.alert("x", wait_duration=0)) for _ in range(3)} == {Admitted}


@pytest.mark.parametrize(
    ("wait", "error"),
    [
        ("300", TypeError),
        *[(-1, ValueError), (float("nan"), ValueError), (float("inf"), ValueError)],
    ],
)
def test_wait_duration_that_is_none(here, wait, error):
    """It raises at the call; what is no time at all with W&B's words."""
    words = "wait_duration must be an int, float, or datetime.timedelta"
    match = words if error is TypeError else "wait_duration"
    with tocsin.init() as run, pytest.raises(error, match=match):
        run.alert("x", wait_duration=wait)


def test_throttle(here):
    """By run and title; a higher level passes; it holds over a restart with the id."""
    with tocsin.init(id="wise-owl") as run:
        kinds = [
            type(run.alert("x", level=level)) for level in ("WARN", "WARN", "ERROR")
        ]
    with tocsin.init(id="wise-owl") as run:
        kinds.append(type(run.alert("x", level="ERROR")))
    with tocsin.init(id="proud-owl") as run:
        kinds.append(type(run.alert("x", level="ERROR")))

    assert kinds == [Admitted, Suppressed, Admitted, Suppressed, Admitted]


def test_title(here):
    """It is never refused, and never cut but by a channel, which says so."""
    title = 3000 * "x"
    with SlackDouble() as slack:
        here.configure({"out": bot_at(slack.base_url)}, submit_timeout="20s")
        with tocsin.init() as run:
            (delivery,) = run.alert(title).wait(30)
        (post,) = slack.messages

    assert delivery.status is Status.DELIVERED
    assert "…" in post.blocks[0]["text"]["text"]
    assert len(post.blocks[0]["text"]["text"]) < len(title)


@pytest.mark.parametrize("words", [(3, "y"), (None, "y"), ("x", 3), ("x", None)])
def test_non_string_title_or_text(here, words):
    """It raises at the call."""
    with tocsin.init() as run, pytest.raises(TypeError, match="must be a str"):
        run.alert(*words)


def test_speed(here):
    """A call costs far less than W&B's millisecond, and `finish` has its bound."""
    config = here.write_config(submit_timeout="20s")
    config.write_text(config.read_text() + "delay = 50.0\n")
    run = tocsin.init()
    run.alert("x")
    took = []
    for _ in range(1000):
        began = time.perf_counter()
        run.alert("x")
        took.append(time.perf_counter() - began)
    began = time.monotonic()
    run.finish(timeout=1)

    assert statistics.median(took) < 0.0005
    assert time.monotonic() - began < 10


def test_failure(here):
    """It is in the result, in the history and what the doctor says, with its reason."""
    with SlackDouble() as slack:
        slack.revoke()
        here.configure({"out": bot_at(slack.base_url)}, submit_timeout="20s")
        with tocsin.init() as run:
            (delivery,) = run.alert("Low accuracy").wait(30)
        history = here.tocsin("log", "--failed").stdout
        doctor = here.tocsin("doctor").stdout

    assert delivery.status is Status.FAILED
    assert "token_revoked" in delivery.reason
    assert "Low accuracy" in history
    assert "failed" in doctor


def test_offline_mode(here):
    """It is kept with the time at which it was raised, and is marked when it is late."""
    with tocsin.init(mode="offline") as run:
        assert run.alert("x").wait(0)[0].status is Status.PENDING
    assert told(here) == []
    here.later(3600)

    (line,) = here.delivered()
    assert line["title"] == "x"
    assert "late" in " ".join(line["notes"])


def test_disabled_mode(here, monkeypatch):
    """Anything goes, even nothing, and a configuration that is not there."""
    monkeypatch.setenv("TOCSIN_MODE", "disabled")
    monkeypatch.setenv("TOCSIN_CONFIG", "/nowhere")
    monkeypatch.setenv("TOCSIN_STATE_DIR", str(here.path / "none"))
    run = tocsin.init()

    for one in (run, tocsin):
        assert one.alert() == Disabled()
        assert one.alert(3, nonsense=None) == Disabled()
        assert one.resolve() == Disabled()
        one.log()
        one.log(3, nonsense=None)
        one.finish()
    assert run.alert() == Disabled()
    run.finish(3, nonsense=None)
    assert not (here.path / "none").exists()


def test_before_init(here):
    """`tocsin.alert` works, in no run."""
    assert isinstance(tocsin.alert("x"), Admitted)
    assert isinstance(tocsin.alert("x"), Suppressed)


def test_after_finish(here):
    """A finished run takes nothing, and says what to do; to finish again does nothing."""
    run = tocsin.init(name="wise-owl")
    run.finish()
    run.finish()

    words = r"wise-owl is finished.*tocsin\.init"
    for call in (
        lambda: run.alert("x"),
        lambda: run.resolve("x"),
        lambda: run.log({"loss": 1}),
        lambda: run.emit("artifact"),
    ):
        with pytest.raises(RunFinished, match=words):
            call()


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_forked_child(here):
    """A child goes on with the run."""
    code = """
import os, tocsin
run = tocsin.init(name="owl")
run.alert("in the parent")
pid = os.fork()
if not pid:
    run.alert("in the child")
    raise SystemExit
os.waitpid(pid, 0)
run.alert("goes on")
"""
    here.run(code)

    titles = {title for title, *_ in told(here)}
    assert titles == {"in the parent", "in the child", "goes on"}


IN_A_CHILD = """
import multiprocessing, tocsin

def work(run):
    assert isinstance(run.alert("in the child"), tocsin.Admitted)
    assert isinstance(run.alert("in the parent"), tocsin.Suppressed)

if __name__ == "__main__":
    run = tocsin.init(name="owl")
    run.alert("in the parent")
    child = multiprocessing.get_context("spawn").Process(target=work, args=[run])
    child.start()
    child.join()
    assert child.exitcode == 0
    assert isinstance(run.alert("in the child"), tocsin.Suppressed)
"""


def test_pickled_run_in_a_spawned_child(here):
    """It is the same run: its alerts are throttled with the parent's."""
    (here.path / "train.py").write_text(IN_A_CHILD)
    here.run("import runpy; runpy.run_path('train.py', run_name='__main__')")

    assert {title for title, *_ in told(here)} == {"in the parent", "in the child"}


def test_ranks(here, monkeypatch):
    """The ranks of a job raise one alert together; the others are counted."""
    kinds = []
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "job-77")
    for rank in range(4):
        monkeypatch.setenv("RANK", str(rank))
        kinds.append(type(tocsin.init().alert("Loss is NaN")))
    tocsin.finish()

    assert kinds == [Admitted, Suppressed, Suppressed, Suppressed]
    assert len(told(here)) == 1


def test_every_row_has_a_test():
    """These are the rows of the table of W&B's facts."""
    rows = """signature, level, wait_duration, throttle, title, non-string title or text,
        speed, failure, offline mode, disabled mode, before init, after finish,
        forked child, pickled run in a spawned child, ranks"""
    names = [row.strip().replace(" ", "_").replace("-", "_") for row in rows.split(",")]

    assert [name for name in names if f"test_{name}" not in globals()] == []
