"""The pages of the documentation, taken apart and run.

A page is a session: its blocks run in the order in which they stand, in a home of their own.

- ``console``: each ``$ `` line is run by bash; what follows it is what it prints. A line
  ``…`` stands for any lines.
- ``python``: runs in the page's one Python process. With a file's name in its first line
  (``# train.py``) it is written to that file instead.
- ``pycon``: likewise, and what stands below ``>>>`` is what it prints.
- ``toml``, ``jinja``, ``text`` with a file's name in the first line are written; each
  ``toml`` must be a configuration without mistakes.

A block that cannot run has ``% not run: the reason`` above it; a file is written all the same.

The services are the providers' doubles on the loopback: every process is told, by a
``sitecustomize``, to find them under their real names, so that a page's configuration is
used as it stands. There is no other network.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import ssl
import subprocess
import sys
import tempfile
import threading
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Self

import attrs
import trustme
from support import ROOT

from tocsin_discord.testing import DiscordDouble
from tocsin_email.testing import MailDouble
from tocsin_ntfy.testing import NtfyDouble
from tocsin_pagerduty.testing import PagerDutyDouble
from tocsin_slack.testing import SlackDouble
from tocsin_teams.testing import TeamsDouble
from tocsin_telegram.testing import TelegramDouble

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = ROOT / "docs"
HOME, SHARED = "/home/ada", "/srv"
"""What pages call the home that a session runs in, and a folder that people share."""

_FENCE = re.compile(
    r"(?:^% not run: (?P<reason>[^\n]*)\n+)?"
    r"^(?P<fence>`{3,})(?P<language>[a-z]+)\n(?P<text>.*?)^(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)
_NAMED = re.compile(r"(?:#|\{#) (?P<name>[\w~./-]+\.\w+)(?: #\})?\n")
_PATIENCE = 'submit_timeout = "2s"\n'  # so that a busy machine defers no alert
_INSTALLS = ("pip install", "python -m pip install")
_MAILBOX, _PASSWORD = "ada@example.org", "app-password"
_TEAMS = "example.environment.api.powerplatform.com"

_SITE = """
import json, os, socket

HOSTS = json.loads(os.environ["DOCS_HOSTS"])
connect, getaddrinfo = socket.socket.connect, socket.getaddrinfo

def connect_to(self, address):
    if isinstance(address, tuple) and address[0] not in {"localhost", "127.0.0.1", "::1"}:
        address = "127.0.0.1", HOSTS[f"{address[0]}:{address[1]}"]
    return connect(self, address)

def find(host, port, *args, **kwargs):
    if f"{host}:{port}" in HOSTS:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))]
    return getaddrinfo(host, port, *args, **kwargs)

socket.socket.connect, socket.getaddrinfo = connect_to, find
socket.gethostname = lambda: "atlas"
"""

_DRIVER = """
import contextlib, doctest, io, json, sys, traceback

names = {"__name__": "__main__"}
replies = open(int(sys.argv[1]), "w")

def run(language, where, text):
    if language == "python":
        exec(compile(text, where, "exec"), names)
        return
    test = doctest.DocTestParser().get_doctest(text, names, where, where, 0)
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    runner = doctest.DocTestRunner(optionflags=flags, verbose=False)
    runner.run(test, out=sys.stdout.write, clear_globs=False)
    names.update(test.globs)
    if runner.summarize(verbose=False).failed:
        raise SystemExit("an example prints something else")

for line in sys.stdin:
    said, why = io.StringIO(), ""
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            run(**json.loads(line))
    except BaseException:
        why = traceback.format_exc()
    print(json.dumps({"output": said.getvalue(), "error": why}), file=replies, flush=True)
