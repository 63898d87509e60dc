from __future__ import annotations

import json
import signal

import pytest

CONFIG = """
    [user]
    name = "ada"
    channels = ["dm", "door"]
    [channels.dm]
    provider = "lines"
    path = "{path}"
    [channels.door]
    provider = "door"
"""


@pytest.fixture
def _door(configure, tmp_path):
    configure(CONFIG.format(path=tmp_path / "post"))


@pytest.mark.usefixtures("_door")
def test_table(cli, history):
    """A row says when, how bad, what, whence, and how each delivery fared and why."""
    cli("send", "Loss is NaN", "--level", "error", "--project", "prod")

    shown = cli("log").stdout
    [alert] = history()
    for said in ("ERROR", "Loss is NaN", "prod", alert["id"][:16], "✓ dm"):
        assert said in shown
    assert "✗ door: no such [b]mailbox[/b]" in shown
    assert "→ correct the address" in shown


@pytest.mark.usefixtures("_door")
def test_json(cli):
    """Each line is one object with everything that is known of an alert."""
    cli("send", "hi", "there\x1b[2J")

    result = cli("log", "--json")
    [alert] = [json.loads(line) for line in result.output.splitlines()]
    assert result.output.isascii()
    assert alert["type"] == "alert"
    assert alert["text"] == "there\x1b[2J"
    delivered, failed = alert["deliveries"]
    assert delivered["status"] == "delivered"
    assert delivered["receipt"]["reference"] == "m1"
    assert failed["id"] == f"{alert['id']}.door"
    assert failed["status"] == "failed"
    assert failed["remedy"] == "correct the address"
    assert alert["suppressed"] == {"count": 0, "since": None}


@pytest.mark.usefixtures("_door")
def test_failed(cli, configure, tmp_path):
    """With --failed only alerts with a failed delivery are shown."""
    cli("send", "bad")
    configure(CONFIG.format(path=tmp_path / "post").replace('["dm", "door"]', '["dm"]'))
    cli("send", "good")

    assert "good" in cli("log").stdout
    shown = cli("log", "--failed").stdout
    assert "bad" in shown
    assert "good" not in shown


def test_limit(cli, post, history):
    """The newest ones are shown, the newest at the end."""
    for title in ("one", "two", "three"):
        cli("send", title)

    lines = cli("log", "--json", "--limit", 2).stdout.splitlines()
    assert [json.loads(line)["title"] for line in lines] == ["two", "three"]


def test_suppressed(cli, post, history):
    """What was suppressed is counted: untold at the end, told with the next alert."""
    for _ in range(3):
        cli("send", "hi")

    assert "2 more like 'hi' suppressed since" in cli("log").stdout
    alert, suppressed = history()
    assert alert["type"] == "alert"
    assert suppressed["type"] == "suppressed"
    assert suppressed["key"] == "hi"
    assert suppressed["count"] == 2
    cli("send", "hi", "--wait", "0")
    assert "2 like it suppressed before" in cli("log").stdout
    assert [one["type"] for one in history()] == ["alert", "alert"]


def test_unrouted(cli):
    """An alert that went nowhere is in the history, and says so."""
    cli("send", "hi")

    assert "unrouted" in cli("log").stdout


def test_nothing_yet(cli, tmp_path):
    """A look at the history of nobody says so, and makes no files."""
    result = cli("log")

    assert result.exit_code == 0
    assert "There is no such alert." in result.stdout
    assert cli("log", "--json").output == ""
    assert not (tmp_path / "state").exists()


def test_follow(cli, post, process):
    """Followed, the history goes on: with what is new, and with what changes."""
    cli("send", "old")
    follower = process("log", "--follow", "--json")

    assert json.loads(follower.stdout.readline())["title"] == "old"
    cli("send", "new", "--no-wait")
    kept = json.loads(follower.stdout.readline())
    assert kept["title"] == "new"
    assert kept["deliveries"][0]["status"] == "pending"
    cli("drain")
    assert json.loads(follower.stdout.readline())["deliveries"][0]["status"] == (
        "delivered"
    )
    follower.send_signal(signal.SIGINT)
    _, err = follower.communicate(timeout=10)
    assert follower.returncode == 130
    assert err.strip() == ""
