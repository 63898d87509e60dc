"""Plugins that hear of every change of a run, and raise alerts by what they hear."""

from __future__ import annotations

import itertools
import sys
import timeit

import pytest
from conftest import Recorder, eventually

import tocsin
from tocsin import Alert, ConfigError, Origin, PluginBroken, PluginError
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


@pytest.fixture
def run_with(inbox):
    """Return what starts a run with listeners made in code, and finishes it in the end."""
    runs = []

    def run_with(**listeners):
        settings = tocsin.Settings(
            user="ada",
            submit_timeout=10.0,
            channels={"inbox": Recorder(inbox)},
            subscriptions=[tocsin.Subscription(channels=["inbox"])],
            state_dir=":memory:",
            listeners=listeners,
        )
        notifier = tocsin.Notifier(settings, namespace="tests")
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

    assert "does not listen: it has no tocsin_run_changed" in caplog.text


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
