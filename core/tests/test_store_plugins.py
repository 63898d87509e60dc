"""A store that somebody else wrote, chosen by the configuration or in code."""

from __future__ import annotations

import contextlib
import os
import threading

import attrs
import pytest
from conftest import Recorder, eventually

from tocsin import (
    Admitted,
    Alert,
    ConfigError,
    Deferred,
    Notifier,
    Settings,
    Status,
    StoreBusy,
    StoreError,
    StoreProvider,
    Subscription,
)
from tocsin import _plugins as plugins
from tocsin._config import load
from tocsin.stores import DocumentStore


class Shelf:
    """Where a store of these tests keeps its text, and what is wrong with it."""

    def __init__(self):
        self.lock = threading.Lock()
        self.text = ""
        self.trouble = None
        self.opened = []


class ShelfStore(DocumentStore):
    def __init__(self, shelf, namespace, config=""):
        super().__init__(namespace, config)
        self.shelf = shelf

    @contextlib.contextmanager
    def lock(self, timeout):
        if not self.shelf.lock.acquire(timeout=timeout):
            raise StoreBusy("somebody has the shelf")
        try:
            yield
        finally:
            self.shelf.lock.release()

    def load(self):
        if self.shelf.trouble is not None:
            raise self.shelf.trouble
        return self.shelf.text

    def save(self, text):
        self.shelf.text = text


class Clumsy(ShelfStore):
    """It has a mistake that no base class catches."""

    def submit(self, *args, **more):
        if self.shelf.trouble is not None:
            raise self.shelf.trouble
        return super().submit(*args, **more)


@attrs.frozen
class OnShelf(StoreProvider):
    shelf: Shelf
    kind: type = ShelfStore

    name = "shelf"

    def open(self, namespace, config, *, timeout):
        self.shelf.opened.append((namespace, config, os.getpid()))
        if isinstance(self.shelf.trouble, ImportError):
            raise self.shelf.trouble
        return self.kind(self.shelf, namespace, config)


@pytest.fixture
def shelf():
    return Shelf()


@pytest.fixture
def start(inbox, clock, shelf):
    """Return what starts a notifier whose store is the shelf."""
    running = []

    def start(**more):
        settings = Settings(
            user="ada",
            submit_timeout=more.pop("submit_timeout", 10.0),
            channels={"inbox": Recorder(inbox)},
            subscriptions=[Subscription(channels=["inbox"])],
            store=OnShelf(shelf, **more),
            source="/etc/tocsin.toml",
        )
        running.append(Notifier(settings, namespace="tests", clock=clock))
        return running[-1]

    yield start
    for notifier in running:
        notifier.close()


def test_alerts_are_there(start, shelf, inbox, tmp_path):
    """What is raised is kept and delivered by it; no database is made."""
    notifier = start()
    result = notifier.notify(Alert("t"))

    assert isinstance(result, Admitted)
    assert result.wait(10)[0].status is Status.DELIVERED
    assert inbox.titles == ["t"]
    assert '\\"title\\": \\"t\\"' in shelf.text
    assert shelf.opened == [("tests", "/etc/tocsin.toml", os.getpid())]
    assert not (tmp_path / "state" / "tocsin.db").exists()
    (known,) = notifier.store().namespaces()
    assert (known.name, known.config) == ("tests", "/etc/tocsin.toml")


def test_what_it_does_not_take_in_time(start, shelf, inbox):
    """While somebody holds it, alerts go to a file, and later into it."""
    notifier = start(submit_timeout=0.05)
    notifier.notify(Alert("first")).wait(10)
    with shelf.lock:
        result = notifier.notify(Alert("t"))
        assert isinstance(result, Deferred)

    assert result.wait(10)[0].status is Status.DELIVERED
    assert inbox.titles == ["first", "t"]


@pytest.mark.parametrize("kind", [ShelfStore, Clumsy])
@pytest.mark.parametrize("trouble", [KeyError("x"), OSError("gone"), StoreError("no")])
def test_it_fails(start, shelf, inbox, kind, trouble):
    """Whatever it raises, nobody who raises an alert hears of it, and none is lost."""
    notifier = start(kind=kind)
    shelf.trouble = trouble
    result = notifier.notify(Alert("t"))

    assert isinstance(result, Deferred)
    shelf.trouble = None
    assert result.wait(10)[0].status is Status.DELIVERED
    assert inbox.titles == ["t"]


def test_it_cannot_be_opened(start, shelf, inbox, caplog):
    """It is tried again; until then alerts are in a file."""
    shelf.trouble = ImportError("no module named shelves")
    notifier = start()
    result = notifier.notify(Alert("t"))

    assert isinstance(result, Deferred)
    eventually(lambda: "no module named shelves" in caplog.text)
    shelf.trouble = None
    assert result.wait(10)[0].status is Status.DELIVERED


