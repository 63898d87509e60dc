from __future__ import annotations

import pytest

CONFIG = """
    [user]
    name = "ada"
    channels = ["dm"]

    [[user.subscriptions]]
    channels = ["dm"]
    min_level = "ERROR"
    projects = ["prod-*"]

    [teams.vision]
    members = ["ada"]
    channels = ["dm", "torn"]

    [channels.dm]
    provider = "lines"
    path = "/var/post"
    token = "hunter2"

    [channels.door]
    provider = "door"
    token = { env = "DOOR_TOKEN" }

    [channels.torn]
    provider = "torn"
"""


def test_settings_without_secrets(cli, configure):
    """A channel's settings are shown as in the file, but for what is secret."""
    configure(CONFIG)

    shown = cli("channels").output
    assert 'path = "/var/post"' in shown
    assert 'token = "…"' in shown
    assert 'token = { env = "DOOR_TOKEN" }' in shown
    assert "hunter2" not in shown


def test_who_is_subscribed(cli, configure):
    """Each channel tells whose wishes name it, and on which conditions."""
    configure(CONFIG)

    shown = cli("channels").stdout
    assert "user ada\n" in shown
    assert "user ada: ERROR up; projects prod-*" in shown
    assert "team vision" in shown
    assert "nobody" in shown


def test_out_of_order(cli, configure):
    """A channel whose plugin is broken, or whose secret is missing, says so."""
    configure(CONFIG)

    shown = cli("channels").stdout
    assert "door is out of order: token: the environment variable DOOR_TOKEN" in shown
    assert "torn is out of order: the provider 'torn' of torn 1.2 is broken" in shown
    assert "dm is out of order" not in shown


def test_no_channels(cli):
    """Someone without channels is told which file to write."""
    result = cli("channels")

    assert result.exit_code == 0
    assert "tocsin.toml" in result.stdout


def test_providers(cli):
    """Every installed provider is listed with its package; a broken one is named."""
    result = cli("providers")

    assert result.exit_code == 0
    rows = [row.split() for row in result.stdout.splitlines()]
    assert ["✓", "lines", "post", "1.2"] in rows
    [broken] = [row for row in rows if row[1] == "torn"]
    assert broken[:4] == ["✗", "torn", "torn", "1.2"]
    assert "No module named 'no_such_module'" in result.stdout


def test_settings_of_a_provider(cli):
    """A provider's settings are told with type, default, and help."""
    shown = cli("providers", "lines").stdout

    assert 'provider = "lines"' in shown
    rows = [" ".join(row.split()) for row in shown.splitlines()]
    assert "! path string The file; each message is a line of it." in rows
    assert "token secret Lets you in." in rows
    assert "copies whole number How many lines." in rows
    assert "default: 1" in rows


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("linse", "no provider 'linse' is installed: did you mean 'lines'?"),
        ("torn", "the provider 'torn' of torn 1.2 is broken"),
    ],
)
def test_a_provider_that_cannot_be_had(name, said, cli):
    """One that is not there, or is broken, ends with 2 and says what to do."""
    result = cli("providers", name)

    assert result.exit_code == 2
    assert said in result.stderr
