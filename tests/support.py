"""What the tests that span packages share."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tocsin_email.testing import MailDouble

T = TypeVar("T")

ROOT = Path(__file__).parent.parent

PLUGINS = sorted(path.parent for path in ROOT.glob("*/*/pyproject.toml"))
"""The folders of the packages that plug into core."""

PACKAGES = [ROOT / "core", *PLUGINS]

LEASE = 30.0
"""Seconds for which a delivery belongs to the process that took it up."""

PROVIDER = '''
import json, os, time
import attrs
from tocsin import Provider, Receipt, hookimpl

@attrs.frozen
class Lines(Provider):
    """Appends a line to a file for each delivery, after a while; another file is there
    from the moment at which one has begun."""

    path: str
    delay: float = 0.0

    name = "lines"

    def deliver(self, message, delivery):
        open(self.path + ".begun", "ab").close()
        time.sleep(self.delay)
        alert = message.alert
        line = json.dumps({"id": delivery.id, "title": alert.title, "text": alert.text,
                           "kind": alert.kind, "level": alert.level.value,
                           "fields": dict(alert.fields), "at": time.time(),
                           "notes": message.notes, "pid": os.getpid()}) + "\\n"
        with open(self.path, "ab", buffering=0) as file:
            file.write(line.encode())
        return Receipt(reference=delivery.id)

@hookimpl
def tocsin_register(registrar):
    registrar.provider(Lines)
'''


_HOLD = """
import os, sqlite3, sys
path = os.path.join(os.environ["TOCSIN_STATE_DIR"], "tocsin.db")
database = sqlite3.connect(path, isolation_level=None)
database.execute("PRAGMA locking_mode = {mode}")
database.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.readline()
"""


def write_distribution(folder: Path, name: str, code: str, *, entry: str) -> None:
    """Write a package that is installed as soon as its folder is on the path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.py").write_text(code)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    )
    (info / "entry_points.txt").write_text(f"[tocsin]\n{entry} = {name}\n")


@attrs.frozen
class Place:
    """An empty home with a state directory, a provider that writes lines, and a
    configuration that uses it."""

    path: Path
    environment: dict[str, str]
    processes: list[subprocess.Popen[str]] = attrs.field(factory=list, repr=False)
    """Those that were started."""

    def write_config(self, name: str = "tocsin.toml", **settings: object) -> Path:
        """Write a configuration whose one channel, ``out``, is a file beside it."""
        out = {"provider": "lines", "path": str(self.path / (name + ".lines"))}
        return self.configure({"out": out}, name, **settings)

    def configure(
        self,
        channels: Mapping[str, Mapping[str, object]],
        name: str = "tocsin.toml",
        **settings: object,
    ) -> Path:
        """Write a configuration that sends everything to each of these channels."""
        tables = {
            "": settings,
            "[user]": {"name": "ada", "channels": list(channels)},
            **{f"[channels.{name}]": values for name, values in channels.items()},
        }
        config = self.path / name
        config.write_text("".join(_table(*table) for table in tables.items()))
        return config

    def python(self, code: str, **options: object) -> subprocess.Popen[str]:
        """Start a Python process."""
        settings: dict[str, object] = {
            "env": self.environment,
            "cwd": self.path,
            "text": True,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "start_new_session": True,
            **options,
        }
        command = [str(settings.pop("interpreter", sys.executable)), "-c", code]
        before = settings.pop("before", [])  # a command that starts another
        process = subprocess.Popen([*before, *command], **settings)  # type: ignore[call-overload,misc]
        self.processes.append(process)
        return process  # type: ignore[no-any-return]

    @contextlib.contextmanager
    def held(self, locking_mode: str = "NORMAL") -> Iterator[None]:
        """Have another process hold the database, which is there already."""
        code = _HOLD.format(mode=locking_mode)
        holder = self.python(code, stdin=subprocess.PIPE)
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        try:
            yield
        finally:
            holder.communicate("let go\n", timeout=60)

    def end(self) -> None:
        """Kill what still runs, children included, as after a test that failed."""
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()

    def run(self, code: str, *, timeout: float = 60, **options: object) -> str:
        """Run a Python process to its end, which must be good, and return its output."""
        process = self.python(code, **options)
        output, errors = process.communicate(timeout=timeout)
        assert process.returncode == 0, errors
        return output

    def tocsin(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the command."""
        return subprocess.run(
            [sys.executable, "-m", "tocsin", *words],
            env=self.environment,
            cwd=self.path,
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def later(self, seconds: float) -> None:
        """Deliver what is due so many seconds from now: a process with such a clock."""
        self.run(
            "import time, tocsin\n"
            f"clock = lambda: time.time() + {seconds}\n"
            "with tocsin.Notifier.from_config(clock=clock) as notifier:\n"
            "    assert notifier.flush(50), 'there was no time'"
        )

    def delivered(self, name: str = "tocsin.toml") -> list[dict[str, object]]:
        """Return what a configuration's channel received."""
        try:
            lines = (self.path / (name + ".lines")).read_text().splitlines()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in lines]


