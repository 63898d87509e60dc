from __future__ import annotations

import contextlib
import sqlite3

import pytest


def test_delivered(cli, post):
    """What is delivered ends with 0, and with what the service said."""
    result = cli("send", "hi", "there")

    assert result.exit_code == 0
    assert "delivered to" in result.stdout
    assert "message m1" in result.stdout
    assert "https://post/m1" in result.stdout
    assert post.messages[0]["parts"] == {"title": "INFO: hi", "text": "there"}


def test_every_option_reaches_the_alert(cli, post, history, tmp_path):
    """What the options say of an alert is in the alert, and its files travel along."""
    (tmp_path / "loss.txt").write_text("nan")

    cli(
        *("send", "hi", "--level", "warn", "--kind", "ci", "--key", "k", "--wait", "5"),
        *("--field", "lr=1e-3", "--field", "note=a=b", "--tag", "gpu", "--tag", "big"),
        *("--url", "https://example.org", "--project", "p"),
        *("--attach", tmp_path / "loss.txt"),
    )
    [alert] = history()
    assert alert["level"] == "WARN"
    assert alert["kind"] == "ci"
    assert alert["key"] == "k"
    assert alert["wait_duration"] == 5
    assert alert["fields"] == {"lr": "1e-3", "note": "a=b"}
    assert alert["tags"] == ["gpu", "big"]
    assert alert["url"] == "https://example.org"
    assert alert["origin"]["user"] == "ada"
    assert alert["origin"]["project"] == "p"
    assert post.messages[0]["attachments"] == ["loss.txt"]


@pytest.mark.parametrize(
    ("given", "read"), [("step 1\nstep 2\n", "step 1\nstep 2"), (b"a\xff", "a\ufffd")]
)
def test_text_from_standard_input(given, read, cli, post):
    """A text of - is read from standard input, whatever bytes are in it."""
    cli("send", "hi", "-", stdin=given)

    assert post.messages[0]["parts"]["text"] == read


def test_a_job_has_windows_of_its_own(cli, post, monkeypatch):
    """The same title of another batch job is another alert; of the same job it is not."""
    codes = []
    for job in ("1", "2", "2"):
        monkeypatch.setenv("SLURM_JOB_ID", job)
        codes.append(cli("send", "done").exit_code)

    assert codes == [0, 0, 3]


def test_suppressed(cli, post):
    """One too many ends with 3, and says until when and how to send it all the same."""
    cli("send", "hi")

    again = cli("send", "hi")
    assert again.exit_code == 3
    assert "Suppressed until" in again.stdout
    assert "--wait 0" in again.stdout
    assert cli("send", "hi", "--wait", "0").exit_code == 0
    assert len(post.messages) == 2


def test_unrouted(cli, configure, tmp_path):
    """An alert that nobody wants ends with 4, and every channel says why."""
    configure(f"""
        [user]
        name = "ada"
        channels = ["dm"]
        min_level = "ERROR"
        [channels.dm]
        provider = "lines"
        path = "{tmp_path / "post"}"
        [channels.spare]
        provider = "door"
    """)

    result = cli("send", "hi")
    assert result.exit_code == 4
    assert "not for user ada: INFO is below min_level ERROR" in result.stdout
    assert "no subscription names it" in result.stdout


def test_no_channel(cli, tmp_path):
    """Without a configuration it ends with 4, and says which file to write."""
    result = cli("send", "hi")

    assert result.exit_code == 4
    assert "No channel is configured." in result.stdout
    assert str(tmp_path / "home" / "tocsin" / "tocsin.toml") in result.stdout


def test_failed(cli, configure):
    """A delivery that fails ends with 1, and is told once: reason, remedy, replay."""
    configure("""
        [user]
        channels = ["door"]
        [channels.door]
        provider = "door"
        token = "hunter2"
    """)

    result = cli("send", "hi")
    assert result.exit_code == 1
    assert result.output.count("failed: no such [b]mailbox[/b]") == 1
    assert "→ correct the address" in result.stdout
    assert "→ tocsin replay " in result.stdout
    assert "hunter2" not in result.output


def test_put_off(cli, configure):
    """A service that wants to wait for an hour is not waited for; it ends with 1."""
    configure("""
        [user]
        channels = ["later"]
        [channels.later]
        provider = "later"
    """)

    first = cli("send", "hi", "--wait-for", "600")
    assert first.exit_code == 1
    assert "kept: the service is busy; tried again at" in first.stdout
    assert "be patient" in first.stdout
    second = cli("send", "ho", "--wait-for", "600")
    assert second.exit_code == 1
    assert "kept: the service wants a pause; tried again at" in second.stdout


def test_a_retry_is_waited_for(cli, configure):
    """A delivery that succeeds at its second attempt is delivered."""
    configure("""
        [user]
        channels = ["later"]
        [channels.later]
        provider = "later"
        attempts = 2
        after = 0.0
    """)

    assert cli("send", "hi").exit_code == 0


