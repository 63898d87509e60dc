"""Slack's markup: what is escaped, what stays live, where it may be cut. Pure."""

from __future__ import annotations

import re

_MENTION = re.compile(r"&lt;(@[UW][A-Z0-9]{1,30}|!subteam\^S[A-Z0-9]{1,30})&gt;")
_BROADCAST = re.compile(r"&lt;(!(?:channel|here|everyone))&gt;")
_TORN = re.compile(r"(?:&[a-z]{0,3}|<[^<>]*)\Z")
_ASTERISK = "\u2217"  # ASTERISK OPERATOR, which looks like one and marks nothing up


def escape(text: str) -> str:
    """Make text inert, except for mentions of a member or of a user group.

    Slack wants these three characters escaped and no other:
    https://docs.slack.dev/messaging/formatting-message-text#escaping
    """
    inert = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MENTION.sub(r"<\1>", inert)


def enliven_broadcasts(mrkdwn: str) -> str:
    """Make ``<!channel>``, ``<!here>`` and ``<!everyone>`` live in escaped text.

    An ampersand is always escaped, so nothing else reads like an escaped broadcast.
    """
    return _BROADCAST.sub(r"<\1>", mrkdwn)


def bold(mrkdwn: str) -> str:
    """Return each line in bold; an asterisk in it cannot end the bold.

    mrkdwn has no way to escape an asterisk, so a look-alike takes its place.
    """
    lines = filter(None, map(str.strip, mrkdwn.splitlines()))
    return "\n".join(f"*{line.replace('*', _ASTERISK)}*" for line in lines)


def units(text: str) -> int:
    """Return the length in UTF-16 units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def cut(mrkdwn: str, limit: int) -> str:
    """Cut escaped text to so many UTF-16 units, tearing no entity and no mention."""
    if units(mrkdwn) <= limit:
        return mrkdwn
    kept = mrkdwn[:limit].encode("utf-16-le", "surrogatepass")[: 2 * (limit - 1)]
    return _TORN.sub("", kept.decode("utf-16-le", "ignore")).rstrip() + "…"
