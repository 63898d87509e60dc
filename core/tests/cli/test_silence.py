from __future__ import annotations

import contextlib
import os
import sys
import time

import pytest

from tocsin._store.sqlite import SqliteStore


@pytest.fixture
def silences(post, tmp_path):
    """Return what reads the silences from the store."""

    def silences():
        path = tmp_path / "state" / "tocsin.db"
        if not path.exists():
            return []
        with contextlib.closing(SqliteStore(str(path), str(post.config))) as store:
            return store.silences(time.time())

    return silences


def test_what_matches_is_not_sent(cli, post, history):
    """A silenced alert is kept and not sent, says why, and ends with 3; others go out."""
    added = cli("silence", "add", "Loss*", "--for", "2h", "--reason", "planned restart")

    assert added.exit_code == 0
    assert added.stdout.startswith("Silenced: title 'Loss*', until ")
    silenced = cli("send", "Loss is NaN")
    assert silenced.exit_code == 3
    assert "dm  silenced: title 'Loss*', until " in silenced.stdout
    assert "planned restart (ada)" in silenced.stdout
    assert cli("send", "Disk is full").exit_code == 0
    assert [one["parts"]["title"] for one in post.messages] == ["INFO: Disk is full"]
    loss, _ = history()
    assert loss["deliveries"][0]["status"] == "silenced"


def test_every_option(cli, silences):
    """What the options say is in the silence, and the configured user is its author."""
    cli(
        *("silence", "add", "*", "--from", "2040-01-01T00:00+00:00", "--for", "1.5h"),
        *("--project", "prod-*", "--team", "vision", "--max-level", "warn"),
        *("--reason", "deploy"),
    )

    [one] = silences()
    assert (one.title, one.project, one.team) == ("*", "prod-*", "vision")
    assert one.max_level.value == "WARN"
    assert one.starts_at == 2208988800
    assert one.ends_at - one.starts_at == 5400
    assert (one.reason, one.author) == ("deploy", "ada")


