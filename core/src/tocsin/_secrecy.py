"""Secrets out of text that nobody wrote to be sent: output, and the words of exceptions."""

from __future__ import annotations

import functools
import os
import re

from tocsin._secret import redact

_SHORTEST = 8  # characters: what is shorter is no secret, and may be any word

_NAMES = (
    r"TOKEN|SECRET|PASSW|(?:^|_)PASS$|_PWD$|PASSPHRASE|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|WEBHOOK"
    r"|_KEY$|_DSN$|DATABASE_URL$"
)
"""Of environment variables that hold one, whatever their case."""

_FORMS = r"""
      (?<=://)[^/\s:@]*:[^/\s@]+(?=@)           # user:password of a URL
    | (?<=/services/)T\w+/B\w+/\w+              # of a webhook's address
    | (?<=/api/webhooks/)\d+/[\w-]+
    | \b(?:xox[a-z]|xapp|pypi)-[\w-]{8,}
    | \b(?:npm_|AIza|dapi)[\w-]{16,}
    | -----BEGIN[ ](?:\w+[ ])*PRIVATE[ ]KEY-----[\s\S]*?(?:-----END[^-]*-----|\Z)
    | (?<=AccountKey=)[\w+/=]{8,}
    | (?<=[?&]sig=)[\w%+/-]{8,}
    | \b(?:ghp|gho|ghs|ghr|github_pat|glpat|hf|sk|pk|rk)[_-][\w-]{16,}
    | \bAKIA[0-9A-Z]{12,}                       # AWS
    | (?<![\w-])eyJ[\w-]{8,4096}\.[\w-]{8,}\.[\w-]*        # JSON web token
    | (?<=[Bb]earer\ )[\w.~+/=-]{8,}
    | (?<=[Aa]uthorization:\ token\ )[\w.~+/=-]{8,}
    | (?<=[Bb]asic\ )[\w+/=-]{8,}
    | (?P<name>(?:password|passwd|token|secret|api_?key|access_?key)
        (?:["']?\s*[:=]\s*(?P<quote>["'])|(?<!token)\s*[:=]\s*|\s*=\s*))
      (?:(?(quote)[^"'\n]|[^\s&'",;])){4,}
"""
"""What looks like one wherever it stands, whatever its case."""


def blotted(text: str) -> str:
    """Return the text without what are secrets by their name or by their form.

    These are values of environment variables whose names say so, and what looks like a
    token, or like a password in an address. It is a net with holes: what a program prints
    is its own.
    """
    return _forms().sub(_blot, redact(text, _values(hash(tuple(os.environ.items())))))


@functools.cache
def _forms() -> re.Pattern[str]:  # it takes a while, and mostly nothing fails
    return re.compile(_FORMS, re.VERBOSE | re.IGNORECASE)


def _blot(found: re.Match[str]) -> str:
    return f"{found['name'] or ''}…"


@functools.lru_cache(maxsize=1)
def _values(_: int) -> list[str]:
    """Return the values that are secrets, of this environment."""
    return [
        value
        for name, value in os.environ.items()
        if len(value) >= _SHORTEST and re.search(_NAMES, name, re.IGNORECASE)
    ]
