from __future__ import annotations

import asyncio
import contextlib
import inspect
import pickle
import subprocess
import sys
import threading
import time
import traceback

import attrs
import pytest
from conftest import eventually

import tocsin
from tocsin import AlertLevel, Origin, Run, RunFinished, _session, _watching
from tocsin._told import is_told, mark


@pytest.fixture
def run(notifier, monkeypatch):
    """The current run: what it raises arrives at the inbox."""
    monkeypatch.setattr(_watching, "_failed", {})
    run = Run(notifier, Origin(run="owl"), ())
    monkeypatch.setattr(_session, "_current", run)
    return run


@pytest.fixture
def arrived(run, inbox):
    """Returns the alerts that arrived, and there are so many."""

    def arrived(count):
        eventually(lambda: len(inbox.messages) >= count)
        assert run._notifier.flush(30)
        assert len(inbox.messages) == count
        return [message.alert for message in inbox.messages]

    return arrived


# --- what is told


def test_a_block_that_fails(arrived):
    """It is told what and where; the exception goes on its way."""
    error = ValueError("no rows\nin the table")

    with (
        pytest.raises(ValueError, match="no rows") as caught,
        tocsin.watching("export"),
    ):
        raise error

    (alert,) = arrived(1)
    assert caught.value is error
    assert alert.title == "export failed: ValueError: no rows …"
    assert alert.text.startswith("ValueError: no rows\nin the table\n\n  File ")
    assert alert.text.endswith("raise error")
    assert (alert.kind, alert.level) == ("crashed", AlertLevel.ERROR)
    assert alert.fields == {"ran for": "0.0 s"}


def test_a_success(arrived):
    """It is not told, unless that is asked for."""
    with tocsin.watching("quiet") as job:
        assert job.name == "quiet"
        assert 0 <= job.seconds < 60
    with tocsin.watching("export", on_success=True) as job:
        job._began -= 182

    (alert,) = arrived(1)
    assert alert.title == "export finished in 3 min 2 s"
    assert (alert.kind, alert.level) == ("scriptable", AlertLevel.INFO)
    assert alert.fields == {"ran for": "3 min 2 s"}


def test_options(arrived):
    options = {"level": "warn", "tags": "night", "wait_duration": 5}
    with contextlib.suppress(OSError), tocsin.watching("x", **options):
        raise OSError

    (alert,) = arrived(1)
    assert (alert.title, alert.text.splitlines()[0]) == ("x failed: OSError", "OSError")
    assert (alert.level, alert.tags) == (AlertLevel.WARN, ("night",))
    assert alert.wait_duration == 5


def test_ctrl_c(arrived):
    with contextlib.suppress(KeyboardInterrupt), tocsin.watching("x"):
        raise KeyboardInterrupt

    (alert,) = arrived(1)
    assert (alert.title, alert.kind) == ("x was interrupted", "interrupted")
    assert alert.level is AlertLevel.WARN


@pytest.mark.parametrize("code", [1, "no input"])
def test_an_exit_with_a_code_is_a_failure(arrived, code):
    with pytest.raises(SystemExit), tocsin.watching("x"):
        sys.exit(code)

    assert [alert.title for alert in arrived(1)] == [f"x failed: SystemExit: {code}"]


@pytest.mark.parametrize("code", [None, 0])
def test_an_exit_without_a_code_is_a_success(arrived, code):
    with pytest.raises(SystemExit), tocsin.watching("x", on_success=True):
        sys.exit(code)

    assert [alert.kind for alert in arrived(1)] == ["scriptable"]


@pytest.mark.parametrize("kind", [GeneratorExit, asyncio.CancelledError, BaseException])
def test_what_ends_on_purpose_is_not_told(arrived, kind):
    """It is neither a failure nor a success."""
    with pytest.raises(kind), tocsin.watching("x", on_success=True):
        raise kind

    arrived(0)


def test_secrets_are_blotted_out(arrived, monkeypatch):
    monkeypatch.setenv("DB_PASSWORD", "canary-9c1d")
    with contextlib.suppress(ValueError), tocsin.watching("x"):
        raise ValueError("no login with canary-9c1d")

    (alert,) = arrived(1)
    assert alert.title == "x failed: ValueError: no login with …"
    assert "canary-9c1d" not in alert.text


