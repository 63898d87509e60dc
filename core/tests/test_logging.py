from __future__ import annotations

import gc
import logging
import logging.config
import logging.handlers
import queue
import threading
import warnings

import attrs
import pytest
from conftest import Inbox, Recorder, eventually

import tocsin
from tocsin import AlertLevel, Origin, Run, _session
from tocsin.logging import AlertHandler


@pytest.fixture
def log():
    """A logger of the test's own; nothing of it goes to the root."""
    log = logging.getLogger("app.train")
    log.setLevel(logging.DEBUG)
    log.propagate = False
    yield log
    log.handlers.clear()
    log.propagate = True


@pytest.fixture
def handler(notifier, log):
    """What raises alerts of the logger's errors."""
    handler = AlertHandler(target=notifier)
    log.addHandler(handler)
    return handler


@pytest.fixture
def told(notifier, inbox, handler):
    """Returns the alerts that arrived, once there are so many."""
    return teller(notifier, inbox)


def teller(notifier, inbox):
    def told(count):
        eventually(lambda: len(inbox.messages) >= count)
        assert notifier.flush(30)
        assert len(inbox.messages) == count
        return [message.alert for message in inbox.messages]

    return told


# --- what it says


def test_a_record(told, log):
    """Its first line is the title, the rest the text, and its arguments are filled in."""
    log.error("loss is %.1f\nat step %d", 0.25, 12, extra={"epoch": 3, "note": None})

    (alert,) = told(1)
    assert (alert.title, alert.text) == ("loss is 0.2", "at step 12")
    assert (alert.level, alert.kind) == (AlertLevel.ERROR, "log")
    assert alert.key == "app.train: loss is %.1f\nat step %d"
    line = test_a_record.__code__.co_firstlineno + 2
    assert alert.fields == {
        "logger": "app.train",
        "where": f"test_logging.py:{line}, test_a_record",
        "epoch": "3",
    }


def test_an_exception(told, log):
    """Its type, its words and its last frames, without the values of variables."""
    try:
        int("x" * 3)
    except ValueError:
        log.exception("export failed")

    (alert,) = told(1)
    assert alert.title == "export failed"
    assert alert.text.startswith("ValueError: invalid literal for int()")
    assert alert.text.count("  File ") == 1
    assert alert.key == "app.train: export failed (ValueError)"


def test_an_exception_without_a_message(told, log):
    log.error("", exc_info=ValueError("no rows"))

    (alert,) = told(1)
    assert alert.title == "ValueError: no rows"
    assert alert.text == "ValueError: no rows"


def test_nothing_to_say(told, log):
    log.error("")

    assert [alert.title for alert in told(1)] == ["app.train"]


def test_the_stack(told, log):
    log.error("here", stack_info=True)

    (alert,) = told(1)
    assert alert.text.startswith("Stack (most recent call last):")
    assert "log.error" in alert.text


def test_a_formatter_makes_the_text(told, log, handler):
    handler.setFormatter(logging.Formatter("%(levelname)s! %(message)s"))
    log.error("x", exc_info=ValueError("a"))

    (alert,) = told(1)
    assert alert.title == "x"
    assert alert.text == "ERROR! x\nValueError: a"


@pytest.mark.parametrize("layout", [logging.BASIC_FORMAT, "%(message)s"])
def test_a_formatter_that_adds_nothing(told, log, handler, layout):
    """What `basicConfig` gives to each handler is none; the title is not said twice."""
    handler.setFormatter(logging.Formatter(layout))
    log.error("x")

    assert [(alert.title, alert.text) for alert in told(1)] == [("x", "")]


def test_a_mistake_in_the_call(told, handler):
    """What it meant to say is told."""
    said = {"name": "app", "msg": "loss is %d", "args": ("nan",), "levelno": 40}
    handler.handle(logging.makeLogRecord(said))

    assert [alert.title for alert in told(1)] == ["loss is %d ('nan',)"]


def test_bounds(told, log):
    """A long line, a long text and what is in `extra` are cut."""
    extra = {f"n{n:02}": "x" * 1000 for n in range(50)}
    log.error("%s\n%s", "long " * 100, "y" * 100_000, extra=extra)

    (alert,) = told(1)
    assert len(alert.title) < 210
    assert alert.text.startswith(alert.title.removesuffix(" …"))
    assert 19_000 < len(alert.text) <= 20_000
    assert len(alert.fields) == 22
    assert len(alert.fields["n00"]) < 210


