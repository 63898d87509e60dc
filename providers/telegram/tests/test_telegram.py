import attrs
import pytest

from tocsin import (
    Alert,
    AlertLevel,
    Ambiguous,
    Attachment,
    Earlier,
    Origin,
    OutOfOrder,
    Receipt,
    RetryLater,
    Secret,
)
from tocsin.testing import ProviderSuite, Reply
from tocsin.testing._attempts import rendered
from tocsin.testing._local_suite import full_alert, outcome
from tocsin_telegram import Telegram
from tocsin_telegram.testing import BadMarkup, TelegramDouble, parsed, rate_limit

PNG = b"\x89PNG\r\n\x1a\n"


class TestTelegram(ProviderSuite):
    provider = Telegram
    golden = "telegram.json"
    broadcasts = ()
    is_secret_in_url = True

    def new_double(self):
        return TelegramDouble(token=self.secret)

    def table(self):
        return {"token": self.secret, "chat_id": "1000", "url": self.double.url}

    def parts(self, request):
        return {"text": request.form()["text"]}

    def read(self, parts):
        return parsed(parts["text"])

    def is_message(self, request):
        return request.path.endswith("/sendMessage")


@pytest.fixture
def telegram():
    with TelegramDouble(topics=["9"]) as double:
        yield double


def chat(double, **more):
    settings = {"chat_id": "1000", "url": double.url, **more}
    return Telegram(token=Secret(double.token), **settings)


def test_an_alert_is_a_text(telegram):
    receipt = outcome(chat(telegram), full_alert())

    (post,) = telegram.messages
    assert receipt == Receipt(reference="1", place="1000")
    assert post.text.startswith("🔴 Loss is NaN\n\nAt step")
    assert not post.is_silent


@pytest.mark.parametrize("character", ["x", "&", "<", "'", "\U0001f6a8"])
def test_a_long_text_is_used_to_the_full(telegram, character):
    """What counts is what people read, and not the markup."""
    outcome(chat(telegram), Alert("t", character * 9999))

    size = len(telegram.messages[0].text.encode("utf-16-le")) // 2
    assert 3700 < size <= 4000


def test_many_fields(telegram):
    """What the template has no room for arrives in the plain form."""
    fields = {f"f{n}": "<b>" * 100 for n in range(50)}
    outcome(chat(telegram), Alert("Disk", fields=fields))

    assert "Disk" in telegram.messages[0].text


@pytest.mark.parametrize("level", AlertLevel)
def test_information_makes_no_sound(telegram, level):
    outcome(chat(telegram), Alert("t", level=level))

    assert telegram.messages[0].is_silent is (level is AlertLevel.INFO)


@pytest.mark.parametrize("text", ["<b>", "</b>", "<x>y</x>", "a < b", "<b><i></b></i>"])
def test_the_double_reads_markup(text):
    with pytest.raises(BadMarkup):
        parsed(text)


# --- files

FILES = [
    Attachment("loss.png", PNG),
    Attachment("run.log", b"epoch 1"),
    Attachment("empty", b""),
    Attachment("odd.png", b"no image at all"),
]


def test_files_follow(telegram):
    """Images are shown; what is refused as one is sent as a file, or noted."""
    receipt = outcome(chat(telegram), Alert("t", attachments=FILES))

    text, *files = telegram.messages
    shown = [(post.file.name, post.is_photo) for post in files]
    assert shown == [("loss.png", True), ("run.log", False), ("odd.png", False)]
    assert {(post.reply_to, post.is_silent) for post in files} == {(text.id, True)}
    assert "empty is not attached: " in receipt.note


@pytest.mark.parametrize(
    ("failure", "kind"), [(Reply(502), RetryLater), ("close", Ambiguous)]
)
def test_a_file_that_fails(telegram, failure, kind):
    """The next attempt sends neither the text again, nor the files that arrived."""
    alert = Alert("t", attachments=FILES[:3])
    ok = Reply(json={"ok": True, "result": {"message_id": 1}})
    telegram.fail_next(ok, ok, failure)
    error = outcome(chat(telegram), alert)
    assert type(error) is kind

    receipt = outcome(chat(telegram), alert, state=error.state)

    assert [post.file.name for post in telegram.messages] == ["run.log"]
    assert receipt.reference == "1"
    assert "empty" in receipt.note


# --- what is refused


def test_a_rate_limit(telegram):
    telegram.fail_next(rate_limit(17))

    error = outcome(chat(telegram), Alert("t"))

    assert isinstance(error, RetryLater)
    assert error.after == 17


