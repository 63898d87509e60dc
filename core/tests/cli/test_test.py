from __future__ import annotations

import contextlib
import os
import sqlite3

OUT_OF_ORDER = "INSERT INTO circuits VALUES (?, ?, 5, 0, 0, 1, 'revoked', '')"
"""The token was revoked in 1970."""


def test_one_channel(cli, configure, tmp_path):
    """A channel is tested although nobody's subscription lets anything through to it."""
    configure(f"""
        [user]
        channels = ["door"]
        [channels.door]
        provider = "door"
        [channels.dm]
        provider = "lines"
        path = "{tmp_path / "post"}"
    """)

    result = cli("test", "dm")
    assert result.exit_code == 0
    assert "delivered to" in result.stdout
    assert "door" not in result.stdout
    assert "A test of Tocsin" in (tmp_path / "post").read_text()


def test_all_channels(cli, configure, tmp_path):
    """Without a name all are tested, and each says what came back."""
    configure(f"""
        [channels.dm]
        provider = "lines"
        path = "{tmp_path / "post"}"
        [channels.door]
        provider = "door"
        [channels.later]
        provider = "later"
    """)

    result = cli("test")
    assert result.exit_code == 1
    assert "delivered to" in result.stdout
    assert "failed: no such [b]mailbox[/b]" in result.stdout
    assert "kept: the service is busy" in result.stdout


def test_a_test_is_never_suppressed(cli, post):
    """Two tests in a row are two messages."""
    cli("test")

    assert cli("test").exit_code == 0
    assert len(post.messages) == 2


def test_a_test_goes_the_way_of_all_alerts(cli, post, history):
    """It is in the history, as any alert is."""
    cli("test", "dm")

    [alert] = history()
    assert alert["title"] == "A test of Tocsin"
    assert alert["deliveries"][0]["receipt"]["reference"] == "m1"


def test_the_mode_does_not_hold(cli, post, monkeypatch):
    """Whoever asks for a test wants it now, whatever the environment's mode."""
    monkeypatch.setenv("TOCSIN_MODE", "offline")

    assert cli("test").exit_code == 0
    assert len(post.messages) == 1


def test_unknown_channel(cli, post):
    """A channel that is not there ends with 2 and the nearest name."""
    result = cli("test", "dmm")

    assert result.exit_code == 2
    assert result.stderr == "Error: no channel 'dmm': did you mean 'dm'?\n"


def test_no_channel(cli):
    """With nothing configured there is nothing to test: 4."""
    assert cli("test").exit_code == 4


def test_a_channel_that_is_out_of_order(cli, gate, history):
    """It is tried beside what waits for it; while it refuses, nothing else changes."""
    cli("send", "one")
    cli("send", "two")

    for _ in range(2):
        result = cli("test", "dm")
        assert result.exit_code == 1
        assert "✗  dm  failed: the token was revoked" in result.stdout
        assert "→ make a new one" in result.stdout
    one, two = history()
    assert one["deliveries"][0]["status"] == "failed"
    assert two["deliveries"][0]["status"] == "pending"
    assert two["deliveries"][0]["attempts"] == 0


def test_a_channel_that_works_again(cli, gate):
    """A test that arrives puts its channel in order, and says what waited for it."""
    cli("send", "one")
    cli("send", "two")
    gate.open()

    result = cli("test", "dm")
    assert result.exit_code == 0
    assert "✓  dm  delivered, message g1" in result.stdout
    assert "it is in order again" in result.stdout
    assert "→ tocsin drain, to send the 1 delivery that waited for it" in result.stdout
    assert gate.titles == ["A test of Tocsin"]
    assert cli("drain").exit_code == 0
    assert gate.titles == ["A test of Tocsin", "two"]
    assert "out of order" not in cli("channels").stdout


def test_quiet(cli, gate):
    """With --quiet a channel that is in order again is no news."""
    cli("send", "one")
    gate.open()

    assert cli("-q", "test").output == ""


def test_a_channel_that_hangs(cli, configure, database, tmp_path):
    """One that is out of order, and hangs when it is tried, costs one attempt's time."""
    os.mkfifo(tmp_path / "pipe")
    config = configure(f"""
        timeout = 0.1
        [user]
        channels = ["hung"]
        [channels.hung]
        provider = "hung"
        path = "{tmp_path / "pipe"}"
    """)
    cli("send", "hi", "--no-wait")
    database(OUT_OF_ORDER, str(config), "hung")

    result = cli("test", "hung")
    assert result.exit_code == 1
    assert "failed: no answer within 0.1 s" in result.stdout


def test_a_secret_that_does_not_resolve(cli, configure, database):
    """A channel out of order whose secret is missing says so."""
    config = configure("""
        [user]
        channels = ["door"]
        [channels.door]
        provider = "door"
        token = { env = "DOOR_TOKEN" }
    """)
    cli("send", "hi", "--no-wait")
    database(OUT_OF_ORDER, str(config), "door")

    result = cli("test", "door")
    assert result.exit_code == 1
    assert "DOOR_TOKEN is not set" in result.stdout


def test_a_silence_holds_for_a_test_too(cli, post):
    """A test goes the way of all alerts: one that is silenced says so, and ends with 3."""
    cli("silence", "add", "--for", "1h", "--reason", "deploy")

    result = cli("test", "dm")
    assert result.exit_code == 3
    assert "silenced: every alert" in result.stdout


def test_what_was_spilled_goes_where_it_belongs(cli, configure, tmp_path):
    """A test takes over what the store did not take in time, and sends none of it astray."""
    configure(f"""
        [user]
        name = "ada"
        channels = ["dm"]
        [channels.dm]
        provider = "lines"
        path = "{tmp_path / "dm"}"
        [channels.spare]
        provider = "lines"
        path = "{tmp_path / "spare"}"
    """)
    cli("send", "first")
    held = sqlite3.connect(tmp_path / "state" / "tocsin.db", isolation_level=None)
    with contextlib.closing(held):
        held.execute("BEGIN IMMEDIATE")
        cli("send", "second", "--no-wait")

    assert cli("test", "spare").exit_code == 0
    assert cli("drain").exit_code == 0
    assert len((tmp_path / "dm").read_text().splitlines()) == 2
    assert len((tmp_path / "spare").read_text().splitlines()) == 1