def test_secrets_are_blotted_out(told, log, monkeypatch):
    """Of title, text, fields and key: those of the environment, and what looks like one."""
    monkeypatch.setenv("DB_PASSWORD", "canary-9c1d")
    extra = {"url": "https://ada:hunter22@example.org/", "db_password": "hunter22"}
    log.error("canary-9c1d is wrong\ncanary-9c1d", extra=extra)
    log.error(f"{'canary-9c1d'} is wrong again")  # noqa: G004 - what people write

    first, second = told(2)
    everything = repr((first, second))
    assert "canary-9c1d" not in everything
    assert "hunter22" not in everything
    assert first.fields["db_password"] == "…"
    assert second.key == "app.train: … is wrong again"


class Broken:
    def __str__(self):
        raise RuntimeError("no words")


def test_what_cannot_be_printed(told, log):
    log.error("x", extra={"model": Broken()})

    (alert,) = told(1)
    assert alert.fields["model"] == "<a Broken that cannot be printed>"


# --- levels


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        (None, ["INFO", "INFO", "WARN", "ERROR", "ERROR"]),
        ({"critical": "error", 30: AlertLevel.WARN}, ["INFO"] * 2 + ["WARN"] * 2 + ["ERROR"]),
        ({"10": "WARN"}, ["WARN"] * 5),
        ({}, ["INFO"] * 5),
    ],
)  # fmt: skip
def test_levels(notifier, inbox, log, levels, expected):
    """From which logging level on an alert has which level."""
    log.addHandler(AlertHandler("DEBUG", levels=levels, target=notifier))
    for number in (10, 20, 30, 40, 50):
        log.log(number, f"at {number}")  # noqa: G004 - a template for each

    told = sorted(teller(notifier, inbox)(5), key=lambda alert: alert.title)
    assert [alert.level.value for alert in told] == expected


def test_below_its_level(told, log):
    log.warning("x")

    assert told(0) == []


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"level": "LOUD"}, ValueError),
        ({"levels": {"LOUD": "ERROR"}}, ValueError),
        ({"levels": {"ERROR": "LOUD"}}, ValueError),
        ({"wait_duration": "long"}, ValueError),
        ({"wait_duration": -1}, ValueError),
        ({"kind": 3}, TypeError),
        ({"target": "run"}, TypeError),
    ],
)
def test_mistakes_in_code(options, error):
    with pytest.raises(error):
        AlertHandler(**options)


# --- how often


def test_one_template_is_one_key(told, log, inbox, clock):
    """Whatever the arguments; the next admitted one tells how many there were."""
    for step in range(5):
        log.error("loss is %f", step)
    clock.advance(61)
    log.error("loss is %f", 5)

    assert [alert.title for alert in told(2)] == [
        "loss is 0.000000",
        "loss is 5.000000",
    ]
    assert "4 more like it suppressed" in str(inbox.messages[1].notes)


def test_other_exceptions_and_loggers_are_other_keys(told, log):
    for error in (ValueError("a"), ValueError("b"), KeyError("c")):
        log.error("x", exc_info=error)
    log.getChild("eval").error("x")

    assert len(told(3)) == 3


def test_messages_without_words_of_their_own(told, log):
    """They are known by their place in the code."""
    for value in (ValueError("a"), ValueError("b")):
        log.error("%s", value)
    log.error(ValueError("c"))
    log.error("%(a)s: %(b)5.2f %%", {"a": "d", "b": 1})

    assert [a.title for a in told(3)] == ["a", "c", "d: 1.00 %"]


def test_a_key_and_a_url_of_ones_own(told, log):
    for step in (1, 2):
        extra = {"tocsin_key": "loss", "tocsin_url": "https://example.org/"}
        log.error(f"loss at {step}", extra=extra)  # noqa: G004 - what people write

    (alert,) = told(1)
    assert (alert.key, alert.url) == ("loss", "https://example.org/")
    assert list(alert.fields) == ["logger", "where"]


def test_a_higher_level_is_told(notifier, inbox, log):
    log.addHandler(AlertHandler("WARNING", target=notifier))
    for number in (30, 30, 40, 40):
        log.log(number, "x")

    told = teller(notifier, inbox)(2)
    assert [alert.level.value for alert in told] == ["WARN", "ERROR"]


@pytest.mark.parametrize("wait", [5, "5s"])
def test_its_own_wait(notifier, inbox, log, clock, wait):
    log.addHandler(AlertHandler(wait_duration=wait, target=notifier))
    for _ in range(3):
        log.error("x")
        log.error("x")
        clock.advance(6)

    assert len(teller(notifier, inbox)(3)) == 3


def test_what_goes_nowhere(inbox, clock, log):
    """It is kept once in its wait, and then costs nothing."""
    wish = tocsin.Subscription(channels=["inbox"], min_level="ERROR")
    settings = tocsin.Settings(
        user="ada",
        submit_timeout=10.0,
        channels={"inbox": Recorder(inbox)},
        subscriptions=[wish],
        state_dir=":memory:",
    )
    with tocsin.Notifier(settings, namespace="tests", clock=clock) as notifier:
        log.addHandler(AlertHandler("DEBUG", target=notifier))
        for _ in range(2):
            log.info("x")
            log.info("x")
            clock.advance(61)
        log.error("x")

        assert len(teller(notifier, inbox)(1)) == 1
        assert len(notifier.store().history(limit=9)) == 3