@pytest.mark.parametrize(
    ("settings", "words", "remedy"),
    [
        ({"chat_id": "5"}, "chat not found", "press Start"),
        ({"chat_id": "6"}, "bot was blocked by the user", "unblock the bot"),
        ({"chat_id": "-7"}, "upgraded to a supergroup", 'set chat_id = "-1007"'),
        ({"message_thread_id": 3}, "message thread not found", "message_thread_id"),
        ({"token": Secret("42:old")}, "Unauthorized", "@BotFather"),
    ],
)
def test_what_somebody_has_to_mend(settings, words, remedy):
    with TelegramDouble(blocked_by=["6"], moved={"-7": -1007}) as double:
        provider = attrs.evolve(chat(double), **settings)
        error = outcome(provider, Alert("t"))

    assert isinstance(error, OutOfOrder)
    assert words in error.reason
    assert remedy in error.remedy


# --- conversations, and what is over


def test_a_run_is_a_conversation(telegram):
    alert = Alert("t", origin=Origin(project="owls", run="r1"))

    assert chat(telegram).conversation(alert) == ""
    assert chat(telegram, threads="run").conversation(alert) == '["owls", "r1"]'
    assert chat(telegram, threads="run").conversation(Alert("t")) == ""


def test_a_reply(telegram):
    provider = chat(telegram, threads="run", message_thread_id=9)
    first = outcome(provider, Alert("one"))
    outcome(provider, Alert("two"), thread=first)

    one, two = telegram.messages
    assert (two.reply_to, two.topic) == (one.id, "9")


@pytest.mark.parametrize("place", ["1000", "2000"])
def test_a_reply_to_what_is_gone(telegram, place):
    """It is sent by itself."""
    receipt = outcome(
        chat(telegram), Alert("t"), thread=Receipt(reference="77", place=place)
    )

    assert isinstance(receipt, Receipt)
    assert telegram.messages[0].reply_to == 0


OVER = attrs.evolve(full_alert(), text="", level=AlertLevel.INFO, kind="resolved")


@pytest.fixture
def earlier(telegram):
    """A message that is over by now."""
    receipt = outcome(chat(telegram), full_alert())
    return Earlier(message=rendered(chat(telegram), full_alert()), receipt=receipt)


def test_what_is_over_is_marked_and_replied_to(telegram, earlier):
    receipt = outcome(chat(telegram), OVER, resolves=earlier)

    first, second = telegram.messages
    assert first.text.startswith(
        "✅ Resolved 2026-05-01 12:00:00 UTC\n\n🔴 Loss is NaN"
    )
    assert second.text.startswith("✅ Loss is NaN")
    assert second.reply_to == first.id
    assert receipt.note == ""


def test_what_is_over_is_marked_once(telegram, earlier):
    ok = Reply(json={"ok": True, "result": {"message_id": 1}})
    telegram.fail_next(ok, "close")
    error = outcome(chat(telegram), OVER, resolves=earlier)
    before = len(telegram.requests)
    outcome(chat(telegram), OVER, resolves=earlier, state=error.state)

    assert [one.path[-11:] for one in telegram.requests[before:]] == ["sendMessage"]


def test_a_mark_of_which_the_answer_is_lost(telegram, earlier):
    """It is made again, and that it is there already is no fault."""
    telegram.fail_next("close")
    error = outcome(chat(telegram), OVER, resolves=earlier)
    assert isinstance(error, RetryLater)
    for _ in range(2):
        receipt = outcome(chat(telegram), OVER, resolves=earlier, state=error.state)

    assert receipt.note == ""
    assert len(telegram.messages[0].edits) == 1


def test_what_is_over_and_gone(telegram, earlier):
    telegram.messages.clear()
    receipt = outcome(chat(telegram), OVER, resolves=earlier)

    assert "message to edit not found" in receipt.note
    assert len(telegram.messages) == 1


def test_a_full_message_that_is_over(telegram):
    """There is room for what says so."""
    alert = Alert("t", "&" * 9999)
    receipt = outcome(chat(telegram), alert)
    before = Earlier(message=rendered(chat(telegram), alert), receipt=receipt)

    assert outcome(chat(telegram), OVER, resolves=before).note == ""


# --- settings


def test_it_is_checked(telegram):
    assert chat(telegram).check(5.0) == "Telegram bot @tocsin_bot in Ada"
    assert telegram.messages == []


@pytest.mark.parametrize("chat_id", ["", "ada", "12 34", "https://t.me/ada"])
def test_a_chat_that_is_none(chat_id):
    with pytest.raises(ValueError, match="chat_id"):
        Telegram(token=Secret("x"), chat_id=chat_id)
