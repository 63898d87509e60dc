"""Less noise and more certainty, through the real providers: resolutions, threads, digests,
quiet hours, silences, fallbacks and channels that are out of order."""

from __future__ import annotations

import logging
import time

import pytest

import tocsin
from tocsin import Alert, Status
from tocsin._silence import Silence
from tocsin_email.testing import MailDouble
from tocsin_slack.testing import SlackDouble

TOKEN = "xoxb-canary-7f3a"
NOW = 1_800_000_000.0  # 2027-01-15 08:00:00 UTC


class Clock:
    now = NOW
    runs_since = 0.0

    def __call__(self):
        return self.now + (time.monotonic() - self.runs_since if self.runs_since else 0)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def slack():
    with SlackDouble(token=TOKEN, channels={"C0OPS": "ops"}, members=[]) as slack:
        yield slack


@pytest.fixture
def mail():
    with MailDouble() as mail:
        yield mail


@pytest.fixture
def notifier(slack, mail, tmp_path, monkeypatch, clock):
    """Makes a notifier with two channels, ops and inbox, and what else is configured."""
    monkeypatch.setenv("TOCSIN_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("SLACK_BOT_TOKEN", TOKEN)
    opened = []

    def make(wish='channels = ["ops", "inbox"]', ops=""):
        config = tmp_path / "tocsin.toml"
        config.write_text(
            f"""
            submit_timeout = "10s"
            [user]
            name = "ada"
            {wish}

            [channels.ops]
            provider = "slack"
            token = {{ env = "SLACK_BOT_TOKEN" }}
            channel = "C0OPS"
            base_url = "{slack.base_url}"
            {ops}

            [channels.inbox]
            provider = "email"
            to = "ada@example.org"
            sender = "alerts@example.org"
            host = "localhost"
            port = {mail.port}
            ca_file = "{mail.ca_file}"
            """
        )
        notifier = tocsin.Notifier.from_config(config, clock=clock)
        opened.append(notifier)
        return notifier

    yield make
    for notifier in opened:
        notifier.close(0)


def raised(title, run="wise-owl", **more):
    return Alert(title, origin=tocsin.Origin(project="mnist", run=run), **more)


def settled(result):
    return {d.channel: d.status for d in result.wait(10)}


def test_resolve(notifier, slack, mail):
    """The Slack message is marked and answered in its thread, the mail is answered."""
    notifier = notifier()
    settled(notifier.notify(raised("Loss is NaN", level="ERROR")))
    over = notifier.notify(raised("Loss is NaN", kind="resolved"))

    assert settled(over) == {"ops": Status.DELIVERED, "inbox": Status.DELIVERED}
    original, reply = slack.messages
    assert len(original.edits) == 1
    assert "Resolved" in str(original.edits[-1])
    assert reply.payload["thread_ts"] == original.ts
    assert "Resolved: Loss is NaN" in reply.text
    first, second = mail.messages
    assert second.message["In-Reply-To"] == first.message["Message-ID"]
    assert second.message["Subject"] == "Re: " + first.message["Subject"]
    assert isinstance(notifier.notify(raised("Loss is NaN")), tocsin.Admitted)


def test_one_thread_for_a_run(notifier, slack, clock):
    """With threads, all of a run's messages answer its first, however many at once."""
    clock.runs_since = time.monotonic()
    notifier = notifier(ops='threads = "run"')
    results = [notifier.notify(raised(f"Epoch {number}")) for number in range(6)]
    for result in results:
        assert settled(result)["ops"] is Status.DELIVERED
    settled(notifier.notify(raised("Another", run="sly-fox")))

    roots = [post for post in slack.messages if "thread_ts" not in post.payload]
    assert len(roots) == 2
    assert len(slack.replies(roots[0].ts)) == 5


def test_digest(notifier, slack, clock):
    """The first goes at once; the rest of the window arrives as one message of all."""
    notifier = notifier('channels = ["ops"]\ndigest = "10m"')
    settled(notifier.notify(raised("first")))
    later = [notifier.notify(raised(f"later {number}")) for number in range(3)]
    assert notifier.flush(10)
    assert len(slack.messages) == 1
    clock.now += 600
    for result in later:
        assert settled(result) == {"ops": Status.DELIVERED}

    _, digest = slack.messages
    assert all(f"later {number}" in str(digest.payload) for number in range(3))
    assert len({d.receipt for r in later for d in r.wait(1)}) == 1


def test_quiet_hours(notifier, slack, clock):
    """A warning waits until the quiet hours end; an error does not."""
    wish = 'channels = ["ops"]\nquiet_hours = "07:00-09:30"\ntime_zone = "UTC"'
    notifier = notifier(wish)
    held = notifier.notify(raised("held", level="WARN"))
    settled(notifier.notify(raised("urgent", level="ERROR")))
    assert notifier.flush(10)
    assert [post.text.count("urgent") > 0 for post in slack.messages] == [True]
    clock.now += 5400

    assert settled(held) == {"ops": Status.DELIVERED}


def test_a_silence(notifier, slack, clock):
    """What is silenced is kept with the reason, and can be replayed."""
    notifier = notifier('channels = ["ops"]')
    store = notifier.store()
    ends = clock.now + 3600
    store.silence(
        Silence(
            id="a1", title="Loss*", starts_at=clock.now, ends_at=ends, reason="upgrade"
        )
    )
    (delivery,) = notifier.notify(raised("Loss is NaN")).wait(10)
    assert delivery.status is Status.SILENCED
    assert "upgrade" in delivery.reason
    assert slack.messages == []
    store.expire("a1", clock.now)
    store.requeue(delivery.id, clock.now)

    assert notifier.flush(10)
    assert len(slack.wait_for(1)) == 1


def test_fallback(notifier, slack, mail):
    """What Slack refuses arrives by mail, which says why it came there."""
    notifier = notifier('channels = ["ops"]', 'fallback = "inbox"')
    slack.fail_next("ok_false:is_archived")
    result = notifier.notify(raised("Disk full"))

    assert result.wait(10)[0].status is Status.FAILED
    (message,) = mail.wait_for(1)
    assert "could not be delivered to ops" in message.text
    assert "is_archived" in message.text


def test_row_34_a_token_is_revoked(notifier, slack, caplog, monkeypatch):
    """It ends as failed, what is behind it waits, it is told; with a new token a replay
    sends it, and what waited flows."""
    caplog.set_level(logging.INFO)
    broken = notifier('channels = ["ops"]')
    slack.revoke()
    first = broken.notify(raised("first")).wait(10)[0]
    broken.notify(raised("second"))
    assert broken.flush(10)
    assert first.status is Status.FAILED
    assert "token_revoked" in first.reason
    assert broken.store().circuits()["ops"].is_out_of_order
    assert "channel 'ops' is out of order" in caplog.text
    assert broken.store().pending() == 1
    broken.close(0)

    slack.rotate("xoxb-new")
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-new")
    mended = notifier('channels = ["ops"]')
    mended.store().requeue(first.id, mended.now())
    assert mended.flush(10)

    assert len(slack.wait_for(2)) == 2
    assert mended.store().circuits() == {}
