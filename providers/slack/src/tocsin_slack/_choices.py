"""Where a bot could post, as far as its token's scopes let it look.

Slack does not tell a bot whose it is (docs.slack.dev/reference/methods/auth.test): the
member is known where the token is a member's own, or where one alone has this login name.
"""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Any

import attrs

from tocsin import Choice, DeliveryError
from tocsin.http import Deadline
from tocsin_slack._clients import Bot

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from slack_sdk.web.slack_response import SlackResponse

    from tocsin import Secret

# docs.slack.dev/reference/methods/conversations.list: what each scope lets a token see
_TYPES = {"channels:read": "public_channel", "groups:read": "private_channel"}
_PAGE = 200  # "no more than 200 results at a time" is Slack's advice
_PAGES = 20  # of each list; what is further down is found by its id
_SLACKBOT = "USLACKBOT"  # users.list does not count it as a bot


def choices(token: Secret, base_url: str, timeout: float) -> list[Choice]:
    """Return members and channels, one's own direct message first, and recommended.

    What the token may not list, or Slack does not list in time, is left out.

    Raises:
        DeliveryError: The token is no good.
        SecretUnavailable: Its reference does not resolve.

    """
    bot = Bot(token.reveal(), base_url, Deadline.after(timeout))
    identity = bot.call("auth.test")
    scopes = set(identity.headers.get("x-oauth-scopes", "").replace(" ", "").split(","))
    members = list(_members(bot)) if "users:read" in scopes else []
    own = _own(identity, members)
    others = [member for member in members if own is None or member.id != own.id]
    return [
        *([] if own is None else [own.choice(is_own=True)]),
        *_channels(bot, scopes, f"@{identity.get('user')}"),
        *(member.choice() for member in others),
    ]


@attrs.frozen
class _Member:
    id: str
    handle: str
    known_as: frozenset[str] = frozenset()
    """What the member may call themselves elsewhere, in lower case."""
    real_name: str = ""

    @classmethod
    def parse(cls, member: Mapping[str, Any]) -> _Member:
        profile = member.get("profile") or {}
        email = str(profile.get("email") or "").partition("@")[0]
        handle = str(member.get("name") or "")
        names = (handle, str(profile.get("display_name") or ""), email)
        known_as = frozenset(name.lower() for name in names if name)
        return cls(
            str(member["id"]), handle, known_as, str(profile.get("real_name") or "")
        )

    def choice(self, *, is_own: bool = False) -> Choice:
        who = (
            f"{self.real_name} (@{self.handle})"
            if self.real_name
            else f"@{self.handle}"
        )
        private = ", which nobody else reads" if is_own else ""
        label = f"a direct message to {who}{private}"
        return Choice(self.id, label, is_recommended=is_own)


def _own(identity: SlackResponse, members: Iterable[_Member]) -> _Member | None:
    if identity.get("bot_id"):
        return _only_one(members, _login())
    return _Member(str(identity.get("user_id")), str(identity.get("user")))


def _login() -> str:
    try:
        return getpass.getuser().lower()
    except (OSError, KeyError, ImportError):  # a container's user may have no name
        return ""


def _only_one(members: Iterable[_Member], login: str) -> _Member | None:
    found = [member for member in members if login in member.known_as]
    return found[0] if len(found) == 1 else None


def _members(bot: Bot) -> Iterator[_Member]:
    for member in _listed(bot, "users.list", "members"):
        is_person = not (member.get("deleted") or member.get("is_bot"))
        if is_person and member.get("id") not in {None, _SLACKBOT}:
            yield _Member.parse(member)


def _channels(bot: Bot, scopes: set[str], name: str) -> list[Choice]:
    types = ",".join(kind for scope, kind in _TYPES.items() if scope in scopes)
    if not types:
        return []
    found = _listed(
        bot, "conversations.list", "channels", types=types, exclude_archived="true"
    )
    may_join = "chat:write.public" in scopes
    choices = [_channel(one, name, may_join=may_join) for one in found if one.get("id")]
    return sorted(choices, key=lambda choice: choice.label)


def _channel(channel: Mapping[str, Any], name: str, *, may_join: bool) -> Choice:
    label = f"#{channel.get('name')}"
    if channel.get("is_private"):
        label += ", a private channel"
    elif not (channel.get("is_member") or may_join):
        label += f", after /invite {name} there"
    return Choice(str(channel["id"]), label)


def _listed(
    bot: Bot, method: str, what: str, **arguments: str
) -> Iterator[Mapping[str, Any]]:
    cursor = ""
    for _ in range(_PAGES):
        wanted = {**arguments, "limit": _PAGE, **({"cursor": cursor} if cursor else {})}
        try:
            answer = bot.call(method, params=wanted)
        except DeliveryError:  # what is there will do; any id may be written by hand
            return
        yield from (one for one in answer.get(what) or () if isinstance(one, dict))
        cursor = str((answer.get("response_metadata") or {}).get("next_cursor") or "")
        if not cursor:
            return