def test_the_last_frames(arrived):
    """Eight of them, without the values of variables, with what was noted."""

    def rise(depth):
        fall(depth)  # in turns, for what is alike is told once anyway

    def fall(depth):
        if not depth:
            error = RecursionError("too deep")
            error.add_note("in the sixth year")
            raise error
        rise(depth - 1)

    with contextlib.suppress(RecursionError), tocsin.watching("x"):
        fall(20)

    (alert,) = arrived(1)
    assert alert.text.startswith("RecursionError: too deep\nin the sixth year\n\n")
    assert alert.text.count("  File ") == 8


# --- how often


def test_failures_of_one_name_are_one_key(arrived, clock):
    for error in (ValueError("a"), KeyError("b")):
        with contextlib.suppress(Exception), tocsin.watching("x"):
            raise error
    clock.advance(61)
    with contextlib.suppress(Exception), tocsin.watching("x"):
        raise ValueError("c")

    assert [a.title for a in arrived(2)] == [
        "x failed: ValueError: a",
        "x failed: ValueError: c",
    ]


def test_a_success_resolves_a_failure(arrived):
    """Once; and one that this process did not tell is none."""
    for name in ("x", "x", "y"):
        with contextlib.suppress(ValueError), tocsin.watching(name):
            if name == "x":
                raise ValueError("a")
    for name in ("x", "x", "y"):
        with tocsin.watching(name):
            pass

    failed, resolved = arrived(2)
    assert failed.title == "x failed: ValueError: a"
    assert resolved.kind == "resolved"
    assert resolved.text == "x finished in 0.0 s"


def test_one_exception_is_told_once(arrived):
    """By the innermost; whoever sees it later can know."""
    error = ValueError("a")
    with (
        contextlib.suppress(ValueError),
        tocsin.watching("outer"),
        tocsin.watching("in"),
    ):
        raise error

    assert is_told(error)
    assert [alert.title for alert in arrived(1)] == ["in failed: ValueError: a"]


def test_an_exception_that_is_raised_again(arrived):
    """What was told before a block began does not count in it."""
    error = ValueError("a")
    for name in ("one", "two"):
        with contextlib.suppress(ValueError), tocsin.watching(name):
            raise error

    assert len(arrived(2)) == 2


def test_another_exception_is_told(arrived):
    first, then = ValueError("a"), OSError("b")
    with contextlib.suppress(OSError), tocsin.watching("outer"):
        with contextlib.suppress(ValueError), tocsin.watching("inner"):
            raise first
        then.__cause__ = first
        raise then

    assert len(arrived(2)) == 2


# --- marks


class StubbornError(Exception):
    def __setattr__(self, name, value):
        raise AttributeError(name)


@attrs.frozen(auto_exc=True)
class FrozenError(Exception):
    code: int


class UnmarkedError(Exception):
    @property
    def __dict__(self):
        raise AttributeError


@pytest.mark.parametrize("error", [ValueError(), StubbornError(), FrozenError(3)])
def test_a_mark(error):
    """It stays with the exception, even to another process; nothing else changes."""
    before = time.monotonic()
    assert not is_told(error)
    mark(error)

    assert is_told(error)
    assert is_told(error, before)
    assert not is_told(error, time.monotonic() + 1)
    assert isinstance(error, StubbornError | FrozenError) or is_told(
        pickle.loads(pickle.dumps(error))
    )


def test_an_exception_that_takes_no_mark():
    error = UnmarkedError()
    mark(error)

    assert not is_told(error)


def test_a_group_is_told_when_all_of_it_is():
    one, other = ValueError(), OSError()
    group = ExceptionGroup("both", [one, ExceptionGroup("one", [other])])
    mark(one)
    assert not is_told(group)
    mark(other)

    assert is_told(group)


# --- what it does not do


class UnprintableError(Exception):
    def __str__(self):
        raise RuntimeError("no words")


def test_an_exception_that_cannot_be_printed(arrived):
    with pytest.raises(UnprintableError), tocsin.watching("x"):
        raise UnprintableError

    (alert,) = arrived(1)
    assert alert.text.startswith("UnprintableError: <a UnprintableError that")


