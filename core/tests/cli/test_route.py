from __future__ import annotations

import re

import pytest


@pytest.fixture(autouse=True)
def _config(configure, tmp_path):
    configure(f"""
        [user]
        name = "ada"
        channels = ["dm"]
        kinds = ["scriptable"]

        [[user.subscriptions]]
        channels = ["phone"]
        min_level = "ERROR"
        projects = ["prod-*"]

        [teams.vision]
        members = ["ada", "grace"]
        channels = ["vision"]
        tags = ["gpu"]

        [channels.dm]
        provider = "lines"
        path = "{tmp_path / "post"}"
        [channels.phone]
        provider = "door"
        token = {{ env = "DOOR_TOKEN" }}
        [channels.vision]
        provider = "lines"
        path = "{tmp_path / "post"}"
        [channels.torn]
        provider = "torn"
    """)


def lines(result):
    """Return what is said of each channel."""
    rows = [line.split(maxsplit=2) for line in result.stdout.splitlines()]
    return {row[1]: f"{row[0]} {row[2]}" for row in rows if len(row) == 3}


@pytest.mark.parametrize(
    ("options", "channel", "said"),
    [
        ("", "dm", "✓ gets it, for user ada"),
        ("--kind ci", "dm", "✗ not for user ada: kind 'ci' is not among 'scriptable'"),
        ("--user grace", "dm", "✗ not for user ada: the alert has user grace"),
        ("", "phone", "✗ not for user ada: INFO is below min_level ERROR"),
        (
            "--level error",
            "phone",
            "✗ not for user ada: project '' is not among 'prod-*'",
        ),
        ("--level error --project prod-1", "phone", "! gets it, for user ada"),
        ("", "vision", "✗ not for team vision: the alert has no team"),
        (
            "--team vision",
            "vision",
            "✗ not for team vision: it has none of the tags 'gpu'",
        ),
        ("--team vision --tag gpu", "vision", "✓ gets it, for team vision"),
        ("", "torn", "✗ no subscription names it"),
    ],
)
def test_who_gets_it_and_why_not(options, channel, said, cli):
    """Each channel says for whom it gets the alert, or what every wish objects."""
    assert lines(cli("route", "test", *options.split()))[channel] == said


def test_exit_codes(cli):
    """An alert that somebody gets ends with 0, one that nobody gets with 4."""
    assert cli("route", "test").exit_code == 0
    assert cli("route", "test", "--kind", "ci").exit_code == 4


def test_nothing_is_sent_or_kept(cli, tmp_path):
    """Asking has no effect."""
    cli("route", "test")
    cli("render", "dm")

    assert not (tmp_path / "post").exists()
    assert not (tmp_path / "state").exists()


def test_not_a_member(cli):
    """Who is not in the team could not raise it either: 2."""
    result = cli("route", "test", "--team", "vision", "--user", "eve")

    assert result.exit_code == 2
    assert "'eve' is not a member" in result.stderr


def test_render(cli):
    """The plain form and each part of the provider's are shown, with their template."""
    result = cli(
        *("render", "dm", "--title", "Loss is [b]NaN[/b]\x1b[2J", "--text", "step 12"),
        *("--level", "error", "--field", "lr=1e-3"),
    )

    assert result.exit_code == 0
    plain, title, text = result.stdout.split("── ")[1:]
    assert plain.startswith(
        "plain form\n[ERROR] Loss is [b]NaN[/b]\ufffd[2J\n\nstep 12\n\nlr: 1e-3"
    )
    assert title.startswith("title  title.txt\nERROR: Loss is [b]NaN[/b]\ufffd[2J\n")
    assert text.startswith("text  text.txt\nstep 12\n")


def test_render_with_the_operators_template(cli, tmp_path):
    """The operator's own template is the one that is shown."""
    (tmp_path / "templates" / "lines").mkdir(parents=True)
    (tmp_path / "templates" / "lines" / "title.txt").write_text("Mine: {{ title }}")

    assert "Mine: An example" in cli("render", "dm").stdout


@pytest.mark.parametrize(
    ("channel", "said"),
    [
        ("dmm", "did you mean 'dm'?"),
        ("torn", "the provider 'torn' of torn 1.2 is broken"),
    ],
)
def test_render_a_channel_that_cannot_be_had(channel, said, cli):
    """One that is not there, or is out of order, ends with 2."""
    result = cli("render", channel)

    assert result.exit_code == 2
    assert said in result.stderr


def test_when(cli, configure, hours):
    """What is held, gathered, or goes elsewhere in the end, is told with its times."""
    configure(f"""
        [user]
        name = "ada"
        channels = ["dm"]
        quiet_hours = ["{hours}"]
        time_zone = "UTC"
        [[user.subscriptions]]
        channels = ["inbox"]
        digest = "90m"
        [[user.subscriptions]]
        channels = ["both"]
        quiet_hours = ["{hours}"]
        time_zone = "UTC"
        digest = "1h"
        [channels.dm]
        provider = "door"
        fallback = "inbox"
        fallback_after = "5m"
        [channels.inbox]
        provider = "door"
        [channels.both]
        provider = "door"
    """)

    shown = cli("route", "test").stdout.splitlines()
    held = r"gets it at [-0-9 ]*\d\d:\d\d:00, for user ada: until then hours are quiet"
    assert re.fullmatch(f"✓  dm     {held}", shown[0])
    assert shown[1].strip() == "if it fails, or takes 5 min, inbox gets it"
    assert shown[2] == "✓  inbox  gets it, for user ada"
    assert shown[3].strip() == "then all of the next 90 min goes as one message"
    assert re.fullmatch(f"✓  both   {held}", shown[4])
    assert shown[5].strip() == "all that is held until then goes as one message"
    assert (
        "✓  dm     gets it, for user ada"
        in cli("route", "test", "--level", "error").stdout
    )


def test_silenced(cli):
    """An alert that is silenced says so: nobody would get it now."""
    cli("silence", "add", "Loss*", "--for", "1h", "--reason", "restart")

    result = cli("route", "test", "--title", "Loss is NaN")
    assert result.exit_code == 0
    assert lines(result)["dm"].startswith("! gets it")
    assert "But it is silenced: title 'Loss*', until " in result.stdout
    assert "silenced" not in cli("route", "test").stdout


def test_a_channel_that_fails(cli, gate):
    """Where nothing is sent for now, that is told beside who would get it."""
    cli("send", "hi")

    result = cli("route", "test")
    assert lines(result)["dm"] == "! gets it, for user ada"
    assert "but is out of order: the token was revoked" in result.stdout
