from __future__ import annotations

import json

import pytest

import tocsin

CONFIG = """
    [user]
    name = "ada"
    channels = ["dm"]
    [channels.dm]
    provider = "lines"
    path = "{}"
"""


def titles(file):
    """Return the titles of what arrived."""
    lines = file.read_text().splitlines() if file.exists() else []
    return [json.loads(line)["parts"]["title"] for line in lines]


def test_what_is_left_is_delivered(cli, post):
    """What earlier programs left is delivered and counted, and drained it ends with 0."""
    for title in ("one", "two", "three"):
        cli("send", title, "--no-wait")

    result = cli("drain")
    assert result.exit_code == 0
    assert str(post.config) in result.stdout
    assert "✓  dm  3 delivered" in result.stdout
    assert len(post.messages) == 3


def test_nothing_is_left(cli, post):
    """With nothing to do it says so, and ends with 0."""
    cli("send", "hi")

    result = cli("drain")
    assert result.exit_code == 0
    assert result.stdout == "Nothing is left to deliver.\n"


def test_every_configuration_in_turn(cli, configure, tmp_path):
    """All that used the state directory are drained, each through its own channels."""
    for name in ("a", "b"):
        configure(CONFIG.format(tmp_path / f"{name}.jsonl"), name=f"{name}.toml")
        cli("send", name, "--no-wait")

    assert cli("drain").exit_code == 0
    assert titles(tmp_path / "a.jsonl") == ["INFO: a"]
    assert titles(tmp_path / "b.jsonl") == ["INFO: b"]


def test_one_configuration_alone(cli, configure, tmp_path):
    """With --config the others' deliveries are left to them."""
    for name in ("a", "b"):
        configure(CONFIG.format(tmp_path / f"{name}.jsonl"), name=f"{name}.toml")
        cli("send", name, "--no-wait")

    assert cli("drain", "--config", tmp_path / "a.toml").exit_code == 0
    assert titles(tmp_path / "a.jsonl") == ["INFO: a"]
    assert titles(tmp_path / "b.jsonl") == []


def test_a_retry_that_is_due_in_time(cli, configure):
    """A retry that falls due before the time is up is waited for."""
    configure("""
        [user]
        channels = ["later"]
        [channels.later]
        provider = "later"
        attempts = 2
        after = 0.1
    """)
    cli("send", "hi", "--no-wait")

    result = cli("drain")
    assert result.exit_code == 0
    assert "1 delivered" in result.stdout


def test_a_retry_that_is_due_too_late(cli, configure):
    """One that falls due later is left, and told with the reason: 1."""
    configure("""
        [user]
        channels = ["later"]
        [channels.later]
        provider = "later"
    """)
    cli("send", "hi", "--no-wait")

    result = cli("drain")
    assert result.exit_code == 1
    assert "1 left: the service is busy; tried again at" in result.stdout
    assert "→ be patient" in result.stdout


def test_failed(cli, configure):
    """What fails is told once for all that failed alike: 1."""
    configure("""
        [user]
        channels = ["door"]
        [channels.door]
        provider = "door"
    """)
    cli("send", "one", "--no-wait")
    cli("send", "two", "--no-wait")

    result = cli("-q", "drain")
    assert result.exit_code == 1
    assert result.output.count("2 failed: no such [b]mailbox[/b]") == 1
    assert "→ then: tocsin replay --failed" in result.stdout


def test_out_of_order(cli, configure):
    """What cannot be tried is left, and told with what is wrong with its channel."""
    configure("""
        [user]
        channels = ["torn", "door"]
        [channels.torn]
        provider = "torn"
        [channels.door]
        provider = "door"
        token = { env = "NO_SUCH_TOKEN" }
    """)
    cli("send", "hi", "--no-wait")

    result = cli("drain")
    assert result.exit_code == 1
    assert "1 left: the channel is out of order: the provider 'torn'" in result.stdout
    assert "NO_SUCH_TOKEN is not set" in result.stdout
    assert result.stderr == ""


