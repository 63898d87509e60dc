from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys

import pytest


def test_help_tells_the_exit_codes(cli):
    """Whoever writes a script finds every command and every exit code in the help."""
    help_text = cli("--help").stdout

    for command in (
        "send",
        "run",
        "resolve",
        "silence",
        "test",
        "log",
        "replay",
        "doctor",
    ):
        assert f"\n  {command} " in help_text
    for code in ("0  ", "1  ", "2  ", "3  ", "4  ", "130"):
        assert f"\n    {code}" in help_text


def test_version(cli):
    """The version is the distribution's."""
    assert cli("--version").stdout == "tocsin 0.1.0\n"


@pytest.mark.parametrize("command", ["send x", "test", "channels", "log", "render dm"])
def test_every_mistake_is_told_at_once(command, cli, configure):
    """A configuration with mistakes ends any command with 2, and all of them are told."""
    file = configure("""
        [user]
        channels = ["dmm"]
        [channels.dm]
        provider = "lines"
        copies = "two"
    """)

    result = cli(*command.split())
    assert result.exit_code == 2
    assert result.stdout == ""
    assert str(file) in result.stderr
    assert "user.channels: no channel 'dmm': did you mean 'dm'?" in result.stderr
    assert "channels.dm.path: is missing" in result.stderr
    assert "channels.dm.copies: must be a whole number" in result.stderr


@pytest.mark.parametrize("where", ["before", "after"])
def test_global_options_stand_anywhere(where, cli, post, tmp_path, monkeypatch):
    """A configuration and a state directory are named before or after the command."""
    monkeypatch.delenv("TOCSIN_CONFIG")
    options = ["--config", post.config, "--state-dir", tmp_path / "other"]
    line = [*options, "send", "hi"] if where == "before" else ["send", "hi", *options]

    result = cli(*line)
    assert result.exit_code == 0
    assert len(post.messages) == 1
    assert (tmp_path / "other" / "tocsin.db").exists()


@pytest.mark.parametrize("file", ["/no/such/file", "~no-such-user/tocsin.toml"])
@pytest.mark.parametrize("command", ["log", "drain", "send x", "replay --failed"])
def test_a_configuration_that_is_not_there(command, file, cli):
    """A file that is named and is not there ends with 2, and not with a traceback."""
    result = cli(*command.split(), "--config", file)

    assert result.exit_code == 2
    assert file in result.stderr
    assert "it cannot be read" in result.stderr


def test_quiet(cli, post):
    """With --quiet good news is no news; the exit code tells."""
    assert cli("-q", "send", "hi").output == ""
    assert len(post.messages) == 1


def test_text_is_data(cli, post):
    """Neither markup nor control characters of an alert reach the terminal as such."""
    cli("send", "[red]x[/red] :smile: \x1b[2J\x07")

    shown = cli("log").stdout
    assert "[red]x[/red] :smile: \ufffd[2J\ufffd" in shown
    assert "\x1b" not in shown


def test_colours_on_a_terminal_alone(process, cli, post, monkeypatch):
    """A terminal gets colours and sees that it takes its time; a pipe gets text."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)

    terminal, slave = os.openpty()
    process("send", "hi", stdout=slave, stderr=slave)
    os.close(slave)
    seen = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while chunk := os.read(terminal, 1024):
            seen += chunk
    os.close(terminal)
    assert b"\x1b[32m" in seen
    assert "Delivering …".encode() in seen
    assert b"delivered to" in seen
    assert "\x1b" not in cli("send", "ho").output


def test_what_the_library_warns_of_is_told(cli, post, tmp_path):
    """An alert that can be kept in memory only is delivered, and the loss is told."""
    (tmp_path / "file").touch()

    result = cli("send", "hi", "--state-dir", tmp_path / "file")
    assert result.exit_code == 0
    assert "Warning: alerts are kept in memory only" in result.stderr


def test_a_store_that_fails_is_told_in_a_line(cli, post, tmp_path):
    """A damaged store ends a command with one line, not with a traceback."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "tocsin.db").write_text("no database" * 100)

    result = cli("log")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: the store ")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_without_the_extra(missing, tmp_path, process, monkeypatch):
    """Without click or rich, one line names what to install."""
    (tmp_path / f"{missing}.py").write_text(
        f"raise ModuleNotFoundError('No module named {missing}', name={missing!r})"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    command = process("--version")
    out, err = command.communicate()
    assert command.returncode == 2
    assert out == ""
    assert err == (
        f"tocsin: the command line needs {missing}: pip install 'tocsin[cli]'\n"
    )


def test_interrupt(process, configure, tmp_path):
    """Ctrl-C ends a command at once with 130, and without a traceback."""
    os.mkfifo(tmp_path / "pipe")
    configure(f"""
        [user]
        channels = ["hung"]
        [channels.hung]
        provider = "hung"
        path = "{tmp_path / "pipe"}"
    """)

    command = process("send", "hi", "--wait-for", "60")
    assert (tmp_path / "pipe").read_text() == "called\n"
    command.send_signal(signal.SIGINT)
    _, err = command.communicate(timeout=10)
    assert command.returncode == 130
    assert err.strip() == ""


@pytest.mark.parametrize("command", [["log"], ["log", "--json"]])
def test_broken_pipe(command, process, cli, post):
    """A reader that went away, as ``head`` does, is no error to talk about."""
    cli("send", "hi")

    reader, writer = os.pipe()
    os.close(reader)
    started = process(*command, stdout=writer)
    os.close(writer)
    _, err = started.communicate(timeout=30)
    assert err == ""


def test_import_stays_cheap():
    """Importing the library imports nothing of its command line."""
    code = (
        "import sys, tocsin; print({'click', 'rich', 'tocsin._cli'} & {*sys.modules})"
    )

    printed = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert printed == "set()\n"
