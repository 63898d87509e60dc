"""The one way that HTTP providers send: one request, and the outcome of an attempt.

    from tocsin import http

    gotify = http.Service("Gotify", remedies={401: "make a new application token"})

    answer = gotify.post(url, json={"title": …}, timeout=delivery.timeout)
    return Receipt(reference=answer.text_at("id"))

A request is made once. No redirect is followed, the time is bounded in total, at most 1 MiB
of an answer is read, connections are kept and shared by threads. What goes wrong is raised
as the `DeliveryError` that says what is to become of the delivery; no secret is in it.

It needs the extra ``http``: ``pip install tocsin[http]``.
"""

from __future__ import annotations

import functools
import json as _json
import math
import re
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import attrs

from tocsin._errors import (
    Ambiguous,
    DeliveryError,
    OutOfOrder,
    Rejected,
    RetryLater,
)
from tocsin._imports import importing
from tocsin._secret import Secret
from tocsin._text import clean_line

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from tocsin._transport import Lost, Reply

__all__ = [
    "MAX_RETRY_AFTER",
    "Answer",
    "Deadline",
    "Service",
    "confidential",
    "is_confidential",
    "retry_after",
]

MAX_RETRY_AFTER = 3600.0
"""Seconds; a channel is held no longer, whatever the server wishes."""

_JSON = "application/json; charset=utf-8"  # Teams takes JSON without it for another encoding
_SAID = 200  # characters of a service's own words that are told
_TOKEN = 16  # characters of a part of an address that may be a secret
_SEPARATOR = re.compile("[/?&=]")

_CLOSED = {401, 403, 404, 405, 407, 410}
_PASSING = {408, 425, 429}
_BETWEEN = "whether a proxy or a sign-in page is between"
_ADDRESS = (
    "check the address and the secrets of the channel, and the proxy if there is one"
)


@attrs.frozen
class Deadline:
    """The moment at which an attempt of several requests must have ended."""

    _at: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """Return the moment so many seconds from now."""
        return cls(time.monotonic() + seconds)

    def left(self) -> float:
        """Return the seconds that are left, for the next request; 0 when none are."""
        return max(0.0, self._at - time.monotonic())


@attrs.frozen(kw_only=True)
class Answer:
    """What a service answered."""

    service: Service
    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    """By name in lower case."""
    body: bytes = attrs.field(repr=False)
    """At most 1 MiB of it."""
    url: str = attrs.field(default="", repr=False)
    """What was asked, which may hold a secret."""

    @property
    def text(self) -> str:
        """The body as UTF-8; what is none is replaced."""
        return self.body.decode("utf-8", "replace")

    def at(self, *path: str | int) -> Any:  # noqa: ANN401 - whatever JSON holds
        """Return what the body, read as JSON, has at this path; None when it has nothing."""
        try:
            found: Any = _json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        for key in path:
            try:
                found = found[key]
            except (LookupError, TypeError):
                return None
        return found

    def text_at(self, *path: str | int) -> str:
        """Return the text or number that the body has at this path, which is proof of success.

        Raises:
            Ambiguous: There is none: this is not what the service answers.

        """
        found = self.at(*path)
        if isinstance(found, str | int | float) and not isinstance(found, bool):
            return str(found)
        raise self.unlike()

    def unlike(self) -> Ambiguous:
        """Return the error of an answer that is not what the service answers."""
        return Ambiguous(
            f"{self.service.name} answered HTTP {self.status}, but not what it answers "
            "to a message",
            remedy=f"check {_BETWEEN}",
        )


def _no_verdict(answer: Answer) -> DeliveryError | None:  # noqa: ARG001 - Service.judge's
    return None


