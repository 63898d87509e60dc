import attrs
import pytest

from tocsin import Ambiguous, Attachment, RetryLater
from tocsin_slack.testing import SlackDouble

PLOT, LOG = Attachment("plot.png", b"png"), Attachment("log.txt", b"text")
COMPLETE = "files.completeUploadExternal"


def names(post):
    return [file.name for file in post.files]


def test_attachments_go_into_the_messages_thread(slack, bot, message, deliver):
    receipt = deliver(bot, message(attachments=[PLOT, LOG]))

    [post] = slack.messages
    assert [(file.name, file.content) for file in post.files] == [
        ("plot.png", b"png"),
        ("log.txt", b"text"),
    ]
    assert (receipt.reference, receipt.note) == (post.ts, "")


def test_a_members_files_go_to_the_channel_that_the_answer_names(
    slack, bot, message, deliver
):
    deliver(attrs.evolve(bot, channel="U0ADA"), message(attachments=[PLOT]))

    assert names(slack.messages[0]) == ["plot.png"]


def test_the_token_does_not_go_to_the_upload_address(slack, bot, message, deliver):
    deliver(bot, message(attachments=[PLOT]))

    [upload] = [r for r in slack.requests if r.path.startswith("/upload/")]
    assert "authorization" not in upload.headers
    assert upload.body == b"png"


@pytest.mark.parametrize("step", ["files.getUploadURLExternal", "/upload/", COMPLETE])
@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ("ratelimited", RetryLater),
        ("http_503", RetryLater),
        ("close_after_read", Ambiguous),
        ("redirect", RetryLater),
    ],
)
def test_an_upload_that_failed_is_made_up_for_without_a_second_text(
    *, slack, bot, message, deliver, step, fault, outcome
):
    slack.fail_next(fault, on=step, location=f"{slack.origin}/elsewhere")
    with pytest.raises(outcome) as raised:
        deliver(bot, message(attachments=[PLOT, LOG]))
    [post] = slack.messages

    receipt = deliver(
        bot, message(attachments=[PLOT, LOG]), attempt=2, state=raised.value.state
    )

    assert raised.value.state == {
        "channel": "C0ALERTS",
        "ts": post.ts,
        "uploaded": [],
    }
    assert len(slack.messages) == 1
    assert names(post) == ["plot.png", "log.txt"]
    assert receipt.reference == post.ts
    assert not [r for r in slack.requests if r.path == "/elsewhere"]


def test_only_what_is_missing_goes_up_again(slack, bot, message, deliver):
    deliver(bot, message(attachments=[PLOT]))
    [post] = slack.messages
    state = {"channel": post.channel, "ts": post.ts, "uploaded": [0]}

    deliver(bot, message(attachments=[PLOT, LOG]), state=state)

    assert names(post) == ["plot.png", "log.txt"]
    assert len(slack.messages) == 1


def test_a_failure_remembers_what_is_up(slack, bot, message, deliver):
    texts = [Attachment(f"{n}.txt", b"x") for n in range(3)]
    slack.fail_next("http_503", on="/upload/v1/F00000001")

    with pytest.raises(RetryLater) as raised:
        deliver(bot, message(attachments=texts))

    assert raised.value.state["uploaded"] == [0]
    assert names(slack.messages[0]) == ["0.txt"]


@pytest.mark.parametrize(
    "ticket",
    [
        '{"ok": true}',
        '{"ok": true, "upload_url": "http://files.slack.com/x", "file_id": "F1"}',
        '{"ok": true, "upload_url": "file:///etc/passwd", "file_id": "F1"}',
    ],
)
def test_no_bytes_go_to_an_address_that_others_can_listen_in_on(
    slack, bot, message, deliver, ticket
):
    slack.fail_next(f"body:{ticket}", on="files.getUploadURLExternal")

    with pytest.raises(RetryLater, match="no https:// address"):
        deliver(bot, message(attachments=[PLOT]))


def test_the_form_of_the_message_is_remembered_with_it(slack, bot, message, deliver):
    slack.fail_next("http_503", on=COMPLETE)

    with pytest.raises(RetryLater) as raised:
        deliver(bot, message(attachments=[PLOT]), state={"plain": True})
    receipt = deliver(bot, message(attachments=[PLOT]), state=raised.value.state)

    assert raised.value.state["plain"] is True
    assert "plain text" in receipt.note


def test_a_refused_attachment_is_told_and_the_others_go_up(bot, message, deliver):
    with SlackDouble() as slack:
        bot = attrs.evolve(bot, base_url=slack.base_url)
        slack.fail_next(
            "ok_false:file_type_not_allowed", on="files.getUploadURLExternal"
        )

        receipt = deliver(bot, message(attachments=[PLOT, LOG]))

        assert names(slack.messages[0]) == ["log.txt"]
        assert "plot.png is not attached" in receipt.note
        assert "file_type_not_allowed" in receipt.note


def test_a_missing_scope_is_told_with_its_remedy(bot, message, deliver):
    with SlackDouble(scopes=["chat:write"]) as slack:
        bot = attrs.evolve(bot, base_url=slack.base_url)

        receipt = deliver(bot, message(attachments=[PLOT]))

        assert len(slack.messages) == 1
        assert "missing_scope (files:write); add the scope" in receipt.note


def test_an_empty_attachment_is_told_and_not_tried(slack, bot, message, deliver):
    receipt = deliver(bot, message(attachments=[Attachment("none.txt", b"")]))

    assert "none.txt is not attached: it is empty" in receipt.note
    assert [received.method for received in slack.requests] == ["chat.postMessage"]


@pytest.mark.parametrize("name", ["a\ud83d\n\x00.txt", "", "x" * 5000, "日本.txt"])
def test_any_name_can_be_uploaded(slack, bot, message, deliver, name):
    deliver(bot, message(attachments=[Attachment(name, b"x")]))

    [shown] = names(slack.messages[0])
    assert 0 < len(shown) <= 200
    assert shown.isprintable()


def test_uploads_share_the_attempts_time(slack, bot, message, deliver):
    slack.fail_next("drip", on="/upload/")

    with pytest.raises(Ambiguous, match="time was up") as raised:
        deliver(bot, message(attachments=[PLOT, LOG]), timeout=1.5)

    assert raised.value.state["uploaded"] == []
