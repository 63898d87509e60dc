import json
import re

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin import (
    Alert,
    AlertLevel,
    Ambiguous,
    Attachment,
    Earlier,
    OutOfOrder,
    Rejected,
    RetryLater,
    Secret,
)
from tocsin.testing import ProviderSuite, Reply
from tocsin.testing._attempts import rendered
from tocsin.testing._local_suite import full_alert, outcome
from tocsin_discord import Discord
from tocsin_discord._embed import embed, resolved
from tocsin_discord.testing import DiscordDouble, rate_limit, violations


class TestDiscord(ProviderSuite):
    provider = Discord
    golden = "discord.json"
    is_secret_in_url = True

    def new_double(self):
        return DiscordDouble(token=self.secret)

    def table(self):
        return {"webhook_url": self.double.webhook_url}

    def parts(self, request):
        sent = request.form().get("payload_json") or request.body
        (embed,) = json.loads(sent)["embeds"]
        fields = [
            text for one in embed["fields"] for text in (one["name"], one["value"])
        ]
        # a footer knows no markup
        footer = embed["footer"]["text"].replace("\\", r"\\")
        return {
            "title": embed.get("title", ""),
            "text": embed.get("description", ""),
            "more": "\n".join([*fields, footer])[:4000],
        }

    def read(self, parts):
        return re.sub(r"\\([^0-9A-Za-z\s])", r"\1", "\n".join(parts.values()))

    def called(self):
        mentions = self.messages()[-1].json()["allowed_mentions"]
        return mentions["parse"] + mentions["users"]


@pytest.fixture
def discord():
    with DiscordDouble(threads=["77"]) as double:
        yield double


def channel(double, **more):
    return Discord(webhook_url=Secret(double.webhook_url), **more)


def test_an_alert_is_an_embed(discord):
    receipt = outcome(channel(discord), full_alert())

    (post,) = discord.messages
    assert receipt.reference == post.id
    assert post.embed["color"] == 0xD00000
    assert post.embed["url"] == "https://example.com/runs/owl?tab=1&x=2"
    assert post.embed["timestamp"] == "2026-05-01T12:00:00+00:00"
    assert [field["name"] for field in post.embed["fields"]] == ["step", "lr"]


@pytest.mark.parametrize("character", ["x", "*", "\U0001f6a8"])
def test_all_limits_at_once(discord, character):
    """Whatever is too long is cut, and fields that have no room are counted."""
    long = character * 5000
    fields = {f"{n}{long}": long for n in range(30)}
    alert = Alert("t" + long, long, fields=fields, tags=[long])

    receipt = outcome(channel(discord), alert)

    assert receipt.note == ""
    (post,) = discord.messages
    assert " more fields" in post.embed["footer"]["text"]


UNUSED = Discord(webhook_url=Secret("https://discord.com/api/webhooks/1/x"))
WORDS = st.text() | st.builds(
    lambda word, times: word * times,
    st.sampled_from(["*", "x", " ", "_https://a_b ", "\n1. ", "\U0001f6a8"]),
    st.integers(0, 7000),
)


@settings(deadline=None)
@given(WORDS, WORDS, st.dictionaries(WORDS, WORDS, max_size=40))
def test_no_limit_is_passed(title, text, fields):
    """Nor is one when the message is over."""
    message = rendered(UNUSED, Alert(f"t{title}", text, fields=fields))

    for laid_out in (embed(message), resolved(message, full_alert().created_at)):
        assert violations({"embeds": [laid_out]}) == []


@pytest.mark.parametrize("count", [25, 26, 40])
def test_as_many_fields_as_there_may_be(discord, count):
    outcome(channel(discord), Alert("t", fields={str(n): str(n) for n in range(count)}))

    (post,) = discord.messages
    assert len(post.embed["fields"]) == 25
    assert ("more field" in post.embed["footer"]["text"]) is (count > 25)


