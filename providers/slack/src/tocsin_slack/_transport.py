"""One request, answered or lost: no redirect followed, bounded in total time and size.

urllib follows redirects, token in hand, and its time limit starts anew with every byte
that a slow server drips. What it does about proxies is kept.
"""

from __future__ import annotations

import functools
import io
import ssl
import time
from http.client import (
    HTTPConnection,
    HTTPException,
    HTTPResponse,
    HTTPSConnection,
    InvalidURL,
)
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import (
    AbstractHTTPHandler,
    OpenerDirector,
    ProxyHandler,
    getproxies,
    proxy_bypass,
)

import attrs

from tocsin_slack._answer import Answer, Lost

if TYPE_CHECKING:
    from socket import socket
    from urllib.request import Request

    from _typeshed import ReadableBuffer, WriteableBuffer

MAX_BODY = 1024 * 1024
"""Bytes of an answer that are read; Slack's are a few thousand."""

_CHUNK = 16 * 1024  # bytes written under one look at the clock: a record of TLS


@attrs.frozen
class Deadline:
    """The moment at which an attempt must have ended."""

    _at: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """Return the moment so many seconds from now."""
        return cls(time.monotonic() + seconds)

    def left(self) -> float:
        """Return the seconds that are left.

        Raises:
            TimeoutError: None are.

        """
        left = self._at - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


def post(request: Request, deadline: Deadline) -> Answer | Lost:
    """Send the request once.

    It raises nothing: the frames of urllib, and its messages, hold addresses and
    headers, which are secrets here.
    """
    attempt = _Attempt(deadline)
    try:
        return _exchange(request, attempt)
    except Exception as error:  # noqa: BLE001 - whatever it was, no answer came
        return _lost(error, attempt)


def reach(url: str, deadline: Deadline) -> Lost | None:
    """Connect to the URL's host, TLS included, and send nothing."""
    attempt = _Attempt(deadline)
    parts = urlsplit(url)
    connect_to = _secure if parts.scheme == "https" else _open
    try:
        connection = connect_to(attempt, parts.netloc, deadline.left())
        connection.connect()
        connection.close()
    except Exception as error:  # noqa: BLE001 - see post()
        return _lost(error, attempt)
    return None


def is_proxied(url: str) -> bool:
    """Whether the environment sends requests to this URL through a proxy."""
    parts = urlsplit(url)
    return parts.scheme in getproxies() and not proxy_bypass(parts.netloc)


@attrs.define
class _Attempt:
    deadline: Deadline
    is_connected: bool = False


def _exchange(request: Request, attempt: _Attempt) -> Answer:
    opener = OpenerDirector()  # with no handler of redirects, nor of errors
    opener.add_handler(ProxyHandler())
    opener.add_handler(_Handler(attempt))
    with opener.open(request, timeout=attempt.deadline.left()) as response:
        headers = {name.lower(): value for name, value in response.headers.items()}
        body = response.read(MAX_BODY).decode("utf-8", "replace")
        return Answer(response.status, headers, body)


def _lost(error: Exception, attempt: _Attempt) -> Lost:
    if isinstance(error, URLError) and isinstance(error.reason, Exception):
        error = error.reason
    if attempt.is_connected:
        return Lost("unanswered", _phrase(error))
    return Lost("unsendable" if _is_unwritable(error) else "unsent", _phrase(error))


def _is_unwritable(error: Exception) -> bool:
    """Whether a token, or an address, fits no header and no request line."""
    if isinstance(error, OSError):
        return False  # a certificate that is refused is a ValueError too
    return isinstance(error, ValueError | InvalidURL)


def _phrase(error: Exception) -> str:
    """Say what went wrong without the error's own words, which may quote a secret."""
    if isinstance(error, TimeoutError):
        return "the time was up"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, ConnectionError | HTTPException):
        return "the connection was closed early, or what came was no HTTP"
    return type(error).__name__


class _Timely(io.RawIOBase):
    """A socket's bytes, each read within what is left of the whole time."""

    def __init__(self, raw: io.RawIOBase, sock: socket, deadline: Deadline) -> None:
        self._raw, self._sock, self._deadline = raw, sock, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int | None:
        self._sock.settimeout(self._deadline.left())
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimelyResponse(HTTPResponse):
    def __init__(self, sock: socket, method: str | None, deadline: Deadline) -> None:
        super().__init__(sock, method=method)
        self.fp = io.BufferedReader(_Timely(self.fp.detach(), sock, deadline))


class _Open(HTTPConnection):
    """A connection that knows how far it came, and is told how long it has."""

    attempt: _Attempt

    def connect(self) -> None:
        super().connect()
        self.attempt.is_connected = True

    def send(self, data: ReadableBuffer) -> None:  # type: ignore[override] # bytes, here
        if self.sock is None:
            self.connect()
        view = memoryview(data)
        for start in range(0, len(view), _CHUNK):
            self.sock.settimeout(self.attempt.deadline.left())
            super().send(view[start : start + _CHUNK])

    def response_class(  # type: ignore[override] # called like the class it replaces
        self, sock: socket, *, method: str | None = None
    ) -> HTTPResponse:
        return _TimelyResponse(sock, method, self.attempt.deadline)


class _Secure(_Open, HTTPSConnection):
    pass


def _open(attempt: _Attempt, host: str, timeout: float) -> _Open:
    connection = _Open(host, timeout=timeout)
    connection.attempt = attempt
    return connection


def _secure(attempt: _Attempt, host: str, timeout: float) -> _Secure:
    connection = _Secure(host, timeout=timeout, context=_tls())
    connection.attempt = attempt
    return connection


@functools.cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()  # verifies; TLS 1.2 at least


class _Handler(AbstractHTTPHandler):
    """Opens what ProxyHandler leaves to open, or has prepared."""

    def __init__(self, attempt: _Attempt) -> None:
        super().__init__(debuglevel=0)  # else http.client's, which prints headers
        self._attempt = attempt

    def http_open(self, request: Request) -> HTTPResponse:
        return self.do_open(functools.partial(_open, self._attempt), request)

    def https_open(self, request: Request) -> HTTPResponse:
        return self.do_open(functools.partial(_secure, self._attempt), request)

    http_request = https_request = AbstractHTTPHandler.do_request_
