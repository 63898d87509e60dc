"""The chats that a bot has heard of are offered, the newest first."""

import pytest

from tocsin import OutOfOrder, Secret
from tocsin_telegram import Telegram
from tocsin_telegram.testing import TelegramDouble

ADA = {"id": 1000, "type": "private", "first_name": "Ada", "username": "ada"}
OWLS = {"id": -2000, "type": "supergroup", "title": "Owls"}
NEWS = {"id": -3000, "type": "channel", "title": "News"}


@pytest.fixture
def telegram(request):
    with TelegramDouble(**getattr(request, "param", {})) as double:
        yield double


def offered(double, **changes):
    given = {"token": Secret(double.token), "url": double.url, **changes}
    return Telegram.offers("chat_id", given, 10)


def test_each_chat_once_and_the_newest_first(telegram):
    """What waits for the bot stays there, for whoever takes care of it."""
    telegram.hear("message", chat=ADA, text="/start")
    telegram.hear("my_chat_member", chat=OWLS, new_chat_member={"status": "member"})
    telegram.hear("channel_post", chat=NEWS, text="Hello")
    telegram.hear("message", chat=ADA, text="again")

    for _ in range(2):
        assert [(one.value, one.label) for one in offered(telegram)] == [
            ("1000", "the private chat with Ada"),
            ("-3000", "the channel News"),
            ("-2000", "the supergroup Owls"),
        ]
    assert telegram.messages == []


def test_what_is_of_no_use(telegram):
    """A chat that the bot was put out of is not offered, nor is what is no chat."""
    telegram.hear("message", chat=OWLS, text="Hello")
    telegram.hear("my_chat_member", chat=OWLS, new_chat_member={"status": "kicked"})
    telegram.hear("message", chat={"title": "no number"})
    telegram.hear("inline_query", query="owls")
    telegram.hear("message", chat=ADA, text="Hello")

    assert [one.value for one in offered(telegram)] == ["1000"]


def test_nobody_has_written(telegram):
    """A bot cannot begin a conversation: it is said how one begins."""
    with pytest.raises(OutOfOrder, match="nobody has written to @tocsin_bot") as caught:
        offered(telegram)

    assert "t.me/tocsin_bot" in caught.value.remedy


@pytest.mark.parametrize("telegram", [{"webhook": "https://x.example"}], indirect=True)
def test_a_bot_whose_updates_go_elsewhere(telegram):
    assert offered(telegram) == ()


def test_a_bad_token(telegram):
    with pytest.raises(OutOfOrder, match="Unauthorized") as caught:
        offered(telegram, token=Secret("42:canary"))

    assert "canary" not in repr(caught.value)


@pytest.mark.parametrize(
    ("setting", "given"),
    [("token", {}), ("chat_id", {}), ("chat_id", {"token": Secret()})],
)
def test_nothing_to_offer(setting, given):
    assert Telegram.offers(setting, given, 1) == ()