"""


@attrs.frozen
class Block:
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    text: str
    reason: str | None
    """Why it does not run."""
    span: tuple[int, int]
    """Where the text stands in the page."""

    @property
    def where(self) -> str:
        return f"docs/{self.page}:{self.line}"

    @property
    def file(self) -> str:
        """The name of the file that it is, or nothing."""
        named = _NAMED.match(self.text)
        return named["name"] if named else ""

    @property
    def commands(self) -> list[tuple[str, str]]:
        """The commands of a console, each with what it prints."""
        parts = re.split(r"^\$ ", self.text, flags=re.MULTILINE)
        assert not parts[0], f"{self.where}: a console begins with a command"
        return [_command(part) for part in parts[1:]]


def _command(part: str) -> tuple[str, str]:
    lines = part.splitlines()
    command = [lines.pop(0)]
    while command[-1].endswith("\\"):
        command.append(lines.pop(0).removeprefix("> "))
    return "\n".join(command), "\n".join(lines)


def pages() -> list[str]:
    """Return the pages, by their names in docs/."""
    found = (path.relative_to(DOCS) for path in DOCS.rglob("*.md"))
    return sorted(str(path) for path in found if path.parts[0] != "_build")


def blocks(page: str) -> list[Block]:
    """Return a page's blocks of code."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return [
        Block(
            page,
            text.count("\n", 0, found.start("fence")) + 1,
            found["language"],
            found["text"],
            found["reason"],
            found.span("text"),
        )
        for found in _FENCE.finditer(text)
    ]


