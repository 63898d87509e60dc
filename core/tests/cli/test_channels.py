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


def test_as_the_attempts_have_told(cli, configure, database, tmp_path):
    """A channel that fails says since when and why; one that works again says nothing."""
    config = configure(f"""
        [user]
        channels = ["dm", "door"]
        [channels.dm]
        provider = "lines"
        path = "{tmp_path / "post"}"
        [channels.door]
        provider = "door"
    """)
    cli("send", "hi", "--no-wait")
    for channel, is_out_of_order in (("dm", 0), ("door", 1)):
        database(
            "INSERT INTO circuits VALUES (?, ?, 5, 0, 1e9, ?, 'it is down', '')",
            *(str(config), channel, is_out_of_order),
        )

    shown = cli("channels").stdout
    assert "!  dm" in shown
    assert "✗  door" in shown
    assert "dm is failing: it is down (since 2001-09-09" in shown
    assert "door is out of order: it is down (since 2001-09-09" in shown
    database("DELETE FROM circuits")
    assert "it is down" not in cli("channels").stdout


def test_fallbacks_and_times(cli, configure):
    """What is not sent at once, or goes elsewhere, is shown beside the channel."""
    configure("""
        [user]
        name = "ada"
        channels = ["dm"]
        quiet_hours = ["22:00-07:00"]
        time_zone = "UTC"
        digest = "1h"
        [channels.dm]
        provider = "door"
        fallback = "phone"
        [channels.phone]
        provider = "door"
        fallback = "dm"
        fallback_after = "90s"
    """)

    shown = cli("channels").stdout
    assert "user ada: quiet 22:00-07:00 UTC up to WARN; a digest each 1 h" in shown
    assert 'fallback = "phone"' in shown
    assert "fallback of dm" in shown
    assert shown.count("fallback_after = 90.0") == 1