def test_what_goes_wrong_with_the_alert_is_not_raised(run, monkeypatch, caplog):
    """It is logged; the exception has no trace of it."""
    monkeypatch.setattr(_session, "run_now", lambda: run)
    run._is_finished = True
    with pytest.raises(RunFinished):
        run.alert("x")
    error = ValueError("a")

    with pytest.raises(ValueError, match="a") as caught, tocsin.watching("export"):
        raise error
    with tocsin.watching("export", on_success=True):
        pass

    assert caught.value.__context__ is caught.value.__cause__ is None
    assert caplog.text.count("the end of 'export' could not be told") == 2
    assert not is_told(error)


def test_a_bad_configuration_is_not_raised(tmp_path, monkeypatch, capsys, caplog):
    """The failure is printed, as `tocsin.alert` does."""
    monkeypatch.setattr(_session, "_current", None)
    monkeypatch.setattr(_session, "_default", None)
    (tmp_path / "bad.toml").write_text("nonsense = 1")
    monkeypatch.setenv("TOCSIN_CONFIG", str(tmp_path / "bad.toml"))

    with pytest.raises(ZeroDivisionError), tocsin.watching("x"):
        1 / 0  # noqa: B018

    assert "nonsense" in caplog.text
    assert "x failed: ZeroDivisionError" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"name": 3}, TypeError),
        ({"level": "loud"}, ValueError),
        ({"wait_duration": "long"}, TypeError),
        ({"wait_duration": -1}, ValueError),
    ],
)
def test_mistakes_in_code_raise_where_they_stand(options, error):
    with pytest.raises(error):
        tocsin.watch(**options)
    with pytest.raises(error):
        tocsin.watching(**{"name": "x", **options})


def test_only_functions_are_watched():
    with pytest.raises(TypeError, match="takes a function, not str"):
        tocsin.watch("nightly export")


# --- functions


def test_a_function(arrived):
    """It is called as before, and looks as before."""

    @tocsin.watch
    def divide(a: int, b: int) -> float:
        """Divide."""
        return a / b

    assert divide(6, b=3) == 2
    with pytest.raises(ZeroDivisionError) as caught:
        divide(1, 0)

    assert (divide.__name__, divide.__doc__) == ("divide", "Divide.")
    (alert,) = arrived(1)
    assert alert.title.startswith("test_a_function.divide failed: ZeroDivisionError: ")
    assert "src/tocsin/_watching.py" not in alert.text
    assert "return a / b" in alert.text
    assert traceback.extract_tb(caught.tb)[-1].name == "divide"


def test_a_function_with_options(arrived):
    @tocsin.watch(name="nightly export", on_success=True, tags=["night"])
    def export():
        return 3

    assert export() == 3
    (alert,) = arrived(1)
    assert alert.title == "nightly export finished in 0.0 s"
    assert alert.tags == ("night",)


def test_a_method_and_a_callable(arrived):
    class Job:
        @tocsin.watch
        def run(self):
            raise ValueError("run")

        def __call__(self):
            raise ValueError("call")

    for call in (Job().run, tocsin.watch(Job())):
        with pytest.raises(ValueError):  # noqa: PT011 - as above
            call()

    titles = [alert.title for alert in arrived(2)]
    assert titles[0].endswith("Job.run failed: ValueError: run")
    assert titles[1] == "Job failed: ValueError: call"


