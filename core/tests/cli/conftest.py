"""A person's shell: their folders, their configuration, and plugins really installed."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import time
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from tocsin import _plugins as plugins
from tocsin._cli._commands import tocsin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from click.testing import Result

POST = '''
"""Providers whose services are files."""

import json
import pathlib
import threading

import attrs

from tocsin import OutOfOrder, Provider, Receipt, Rejected, RetryLater, Secret, hookimpl


@attrs.frozen
class Lines(Provider):
    path: str = attrs.field(metadata={"help": "The file; each message is a line of it."})
    token: Secret = attrs.field(default=Secret(), metadata={"help": "Lets you in."})
    copies: int = attrs.field(default=1, metadata={"help": "How many lines."})

    name = "lines"
    templates = {"title": "title.txt", "text": "text.txt"}

    def deliver(self, message, delivery):
        self.token.reveal()
        line = json.dumps(
            {
                "id": delivery.id,
                "text": message.text,
                "parts": dict(message.parts),
                "attachments": [item.name for item in message.attachments],
            }
        )
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(f"{line}\\n" * self.copies)
        return Receipt(reference="m1", place=self.path, permalink="https://post/m1")

    def check(self, timeout):
        return f"writes to {self.path}"


@attrs.frozen
class Door(Provider):
    """Rejects everything until it is opened: until the file is there."""

    path: str = "/nowhere"
    token: Secret = Secret("")

    name = "door"

    def deliver(self, message, delivery):
        return self._pass()

    def check(self, timeout):
        self._pass()
        return "it is open"

    def _pass(self):
        if pathlib.Path(self.path).exists():
            return Receipt()
        raise Rejected(
            f"no such [b]mailbox[/b]\\x1b[2J {self.token.reveal()}".strip(),
            remedy="correct the address",
        )


@attrs.frozen
class Gate(Provider):
    """Lets nobody in until it is opened: until the file is there, which it writes to."""

    path: str

    name = "gate"

    def deliver(self, message, delivery):
        if not pathlib.Path(self.path).exists():
            raise OutOfOrder("the token was revoked", remedy="make a new one")
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(f"{message.title}\\n")
        return Receipt(reference="g1")


@attrs.frozen
class Later(Provider):
    """Takes a message at so many attempts."""

    attempts: int = 1_000_000
    after: float = 3600.0

    name = "later"

    def deliver(self, message, delivery):
        if delivery.attempt >= self.attempts:
            return Receipt()
        raise RetryLater(
            "the service is busy",
            after=self.after,
            state={"attempts": delivery.attempt},
            remedy="be patient",
        )


@attrs.frozen
class Hung(Provider):
    """Says into a pipe that it was called, and never comes back."""

    path: str

    name = "hung"

    def deliver(self, message, delivery):
        pathlib.Path(self.path).write_text("called\\n")
        threading.Event().wait()

    def check(self, timeout):
        threading.Event().wait()


@attrs.frozen
class Rude(Provider):
    """Wants to end the program."""

    name = "rude"

    def check(self, timeout):
        raise SystemExit("enough")


@hookimpl
def tocsin_register(registrar):
    for provider in (Lines, Door, Gate, Later, Hung, Rude):
        registrar.provider(provider)
'''

NAMES = ("lines", "door", "gate", "later", "hung", "rude")
TITLE = "{{ level }}: {{ title }}\n"
TEXT = "{{ text }}\n"


def install(folder: Path, dist: str, package: str, source: str, *names: str) -> Path:
    """Write a distribution whose package registers these names; return its folder."""
    site = folder / dist
    info = site / f"{package}-1.2.dist-info"
    for made in (info, site / package / "templates"):
        made.mkdir(parents=True)
    (site / package / "__init__.py").write_text(source)
    (site / package / "templates" / "title.txt").write_text(TITLE)
    (site / package / "templates" / "text.txt").write_text(TEXT)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {dist}\nVersion: 1.2\n"
    )
    lines = "\n".join(f"{name} = {package}" for name in names)
    (info / "entry_points.txt").write_text(f"[tocsin]\n{lines}\n")
    return site


@pytest.fixture(scope="session")
def sites(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two distributions, one of them broken; installed once, for they are imported once."""
    folder = tmp_path_factory.mktemp("sites")
    return [
        install(folder, "post", "tocsin_post", POST, *NAMES),
        install(folder, "torn", "tocsin_torn", "import no_such_module", "torn"),
    ]


