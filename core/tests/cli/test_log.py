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


def test_held(cli, configure, hours):
    """What is due later, and was not tried, is held."""
    configure(f"""
        [user]
        channels = ["door"]
        quiet_hours = ["{hours}"]
        time_zone = "UTC"
        [channels.door]
        provider = "door"
    """)
    cli("send", "hi", "--no-wait")

    assert "… door: held until " in cli("log").stdout


def test_a_digest(cli, configure, database, tmp_path, history):
    """What went as one message says with how many more."""
    configure(f"""
        [user]
        channels = ["dm"]
        digest = "1h"
        [channels.dm]
        provider = "lines"
        path = "{tmp_path / "post"}"
    """)
    for title in ("one", "two", "three", "four"):
        cli("send", title, "--no-wait")
    cli("drain")
    database("UPDATE deliveries SET due = 1 WHERE status = 'pending'")
    cli("drain")

    assert len((tmp_path / "post").read_text().splitlines()) == 2
    rows = [row for row in cli("log").stdout.splitlines() if "✓" in row]
    assert rows[0].endswith("✓ dm")
    assert all(row.endswith("✓ dm: in one message with 2 more") for row in rows[1:])
    assert len(rows) == 4
    assert "with 2 more" in cli("log", "--limit", 1).stdout


def test_resolved(cli, post):
    """What is over says when, and the alert that says so is told apart."""
    cli("send", "Disk is full")
    cli("resolve", "Disk is full")
    cli("send", "Disk is full")

    first, second, third = cli("log").stdout.split("INFO")[1:]
    assert "resolved at " in first
    assert "Resolved: Disk is full" in second
    assert "resolved at" not in third


def test_silenced(cli, post):
    """What was silenced says by what."""
    cli("silence", "add", "Loss*", "--for", "1h", "--reason", "planned restart")
    cli("send", "Loss is NaN")

    assert "\N{EN DASH} dm: silenced: title 'Loss*', until " in cli("log").stdout


def test_what_is_over_was_not_delivered(cli, gate, database):
    """An end that nobody is to hear of, because nobody heard of the alert, says so."""
    cli("send", "hi", "--no-wait")
    cli("resolve", "hi", "--no-wait")
    cli("drain")
    database("UPDATE deliveries SET due = 1 WHERE status = 'pending'")
    gate.open()
    cli("test")
    cli("drain")

    assert (
        "not sent: the alert that is over was not delivered here" in cli("log").stdout
    )


LONG = "Validation accuracy fell below the threshold that was agreed upon in spring"


@pytest.mark.usefixtures("_door")
@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_width(width, cli, monkeypatch):
    """Whatever the width, nothing is lost, no line is longer, and words stay whole."""
    monkeypatch.setenv("COLUMNS", str(width))
    cli("send", LONG, "--level", "error", "--project", "prod-mnist")

    shown = cli("log").stdout
    assert max(map(len, shown.splitlines())) <= width
    words = shown.split()
    assert all(word in words for word in LONG.split())
    assert "[b]mailbox[/b]\ufffd[2J" in words
    assert "→ correct the address" in shown


@pytest.mark.usefixtures("_door")
def test_at_80_columns(cli, monkeypatch):
    """A narrow terminal shows deliveries below the title, each in one line if it fits."""
    monkeypatch.setenv("COLUMNS", "80")
    cli("send", "Loss is NaN", "--level", "error", "--project", "prod")

    [alert] = [json.loads(one) for one in cli("log", "--json").stdout.splitlines()]
    heading, *rows = cli("log").stdout.splitlines()
    assert heading.split("  ")[0] == "Time, id"
    assert rows[0].endswith("  ERROR  Loss is NaN")
    assert rows[1].startswith(f"{alert['id'][:16]}  prod · ")
    assert rows[2:] == [
        "                  ✓ dm",
        "                  ✗ door: no such [b]mailbox[/b]\ufffd[2J",
        "                    → correct the address",
    ]


def test_all(cli, configure, post, history, tmp_path):
    """With --all the alerts of others are shown in order of time, each with its owner."""
    cli("send", "mine")
    other = configure(CONFIG.format(path=tmp_path / "other"), name="other.toml")
    cli("send", "theirs")
    cli("send", "theirs")

    assert "mine" not in cli("log").stdout
    shown = cli("log", "--all", "--config", post.config).stdout
    assert shown.index("mine") < shown.index("theirs")
    assert f"of {other}" in shown
    assert f"of {post.config}" not in shown
    assert "1 more like 'theirs' suppressed" in shown
    assert "1 more like" not in cli("log", "--config", post.config).stdout
    lines = cli("log", "--all", "--json").stdout.splitlines()
    names = [json.loads(line).get("namespace") for line in lines]
    assert names == [str(post.config), str(other), None]
    lines = cli("log", "--all", "--limit", 1).stdout
    assert "mine" not in lines