def test_out_of_order(cli, configure, tmp_path):
    """A channel that cannot work is not waited for, and says what is wrong with it."""
    configure(f"""
        [user]
        channels = ["dm", "torn"]
        [channels.dm]
        provider = "lines"
        path = "{tmp_path / "post"}"
        token = {{ env = "NO_SUCH_TOKEN" }}
        [channels.torn]
        provider = "torn"
    """)

    result = cli("send", "hi", "--wait-for", "600")
    assert result.exit_code == 1
    assert "NO_SUCH_TOKEN is not set" in result.stdout
    assert "the provider 'torn' of torn 1.2 is broken" in result.stdout
    assert result.stderr == ""


def test_no_wait(cli, post):
    """With --no-wait it is kept, and nothing is sent yet."""
    result = cli("send", "hi", "--no-wait")

    assert result.exit_code == 0
    assert "Kept for dm." in result.stdout
    assert post.messages == []


@pytest.mark.parametrize(("mode", "code"), [("offline", 0), ("disabled", 0), ("on", 2)])
def test_mode(mode, code, cli, post, monkeypatch):
    """The environment's mode holds as it does in the library."""
    monkeypatch.setenv("TOCSIN_MODE", mode)

    result = cli("send", "hi")
    assert result.exit_code == code
    assert post.messages == []
    assert result.output


def test_a_store_that_is_held(cli, post, tmp_path):
    """While another process holds the store, an alert is kept beside it; drain sends it."""
    cli("send", "first")
    held = sqlite3.connect(tmp_path / "state" / "tocsin.db", isolation_level=None)
    with contextlib.closing(held):
        held.execute("BEGIN IMMEDIATE")
        kept = cli("send", "second", "--no-wait")

    assert kept.exit_code == 0
    assert len(post.messages) == 1
    assert cli("drain").exit_code == 0
    assert len(post.messages) == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--wait", "-1"], "'-1' is no number of seconds"),
        (["--wait", "nan"], "'nan' is no number of seconds"),
        (["--wait-for", "soon"], "'soon' is no number of seconds"),
        (["--level", "fatal"], "'fatal' is not one of"),
        (["--field", "lr"], "'lr' is not NAME=VALUE"),
        (["--attach", "/no/such/file"], "does not exist"),
        (["--team", "vision"], "no team 'vision'"),
    ],
)
def test_wrong_usage(options, said, cli, post):
    """An argument that makes no sense ends with 2, and nothing is sent."""
    result = cli("send", "hi", *options)

    assert result.exit_code == 2
    assert said in result.stderr
    assert post.messages == []


def test_held(cli, configure, tmp_path, hours):
    """What quiet hours hold says until when, is not waited for, and ends with 0."""
    configure(f"""
        [user]
        channels = ["dm"]
        quiet_hours = ["{hours}"]
        time_zone = "UTC"
        [channels.dm]
        provider = "lines"
        path = "{tmp_path / "post"}"
    """)

    result = cli("send", "hi", "--wait-for", "600")
    assert result.exit_code == 0
    assert "…  dm  held until " in result.stdout
    assert not (tmp_path / "post").exists()
    assert cli("send", "ho", "--level", "error").exit_code == 0
    assert len((tmp_path / "post").read_text().splitlines()) == 1


def test_gathered(cli, configure, tmp_path):
    """With a digest the first goes at once, and the next says until when it is held."""
    configure(f"""
        [user]
        channels = ["dm"]
        digest = "1h"
        [channels.dm]
        provider = "lines"
        path = "{tmp_path / "post"}"
    """)

    assert "✓  dm  delivered to" in cli("send", "one").stdout
    second = cli("send", "two", "--wait-for", "600")
    assert second.exit_code == 0
    assert "…  dm  held until " in second.stdout


def test_fallback(cli, configure, tmp_path):
    """What fails goes to the fallback; it ends with 0 when that has it, and else with 1."""
    configure(f"""
        [user]
        channels = ["door"]
        [channels.door]
        provider = "door"
        fallback = "spare"
        [channels.spare]
        provider = "door"
        path = "{tmp_path / "spare"}"
    """)

    lost = cli("send", "one")
    assert lost.exit_code == 1
    assert "failed: no such [b]mailbox[/b]\ufffd[2J (given to spare)" in lost.stdout
    assert "✗  spare  failed" in lost.stdout
    (tmp_path / "spare").touch()
    saved = cli("send", "two")
    assert saved.exit_code == 0
    assert "✓  spare  delivered" in saved.stdout
    assert "tocsin replay" not in saved.stdout
    assert (
        "✗ door: no such [b]mailbox[/b]\ufffd[2J (given to spare)" in cli("log").stdout
    )