@pytest.fixture(scope="session")
def make_site() -> Callable[..., Path]:
    """Return what writes a distribution; see `install`."""
    return install


@pytest.fixture(autouse=True)
def _shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sites: list[Path]
) -> Iterator[None]:
    """Nothing is the user's own: folders, environment, or what is installed."""
    for variable in ("TOCSIN_CONFIG", "TOCSIN_MODE", "RANK", "SLURM_JOB_ID", "COLUMNS"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "home"))
    monkeypatch.setenv("TOCSIN_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, sites)))
    for site in sites:
        monkeypatch.syspath_prepend(site)
    plugins._entry_points.cache_clear()
    yield
    plugins._entry_points.cache_clear()


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Return what writes a configuration and makes it the one that is found."""

    def configure(toml: str, *, name: str = "tocsin.toml") -> Path:
        file = tmp_path / name
        file.write_text(dedent(toml))
        file.chmod(0o600)
        monkeypatch.setenv("TOCSIN_CONFIG", str(file))
        return file

    return configure


@pytest.fixture
def hours() -> str:
    """An interval of the day, in UTC, that began an hour ago and goes on for one more."""
    hour = time.gmtime().tm_hour
    return f"{(hour - 1) % 24:02}:00-{(hour + 2) % 24:02}:00"


@pytest.fixture
def database(tmp_path: Path) -> Callable[..., None]:
    """Return what changes the store behind everybody's back."""

    def execute(statement: str, *values: object) -> None:
        with contextlib.closing(
            sqlite3.connect(tmp_path / "state" / "tocsin.db", isolation_level=None)
        ) as db:
            db.execute(statement, values)

    return execute


class Gated:
    """A channel ``dm`` of ada's whose token was revoked, and what comes in afterwards."""

    def __init__(self, config: Path, file: Path) -> None:
        self.config = config
        self._file = file

    def open(self) -> None:
        self._file.touch()

    @property
    def titles(self) -> list[str]:
        return self._file.read_text().splitlines() if self._file.exists() else []


@pytest.fixture
def gate(tmp_path: Path, configure: Callable[..., Path]) -> Gated:
    file = tmp_path / "gate"
    config = configure(f"""
        [user]
        name = "ada"
        channels = ["dm"]
        [channels.dm]
        provider = "gate"
        path = "{file}"
    """)
    return Gated(config, file)


class Post:
    """A configured channel ``dm`` of ada's, and the file that its messages go to."""

    def __init__(self, config: Path, file: Path) -> None:
        self.config = config
        self._file = file

    @property
    def messages(self) -> list[dict[str, Any]]:
        if not self._file.exists():
            return []
        return [json.loads(line) for line in self._file.read_text().splitlines()]


@pytest.fixture
def post(tmp_path: Path, configure: Callable[..., Path]) -> Post:
    file = tmp_path / "post.jsonl"
    config = configure(f"""
        [user]
        name = "ada"
        channels = ["dm"]
        [channels.dm]
        provider = "lines"
        path = "{file}"
    """)
    return Post(config, file)


@pytest.fixture
def cli() -> Callable[..., Result]:
    """Return what runs a command in this process."""

    def cli(*args: object, stdin: str | bytes | None = None) -> Result:
        result = CliRunner().invoke(tocsin, list(map(str, args)), input=stdin)
        unexpected = result.exception
        if unexpected is not None and not isinstance(unexpected, SystemExit):
            raise unexpected
        return result

    return cli


@pytest.fixture
def history(cli: Callable[..., Result]) -> Callable[[], list[dict[str, Any]]]:
    """Return what reads the log as a program does."""
    return lambda: [json.loads(one) for one in cli("log", "--json").stdout.splitlines()]


@pytest.fixture
def process() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Return what starts a command as a process of its own."""
    started: list[subprocess.Popen[str]] = []

    def process(*args: object, **options: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tocsin", *map(str, args)]
        pipes = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
        # readline tells children of this process, and not Python, how wide a screen is
        environment = {"env": {**os.environ}}
        one = subprocess.Popen(
            command, text=True, **{**pipes, **environment, **options}
        )
        started.append(one)
        return one

    yield process
    for one in started:
        one.kill()
        one.communicate()
