from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import attrs
import pytest
from hooked import as_in_a_fresh_process

import tocsin
from tocsin import Provider, Receipt
from tocsin._store.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tocsin import Delivery, Message


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Each test begins as a fresh process does."""
    with as_in_a_fresh_process():
        yield


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing of a test touches the user's own files, or follows their environment."""
    for variable in ("TOCSIN_CONFIG", "TOCSIN_MODE", "RANK", "SLURM_JOB_ID"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "home"))
    monkeypatch.setenv("TOCSIN_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "home"


class Clock:
    """Seconds since the epoch, as the test says."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def eventually(condition: Callable[[], object], timeout: float = 10) -> None:
    """Wait until something holds that other threads bring about."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.005)


class Inbox:
    """What arrived at a channel, and what it answers."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.messages: list[Message] = []
        self.deliveries: list[Delivery] = []
        self.answers: list[Callable[[], Receipt]] = []

    def take(self, message: Message, delivery: Delivery) -> Receipt:
        with self._changed:
            self.messages.append(message)
            self.deliveries.append(delivery)
            answer = self.answers.pop(0) if self.answers else None
            self._changed.notify_all()
        return answer() if answer else Receipt(reference=str(len(self.messages)))

    def wait_for(self, count: int, timeout: float = 10) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.messages) >= count, timeout)

    @property
    def titles(self) -> list[str]:
        return [message.alert.title for message in self.messages]


@attrs.frozen
class Recorder(Provider):
    """A provider whose service is a list in this process."""

    inbox: Inbox

    name = "recorder"

    def deliver(self, message: Message, delivery: Delivery) -> Receipt:
        return self.inbox.take(message, delivery)


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def notifier(inbox: Inbox, clock: Clock) -> Iterator[tocsin.Notifier]:
    """A notifier of ada's, in memory, with one channel: the inbox."""
    settings = tocsin.Settings(
        user="ada",
        submit_timeout=10.0,  # a busy machine must not turn an admission into a deferral
        channels={"inbox": Recorder(inbox)},
        subscriptions=[tocsin.Subscription(channels=["inbox"])],
        state_dir=":memory:",
    )
    with tocsin.Notifier(settings, namespace="tests", clock=clock) as notifier:
        yield notifier


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqliteStore]:
    path = str(tmp_path / "tocsin.db") if request.param == "file" else ":memory:"
    store = SqliteStore(path, "tests")
    yield store
    store.close()


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[tuple[SqliteStore, SqliteStore]]:
    """Two processes, as far as the store can tell, on one file."""
    path = str(tmp_path / "tocsin.db")
    stores = SqliteStore(path, "tests"), SqliteStore(path, "tests")
    yield stores
    for store in stores:
        store.close()
