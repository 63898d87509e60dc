"""`disconnect` takes a channel out wherever it is named, and its secrets away."""

from __future__ import annotations

import tomllib

import pytest
from terminal import Terminal

from tocsin._config import load

OWN = """\
include = ["team.toml"]

[user]
name = "ada"
channels = ["dm", "spare"]  # both
min_level = "WARN"

[[user.subscriptions]]
channels = ["spare"]
kinds = ["epoch"]

[channels.dm]
provider = "lines"
path = "dm"
fallback = "spare"
fallback_after = "5m"

# the second
[channels.spare]
provider = "lines"
path = "spare"
"""
TEAM = """\
[teams.vision]
members = ["ada"]
channels = "spare"
min_level = "ERROR"
"""


@pytest.fixture
def config(configure, tmp_path):
    (tmp_path / "team.toml").write_text(TEAM)
    return configure(OWN)


def test_wherever_it_is_named(config, cli, tmp_path):
    """Its table goes, and each mention, in every file; who has no other channel loses a wish."""
    result = cli("disconnect", "spare", "--yes")

    assert result.exit_code == 0
    assert tomllib.loads(config.read_text()) == {
        "include": ["team.toml"],
        "user": {"name": "ada", "channels": ["dm"], "min_level": "WARN"},
        "channels": {"dm": {"provider": "lines", "path": "dm"}},
    }
    assert tomllib.loads((tmp_path / "team.toml").read_text()) == {
        "teams": {"vision": {"members": ["ada"]}}
    }
    assert 'channels = ["dm"]  # both' in config.read_text()
    for said in ("the fallback of dm", "[user], where", "[teams.vision], where"):
        assert f"it is taken out of {said}" in result.stdout
    assert load(config).channels.keys() == {"dm"}


def test_the_last_one(post, cli):
    """With the last channel alerts go nowhere, which is said."""
    result = cli("disconnect", "dm", "--yes")

    assert result.exit_code == 0
    assert "no channel is left" in result.stdout
    assert cli("send", "hi").exit_code == 4


def test_what_waits(configure, cli, history):
    """What waits for it stays, and says so."""
    configure("""
        [user]
        channels = ["dm"]
        [channels.dm]
        provider = "later"
    """)
    cli("send", "hi", "--no-wait")

    result = cli("disconnect", "dm", "--yes")
    assert (
        "1 delivery waits for it, and will until there is a channel dm again"
        in result.stdout
    )
    assert history()[0]["deliveries"][0]["status"] == "pending"


def test_its_secrets(configure, cli, tmp_path):
    """A secret that `connect` kept goes; what somebody keeps elsewhere, or shares, stays."""
    config = configure("""
        [channels.dm]
        provider = "lines"
        path = "x"
        token = { file = "secrets/dm.token" }
        [channels.b]
        provider = "lines"
        path = "x"
        token = { file = "secrets/b.token" }
        [channels.c]
        provider = "lines"
        path = "x"
        token = { file = "secrets/b.token" }
        [channels.d]
        provider = "lines"
        path = "x"
        token = { file = "elsewhere/d.token" }
    """)
    for name in ("secrets/dm.token", "secrets/b.token", "elsewhere/d.token"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")

    for name in ("dm", "b", "d"):
        assert cli("disconnect", name, "--yes").exit_code == 0
    assert not (tmp_path / "secrets/dm.token").exists()
    assert (tmp_path / "secrets/b.token").exists()
    assert (tmp_path / "elsewhere/d.token").exists()
    assert load(config).channels.keys() == {"c"}


def test_a_channel_that_is_not_there(post, cli):
    result = cli("disconnect", "dn", "--yes")

    assert result.exit_code == 2
    assert "no channel 'dn': there is 'dm'" in result.stderr


def test_without_a_terminal(post, cli):
    """A script has to say that it means it."""
    result = cli("disconnect", "dm")

    assert result.exit_code == 2
    assert "--yes" in result.stderr
    assert "dm" in load(post.config).channels


@pytest.mark.parametrize(("answer", "code"), [("n", 130), ("y", 0)])
def test_a_person_is_asked(answer, code, config):
    """What goes is shown before the question; a no changes nothing."""
    was = config.read_text()
    with Terminal("disconnect", "spare") as terminal:
        terminal.expect("it is taken out of the fallback of dm")
        terminal.expect("Disconnect spare?")
        terminal.type(answer)
        assert terminal.end() == code

    assert (config.read_text() == was) is bool(code)


def test_a_read_only_file(config, cli, tmp_path):
    """One file that cannot be written keeps all of them as they are."""
    (tmp_path / "team.toml").chmod(0o444)

    result = cli("disconnect", "spare", "--yes")
    assert result.exit_code == 1
    assert "read-only" in result.stderr
    assert config.read_text() == OWN
    assert {path.name for path in tmp_path.iterdir()} == {"team.toml", "tocsin.toml"}