def test_fields_that_are_empty(discord):
    outcome(channel(discord), Alert("t", fields={"": " "}))

    assert len(discord.messages) == 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "see https://example.com/a_b_c, *now*",
            r"see https://example.com/a_b_c, \*now\*",
        ),
        ("1. one\n- two\n# three", "1\\. one\n\\- two\n\\# three"),
        ("12:30:45 :tada:", r"12\:30:45 \:tada:"),
        ("xhttps://a_b_c", r"xhttps://a\_b\_c"),
    ],
)
def test_what_is_escaped(text, shown):
    assert Discord.escape(text) == shown


# --- who is called


def test_a_mention_calls_nobody(discord):
    outcome(channel(discord), Alert("Hey <@42>", "@everyone"))

    (post,) = discord.messages
    assert post.payload["allowed_mentions"] == {"parse": [], "users": []}
    assert "content" not in post.payload


def test_members_are_called_if_that_is_wished(discord):
    outcome(
        channel(discord, mentions=True), Alert("Hey <@42>", "<@42> <@!7> <@&9> @here")
    )

    (post,) = discord.messages
    assert post.payload["allowed_mentions"] == {"parse": [], "users": ["42", "7"]}
    assert post.payload["content"] == "<@42> <@7>"


# --- files


def test_files_go_along(discord):
    files = [Attachment("loss.png", b"\x89PNG"), Attachment("", b"x")]
    receipt = outcome(channel(discord), Alert("t", attachments=files))

    (post,) = discord.messages
    assert [file.name for file in post.files] == ["loss.png", "attachment"]
    assert post.files[0].content == b"\x89PNG"
    assert receipt.note == ""


def test_a_file_that_is_too_large(discord):
    """It is left out before it is sent, and named."""
    files = [Attachment("a.bin", b"x" * (10 * 1024 * 1024 + 1)), Attachment("b", b"x")]
    receipt = outcome(channel(discord), Alert("t", attachments=files))

    assert [file.name for file in discord.messages[0].files] == ["b"]
    assert "a.bin" in receipt.note


def test_files_that_discord_refuses(discord):
    """The alert follows without them."""
    alert = Alert("t", attachments=[Attachment("a.bin", b"x")])
    discord.fail_next(Reply(413, body=b"<html>"))

    error = outcome(channel(discord), alert)
    receipt = outcome(channel(discord), alert, state=error.state)

    assert (error.after, error.state) == (0, {"bare": True})
    assert discord.messages[0].files == []
    assert "a.bin" in receipt.note


# --- what is refused


def test_a_layout_that_discord_refuses(discord):
    """The alert follows in its plain form, once."""
    alert = Alert("Disk")
    discord.fail_next(Reply(400, json={"code": 50035, "message": "Invalid Form Body"}))

    error = outcome(channel(discord), alert)
    receipt = outcome(channel(discord), alert, state=error.state)

    assert isinstance(error, RetryLater)
    assert "plain text" in receipt.note
    assert "Disk" in discord.messages[0].embed["description"]


def test_a_plain_form_that_discord_refuses(discord):
    discord.fail_next(Reply(400, json={"code": 50035, "message": "Invalid Form Body"}))

    error = outcome(channel(discord), Alert("t"), state={"plain": True})

    assert type(error) is not RetryLater
    assert isinstance(error, Rejected)


@pytest.mark.parametrize("is_global", [False, True])
def test_a_rate_limit(discord, is_global):
    discord.fail_next(rate_limit(1.25, is_global=is_global))

    error = outcome(channel(discord), Alert("t"))

    assert isinstance(error, RetryLater)
    assert error.after == 1.25


def test_a_rate_limit_by_cloudflare(discord):
    page = Reply(429, body=b"<html>error code: 1015", headers={"Retry-After": "30"})
    discord.fail_next(page)

    assert outcome(channel(discord), Alert("t")).after == 30


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [({}, "set the channel's thread_id"), ({"thread_id": "5"}, "correct")],
)
def test_a_forum_wants_a_thread(settings, remedy):
    with DiscordDouble(is_forum=True) as forum:
        error = outcome(channel(forum, **settings), Alert("t"))

    assert isinstance(error, OutOfOrder)
    assert error.remedy.startswith(remedy)


