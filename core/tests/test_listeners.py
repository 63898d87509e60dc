"""Plugins that hear of every change of a run, and raise alerts by what they hear."""

from __future__ import annotations

import itertools
import os
import sys
import threading
import time
import timeit
import types
from collections import Counter

import attrs
import pytest
from conftest import Recorder, eventually

import tocsin
from tocsin import (
    Alert,
    ConfigError,
    Origin,
    PluginBroken,
    PluginError,
    Rejected,
    RetryLater,
    Status,
)
from tocsin import _listening as listening
from tocsin import _plugins as plugins
from tocsin import _session as session

RULES = """
import tocsin


@tocsin.hookimpl
def tocsin_run_changed(change, notify):
    if change.kind == "metrics" and change.facts.get("loss", 0) > 10:
        notify(tocsin.Alert("Loss is large", f"at step {change.step}", level="WARN"))
"""

_numbers = itertools.count()


@pytest.fixture(autouse=True)
def _look_anew():
    plugins._entry_points.cache_clear()
    yield
    plugins._entry_points.cache_clear()


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return what installs a distribution that registers a plugin."""
    from support import write_distribution

    def install(code, *, entry):
        name = f"listening_{next(_numbers)}"
        write_distribution(tmp_path / name, name, code, entry=entry)
        monkeypatch.syspath_prepend(tmp_path / name)

    return install


@pytest.fixture
def configure(tmp_path, monkeypatch):
    """Return what writes a configuration and makes it the one that is found."""

    def configure(*names):
        file = tmp_path / "tocsin.toml"
        file.write_text(f"listeners = {list(names)!r}\n[user]\nname = 'ada'\n")
        monkeypatch.setenv("TOCSIN_CONFIG", str(file))

    return configure


def notifier_of(inbox, listeners, *, clock=time.time, **settings):
    """Return a notifier whose one channel is the inbox."""
    settings = tocsin.Settings(
        user="ada",
        submit_timeout=10.0,
        channels={"inbox": Recorder(inbox)},
        subscriptions=[tocsin.Subscription(channels=["inbox"])],
        state_dir=":memory:",
        listeners=listeners,
        **settings,
    )
    return tocsin.Notifier(settings, namespace="tests", clock=clock)


@pytest.fixture
def run_with(inbox):
    """Return what starts a run with listeners made in code, and finishes it in the end."""
    runs = []

    def run_with(**listeners):
        notifier = notifier_of(inbox, listeners)
        notifier.start()
        run = session._living(
            notifier,
            notifier.placed(Origin(run="r1", run_name="owl", project="mnist")),
            *((), "", None, 0.0),
            supervisor=None,
            is_resumed=False,
        )
        runs.append(run)
        return run

    yield run_with
    for run in runs:
        run.finish()


# --- rules


def test_a_rule_on_metrics(run_with, inbox):
    """What a rule raises goes the way of all alerts, in the name of the run."""

    def rules(change, notify):
        if change.kind == "metrics" and change.facts["loss"] > 10:
            notify(Alert("Loss is large", f"at step {change.step}", level="WARN"))

    run = run_with(rules=rules)
    for step, loss in enumerate([1.0, 9.0, 11.0, 12.0]):
        run.log({"loss": loss}, step)
    run.finish()

    (message,) = inbox.messages
    assert (message.alert.title, message.alert.text) == ("Loss is large", "at step 2")
    assert message.alert.origin == run.origin


def test_a_rule_on_what_is_emitted(run_with, inbox):
    """A change may be of any kind; nobody is told of it but who listens."""

    def rules(change, notify):
        if change.kind == "artifact":
            notify(Alert(f"{change.facts['name']} is there"))

    run = run_with(rules=rules)
    run.emit("artifact", name="model.pt")
    run.emit("checkpoint", step=3)
    run.finish()

    assert inbox.titles == ["model.pt is there"]


def test_what_is_raised_at_the_end(run_with, inbox):
    """A rule that hears of the end is heard before the program ends."""

    def rules(change, notify):
        if change.facts.get("state") == "finished":
            notify(Alert("All done"))

    run_with(rules=rules).finish()

    assert inbox.titles == ["All done"]


def test_a_rule_with_a_mistake(run_with, inbox, caplog):
    """It disturbs nobody: the run goes on, and the others hear."""
    heard = []
    run = run_with(
        wrong=lambda change, _: change.no_such_thing,
        good=lambda change, _: heard.append(change.kind),
    )
    run.log({"loss": 1})
    run.finish()

    assert heard == ["state", "metrics", "state"]
    assert [m.partition(":")[0] for m in caplog.messages] == [
        "the listener 'wrong' raised AttributeError"
    ]


# --- deliveries and counts


class Hearing:
    """A listener that keeps what it hears."""

    def __init__(self):
        self.settled, self.counts = [], []

    @tocsin.hookimpl
    def tocsin_delivery_settled(self, settled):
        self.settled.append(settled)

    @tocsin.hookimpl
    def tocsin_alerts_counted(self, counts):
        self.counts.append(counts)

    @property
    def sums(self):
        return {
            field.name: sum(getattr(one, field.name) for one in self.counts)
            for field in attrs.fields(tocsin.AlertCounts)
        }


def test_each_delivery_that_ends(inbox):
    """It is heard once, with what became of it, before the notifier is closed."""
    hearing = Hearing()
    inbox.answers += [raising(Rejected("no such person")), raising(RetryLater("busy"))]
    with notifier_of(inbox, {"hearing": hearing}) as notifier:
        notifier.notify(Alert("refused"))
        inbox.wait_for(1)
        notifier.notify(Alert("repeated"))
        inbox.wait_for(3, timeout=60)

    refused, repeated = hearing.settled
    assert (refused.alert.title, refused.status) == ("refused", Status.FAILED)
    assert (refused.channel, refused.provider) == ("inbox", "recorder")
    assert (refused.cause, refused.reason) == ("rejected", "no such person")
    assert (refused.error, refused.attempts) == (Rejected, 1)
    assert (repeated.alert.title, repeated.status) == ("repeated", Status.DELIVERED)
    assert (repeated.attempts, repeated.error) == (2, None)
    assert repeated.receipt == tocsin.Receipt(reference="3")
    assert 0 <= repeated.attempt_seconds <= repeated.seconds


def raising(error):
    def answer():
        raise error

    return answer


def test_what_is_secret_stays_so(inbox):
    """What a listener hears of a failure is redacted, as everywhere."""
    hearing = Hearing()
    settings = tocsin.Settings(
        user="ada",
        channels={"torn": Telltale(tocsin.Secret("xoxb-9876"))},
        subscriptions=[tocsin.Subscription(channels=["torn"])],
        state_dir=":memory:",
        submit_timeout=10.0,
        listeners={"hearing": hearing},
    )
    with tocsin.Notifier(settings, namespace="tests") as notifier:
        notifier.notify(Alert("x")).wait(30)

    (one,) = hearing.settled
    assert "xoxb-9876" not in repr(one)
    assert one.reason == "refused the token …"


@attrs.frozen
class Telltale(tocsin.Provider):
    token: tocsin.Secret

    name = "telltale"

    def deliver(self, *_):
        raise Rejected(f"refused the token {self.token.reveal()}")


def test_what_calls_returned(inbox, clock):
    """Each call is counted by what it returned, in whatever way it was answered."""
    hearing = Hearing()
    with notifier_of(inbox, {"hearing": hearing}, clock=clock) as notifier:
        run = tocsin.Run(notifier, Origin(run="r1"))
        run.alert("a")
        run.alert("a")
        run.alert("a", level="ERROR")
        run.alert("b", kind="finished")
        notifier.notify(Alert("c"))
        notifier.notify(Alert("c"))
        notifier.close()

    assert hearing.sums == {
        "admitted": 3,
        "suppressed": 2,
        "unrouted": 1,
        "deferred": 0,
        "refused": 0,
    }


def test_counts_of_many_threads(inbox):
    """However many raise alerts at once, no call is lost, and none is counted twice."""
    hearing = Hearing()
    with notifier_of(inbox, {"hearing": hearing}) as notifier:
        run = tocsin.Run(notifier, Origin(run="r1"))
        results = []

        def work(number):
            made = [run.alert(f"title {i % 7}") for i in range(400)]
            made.append(run.alert(f"only {number}", kind="finished"))
            results.extend(type(one).__name__.lower() for one in made)

        threads = [threading.Thread(target=work, args=[n]) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    counted = {name: count for name, count in hearing.sums.items() if count}
    assert counted == dict(Counter(results))
    assert sum(one.raised for one in hearing.counts) == 8 * 401


def test_counts_while_nobody_keeps_up(inbox, monkeypatch):
    """They wait until there is room, and are right in the end."""
    entered, go_on = threading.Event(), threading.Event()

    class Slow(Hearing):
        @tocsin.hookimpl
        def tocsin_delivery_settled(self, settled):
            entered.set()
            go_on.wait(60)

    slow = Slow()
    monkeypatch.setattr(listening, "MAX_WAITING", 1)
    with notifier_of(inbox, {"slow": slow}) as notifier:
        for number in range(20):
            notifier.notify(Alert(f"title {number}"))
        assert entered.wait(30)
        assert notifier.flush(30)
        assert notifier.unheard in {18, 19}  # counts may wait in between
        notifier.notify(Alert("title 0"))
        go_on.set()

    assert (slow.sums["admitted"], slow.sums["suppressed"]) == (20, 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_what_a_forked_child_hears(inbox):
    """Its own deliveries and counts, and nothing of its parent's."""
    hearing = Hearing()
    with notifier_of(inbox, {"hearing": hearing}) as notifier:
        notifier.notify(Alert("the parent's")).wait(30)
        eventually(lambda: hearing.settled)
        notifier.notify(Alert("the parent's"))
        child = os.fork()
        if child == 0:
            is_own = False
            try:
                hearing.__init__()
                notifier.notify(Alert("the child's")).wait(30)
                notifier.close(30)
                titles = [one.alert.title for one in hearing.settled]
                is_own = titles == ["the child's"] and hearing.sums["admitted"] == 1
            finally:
                os._exit(0 if is_own and not hearing.sums["suppressed"] else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    assert [one.alert.title for one in hearing.settled] == ["the parent's"]
    assert (hearing.sums["admitted"], hearing.sums["suppressed"]) == (1, 1)


def test_one_that_hangs_at_the_end(inbox, caplog):
    """The program ends in its time, and is told what was not heard."""
    end = threading.Event()

    class Hangs:
        @tocsin.hookimpl
        def tocsin_delivery_settled(self, settled):
            end.wait(120)

    notifier = notifier_of(inbox, {"hangs": Hangs()})
    for title in ("a", "b"):
        notifier.notify(Alert(title)).wait(30)
    began = time.monotonic()
    notifier.close(5.0)

    assert time.monotonic() - began < 30
    assert "listeners did not hear of 2 things that happened" in caplog.messages
    end.set()


def test_a_run_whose_listener_hangs(run_with, inbox, caplog):
    """Its end takes the time that it may, and what is left is delivered all the same."""
    end = threading.Event()
    run = run_with(hangs=lambda *_: end.wait(120))
    run.alert("x")
    began = time.monotonic()
    run.finish(timeout=5.0)

    assert time.monotonic() - began < 30
    assert inbox.titles == ["x"]
    (told,) = [one for one in caplog.messages if "did not hear" in one]
    assert told.startswith("listeners did not hear of 2 things")
    end.set()


def test_what_is_refused_only(tmp_path, monkeypatch):
    """A notifier that could keep nothing hands its counts over at the exit too."""
    (tmp_path / "file").write_text("")
    hearing = Hearing()
    settings = tocsin.Settings(
        user="ada",
        state_dir=str(tmp_path / "file" / "state"),
        listeners={"hearing": hearing},
    )
    notifier = tocsin.Notifier(settings, namespace="tests")
    result = notifier.notify(Alert("x"))
    notifier._close_at_exit()

    assert hearing.sums[type(result).__name__.lower()] == 1
    assert sum(hearing.sums.values()) == 1


# --- plugins made in code


def test_a_module_as_a_plugin(inbox):
    """A module with hooks is a plugin as good as an object."""
    module = types.ModuleType("mine")
    module.heard = heard = []

    @tocsin.hookimpl
    def tocsin_alerts_counted(counts):
        heard.append(counts.raised)

    module.tocsin_alerts_counted = tocsin_alerts_counted
    with notifier_of(inbox, {"mine": module}) as notifier:
        notifier.notify(Alert("x"))

    assert sum(heard) == 1


class _Wrong:
    @tocsin.hookimpl
    def tocsin_delivery_settled(self, delivery):
        """Take what there is not."""


@pytest.mark.parametrize(
    ("plugin", "reason"),
    [
        (object(), "it has none of tocsin_run_changed, tocsin_delivery_settled, "),
        (_Wrong(), "(?s)'wrong'.*Argument.*delivery"),
    ],
    ids=["nothing", "argument"],
)
def test_a_plugin_with_a_mistake(plugin, reason):
    """A mistake in code raises where the settings are made."""
    with pytest.raises(TypeError, match=reason):
        tocsin.Settings(listeners={"wrong": plugin})


# --- plugins


def test_an_installed_plugin(install, configure):
    """A name in the configuration is a plugin that listens from then on."""
    install(RULES, entry="rules")
    configure("rules")
    run = tocsin.init(mode="offline", id="r1")
    run.log({"loss": 99}, 7)

    def titles():
        return [one.alert.title for one in run._notifier.store().history(limit=9)]

    eventually(lambda: "Loss is large" in titles())
    run.finish()


def test_one_that_is_not_installed(configure):
    """A name that nobody registers is a mistake in the configuration."""
    configure("rulez")
    with pytest.raises(
        ConfigError, match="listeners: no listener 'rulez' is installed"
    ):
        tocsin.init()


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import no_such_module", "No module named 'no_such_module'"),
        (RULES.replace("change, notify", "changed"), "Argument.*changed"),
        (RULES.replace("tocsin_run_changed", "tocsin_run_changes"), "unknown hook"),
        ("raise SystemExit('no')", "SystemExit: no"),
    ],
    ids=["import", "signature", "hook", "exit"],
)
def test_one_that_is_broken(install, configure, caplog, code, reason):
    """It is told, with its package, and the run starts without it."""
    install(code, entry="rules")
    configure("rules")
    run = tocsin.init(mode="offline")
    run.log({"loss": 99})
    run.finish()

    (told,) = [one for one in caplog.messages if "the listener 'rules'" in one]
    assert "listening_" in told
    with pytest.raises(PluginBroken, match=reason):
        plugins.load_listener("rules")


def test_one_that_does_not_listen(install, configure, caplog):
    """A plugin that is for something else is told."""
    install("import tocsin", entry="rules")
    configure("rules")
    tocsin.init(mode="offline").finish()

    assert "does not listen: it has none of tocsin_run_changed" in caplog.text


def test_two_of_one_name(install):
    """Neither wins."""
    install(RULES, entry="rules")
    install(RULES, entry="rules")
    with pytest.raises(PluginError, match="uninstall one of them"):
        plugins.load_listener("rules")


# --- what it costs


@pytest.mark.skipif(sys.gettrace() is not None, reason="it is slower when traced")
def test_without_listeners_nothing_is_offered(run_with):
    """`Run.log` makes no change, starts no thread, and takes microseconds."""
    run = run_with()
    assert run._life._listening is None
    metrics = {"loss": 0.5, "accuracy": 0.1}
    best = min(timeit.repeat(lambda: run.log(metrics, 3), number=1000, repeat=5)) / 1000

    assert best < 1e-4