# --- where


def test_the_current_run(notifier, inbox, log, monkeypatch):
    """Without a target the alert is the current run's, and has its tags."""
    run = Run(notifier, Origin(run="owl", project="mnist"), ["nightly"])
    monkeypatch.setattr(_session, "_current", run)
    log.addHandler(AlertHandler(tags="log"))
    log.error("x")
    log.error("x")

    (alert,) = teller(notifier, inbox)(1)
    assert (alert.origin.run, alert.tags) == ("owl", ("nightly", "log"))


def test_a_run_that_is_finished(notifier, inbox, log):
    """Nothing is told, and nothing raised."""
    run = Run(notifier, Origin(run="owl"), ())
    log.addHandler(AlertHandler(target=run))
    log.error("x")
    teller(notifier, inbox)(1)
    run.finish()
    log.error("y")

    assert len(inbox.messages) == 1


def test_disabled(log, capsys):
    notifier = tocsin.Notifier(tocsin.Settings(), namespace="tests", mode="disabled")
    log.addHandler(AlertHandler(target=notifier))
    log.error("x")

    assert capsys.readouterr().err == ""


def test_no_configuration(log, monkeypatch, capsys):
    """Then it is printed, as `tocsin.alert` does."""
    monkeypatch.setattr(_session, "_current", None)
    monkeypatch.setattr(_session, "_default", None)
    log.addHandler(AlertHandler())
    log.error("x")

    assert "[ERROR] x\n" in capsys.readouterr().err


def test_dict_config(notifier, inbox, log):
    """All options are words and numbers there."""
    handler = {
        "class": "tocsin.logging.AlertHandler",
        "level": "WARNING",
        "levels": {"CRITICAL": "ERROR", "WARNING": "WARN"},
        "kind": "training",
        "wait_duration": "10m",
        "tags": ["nightly"],
        "target": notifier,
    }
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"people": handler},
            "loggers": {log.name: {"handlers": ["people"]}},
        }
    )
    log.error("x")
    log.info("y")

    (alert,) = teller(notifier, inbox)(1)
    assert (alert.level, alert.kind) == (AlertLevel.WARN, "training")
    assert (alert.tags, alert.wait_duration) == (("nightly",), 600)


def test_file_config(tmp_path, log):
    file = tmp_path / "logging.ini"
    file.write_text(
        f"""
        [loggers]
        keys = root, train
        [handlers]
        keys = people
        [formatters]
        keys =
        [logger_root]
        handlers =
        [logger_train]
        qualname = {log.name}
        handlers = people
        [handler_people]
        class = tocsin.logging.AlertHandler
        args = ("WARNING",)
        kwargs = {{"wait_duration": "10m"}}
        """.replace("        ", "")
    )
    before = logging.root.handlers[:], logging.root.level
    logging.config.fileConfig(file, disable_existing_loggers=False)
    logging.root.handlers[:] = before[0]
    logging.root.setLevel(before[1])

    (handler,) = log.handlers
    assert isinstance(handler, AlertHandler)
    assert handler.level == logging.WARNING


def test_warnings(notifier, inbox):
    """`logging.captureWarnings` makes records of them."""
    log = logging.getLogger("py.warnings")
    log.addHandler(AlertHandler("WARNING", target=notifier))
    try:
        with warnings.catch_warnings(action="always"):
            logging.captureWarnings(capture=True)
            warnings.warn("overflow", RuntimeWarning, stacklevel=1)
            logging.captureWarnings(capture=False)
    finally:
        log.handlers.clear()

    (alert,) = teller(notifier, inbox)(1)
    assert "RuntimeWarning: overflow" in alert.title
    assert alert.level is AlertLevel.WARN


def test_through_a_queue(told, log, handler):
    """A listener in another thread tells what was logged here; what a thread of Tocsin's
    logged is left out there, too."""
    records = queue.SimpleQueue()
    log.removeHandler(handler)
    log.addHandler(logging.handlers.QueueHandler(records))
    listener = logging.handlers.QueueListener(records, handler)
    listener.start()
    try:
        log.error("step %d", 1, exc_info=ValueError("a"))
        in_thread("tocsin inbox", lambda: log.error("sent"))
    finally:
        listener.stop()

    (alert,) = told(1)
    assert (alert.title, alert.text) == ("step 1", "ValueError: a")


# --- what is left out


