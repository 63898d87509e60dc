"""An alert raised in Python arrives in Slack and in the inbox: the real providers, the
SQLite file, and loopback doubles of the services."""

from __future__ import annotations

import logging
import os
import sqlite3
import traceback

import pytest

import tocsin
from tocsin import AlertLevel
from tocsin_email.testing import MailDouble
from tocsin_slack.testing import SlackDouble
from tocsin_slack.testing._limits import live_markup, violations

TOKEN = "xoxb-canary-7f3a"
PASSWORD = "canary-password-9c1d"


class Clock:
    now = 1_800_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def slack():
    channels = {"C0VISION": "vision"}
    with SlackDouble(token=TOKEN, channels=channels, members=["U1234ABCD"]) as slack:
        yield slack


@pytest.fixture
def mail():
    with MailDouble(username="ada", password=PASSWORD) as mail:
        yield mail


@pytest.fixture
def config(slack, mail, tmp_path, monkeypatch):
    """Ada's configuration, which includes her team's."""
    monkeypatch.setenv("TOCSIN_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("SLACK_BOT_TOKEN", TOKEN)
    monkeypatch.setenv("SMTP_PASSWORD", PASSWORD)
    monkeypatch.delenv("TOCSIN_MODE", raising=False)
    (tmp_path / "vision.toml").write_text(
        f"""
        [teams.vision]
        members = ["ada", "grace"]
        channels = ["vision"]
        min_level = "WARN"

        [channels.vision]
        provider = "slack"
        token = {{ env = "SLACK_BOT_TOKEN" }}
        channel = "C0VISION"
        base_url = "{slack.base_url}"
        """
    )
    config = tmp_path / "tocsin.toml"
    config.write_text(
        f"""
        include = ["vision.toml"]
        submit_timeout = "10s"

        [user]
        name = "ada"
        channels = ["dm", "inbox"]

        [channels.dm]
        provider = "slack"
        token = {{ env = "SLACK_BOT_TOKEN" }}
        channel = "U1234ABCD"
        base_url = "{slack.base_url}"

        [channels.inbox]
        provider = "email"
        to = "ada@example.org"
        sender = "Tocsin <alerts@example.org>"
        host = "localhost"
        port = {mail.port}
        ca_file = "{mail.ca_file}"
        username = "ada"
        password = {{ env = "SMTP_PASSWORD" }}
        """
    )
    return config


@pytest.fixture
def run(config, clock, monkeypatch):
    """A run whose clock is the test's."""
    from_config = tocsin.Notifier.from_config
    monkeypatch.setattr(
        tocsin.Notifier,
        "from_config",
        lambda path, mode=None: from_config(path, mode=mode, clock=clock),
    )
    with tocsin.init(project="mnist", team="vision", config=config) as run:
        yield run


def low_accuracy(run):
    return run.alert(
        title="Low accuracy",
        text="Accuracy 0.1 is below the acceptable threshold 0.5. Hey <@U1234ABCD>",
        level=AlertLevel.WARN,
        wait_duration=300,
    )


def test_the_example(run, slack, mail, clock):
    """It reaches the direct message, the inbox and the team; the second is suppressed,
    and the third tells."""
    deliveries = low_accuracy(run).wait(10)
    clock.now += 10
    second = low_accuracy(run)
    clock.now += 290
    third = low_accuracy(run)
    third.wait(10)

    assert [d.channel for d in deliveries] == ["dm", "inbox", "vision"]
    assert all(d.status is tocsin.Status.DELIVERED for d in deliveries)
    assert isinstance(second, tocsin.Suppressed)
    assert third.suppressed == 1
    told = [post for post in slack.messages if "1 more like it suppressed" in str(post)]
    assert len(slack.messages) == 4
    assert len(told) == 2
    assert "1 more like it suppressed" in mail.messages[1].text


def test_the_slack_message(run, slack):
    """One message for each channel, within Slack's limits, with the mention live."""
    low_accuracy(run).wait(10)

    by_channel = {post.channel: post for post in slack.messages}
    assert len(by_channel) == len(slack.messages) == 2
    for post in slack.messages:
        assert violations(post.payload) == []
        title, text = (block["text"]["text"] for block in post.blocks[:2])
        assert title == "*Low accuracy*"
        assert text.endswith("Hey <@U1234ABCD>")
        assert "mnist" in str(post.attachments)
        assert "Low accuracy" in post.text


def test_mentions_and_broadcasts(run, slack):
    """A mention is live in title and text; a broadcast and a plain @here are inert."""
    title = "<@U1234ABCD> <!channel> @here"
    run.alert(title, "<!everyone> and <@U1234ABCD>", "WARN").wait(10)

    for post in slack.messages:
        assert set(live_markup(post.payload)) == {"<@U1234ABCD>"}
        assert "<@U1234ABCD>" in post.blocks[0]["text"]["text"]
        assert "<@U1234ABCD>" in post.blocks[1]["text"]["text"]
        assert post.payload["link_names"] in {False, "false", "0"}


def test_the_mail(run, mail):
    """The inbox gets text and HTML, which a mail parser reads back."""
    low_accuracy(run).wait(10)

    (received,) = mail.messages
    assert received.recipients == ("ada@example.org",)
    assert "Low accuracy" in received.message["Subject"]
    assert "Accuracy 0.1 is below the acceptable threshold 0.5." in received.text
    assert "Accuracy 0.1 is below the acceptable threshold 0.5." in received.html
    assert received.message["Auto-Submitted"] == "auto-generated"


def test_a_team_that_wants_less(run, slack, mail):
    """INFO does not reach a team with min_level WARN, but does reach the user."""
    deliveries = run.alert("Epoch 1 done").wait(10)

    assert [d.channel for d in deliveries] == ["dm", "inbox"]
    assert [post.channel for post in slack.messages] != ["C0VISION"]
    assert len(slack.messages) == len(mail.messages) == 1


def test_attachments(run, slack, mail):
    """A picture arrives as a file in Slack, and inline in the mail."""
    picture = tocsin.Attachment("loss.png", b"\x89PNG\r\n\x1a\n" + bytes(100))
    run.alert("Loss", level="ERROR", attachments=picture).wait(10)

    assert [[f.name for f in post.files] for post in slack.messages] == [
        ["loss.png"]
    ] * 2
    names = [part.get_filename() for part in mail.messages[0].message.walk()]
    assert "loss.png" in names


def test_no_globals(config, slack):
    """The same with a notifier of one's own: every delivery with its receipt."""
    with tocsin.Notifier.from_config(config) as notifier:
        alert = tocsin.Alert("Disk full", level="ERROR")
        result = notifier.notify(alert, team="vision")
        deliveries = result.wait(10)

    assert {d.channel for d in deliveries} == {"dm", "inbox", "vision"}
    assert all(d.receipt and d.receipt.reference for d in deliveries)


def test_a_reason_and_a_remedy(config, slack):
    """A delivery that fails says why, and what to do."""
    slack.revoke()
    with tocsin.Notifier.from_config(config) as notifier:
        result = notifier.notify(tocsin.Alert("Disk full"))
        failed, delivered = result.wait(10)

    assert failed.status is tocsin.Status.FAILED
    assert "token_revoked" in failed.reason
    assert failed.remedy
    assert delivered.status is tocsin.Status.DELIVERED


@pytest.mark.parametrize("fault", ["", "ok_false:invalid_auth", "close_after_read"])
def test_no_secret_leaks(*, config, slack, mail, caplog, tmp_path, fault):
    """A planted token and password are in no log at DEBUG, repr, traceback or database."""
    caplog.set_level(logging.DEBUG)
    if fault:
        slack.fail_next(fault, times=3)
        mail.fail_next("auth", f"535 5.7.8 no such {PASSWORD}")
    seen = []
    with tocsin.Notifier.from_config(config) as notifier:
        result = notifier.notify(tocsin.Alert("x"), team="vision")
        seen += [repr(result.wait(2)), repr(notifier), repr(notifier.settings)]
        for channel in notifier.settings.channels.values():
            try:
                slack.fail_next("ok_false:invalid_auth")
                seen.append(channel.provider.check(5))
            except tocsin.TocsinError as error:
                lines = traceback.TracebackException.from_exception(
                    error, capture_locals=True
                ).format()
                seen += list(lines)
    with sqlite3.connect(tmp_path / "state" / "tocsin.db") as database:
        seen += list(database.iterdump())
    database.close()
    raw = b"".join(file.read_bytes() for file in (tmp_path / "state").glob("*.db*"))

    ours = [
        r.getMessage() for r in caplog.records if r.name != "mail.log"
    ]  # the server's
    everything = "\n".join([*seen, *ours])
    assert any("tocsin" in record.name for record in caplog.records)
    for secret in (TOKEN, PASSWORD):
        assert secret in os.environ.values()
        assert secret not in everything
        assert secret.encode() not in raw
