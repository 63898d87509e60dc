"""What holds for every provider: one alert through all of them at once, from one configuration,
in one process, with the SQLite file, to a double of each service; and `tocsin connect`."""

from __future__ import annotations

import contextlib
import html
import json
import logging
import os
import re
import subprocess
import sys
import warnings
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from support import ROOT

import tocsin
from tocsin import Alert, Attachment, Status
from tocsin._cli._connect_questions import all_questions, questions
from tocsin._plugins import load
from tocsin.testing import HttpDouble, Reply
from tocsin_apprise._service import Service
from tocsin_discord.testing import DiscordDouble
from tocsin_discord.testing import violations as discord_violations
from tocsin_email.testing import MailDouble
from tocsin_ntfy.testing import NtfyDouble
from tocsin_pagerduty.testing import PagerDutyDouble
from tocsin_slack.testing import SlackDouble
from tocsin_slack.testing import violations as slack_violations
from tocsin_teams.testing import TeamsDouble
from tocsin_telegram.testing import TelegramDouble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import ExitStack
    from pathlib import Path

    from tocsin.testing import Received

with warnings.catch_warnings():  # its services import what Python deprecates
    warnings.simplefilter("ignore")
    Service("json://localhost")

CANARY = "canary7f3a9c51e2d84b06"
SECRETS = {
    "slack": f"xoxb-{CANARY}-slack",
    "email": f"{CANARY}-email",
    "webhook": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "discord": f"{CANARY}-discord",
    "telegram": f"42:{CANARY}-telegram",
    "teams": f"{CANARY}-teams",
    "pagerduty": f"{CANARY}pager".ljust(32, "0"),
    "ntfy": f"tk_{CANARY}ntfy",
    "apprise": f"{CANARY}-apprise",
}
TITLE = '<b>"Loss" & co: 5 > 3 \\ {{x}} 🦉'
TEXT = "At step 1,200 the loss became NaN."
PICTURE = Attachment("loss.png", b"\x89PNG\r\n\x1a\n" + bytes(100))
ALERT = Alert(
    TITLE,
    TEXT,
    "ERROR",
    fields={"step": "1200", "lr": "3e-4"},
    tags=["nightly"],
    url="https://example.com/runs/owl?tab=1&x=2",
    attachments=PICTURE,
)
PROGRAM = """#!{python} -I
import json, os, sys
if os.path.exists({fault!r}):
    os.remove({fault!r})
    sys.exit("GDBus.Error:org.freedesktop.Notifications.Error.Excess")
file = os.open({record!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
os.write(file, json.dumps(sys.argv[1:]).encode() + b"\\n")
"""


ATTACH = {"apprise", "discord", "email", "slack", "telegram"}
"""Those that send attachments."""

ASKED = {
    "apprise": ["url"],
    "desktop": [],
    "discord": ["webhook_url"],
    "email": ["to", "sender", "host", "username", "password"],
    "file": ["path"],
    "ntfy": ["topic", "token"],
    "pagerduty": ["routing_key"],
    "slack": ["token", "channel"],
    "teams": ["url"],
    "telegram": ["token", "chat_id"],
    "webhook": ["url", "secret"],
}
"""What ``tocsin connect`` asks for, by provider."""


class Clock:
    now = 1_800_000_000.0

    def __call__(self):
        return self.now


@attrs.frozen(kw_only=True)
class There:
    """A service, or what takes its place."""

    table: dict[str, object]
    """The channel's settings."""
    read: Callable[[], Sequence[str]]
    """What people read, message by message."""
    tells_the_end: Callable[[], object]
    """Whether it is shown that the alert is over."""
    fail: Callable[[], object] | None = None
    """Have it refuse the next message for now; None: it cannot."""
    violations: Callable[[], Sequence[object]] = list
    """What the service would not have taken, where its double does not refuse that."""


def slack_at(stack: ExitStack) -> There:
    double = stack.enter_context(SlackDouble(token=SECRETS["slack"]))

    def read() -> list[str]:
        return [html.unescape("\n".join(_texts(p.payload))) for p in double.messages]

    return There(
        table={
            "token": SECRETS["slack"],
            "channel": "C0ALERTS",
            "base_url": double.base_url,
        },
        read=read,
        tells_the_end=lambda: double.messages[0].edits and double.messages[1].thread,
        fail=lambda: double.fail_next("http_503", on="chat.postMessage"),
        violations=lambda: [
            violation
            for post in double.messages
            for violation in slack_violations(post.payload)
        ],
    )


