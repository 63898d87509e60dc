"""What Telegram's answers mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tocsin import OutOfOrder, Rejected, http

if TYPE_CHECKING:
    from tocsin import DeliveryError

_TOKEN = "put the token that @BotFather gives where the channel's token refers to"  # noqa: S105 - none
_RIGHTS = "let the bot post there: in a channel, it has to be an administrator"
_TOPIC = "correct the channel's message_thread_id, or open the topic again"
# A 400 says in words alone what is wrong: github.com/tdlib/telegram-bot-api, Client.cpp
_OUT_OF_ORDER = {
    "chat not found": "correct chat_id; the bot has to be in the group, and in a private "
    "chat somebody has to press Start first",
    "thread not found": _TOPIC,
    "topic_closed": _TOPIC,
    "topic_deleted": _TOPIC,
    "enough rights": _RIGHTS,
    "have no rights": _RIGHTS,
    "administrator rights": _RIGHTS,
    "chat_write_forbidden": _RIGHTS,
}


def _judge(answer: http.Answer) -> DeliveryError | None:
    failure = answer.service.failure(answer)
    # core.telegram.org/bots/api#responseparameters
    moved = answer.at("parameters", "migrate_to_chat_id")
    if isinstance(failure, Rejected) and isinstance(moved, int):
        return OutOfOrder(failure.reason, remedy=f'set chat_id = "{moved}"')
    if isinstance(failure, Rejected):
        said = str(answer.at("description")).lower()
        for words, remedy in _OUT_OF_ORDER.items():
            if words in said:
                return OutOfOrder(failure.reason, remedy=remedy)
    return failure


SERVICE = http.Service(
    "Telegram",
    remedies={
        401: _TOKEN,
        403: "in a private chat, unblock the bot and press Start; add it to the group or "
        "channel again",
        404: _TOKEN,
    },
    said=["description"],
    after=["parameters", "retry_after"],
    judge=_judge,
)
