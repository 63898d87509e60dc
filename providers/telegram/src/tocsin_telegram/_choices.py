"""Which chats a bot has heard of: nobody can look one up that it has not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tocsin import Choice, OutOfOrder, Rejected, http
from tocsin_telegram._answers import SERVICE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tocsin import Secret

# What names a chat: core.telegram.org/bots/api#update
_KINDS = ("message", "channel_post", "my_chat_member")
_OUT = {"left", "kicked"}


def choices(token: Secret, url: str, timeout: float) -> Sequence[Choice]:
    """Return the chats of the updates that wait for the bot, the newest first.

    Telegram keeps them for a day. They stay there: to take one off is another program's
    affair. A bot whose updates go to a webhook tells none.

    Raises:
        DeliveryError: The token is no good, or no update waits.
        SecretUnavailable: The token's reference does not resolve.

    """
    deadline = http.Deadline.after(timeout)
    base = f"{url.rstrip('/')}/bot{token.reveal()}"
    bot = SERVICE.get(f"{base}/getMe", timeout=deadline.left())
    name = bot.text_at("result", "username")
    try:
        answer = SERVICE.get(
            f"{base}/getUpdates",
            params={"allowed_updates": json.dumps(_KINDS)},
            timeout=deadline.left(),
        )
    except Rejected:  # 409: a webhook is set, or another program asks for the updates
        return ()
    chats = _chats(answer.at("result"))
    if not chats:
        raise OutOfOrder(
            f"nobody has written to @{name} in the last day",
            remedy=f"open t.me/{name} and press Start, or write /start in a group that it "
            "is in; then connect again, or type the chat's number",
        )
    return [_choice(chat) for chat in reversed(chats)]


def _chats(updates: object) -> list[dict[str, Any]]:
    """Return the chats that the bot is in, the one that was heard of last at the end."""
    chats: dict[int, dict[str, Any]] = {}
    for told in _told(updates):
        chat = told.get("chat") or {}
        number = chat.get("id")
        if not isinstance(number, int):
            continue
        chats.pop(number, None)
        member = told.get("new_chat_member") or {}
        if member.get("status") not in _OUT:
            chats[number] = chat
    return list(chats.values())


def _told(updates: object) -> Iterator[dict[str, Any]]:
    for update in updates if isinstance(updates, list) else []:
        for kind in _KINDS:
            if isinstance(update, dict) and isinstance(update.get(kind), dict):
                yield update[kind]


def _choice(chat: dict[str, Any]) -> Choice:
    is_private = chat.get("type") == "private"
    # a private chat has no title
    names = (chat.get(name) for name in ("title", "first_name", "username"))
    name = next(filter(None, names), "")
    what = "the private chat with" if is_private else f"the {chat.get('type', 'chat')}"
    return Choice(str(chat["id"]), f"{what} {name}".strip())