def _texts(payload: Any) -> list[str]:
    if isinstance(payload, list):
        return [text for part in payload for text in _texts(part)]
    if not isinstance(payload, dict):
        return []
    own = [payload["text"]] if isinstance(payload.get("text"), str) else []
    return own + [text for value in payload.values() for text in _texts(value)]


def email_at(stack: ExitStack) -> There:
    double = stack.enter_context(
        MailDouble(username="tocsin", password=SECRETS["email"])
    )
    return There(
        table={
            "to": ["ada@example.org"],
            "sender": "Tocsin <tocsin@example.org>",
            "host": double.host,
            "port": double.port,
            "ca_file": double.ca_file,
            "username": "tocsin",
            "password": SECRETS["email"],
        },
        read=lambda: [f"{m.message['Subject']}\n{m.text}" for m in double.messages],
        tells_the_end=lambda: (
            double.messages[1].message["In-Reply-To"]
            == double.messages[0].message["Message-ID"]
        ),
        fail=lambda: double.fail_next("mail", "451 4.3.0 try later"),
    )


def webhook_at(stack: ExitStack) -> There:
    double = stack.enter_context(HttpDouble())
    taken, fail = refusing(double)

    def told() -> list[dict[str, Any]]:
        return [request.json() for request in taken()]

    return There(
        table={
            "url": f"{double.url}/{CANARY}-webhook",
            "secret": SECRETS["webhook"],
            "allow_private": True,
        },
        read=lambda: [
            f"{t['data']['title']}\n{t['data']['text']}\n{t['data']['attachments']}"
            for t in told()
        ],
        tells_the_end=lambda: told()[1]["type"] == "alert.resolved",
        fail=fail,
    )


def refusing(
    double: HttpDouble,
) -> tuple[Callable[[], list[Received]], Callable[[], None]]:
    """Return what gives the requests that a double took, and what has it refuse one first."""
    refused: list[int] = []

    def fail() -> None:
        refused.append(503)
        double.fail_next(Reply(503))

    return lambda: double.requests[len(refused) :], fail


def discord_at(stack: ExitStack) -> There:
    double = stack.enter_context(DiscordDouble(token=SECRETS["discord"]))

    def read() -> list[str]:
        shown = (
            "\n".join([post.embed.get("title", ""), post.embed.get("description", "")])
            for post in double.messages
        )
        return [re.sub(r"\\([^0-9A-Za-z\s])", r"\1", text) for text in shown]

    return There(
        table={"webhook_url": double.webhook_url},
        read=read,
        tells_the_end=lambda: double.messages[0].edits,
        fail=lambda: double.fail_next(Reply(503)),
        violations=lambda: [
            violation
            for post in double.messages
            for violation in discord_violations(post.payload)
        ],
    )


def telegram_at(stack: ExitStack) -> There:
    double = stack.enter_context(TelegramDouble(token=SECRETS["telegram"]))
    return There(
        table={"token": SECRETS["telegram"], "chat_id": "1000", "url": double.url},
        read=lambda: [post.text for post in double.messages if not post.file],
        tells_the_end=lambda: double.messages[0].edits and double.messages[-1].reply_to,
        fail=lambda: double.fail_next(Reply(503)),
    )


def teams_at(stack: ExitStack) -> There:
    double = stack.enter_context(TeamsDouble(signature=SECRETS["teams"]))
    return There(
        table={"url": double.webhook_url},
        read=lambda: ["\n".join(card.texts) for card in double.cards],
        tells_the_end=lambda: double.cards[1].style == "good",
        fail=lambda: double.fail_next(Reply(503)),
        violations=lambda: [
            found for card in double.cards for found in (*card.markdown, *card.mentions)
        ],
    )