def _table(head: str, values: Mapping[str, object]) -> str:
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    return "\n".join([head, *lines, ""])


def bot_at(base_url: str, **changes: object) -> dict[str, object]:
    """Return a channel that posts by a bot's token."""
    channel = {"provider": "slack", "token": "xoxb-double", "channel": "C0ALERTS"}
    return {**channel, "base_url": base_url, **changes}


def inbox_at(mail: MailDouble, **changes: object) -> dict[str, object]:
    """Return a channel that sends mail to two people."""
    return {
        "provider": "email",
        "to": ["a@example.org", "b@example.org"],
        "sender": "tocsin@example.org",
        "host": "localhost",
        "port": mail.port,
        "ca_file": mail.ca_file,
        "username": "ada",
        "password": "secret",
        **changes,
    }


def until(condition: Callable[[], T], timeout: float = 60.0) -> T:
    """Wait until the condition holds, and return what it is then."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
    return value


class Service:
    """An HTTP service on the loopback: `answer` answers every request."""

    def __init__(self, answer: Callable[[Request], None]) -> None:
        self.requests: list[Request] = []
        """Those that came, in order."""
        self.closing = threading.Event()
        """Set at the end: for answers that take long."""
        self._answer = answer
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Request)
        self._server.daemon_threads = False  # so that no socket is left open
        self._server.service = self  # type: ignore[attr-defined] # read by Request
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.01])

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, request: Request) -> None:
        """Keep the request, and answer it."""
        self.requests.append(request)
        self._answer(request)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Request(BaseHTTPRequestHandler):
    """A request to a `Service`."""

    body = b""
    is_left = False
    """Whether the client went away before it had the whole answer."""

    def do_POST(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            self.service.answer(self)
        except OSError:
            self.is_left = True

    def do_GET(self) -> None:
        self.do_POST()

    @property
    def service(self) -> Service:
        """Where it came to."""
        return self.server.service  # type: ignore[attr-defined,no-any-return] # a Service's

    def reply(self, content: object, status: int = 200, **headers: str) -> None:
        """Answer in JSON."""
        body = json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def interpreters() -> list[str]:
    """Return one Python of each supported version that this machine has."""
    found: dict[str, str] = {}
    folders = [*os.environ["PATH"].split(os.pathsep)]
    folders += map(str, Path.home().glob(".pyenv/versions/*/bin"))
    for version in ("3.11", "3.12", "3.13", "3.14"):
        for folder in folders:
            path = Path(folder, f"python{version}")
            if version not in found and _runs(path):
                found[version] = str(path)
    return list(found.values())


def _runs(python: Path) -> bool:
    if not python.is_file():
        return False
    done = subprocess.run(
        [python, "-c", "import venv, sqlite3"], check=False, capture_output=True
    )
    return done.returncode == 0


def uv(*arguments: object) -> None:
    """Run uv; what it says is shown when it fails."""
    command = [sys.executable, "-m", "uv", *map(str, arguments)]
    environment = {"UV_SYSTEM_CERTS": "1", **os.environ}  # those that pip trusts too
    done = subprocess.run(
        command, check=False, env=environment, capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