def test_a_webhook_that_is_gone(discord):
    discord.remove()
    error = outcome(channel(discord), Alert("t"))

    assert isinstance(error, OutOfOrder)
    assert error.reason == "Discord answered HTTP 404: Unknown Webhook"
    assert "new webhook" in error.remedy


# --- threads, and what is over


def test_a_thread(discord):
    receipt = outcome(channel(discord, thread_id="77"), Alert("t"))

    assert (discord.messages[0].thread, receipt.place) == ("77", "77")


@pytest.fixture
def earlier(discord):
    """The settings in which a message was sent that is over by now, and that message."""
    provider, alert = channel(discord, thread_id="77"), full_alert()
    receipt = outcome(provider, alert)
    return provider, Earlier(message=rendered(provider, alert), receipt=receipt)


OVER = attrs.evolve(full_alert(), text="", level=AlertLevel.INFO, kind="resolved")


def test_what_is_over_is_marked_and_told(discord, earlier):
    provider, before = earlier
    receipt = outcome(provider, OVER, resolves=before)

    first, second = discord.messages
    assert receipt.note == ""
    for post in (first, second):
        assert post.embed["color"] == 0x2EB886
        assert post.embed["title"] == "✅ Loss is NaN"
    assert "Resolved <t:1777636800:f>" in first.embed["description"]
    assert len(first.edits) == 1


def test_what_is_over_and_gone(discord, earlier):
    """What says so is posted all the same, and the receipt tells why."""
    provider, before = earlier
    discord.remove(discord.messages[0])
    receipt = outcome(provider, OVER, resolves=before)

    assert len(discord.messages) == 1
    assert "Unknown Message" in receipt.note


def test_what_is_over_is_marked_once(discord, earlier):
    """An attempt that follows does not edit again."""
    provider, before = earlier
    discord.fail_next(Reply(503), "close")
    first = outcome(provider, OVER, resolves=before)
    second = outcome(provider, OVER, resolves=before, state=first.state)
    assert (type(first), type(second)) == (RetryLater, RetryLater)

    discord.fail_next(Reply(json={"id": "1"}), "close")
    third = outcome(provider, OVER, resolves=before)
    assert isinstance(third, Ambiguous)
    before_last = len(discord.requests)
    outcome(provider, OVER, resolves=before, state=third.state)

    assert [one.method for one in discord.requests[before_last:]] == ["POST"]


def test_a_full_message_that_is_over(discord):
    """There is room for what says so."""
    provider = channel(discord)
    fields = {str(n): "v" * 50 for n in range(25)}
    alert = Alert("*" * 999, "*" * 9999, fields=fields)
    receipt = outcome(provider, alert)
    before = Earlier(message=rendered(provider, alert), receipt=receipt)
    note = outcome(provider, OVER, resolves=before).note

    assert note == ""


# --- settings


@pytest.mark.parametrize(
    "url",
    [
        "http://discord.com/api/webhooks/1/abc",
        "https://discord.com/api/webhooks/1",
        "https://discord.com/api/webhooks/1/abc/slack",
        "https://discord.com/channels/1/2",
    ],
)
def test_an_address_that_is_none_of_a_webhook(url):
    with pytest.raises(ValueError, match="webhook_url must be"):
        Discord(webhook_url=Secret(url))


def test_a_secret_that_is_no_webhook(monkeypatch):
    from tocsin import FromEnv

    monkeypatch.setenv("DISCORD_WEBHOOK_URL", "https://discord.com/oops")
    error = outcome(
        Discord(webhook_url=Secret(FromEnv("DISCORD_WEBHOOK_URL"))), Alert("t")
    )

    assert isinstance(error, OutOfOrder)


def test_it_is_checked(discord):
    said = channel(discord).check(5.0)

    assert said == "Discord webhook Tocsin of channel 1100"
    assert discord.messages == []