def pagerduty_at(stack: ExitStack) -> There:
    double = stack.enter_context(PagerDutyDouble(routing_key=SECRETS["pagerduty"]))

    def read() -> list[str]:
        events = [event for one in double.incidents for event in one.triggers]
        told = [event["payload"] for event in events]
        return [f"{t['summary']}\n{t['custom_details']['message']}" for t in told]

    return There(
        table={"routing_key": SECRETS["pagerduty"], "url": double.url},
        read=read,
        tells_the_end=lambda: double.incidents and not double.open,
        fail=lambda: double.fail_next(Reply(503)),
    )


def ntfy_at(stack: ExitStack) -> There:
    double = stack.enter_context(NtfyDouble(token=SECRETS["ntfy"]))
    return There(
        table={"topic": "alerts", "token": SECRETS["ntfy"], "url": double.url},
        read=lambda: [f"{m.title}\n{m.message}" for m in double.messages],
        tells_the_end=lambda: double.messages[1].sequence_id == double.messages[0].id,
        fail=lambda: double.fail_next(Reply(503)),
    )


def apprise_at(stack: ExitStack) -> There:
    double = stack.enter_context(HttpDouble())
    host = double.url.removeprefix("http://")
    taken, fail = refusing(double)

    def told() -> list[dict[str, Any]]:
        return [request.json() for request in taken()]

    return There(
        table={"url": f"json://ada:{SECRETS['apprise']}@{host}/hook"},
        read=lambda: [f"{t['title']}\n{t['message']}" for t in told()],
        tells_the_end=lambda: told()[1]["type"] == "success",
        fail=fail,
    )


def desktop_at(folder: Path) -> There:
    record, fault = folder / "shown", folder / "fault"
    code = PROGRAM.format(python=sys.executable, record=str(record), fault=str(fault))
    for name in ("notify-send", "osascript"):  # of Linux, and of macOS
        program = folder / name
        program.write_text(code)
        program.chmod(0o755)

    def read() -> list[str]:
        lines = record.read_text().splitlines() if record.exists() else []
        shown = [json.loads(line)[-2:] for line in lines]
        return [f"{title}\n{html.unescape(body)}" for title, body in shown]

    return There(
        table={"app_name": "Tocsin"},
        read=read,
        tells_the_end=lambda: "Resolved" in read()[1],
        fail=fault.touch,
    )


def file_at(folder: Path) -> There:
    path = folder / "alerts.jsonl"

    def told() -> list[dict[str, Any]]:
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line) for line in lines]

    return There(
        table={"path": str(path)},
        read=lambda: [f"{t['title']}\n{t['text']}" for t in told()],
        tells_the_end=lambda: told()[1]["resolves"] == told()[0]["id"],
    )


