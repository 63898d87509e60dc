import pytest

from tocsin import OutOfOrder
from tocsin_desktop._command import command_for

HOSTILE = ["-i", "--version", "$(id)", "`id`", '"; id; "', 'end run\ndo "id"', "'"]


def test_linux(message):
    told = message("Loss is NaN", "at step 300", "ERROR")

    command = command_for("linux", told, "Tocsin")

    assert command.program == "notify-send"
    assert command.arguments == (
        "--app-name=Tocsin",
        "--urgency=critical",
        "--",
        "Loss is NaN",
        "at step 300\n\n2026-05-01 12:00:00 UTC",
    )
    assert command.script == ""


@pytest.mark.parametrize(
    ("level", "urgency"),
    [("INFO", "normal"), ("WARN", "normal"), ("ERROR", "critical")],
)
def test_a_level_becomes_an_urgency(message, level, urgency):
    """No alert is "low": a desktop may never show what is."""
    command = command_for("linux", message(level=level), "Tocsin")

    assert f"--urgency={urgency}" in command.arguments


def test_markup_and_escapes_are_inert_in_the_body(message):
    """A title has neither: the specification calls it plain text."""
    told = message("<b>1 & 2\\n", "<b>1 & 2\\n")

    *_, title, body = command_for("linux", told, "Tocsin").arguments

    assert title == "<b>1 & 2\\n"
    assert body.startswith("&lt;b&gt;1 &amp; 2\\\\n\n")


def test_macos(message):
    command = command_for("darwin", message("Loss is NaN", "at step 300"), "Tocsin")

    assert command.program == "osascript"
    assert command.arguments[:2] == ("-", "Loss is NaN")
    assert command.arguments[2].startswith("at step 300")


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_is_never_an_option_or_a_script(message, text):
    """The script is the same whatever the text, and options end before it."""
    linux = command_for("linux", message(text, text), "Tocsin")
    macos = command_for("darwin", message(text, text), "Tocsin")

    assert linux.arguments.index("--") == 2
    assert macos.arguments[0] == "-"
    assert macos.script == command_for("darwin", message(), "Tocsin").script


@pytest.mark.parametrize("platform", ["win32", "freebsd14"])
def test_other_systems_are_out_of_order(message, platform):
    with pytest.raises(OutOfOrder, match=platform) as raised:
        command_for(platform, message(), "Tocsin")

    assert raised.value.remedy