def in_thread(name, step):
    thread = threading.Thread(target=step, name=name)
    thread.start()
    thread.join()


def test_what_is_left_out(told, log, handler):
    """Tocsin's own, its threads', and what was told already."""
    for name in ("tocsin", "tocsin.deliveries"):
        handler.handle(logging.makeLogRecord({"name": name, "msg": "x", "levelno": 40}))
    for name in ("tocsin", "tocsin inbox"):
        in_thread(name, lambda: log.error("x"))
    log.error("x", extra={"tocsin_told": True})
    assert told(0) == []

    in_thread("tocsinography", lambda: log.error("thread"))
    logging.getLogger("app.train.tocsin").error("logger")
    assert len(told(2)) == 2


@attrs.frozen
class Chatty(tocsin.Provider):
    """It logs what it does, as transports do."""

    inbox: Inbox
    log: logging.Logger

    name = "chatty"

    def deliver(self, message, delivery):
        self.log.error("sending %s", message.title)
        return self.inbox.take(message, delivery)


@pytest.fixture
def chatty(inbox, log, clock):
    settings = tocsin.Settings(
        user="ada",
        submit_timeout=10.0,
        channels={"inbox": Chatty(inbox, log)},
        subscriptions=[tocsin.Subscription(channels=["inbox"])],
        state_dir=":memory:",
    )
    with tocsin.Notifier(settings, namespace="tests", clock=clock) as notifier:
        log.addHandler(AlertHandler("DEBUG", target=notifier))
        yield notifier


def test_no_echo(chatty, inbox, log):
    """What a delivery logs is not told, or telling would never end."""
    log.error("x")

    assert [a.title for a in teller(chatty, inbox)(1)] == ["x"]


def test_no_echo_where_no_thread_starts(chatty, inbox, log, monkeypatch):
    """Then the thread that is there delivers; it is no less Tocsin's while it does."""

    def start(thread):
        raise RuntimeError("can't start new thread")

    chatty.close()
    monkeypatch.setattr(threading.Thread, "start", start)
    log.error("x")
    assert chatty.flush(30)
    monkeypatch.undo()

    assert inbox.titles == ["x"]


class Logging:
    """Something that logs when it is printed."""

    def __init__(self, log):
        self.log = log

    def __str__(self):
        self.log.error("somebody asks")
        return "me"


def test_no_recursion(told, log):
    """What is logged while an alert is raised raises none."""
    log.error("x", extra={"who": Logging(log)})

    (alert,) = told(1)
    assert alert.fields["who"] == "me"
    log.error("somebody asks")
    assert len(told(2)) == 2


def test_filters(told, log, handler):
    """They hold as for any handler."""
    handler.addFilter(lambda record: "secret" not in record.msg)
    log.error("secret")
    log.error("x")

    assert [alert.title for alert in told(1)] == ["x"]


# --- what goes wrong


@pytest.mark.parametrize("is_noisy", [True, False])
def test_what_goes_wrong_is_not_raised(log, notifier, monkeypatch, capsys, is_noisy):
    """It is printed, unless `logging.raiseExceptions` says no."""
    monkeypatch.setattr(logging, "raiseExceptions", is_noisy)

    def fail():
        raise OSError("no clock")

    monkeypatch.setattr(notifier, "now", fail)
    log.addHandler(AlertHandler(target=notifier))
    log.error("x")

    assert ("OSError: no clock" in capsys.readouterr().err) is is_noisy


def test_it_needs_no_lock(told, log, handler):
    """Another thread may hold the handler's: what waits there might wait for this one."""
    handler.acquire()
    try:
        in_thread("other", lambda: log.error("x"))
    finally:
        handler.release()

    assert len(told(1)) == 1


def test_threads(told, log):
    """Any number of them; no count is lost."""
    in_all = [
        threading.Thread(target=lambda: [log.error("x %d", n) for n in range(50)])
        for _ in range(8)
    ]
    for thread in in_all:
        thread.start()
    for thread in in_all:
        thread.join()

    assert len(told(1)) == 1


def test_it_forgets_a_notifier(log):
    """A handler outlives notifiers, and keeps none of them."""
    handler = AlertHandler()
    notifier = tocsin.Notifier(
        tocsin.Settings(state_dir=":memory:"), namespace="tests", mode="offline"
    )
    handler._memory(notifier)
    assert len(handler._memories) == 1
    del notifier
    gc.collect()

    assert len(handler._memories) == 0


def test_it_remembers_so_many(told, log, handler, monkeypatch):
    monkeypatch.setattr("tocsin.logging._REMEMBERED", 3)
    for number in range(10):
        log.error(f"x {number}")  # noqa: G004 - what people write
    told(10)

    (memory,) = handler._memories.values()
    assert len(memory._keys) <= 3