class Session:
    """A home with nothing in it, and the doubles; blocks run in it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.home = folder / "home"
        self._shared = folder / "srv"
        self._site = folder / "site"
        self._status = 0
        self._python: _Python | None = None
        self._stack = contextlib.ExitStack()
        self.slack = SlackDouble(
            token="xoxb-1234",
            channels={"C0ALERTS": "alerts", "C0VISION": "vision", "C0HERMIT": "hermit"},
            members=("U0ADA", "U0GRACE"),
            absent_from=("C0HERMIT",),
            team="Example",
        )
        self.discord = DiscordDouble()
        self.telegram = TelegramDouble(chats={"1000": "Ada", "-1002000": "vision"})
        self.mail = MailDouble(
            username=_MAILBOX, password=_PASSWORD, certificate_for=["smtp.example.org"]
        )
        self.ntfy = NtfyDouble(token="tk_1234")
        self.pagerduty = PagerDutyDouble()
        self.teams = TeamsDouble()

    def __enter__(self) -> Self:
        self.home.mkdir()
        self._shared.mkdir()
        self._site.mkdir()
        (self._site / "sitecustomize.py").write_text(_SITE)
        self._stack.enter_context(self.slack)
        self._stack.enter_context(self.mail)
        authority = trustme.CA()
        relay = self._stack.enter_context
        port = relay(
            _relayed(authority, self.slack.origin, "slack.com", "hooks.slack.com")
        )
        others = {
            "api.telegram.org": self.telegram,
            "discord.com": self.discord,
            "events.pagerduty.com": self.pagerduty,
            "ntfy.sh": self.ntfy,
            _TEAMS: self.teams,
        }
        relayed = {
            f"{name}:443": relay(_relayed(authority, relay(double).url, name))
            for name, double in others.items()
        }
        trusted = self._folder / "trusted.pem"
        trusted.write_bytes(
            authority.cert_pem.bytes() + Path(self.mail.ca_file).read_bytes()
        )
        webhook = self.slack.webhook_url().removeprefix(self.slack.origin)
        hosts = {
            "slack.com:443": port,
            "hooks.slack.com:443": port,
            "smtp.example.org:587": self.mail.port,
            **relayed,
        }
        discord = self.discord.webhook_url.removeprefix(self.discord.url)
        workflow = self.teams.webhook_url.removeprefix(self.teams.url)
        self._preset = {
            "SLACK_BOT_TOKEN": self.slack.token,
            "SLACK_WEBHOOK_URL": f"https://hooks.slack.com{webhook}",
            "SMTP_PASSWORD": _PASSWORD,
        }
        self._exported = {
            **self._preset,
            "DISCORD_WEBHOOK_URL": f"https://discord.com{discord}",
            "TELEGRAM_BOT_TOKEN": self.telegram.token,
            "NTFY_TOKEN": self.ntfy.token,
            "PAGERDUTY_ROUTING_KEY": self.pagerduty.routing_key,
            "TEAMS_WEBHOOK_URL": f"https://{_TEAMS}{workflow}",
        }
        self.environment = {
            "PATH": os.pathsep.join(
                [str(Path(sys.executable).parent), "/usr/bin:/bin"]
            ),
            "HOME": str(self.home),
            "LOGNAME": "ada",
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "PYTHONPATH": str(self._site),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",  # what goes to both streams keeps its order
            "SSL_CERT_FILE": str(trusted),
            "DOCS_HOSTS": json.dumps(hosts),
            **self._preset,
        }
        return self

    def __exit__(self, *_: object) -> None:
        if self._python is not None:
            self._python.close()
        self._stack.close()

    def run(self, block: Block) -> list[tuple[str, str, str]]:
        """Run a block; return its commands, what each should print, and what it did."""
        if block.file:
            self._write(block)
        if block.reason is not None:
            return []
        if block.language == "toml" and not block.file.endswith("pyproject.toml"):
            self._load(block)
        elif block.language == "console":
            return [self._follow(*command) for command in block.commands]
        elif block.language == "pycon" or (
            block.language == "python" and not block.file
        ):
            self._python = self._python or _Python(self.environment, self.home)
            self._python.run(block)
        return []

    def _write(self, block: Block) -> None:
        path = self._path(block.file)
        path.parent.mkdir(parents=True, exist_ok=True)
        patience = _PATIENCE if path.name == "tocsin.toml" else ""
        path.write_text(patience + self._real(block.text), encoding="utf-8")

    def _path(self, name: str) -> Path:
        return self.home / self._real(name).replace("~", str(self.home), 1)

    def _real(self, text: str) -> str:
        return text.replace(f"{SHARED}/", f"{self._shared}/")

    def _load(self, block: Block) -> None:
        file = self._path(block.file) if block.file else self._folder / "block.toml"
        if not block.file:
            file.write_text(self._real(block.text), encoding="utf-8")
        code = "import sys, tocsin._config; tocsin._config.load(sys.argv[1])"
        done = subprocess.run(
            [sys.executable, "-c", code, str(file)],
            env=self.environment,
            cwd=self.home,
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{block.where}\n{done.stderr}"

    def _follow(self, command: str, expected: str) -> tuple[str, str, str]:
        if command.startswith(_INSTALLS):
            self._install(command)
            return command, "", ""
        if command.startswith("export "):
            name, _, value = command.removeprefix("export ").partition("=")
            self.environment[name] = self._exported.get(name, value)
            return command, "", ""
        done = subprocess.run(
            ["bash", "-c", f"(exit {self._status})\n{self._real(command)}"],
            env=self.environment,
            cwd=self.home,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        self._status = done.returncode
        printed = done.stdout.replace(str(self.home), HOME)
        return command, expected, printed.replace(str(self._shared), SHARED)

    def _install(self, command: str) -> None:
        """Put a project that the page has written on the path, as pip would."""
        word = command.rpartition(" ")[2].strip("'")
        folder = self.home / word.partition("[")[0]
        if not (folder / "pyproject.toml").is_file():
            return
        project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        info = self._site / f"{project['name'].replace('-', '_')}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {project['name']}\n"
            f"Version: {project['version']}\n"
        )
        lines = [
            f"{name} = {module}"
            for name, module in project["entry-points"]["tocsin"].items()
        ]
        (info / "entry_points.txt").write_text("\n".join(["[tocsin]", *lines]))
        (self._site / "page.pth").write_text(f"{folder / 'src'}\n")
        paths = os.pathsep.join([str(self._site), str(folder / "src")])
        self.environment["PYTHONPATH"] = paths


class _Python:
    """The one Python process of a page."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        read, write = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _DRIVER, str(write)],
            env=environment,
            cwd=folder,
            stdin=subprocess.PIPE,
            pass_fds=[write],
            text=True,
        )
        os.close(write)
        self._replies = os.fdopen(read, encoding="utf-8")

    def run(self, block: Block) -> None:
        assert self._process.stdin is not None
        words = {"language": block.language, "where": block.where, "text": block.text}
        print(json.dumps(words), file=self._process.stdin, flush=True)
        reply = json.loads(self._replies.readline() or '{"error": "it died"}')
        assert not reply["error"], "\n".join(
            [block.where, reply["error"], reply.get("output", "")]
        )

    def close(self) -> None:
        self._process.communicate(timeout=60)
        self._replies.close()