def test_it_is_damaged(start, shelf, inbox):
    """A text that is none of ours is left alone; alerts wait until it is put aside."""
    shelf.text = "not ours"
    notifier = start()
    result = notifier.notify(Alert("t"))

    assert isinstance(result, Deferred)
    with pytest.raises(StoreError, match="put it aside"):
        notifier.store().pending()
    assert shelf.text == "not ours"
    shelf.text = ""
    assert result.wait(10)[0].status is Status.DELIVERED


def test_a_newer_version_wrote_it(shelf):
    """It is refused, with a remedy, and not changed."""
    shelf.text = '{"version": 99, "namespaces": {}}'

    with pytest.raises(StoreError, match="upgrade tocsin"):
        ShelfStore(shelf, "tests").pending()


def test_looking_saves_nothing(shelf):
    """Whoever only asks changes nothing, and makes nothing."""
    store = ShelfStore(shelf, "tests")

    assert store.pending() == 0
    assert store.namespaces() == []
    assert store.claim({"inbox": 1}, lease=30, now=0) == []
    assert shelf.text == ""


PLUGIN = """
import attrs
import tocsin


@attrs.frozen
class Drawer(tocsin.StoreProvider):
    label: str
    key: tocsin.Secret = tocsin.Secret()
    depth: int = attrs.field(default=1, validator=attrs.validators.ge(1))

    name = "drawer"

    def open(self, namespace, config, *, timeout):
        raise tocsin.StoreError("it is locked")


@tocsin.hookimpl
def tocsin_register(registrar):
    registrar.store(Drawer)
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Have plugins installed: a store, a provider, and a store that is broken."""
    for name, code in (
        ("drawer", PLUGIN),
        ("bad", "raise ImportError('no cupboards')"),
        (
            "pager",
            PLUGIN.replace("StoreProvider", "Provider")
            .replace(".store", ".provider")
            .replace('"drawer"', '"pager"'),
        ),
    ):
        info = tmp_path / f"tocsin_{name}_x-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: tocsin-{name}\nVersion: 1.0\n"
        )
        (info / "entry_points.txt").write_text(f"[tocsin]\n{name} = its_{name}\n")
        (tmp_path / f"its_{name}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    plugins._entry_points.cache_clear()
    yield
    plugins._entry_points.cache_clear()


@pytest.fixture
def config(tmp_path, installed):
    """Return what reads a configuration with such a table."""

    def config(table):
        file = tmp_path / "tocsin.toml"
        file.write_text(table)
        return load(file)

    return config


def test_a_table(config):
    """The table's keys are the settings of the store that it names."""
    settings = config('[store]\nprovider = "drawer"\nlabel = "a"\ndepth = 2\n')

    assert (settings.store.name, settings.store.label, settings.store.depth) == (
        "drawer",
        "a",
        2,
    )
    assert config("").store is None


@pytest.mark.parametrize(
    ("table", "key", "message"),
    [
        ("store = 3", "store", "must be a table"),
        ("[store]", "store.provider", "is missing: write provider"),
        ("[store]\nprovider = 3", "store.provider", "must be a string"),
        ('[store]\nprovider = "drawr"', "store.provider", "did you mean 'drawer'?"),
        ('[store]\nprovider = "pager"', "store.provider", "a provider of channels"),
        ('[store]\nprovider = "drawer"', "store.label", "is missing"),
        (
            '[store]\nprovider = "drawer"\nlabel = "a"\nlable = "b"',
            "store.lable",
            "did you mean 'label'?",
        ),
        ('[store]\nprovider = "drawer"\nlabel = 3', "store.label", "must be a string"),
        (
            '[store]\nprovider = "drawer"\nlabel = "a"\ndepth = 0',
            "store",
            "must be >= 1",
        ),
        (
            '[user]\nchannels = ["a"]\n[channels.a]\nprovider = "drawer"',
            "channels.a.provider",
            "a store, no provider",
        ),
    ],
)
def test_mistakes(config, table, key, message):
    """Each is told with its place and the remedy."""
    with pytest.raises(ConfigError) as caught:
        config(table)

    assert any(
        one.key == key and message in one.message for one in caught.value.problems
    ), caught.value.problems


def test_a_store_in_an_included_file(config, tmp_path):
    """Where alerts are kept is said in one place."""
    (tmp_path / "more.toml").write_text('[store]\nprovider = "drawer"\n')

    with pytest.raises(ConfigError, match="only user, teams and channels"):
        config('include = "more.toml"\n')


def test_a_broken_plugin(config, caplog):
    """Programs run on: alerts wait in files until it is mended."""
    settings = config('[store]\nprovider = "bad"\n')
    with Notifier(settings, namespace="tests") as notifier:
        result = notifier.notify(Alert("t"))

    assert isinstance(result, Deferred)
    assert "no cupboards" in caplog.text
