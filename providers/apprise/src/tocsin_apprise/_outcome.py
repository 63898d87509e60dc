"""What Apprise logged of a failure becomes what Tocsin is told. Pure."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from tocsin import Ambiguous, DeliveryError, OutOfOrder, Rejected, RetryLater

if TYPE_CHECKING:
    from collections.abc import Sequence

_STATUS = re.compile(r"\berror[=:] ?([345]\d\d)\b")
_SENT = re.compile(r"^(Sent|Posted|Delivered)\b")
_UNSENT = (  # words of requests and urllib3 for a request that did not leave
    "NewConnectionError",
    "Failed to establish a new connection",
    "NameResolutionError",
    "ConnectTimeout",
    "connect timeout",
    "ProxyError",
)
_DISTRUSTED = ("CERTIFICATE_VERIFY_FAILED", "certificate verify failed")
_LASTING = {301, 302, 303, 307, 308, 401, 403, 404, 407, 410}
_BUSY, _SERVER_ERROR = 429, 500
_REMEDY = "check the channel's url against the service's page at appriseit.com/services"


def failure(
    service: str, lines: Sequence[logging.LogRecord], after: float | None, words: str
) -> DeliveryError:
    """Return the error for an attempt that Apprise calls a failure.

    `words` are the last that it said of it, fit to be shown. What some of a URL's targets
    took is never tried again for hours: that would send it to them as often.
    """
    said = [record.getMessage() for record in lines]
    error = _failure(service, said, after, words)
    if isinstance(error, RetryLater) and any(map(_SENT.match, said)):
        return Ambiguous(f"{error.reason}; some of the targets have it")
    return error


def last_words(lines: Sequence[logging.LogRecord]) -> str:
    """Return what Apprise said last that it meant people to read."""
    loud = [record for record in lines if record.levelno >= logging.WARNING]
    return loud[-1].getMessage() if loud else ""


def _failure(
    service: str, said: list[str], after: float | None, words: str
) -> DeliveryError:
    if after is not None:
        return RetryLater(f"{service} is to be left alone for a while", after=after)
    statuses = [int(found) for line in said for found in _STATUS.findall(line)]
    if statuses:
        return _refusal(service, statuses, words)
    if _holds(said, _DISTRUSTED):
        return OutOfOrder(f"{service}: its certificate does not hold", remedy=_REMEDY)
    if _holds(said, _UNSENT):
        return RetryLater(f"{service} cannot be reached")
    return Ambiguous(f"{service} failed: {words or 'Apprise does not say why'}")


def _refusal(service: str, statuses: list[int], words: str) -> DeliveryError:
    for status in statuses:
        if status == _BUSY or status >= _SERVER_ERROR:
            return RetryLater(f"{service} answered HTTP {status}: {words}")
    for status in statuses:
        if status in _LASTING:
            reason = f"{service} answered HTTP {status}: {words}"
            return OutOfOrder(reason, remedy=_REMEDY)
    return Rejected(f"{service} answered HTTP {statuses[0]}: {words}")


def _holds(said: list[str], phrases: tuple[str, ...]) -> bool:
    return any(phrase in line for line in said for phrase in phrases)