@contextlib.contextmanager
def _relayed(authority: trustme.CA, origin: str, *names: str) -> Iterator[int]:
    """Take TLS for these names on a port of its own, and hand it on in the clear."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    port = int(origin.rpartition(":")[2])
    relay = _Relay(context, port)
    thread = threading.Thread(target=relay.run, daemon=True)
    thread.start()
    relay.started.wait(10)
    try:
        yield relay.port
    finally:
        relay.loop.call_soon_threadsafe(relay.stop.set)
        thread.join()


class _Relay:
    def __init__(self, context: ssl.SSLContext, target: int) -> None:
        self._context, self._target = context, target
        self.started = threading.Event()

    def run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self.loop, self.stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(
            self._pass, "127.0.0.1", 0, ssl=self._context
        )
        self.port = server.sockets[0].getsockname()[1]
        self.started.set()
        await self.stop.wait()
        server.close()

    async def _pass(
        self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter
    ) -> None:
        service, to_service = await asyncio.open_connection("127.0.0.1", self._target)
        ways = [
            asyncio.create_task(_copy(client, to_service)),
            asyncio.create_task(_copy(service, to_client)),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:  # a connection that is kept ends with its client
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        for writer in (to_service, to_client):
            writer.close()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while chunk := await source.read(65536):
        target.write(chunk)
        await target.drain()
    if target.can_write_eof():  # a client that is gone may have kept its connection
        target.write_eof()


def fill(page: str, folder: Path) -> None:
    """Write what the commands of a page print into it, where it says something else."""
    with Session(folder) as session:
        done = [(block.span, session.run(block)) for block in blocks(page)]
    changes = [(span, "".join(map(_shown, what))) for span, what in done if what]
    text = (DOCS / page).read_text(encoding="utf-8")
    for (start, end), console in reversed(changes):
        text = text[:start] + console + text[end:]
    (DOCS / page).write_text(text, encoding="utf-8")


def _shown(done: tuple[str, str, str]) -> str:
    command, expected, printed = done
    kept = expected if is_like(expected, printed) else printed
    lines = [
        f"$ {command}".replace("\n", "\n> "),
        *map(str.rstrip, kept.rstrip().splitlines()),
    ]
    return "".join(f"{line}\n" for line in lines)


_LIKE = (
    (r"\b[0-9a-f]{32}\b", "ID"),
    (r"\b[0-9a-f]{16}\b", "ID"),
    (r"\d\d:\d\d:\d\d(\.\d{6})?(\+00:00)?", "TIME"),
    (r"\b\d{4}-\d\d-\d\d\b|\b\d\d-\d\d(?= TIME)", "DATE"),
    (r"DATE TIME", "TIME"),  # a time of today has no date
    (r"\bin \d+\.\d\ds", "in TIME"),
    (r"\d{10}\.\d{6}", "TS"),
    (r"─+", "─"),
)


def is_like(expected: str, printed: str) -> bool:
    """Say whether two outputs differ in ids, times and spaces at most."""
    pattern = "".join(
        r"(?:[^\n]*\n)*?" if line == "…" else re.escape(line) + "\n"
        for line in _lines(expected)
    )
    return (
        re.fullmatch(pattern, "".join(f"{line}\n" for line in _lines(printed)))
        is not None
    )


def _lines(text: str) -> list[str]:
    for like, word in _LIKE:
        text = re.sub(like, word, text)
    lines = (" ".join(line.split()) for line in text.splitlines())
    return [line for line in lines if line]


if (
    __name__ == "__main__"
):  # the pages named are filled: python tests/docs_support.py how-to/slack.md
    for name in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as temporary:
            fill(name, Path(temporary))
