from __future__ import annotations


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