def test_calls_in_threads(arrived, clock):
    """Each is watched on its own."""
    barrier = threading.Barrier(4)

    def job(number):
        with contextlib.suppress(ValueError), tocsin.watching(f"job {number}"):
            barrier.wait(30)
            raise ValueError(number)

    threads = [threading.Thread(target=job, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {a.title for a in arrived(4)} == {
        f"job {n} failed: ValueError: {n}" for n in range(4)
    }


def test_a_coroutine(arrived):
    """It is watched while it is awaited."""

    @tocsin.watch(name="job")
    async def job(value):
        await asyncio.sleep(0)
        if value is None:
            raise ValueError("a")
        return value

    assert inspect.iscoroutinefunction(job)
    assert asyncio.run(job(3)) == 3
    with pytest.raises(ValueError, match="a"):
        asyncio.run(job(None))
    assert [alert.title for alert in arrived(1)] == ["job failed: ValueError: a"]


def test_an_async_block_and_a_cancelled_task(arrived):
    async def main():
        with pytest.raises(ValueError, match="a"):
            async with tocsin.watching("block"):
                raise ValueError("a")
        with contextlib.suppress(TimeoutError):
            async with (
                tocsin.watching("outer"),
                asyncio.timeout(0.01),
                tocsin.watching("cancelled"),
            ):
                await asyncio.Event().wait()

    asyncio.run(main())

    titles = [alert.title for alert in arrived(2)]
    assert titles == ["block failed: ValueError: a", "outer failed: TimeoutError"]


def counting(seen):
    """A generator that keeps what it is sent, and what is thrown into it."""
    item = 0
    while True:
        try:
            sent = yield item
        except KeyError as error:
            seen.append(error)
            item = -1
        else:
            if sent == "stop":
                return item
            item += 1


async def async_counting(seen):
    item = 0
    try:
        while True:
            try:
                sent = yield item
            except KeyError as error:
                seen.append(error)
                item = -1
            else:
                if sent == "stop":
                    return
                item += 1
    finally:
        seen.append("closed")


def test_a_generator(arrived):
    """Sending, throwing and closing reach it; leaving it early is no failure."""
    seen = []
    watched = tocsin.watch(name="rows")(counting)
    rows, error = watched(seen), KeyError("k")

    assert inspect.isgeneratorfunction(watched)
    assert [next(rows), rows.send("x"), rows.throw(error), next(rows)] == [0, 1, -1, 0]
    with pytest.raises(StopIteration) as stopped:
        rows.send("stop")
    assert stopped.value.value == 0
    rows = watched(seen)
    next(rows)
    rows.close()
    assert seen == [error]
    arrived(0)

    rows = watched(seen)
    next(rows)
    with pytest.raises(ValueError, match="a"):
        rows.throw(ValueError("a"))
    assert [alert.title for alert in arrived(1)] == ["rows failed: ValueError: a"]


def test_an_async_generator(arrived):
    seen, error = [], KeyError("k")
    watched = tocsin.watch(name="rows")(async_counting)

    async def main():
        rows = watched(seen)
        items = [await anext(rows), await rows.asend("x")]
        items += [await rows.athrow(error), await anext(rows)]
        with pytest.raises(StopAsyncIteration):
            await rows.asend("stop")
        assert items == [0, 1, -1, 0]
        assert seen == [error, "closed"]
        rows = watched(seen)
        await anext(rows)
        await rows.aclose()
        assert seen == [error, "closed", "closed"]
        rows = watched(seen)
        await anext(rows)
        with pytest.raises(ValueError, match="a"):
            await rows.athrow(ValueError("a"))

    assert inspect.isasyncgenfunction(watched)
    asyncio.run(main())
    assert [alert.title for alert in arrived(1)] == ["rows failed: ValueError: a"]


TYPED = """
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, assert_type
import tocsin

@tocsin.watch
def plain(a: int, *, b: str = "") -> float:
    return 1.0

@tocsin.watch(name="job", on_success=True, level="WARN", wait_duration=3, tags=["a"])
async def job(a: int) -> str:
    return ""

@tocsin.watch
def rows() -> Iterator[int]:
    yield 1

@tocsin.watch()
async def lines() -> AsyncIterator[str]:
    yield ""

class Job:
    @tocsin.watch
    def run(self, a: int) -> bytes:
        return b""

assert_type(plain(1, b="x"), float)
answer = assert_type(job(1), Coroutine[Any, Any, str])
assert_type(rows(), Iterator[int])
assert_type(lines(), AsyncIterator[str])
assert_type(Job().run(1), bytes)
plain("x")  # type: ignore[arg-type]
wrong = job()  # type: ignore[call-arg]
Job().run()  # type: ignore[call-arg]
with tocsin.watching("x") as watched:
    assert_type(watched.seconds, float)
def no_answer() -> int:
    with tocsin.watching("x"):  # it swallows nothing
        return 1
"""


@pytest.mark.slow
def test_a_watched_function_keeps_its_signature(tmp_path):
    """As mypy sees it; what is wrong with a call is wrong with a watched one."""
    pytest.importorskip("mypy", reason="types are not checked: mypy is missing")
    (tmp_path / "typed.py").write_text(TYPED)

    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--follow-imports=silent",
            "typed.py",
        ],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout + done.stderr