@pytest.mark.parametrize(
    ("written", "seconds"), [("90", 90), ("30m", 1800), ("2 h", 7200), ("7d", 604800)]
)
def test_for(written, seconds, cli, silences):
    """A length of time is written as in the configuration, or in seconds."""
    cli("silence", "add", "x", "--for", written, "--reason", "r")

    [one] = silences()
    assert one.ends_at - one.starts_at == pytest.approx(seconds)


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the time zone cannot be set")
@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("2040-01-01T00:00", 2208985200),
        ("2040-01-01T00:00Z", 2208988800),
        ("2040-01-01", 2208985200),
    ],
)
def test_until(written, seconds, cli, silences, monkeypatch):
    """A time is that of this machine's clock on the wall, unless it names a zone."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        cli("silence", "add", "x", "--until", written, "--reason", "r")
    finally:
        monkeypatch.undo()
        time.tzset()

    [one] = silences()
    assert one.ends_at == seconds


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--reason", "r"], "give either --for or --until"),
        (["--for", "1h", "--until", "2040-01-01", "--reason", "r"], "either --for or"),
        (["--for", "1h"], "Missing option '--reason'"),
        (["--for", "soon", "--reason", "r"], "'soon' is no length of time"),
        (["--for", "0", "--reason", "r"], "'0' is no length of time"),
        (["--for", "-1", "--reason", "r"], "'-1' is no length of time"),
        (["--for", "nan", "--reason", "r"], "'nan' is no length of time"),
        (["--for", "99999999d", "--reason", "r"], "'99999999d' is no length of time"),
        (["--until", "9am", "--reason", "r"], "'9am' is no time: write 2026-11-24T"),
        (["--until", "0001-01-01", "--reason", "r"], "'0001-01-01' is no time"),
        (["--until", "2020-01-01", "--reason", "r"], "over already"),
        (["--from", "9999-12-31", "--for", "7d", "--reason", "r"], "the year 9999"),
        (
            ["--from", "2040-01-02", "--until", "2040-01-01", "--reason", "r"],
            "must lie after",
        ),
        (["", "--for", "1h", "--reason", "r"], "title must be a pattern"),
        (["--id", "a b", "--for", "1h", "--reason", "r"], "'a b' is no word"),
        (["--max-level", "fatal", "--for", "1h", "--reason", "r"], "'fatal' is not"),
    ],
)
def test_wrong_usage(options, said, cli, post, tmp_path):
    """What makes no silence ends with 2, and nothing is made."""
    result = cli("silence", "add", *options)

    assert result.exit_code == 2
    assert said in result.stderr
    assert not (tmp_path / "state").exists()


def test_no_channel(cli):
    """Without a channel there is nothing to silence: 4."""
    result = cli("silence", "add", "--for", "1h", "--reason", "r")

    assert result.exit_code == 4


def test_memory(cli, post, monkeypatch):
    """A silence that would be forgotten at once is none: it is told, and ends with 1."""
    monkeypatch.setenv("TOCSIN_STATE_DIR", ":memory:")

    result = cli("silence", "add", "x", "--for", "1h", "--reason", "r")
    assert result.exit_code == 1
    assert "cannot be kept in memory" in result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="there are no terminals")
@pytest.mark.parametrize(
    ("line", "answer", "made"),
    [("", "n\n", 0), ("", "y\n", 1), ("--yes", "", 1), ("Loss*", "", 1)],
)
def test_everything_is_asked_for(line, answer, made, process, silences):
    """On a terminal a silence without a pattern asks, unless it is told not to."""
    terminal, slave = os.openpty()
    command = process(
        *("silence", "add", *line.split(), "--for", "1h", "--reason", "r"),
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    os.write(terminal, answer.encode())

    command.wait(30)
    os.close(terminal)
    assert command.returncode == (0 if made else 1)
    assert len(silences()) == made


def test_a_script_is_not_asked(cli, silences):
    """Where nobody sits, what was said is done."""
    assert cli("silence", "add", "--for", "1h", "--reason", "r").exit_code == 0
    assert len(silences()) == 1


def test_list(cli, post):
    """Each silence says what, when, why, by whom, and how many deliveries it kept back."""
    cli("silence", "add", "Loss*", "--for", "2h", "--reason", "planned restart")
    cli(
        *("silence", "add", "--project", "mn*", "--max-level", "warn", "--from"),
        *("2040-01-01", "--for", "7d", "--reason", "move\x1b[2J"),
    )
    for title in ("Loss is NaN", "Loss is high"):
        cli("send", title)

    first, why, second, *more = cli("silence", "list").stdout.splitlines()[1:]
    assert first.split()[3:] == ["title", "'Loss*'", "2"]
    assert why.split() == ["planned", "restart", "(ada)"]
    assert "from 2040-01-01 00:00:00" in second
    assert "project 'mn*' up to WARN" in second
    assert second.split()[-1] == "0"
    assert "until 2040-01-08 00:00:00  move\ufffd[2J (ada)" in more[0]


def test_nothing_is_silenced(cli, post, tmp_path):
    """With no silence the list says so, and makes no files."""
    result = cli("silence", "list")

    assert result.exit_code == 0
    assert result.stdout == "Nothing is silenced.\n"
    assert not (tmp_path / "state").exists()


def test_id(cli, post, silences):
    """A script calls a silence by a word of its own, which no other may have meanwhile."""
    line = ["silence", "add", "Loss*", "--for", "2h", "--reason", "r", "--id", "deploy"]
    cli(*line)

    twice = cli(*line)
    assert twice.exit_code == 2
    assert "there is a silence 'deploy' already" in twice.stderr
    assert [one.id for one in silences()] == ["deploy"]
    assert cli("silence", "expire", "deploy").exit_code == 0
    assert cli(*line).exit_code == 0
    assert len(silences()) == 1


def test_expire(cli, post, silences):
    """A silence is ended by its id, or how it begins; what comes then is sent at once."""
    cli("silence", "add", "Loss*", "--for", "2h", "--reason", "r")
    cli("send", "Loss is NaN")

    [one] = silences()
    result = cli("silence", "expire", one.id[:6])
    assert result.exit_code == 0
    assert result.stdout.startswith("Ended: title 'Loss*', which was silenced until ")
    assert silences() == []
    assert cli("send", "Loss is NaN").exit_code == 0
    assert len(post.messages) == 1


@pytest.mark.parametrize("prefix", ["zz", ""])
def test_no_meaning(prefix, cli, post, silences):
    """An id that means none ends with 2, and nothing is ended."""
    cli("silence", "add", "Loss*", "--for", "2h", "--reason", "r")

    result = cli("silence", "expire", prefix)
    assert result.exit_code == 2
    assert "no silence's id begins with" in result.stderr
    assert len(silences()) == 1


def test_several_meanings(cli, post, silences, database):
    """An id that means several lists them, and ends none: 2."""
    for title in ("Loss*", "Disk*"):
        cli("silence", "add", title, "--for", "2h", "--reason", "r")
    database("UPDATE silences SET id = 'abc' || title")

    result = cli("silence", "expire", "abc")
    assert result.exit_code == 2
    assert "  abcLoss*  title 'Loss*'" in result.stderr
    assert "  abcDisk*  title 'Disk*'" in result.stderr
    assert len(silences()) == 2


def test_the_whole_id_is_enough(cli, post, silences):
    """An id that another one begins with means itself."""
    for word in ("deploy", "deploy-2"):
        cli("silence", "add", "x", "--for", "2h", "--reason", "r", "--id", word)

    assert cli("silence", "expire", "deploy").exit_code == 0
    assert [one.id for one in silences()] == ["deploy-2"]


def test_what_waits_is_silenced_too(cli, post, history):
    """A silence holds for what is kept and not sent yet; drain says so, and ends with 0."""
    cli("send", "Loss is NaN", "--no-wait")
    cli("silence", "add", "Loss*", "--for", "2h", "--reason", "r")

    drained = cli("drain")
    assert drained.exit_code == 0
    assert "1 silenced: title 'Loss*'" in drained.stdout
    assert post.messages == []


def test_replay_of_what_was_silenced(cli, post, silences, history):
    """What was silenced is sent when somebody wants it, once the silence is over."""
    cli("silence", "add", "Loss*", "--for", "2h", "--reason", "r")
    cli("send", "Loss is NaN")

    [alert] = history()
    assert cli("replay", alert["id"]).exit_code == 3
    [one] = silences()
    cli("silence", "expire", one.id)
    assert cli("replay", alert["id"]).exit_code == 0
    assert len(post.messages) == 1