@attrs.frozen
class Service:
    """A service that is spoken to, and what its answers mean.

    Without more, an answer is judged by its status:

    - 2xx: success.
    - 401, 403, 404, 405, 407, 410: `OutOfOrder`.
    - 408, 425, 429, 5xx: `RetryLater`, not before what ``Retry-After`` says.
    - 504: `Ambiguous`, for the service may have it.
    - other 4xx: `Rejected`. 3xx: `RetryLater`; a redirect is never followed.

    A request that could not be sent is `RetryLater`, one that was sent and not answered
    `Ambiguous`.
    """

    name: str
    """What people call it: it is in the reasons."""
    remedies: Mapping[int, str] = attrs.field(factory=dict, kw_only=True)
    """Status -> what a person can do about it."""
    verdicts: Mapping[int, type[DeliveryError]] = attrs.field(
        factory=dict, kw_only=True
    )
    """Status -> the error, where it is another than above."""
    said: Sequence[str | int] = attrs.field(default=(), kw_only=True)
    """Where a JSON body has the service's own words, which go into the reason. Only where
    they do not repeat what was sent."""
    success: Collection[int] = attrs.field(default=(), kw_only=True)
    """The statuses that are a yes; empty: every 2xx."""
    code: Sequence[str | int] = attrs.field(default=(), kw_only=True)
    """Where a JSON body has the service's error code."""
    codes: Mapping[Any, tuple[type[DeliveryError], str]] = attrs.field(
        factory=dict, kw_only=True
    )
    """Code -> the error and the remedy, whatever the status."""
    after: Sequence[str | int] = attrs.field(default=(), kw_only=True)
    """Where a JSON body says how many seconds to wait; else ``Retry-After`` does."""
    judge: Callable[[Answer], DeliveryError | None] = attrs.field(
        default=_no_verdict, kw_only=True
    )
    """Asked first, for what the status does not tell: an error code in the body, a success
    that is none. None: the status decides."""
    allows_clear_text: bool = attrs.field(default=False, kw_only=True)
    """Send to ``http://`` too, and not to ``https://`` and this machine alone."""

    def post(self, url: str, *, timeout: float, **more: Any) -> Answer:  # noqa: ANN401 - see request()
        """Make a POST request; see `request`."""
        return self.request("POST", url, timeout=timeout, **more)

    def get(self, url: str, *, timeout: float, **more: Any) -> Answer:  # noqa: ANN401 - see request()
        """Make a GET request; see `request`."""
        return self.request("GET", url, timeout=timeout, **more)

    def request(
        self,
        method: str,
        url: str,
        *,
        timeout: float,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        json: object = None,
        data: bytes | Mapping[str, str] | None = None,
        files: object = None,
        allows_private: bool = True,
    ) -> Answer:
        """Make one request, within `timeout` seconds in total.

        `data`, `files` and `params` are as with requests. `json` is sent as UTF-8, without
        escapes for what is not ASCII and without spaces: it is no longer than it need be.
        Without `allows_private` it goes to public addresses alone: what counts is the
        address that is connected to.

        Raises:
            DeliveryError: It did not succeed.

        """
        self._check(url)
        with importing():
            from tocsin import _transport as transport
        own = {"User-Agent": _agent()}
        if json is not None:
            own["Content-Type"], data = _JSON, _encoded(json)
        request = transport.Request(
            method=method,
            url=url,
            headers={**own, **(headers or {})},
            params=params,
            data=data,
            files=files,
        )
        came = transport.send(request, timeout, allows_private=allows_private)
        if isinstance(came, transport.Lost):
            raise self._lost(came)
        answer = self._answer(came, url)
        if failure := self.judge(answer) or self.failure(answer):
            raise failure
        return answer

    def reach(self, url: str, *, timeout: float, allows_private: bool = True) -> str:
        """Connect to the URL's host, TLS included, and send nothing; say what was seen.

        Raises:
            DeliveryError: It cannot be reached.

        """
        self._check(url)
        with importing():
            from tocsin import _transport as transport
        if transport.is_proxied(url):
            return ""  # only the proxy would be found to answer
        if lost := transport.reach(url, timeout, allows_private=allows_private):
            raise self._lost(lost)
        return f"{urlsplit(url).hostname} answers; the rest shows with a message"

    def _answer(self, reply: Reply, url: str) -> Answer:
        return Answer(
            service=self,
            status=reply.status,
            headers=reply.headers,
            body=reply.body,
            url=url,
        )

    def _check(self, url: str) -> None:
        if not isinstance(url, str):
            raise TypeError(f"the url is a {type(url).__name__}: reveal() a Secret")
        parts = _parts(url)
        if parts is None or not (self.allows_clear_text or is_confidential(url)):
            raise OutOfOrder(
                f"the address of {self.name} is no https:// address",
                remedy="correct the channel's address",
            )

    def failure(self, answer: Answer, words: str = "") -> DeliveryError | None:
        """Judge an answer by its code and its status; None: it is a yes.

        `words` are the service's own, if they are known.
        """
        status = answer.status
        code = answer.at(*self.code) if self.code else None
        kind, remedy = None, self.remedies.get(status, "")
        if isinstance(code, str | int) and code in self.codes:
            kind, remedy = self.codes[code]
        elif status not in self.verdicts and 200 <= status < 300:  # noqa: PLR2004 - success
            is_yes = not self.success or status in self.success
            return None if is_yes else answer.unlike()
        kind = kind or self.verdicts.get(status) or _kind(status)
        words = words or self._words(answer)
        reason = f"{self.name} answered HTTP {status}" + (f": {words}" if words else "")
        if kind is RetryLater:
            if 300 <= status < 400:  # noqa: PLR2004 - a redirect
                reason += ", a redirect, which is never followed"
                remedy = remedy or f"check the address, and {_BETWEEN}"
            return RetryLater(reason, after=self._wish(answer), remedy=remedy)
        if issubclass(kind, Rejected):
            remedy = remedy or _ADDRESS
        return kind(reason, remedy=remedy)

    def _wish(self, answer: Answer) -> float | None:
        found = answer.at(*self.after) if self.after else None
        if isinstance(found, int | float) and 0 < found < math.inf:
            return min(float(found), MAX_RETRY_AFTER)
        return retry_after(answer.headers.get("retry-after"), datetime.now(UTC))

    def _words(self, answer: Answer) -> str:
        words = answer.at(*self.said) if self.said else None
        if not isinstance(words, str):
            return ""
        for part in _SEPARATOR.split(answer.url):
            if len(part) >= _TOKEN:  # of a webhook's address that the service repeats
                words = words.replace(part, "…")
        return clean_line(words)[:_SAID]

    def _lost(self, lost: Lost) -> DeliveryError:
        if not lost.is_writable:
            return Rejected(
                f"the request to {self.name} could not be written ({lost.reason})",
                remedy="check the channel's address and secrets for stray characters",
            )
        if lost.is_begun:
            return Ambiguous(f"{self.name} did not answer: {lost.reason}")
        return RetryLater(
            f"{self.name} was not reached: {lost.reason}",
            remedy="check the network, its name service, and the proxy if there is one",
        )