@pytest.fixture
def services(tmp_path, monkeypatch) -> Iterator[dict[str, There]]:
    """Every provider's service, by the provider's name."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere")
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with contextlib.ExitStack() as stack:
        yield {
            "slack": slack_at(stack),
            "email": email_at(stack),
            "webhook": webhook_at(stack),
            "discord": discord_at(stack),
            "telegram": telegram_at(stack),
            "teams": teams_at(stack),
            "pagerduty": pagerduty_at(stack),
            "ntfy": ntfy_at(stack),
            "apprise": apprise_at(stack),
            "desktop": desktop_at(tmp_path),
            "file": file_at(tmp_path),
        }


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def notifier(services, clock, place, monkeypatch) -> Iterator[tocsin.Notifier]:
    """A notifier whose configuration has a channel of each provider."""
    monkeypatch.setenv("TOCSIN_STATE_DIR", str(place.path / "state"))
    monkeypatch.delenv("TOCSIN_MODE", raising=False)
    channels = {
        name: {"provider": name, **there.table} for name, there in services.items()
    }
    config = place.configure(channels, submit_timeout="10s", timeout="60s")
    with tocsin.Notifier.from_config(config, clock=clock) as notifier:
        yield notifier


def secrets_in(text: str) -> list[str]:
    return [secret for secret in (*SECRETS.values(), CANARY) if secret in text]


def test_the_providers_of_this_repository_are_all_here(services):
    assert sorted(services) == sorted(
        folder.name for folder in (ROOT / "providers").iterdir()
    )


def test_one_alert_through_all(*, services, notifier, place, caplog, capfd):
    """Each gets it once, with title and text, and is told that it is over; no secret is
    anywhere, and nothing is sent that a service would not take."""
    caplog.set_level(logging.DEBUG)

    records = notifier.notify(ALERT).wait(120)
    said = [repr(notifier), repr(notifier.settings), repr(records)]

    assert {r.channel: r.status for r in records} == dict.fromkeys(
        sorted(services), Status.DELIVERED
    )
    for name, there in services.items():
        (read,) = there.read()
        assert TITLE in read, name
        assert TEXT in read, name
    notes = {r.channel: r.receipt.note for r in records}
    for name, there in services.items():
        if name in ATTACH:
            assert "loss.png" not in notes[name], name
        else:  # somebody is told what there was
            assert "loss.png" in notes[name] + there.read()[0], name

    over = notifier.notify(Alert(TITLE, kind="resolved")).wait(120)
    said.append(repr(over))

    assert {r.status for r in over} == {Status.DELIVERED}
    assert len(over) == len(services)
    for name, there in services.items():
        assert there.tells_the_end(), name
        assert there.violations() == [], name

    notifier.close(60)
    output = capfd.readouterr()
    assert secrets_in("\n".join([caplog.text, *said, output.out, output.err])) == []
    kept = [path for path in (place.path / "state").rglob("*") if path.is_file()]
    assert kept
    for path in kept:
        assert secrets_in(path.read_bytes().decode("latin-1")) == [], path


def test_all_of_them_fail_at_first(services, notifier, clock, caplog):
    """What fails for now is delivered at the retry, once; a secret is in no reason."""
    caplog.set_level(logging.DEBUG)
    failing = [name for name, there in services.items() if there.fail]
    assert set(services) - set(failing) == {"file"}  # a disk has no 503
    for name in failing:
        services[name].fail()

    result = notifier.notify(ALERT)
    assert notifier.flush(120)
    tried = {record.channel: record for record in result.wait(0)}

    assert {n for n, r in tried.items() if r.status is Status.PENDING} == set(failing)
    assert all(tried[name].reason for name in failing)
    assert [name for name in failing if services[name].read()] == []

    clock.now += 3600
    records = result.wait(120)

    assert {r.channel: r.status for r in records} == dict.fromkeys(
        sorted(services), Status.DELIVERED
    )
    assert {r.channel: r.attempts for r in records if r.channel != "file"} == (
        dict.fromkeys(sorted(failing), 2)
    )
    for name, there in services.items():
        (read,) = there.read()
        assert TITLE in read, name
    assert secrets_in("\n".join([caplog.text, repr(tried), repr(records)])) == []


@pytest.mark.parametrize("name", ASKED)
def test_connect_asks_for_what_is_needed(name):
    """And has an example where a name does not say what is meant."""
    provider = load(name)
    asked = questions(provider, next(iter(provider.ways), ""))

    assert [question.setting for question in asked] == ASKED[name]
    named = {"token", "username", "password"}
    assert [q.setting for q in asked if not (q.example or q.setting in named)] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ASKED)
def test_connect(*, name, services, place):
    """Without a terminal: it is checked, written and tried out, and the secrets are kept."""
    secret, *more = [
        q.setting for q in all_questions(load(name)).values() if q.is_secret
    ] or [""]
    table = services[name].table
    values = {key: str(value) for key, value in table.items()}
    values |= {"to": "ada@example.org"} if "to" in values else {}
    values |= {key: f"env:CHANNEL_{key}" for key in more if key in values}
    values |= {secret: "-"} if secret else {}

    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tocsin",
            "connect",
            name,
            *(w for item in values.items() for w in ("--set", "=".join(item))),
        ],
        env={
            **place.environment,
            **{f"CHANNEL_{key}": str(table[key]) for key in more if key in values},
            "PATH": os.environ["PATH"],
            "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nowhere",
        },
        cwd=place.path,
        input=str(table.get(secret, "")),
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert done.returncode == 0, done.stderr
    assert len(services[name].read()) == 1
    written = (place.path / "tocsin.toml").read_text()
    assert f"[channels.{name}]" in written
    assert secrets_in(written + done.stdout + done.stderr) == []
