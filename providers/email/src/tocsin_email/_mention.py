"""Mentions, as an alert's text may hold for Slack, made readable in a mail. Pure."""

from __future__ import annotations

import re

# In HTML the text is escaped already. A group's label has its @ written out.
_MENTION = re.compile(
    r"(?:<|&lt;)"
    r"(?:@(?P<member>[UW][A-Z0-9]{1,30})|!(?P<all>channel|here|everyone)"
    r"|!subteam\^(?P<group>S[A-Z0-9]{1,30}))"
    r"(?:\|@?(?P<label>[\w .-]{1,80}))?"
    r"(?:>|&gt;)"
)


def named(text: str) -> str:
    """Return the text with ``<@U0ADA>`` as ``@U0ADA``: in a mail it calls nobody."""
    return _MENTION.sub(_name, text)


def _name(mention: re.Match[str]) -> str:
    names = (mention[key] for key in ("label", "member", "group", "all"))
    return f"@{next(filter(None, names))}"