def _encoded(json: object) -> bytes:
    text = _json.dumps(json, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode(errors="backslashreplace")  # half a character, as JSON spells it


def _kind(status: int) -> type[DeliveryError]:
    if status == 504:  # noqa: PLR2004 - Gateway Timeout: the service had the request
        return Ambiguous
    if status in _PASSING or 300 <= status < 400 or status >= 500:  # noqa: PLR2004 - classes of statuses
        return RetryLater
    if status in _CLOSED:
        return OutOfOrder
    return Rejected if status >= 400 else Ambiguous  # noqa: PLR2004 - a class of statuses


def retry_after(value: str | None, now: datetime) -> float | None:
    """Return Retry-After (RFC 9110, 10.2.3) in seconds, at most an hour.

    None when there is none, or none that makes sense. Nor does zero: `RetryLater` takes
    it for "at once", which a server that is busy does not mean.
    """
    seconds = _seconds(value or "", now)
    return min(seconds, MAX_RETRY_AFTER) if 0 < seconds < math.inf else None


def _seconds(value: str, now: datetime) -> float:
    try:
        return float(value)
    except ValueError:
        pass
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return math.nan
    # RFC 5322's "-0000" gives a date without a zone, which means UTC
    return (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds()


def is_confidential(url: str) -> bool:
    """Whether nobody on the way can read what is sent there: https, or this machine."""
    parts = _parts(url)
    if parts is None:
        return False
    scheme, host = parts
    return scheme == "https" or _is_loopback(host)


def _parts(url: str) -> tuple[str, str] | None:
    """Return the scheme and the host of an address that may be sent to."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return None
    if not host or "@" in parts.netloc or parts.scheme not in {"http", "https"}:
        return None
    return parts.scheme, host


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def confidential(_: object, field: attrs.Attribute[Any], value: str | Secret) -> None:
    """Validate a setting that is an address: an attrs validator, for a str or a `Secret`.

    A secret's reference is looked at when something is sent.

    Raises:
        ValueError: It would travel in the clear.

    """
    if isinstance(value, Secret):
        if value.reference or not value:
            return
        value = value.reveal()
    if not is_confidential(value):
        raise ValueError(f"{field.name} must be an https:// address")


@functools.cache
def _agent() -> str:
    from tocsin import __version__

    return f"tocsin/{__version__}"