def test_a_channel_that_is_gone(cli, post, configure):
    """A delivery whose channel was taken out of the configuration is left, and told."""
    cli("send", "hi", "--no-wait")
    configure(post.config.read_text().replace("dm", "inbox"))

    result = cli("drain")
    assert result.exit_code == 1
    assert "the configuration has no such channel any more" in result.stdout


def test_a_configuration_that_is_gone(cli, post, monkeypatch):
    """A configuration that was removed is named; what is to be done is told."""
    cli("send", "hi", "--no-wait")
    post.config.unlink()
    monkeypatch.delenv("TOCSIN_CONFIG")

    result = cli("drain")
    assert result.exit_code == 1
    assert f"{post.config}: 1 left\n" in result.stdout
    assert "the configuration is gone" in result.stdout
    assert "→ put it back" in result.stdout


def test_a_configuration_with_mistakes(cli, post, configure):
    """One configuration's mistakes are told, and do not keep the others from draining."""
    cli("send", "hi", "--no-wait")
    configure("[channels.dm]\nprovider = 1", name="wrong.toml")

    assert cli("drain").exit_code == 0
    assert len(post.messages) == 1
    cli("send", "ho", "--no-wait", "--config", post.config)
    post.config.write_text("[user]\nchannels = 1")
    result = cli("drain")
    assert result.exit_code == 1
    assert "user.channels: must be a list of strings, not int" in result.stdout


def test_an_embedding_program(cli, post):
    """What a program left that made its settings in code is for that program: told."""
    settings = tocsin.Settings(
        user="ada",
        channels={"dm": tocsin.Provider()},
        subscriptions=[tocsin.Subscription(channels=["dm"])],
    )
    with tocsin.Notifier(settings, namespace="trainer", mode="offline") as notifier:
        notifier.notify(tocsin.Alert("hi"))

    result = cli("drain")
    assert result.exit_code == 1
    assert "trainer: 1 left" in result.stdout
    assert "→ start that program again" in result.stdout


@pytest.mark.parametrize("seconds", ["0", "0.1"])
def test_no_time(seconds, cli, configure, tmp_path):
    """When the time is up, what is left says so."""
    configure("""
        [user]
        channels = ["later"]
        [channels.later]
        provider = "later"
    """)
    cli("send", "hi", "--no-wait")

    assert cli("drain", "--timeout", seconds).exit_code == 1


def test_held(cli, configure, hours):
    """What quiet hours hold is left until they end, and that is as it should be: 0."""
    configure(f"""
        [user]
        channels = ["door"]
        quiet_hours = ["{hours}"]
        time_zone = "UTC"
        [channels.door]
        provider = "door"
    """)
    cli("send", "hi", "--no-wait")

    result = cli("drain")
    assert result.exit_code == 0
    assert "…  door  1 held, until " in result.stdout


def test_a_channel_that_waits_for_its_next_try(cli, gate):
    """What waits for a channel that is out of order says so, and what to do: 1."""
    cli("send", "one")
    cli("send", "two")

    result = cli("drain")
    assert result.exit_code == 1
    assert "1 left: the channel is out of order: the token was revoked" in result.stdout
    assert "; tried again at " in result.stdout
    assert "→ make a new one; then tocsin test dm" in result.stdout


def test_fallback(cli, configure, tmp_path):
    """What fails and is delivered by the fallback is done: 0."""
    configure(f"""
        [user]
        channels = ["door"]
        [channels.door]
        provider = "door"
        fallback = "dm"
        [channels.dm]
        provider = "lines"
        path = "{tmp_path / "post"}"
    """)
    cli("send", "hi", "--no-wait")

    result = cli("drain")
    assert result.exit_code == 0
    assert "✗  door  1 failed: no such [b]mailbox[/b]" in result.stdout
    assert "[2J (given to dm)" in result.stdout
    assert "✓  dm    1 delivered" in result.stdout
