"""One request, answered or lost: the only importer of requests.

requests follows redirects, token in hand, takes passwords from ``~/.netrc``, and its time
limit starts anew with every byte that a slow server drips. What it does about proxies, TLS
and connections that are kept is used.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import io
import logging
import os
import socket
import ssl
import threading
import time
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, getproxies_environment

import attrs
import requests
import urllib3
from requests import PreparedRequest
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from _typeshed import ReadableBuffer, WriteableBuffer


MAX_BODY = 1024 * 1024
"""Bytes of an answer that are read."""

IDLE = 4.0
"""Seconds for which a connection without a request is kept: servers close theirs after five
and more (Node's ``keepAliveTimeout``; nginx takes 75), and a request that meets the close is
lost without a word of whether it arrived."""

_CONNECTIONS = 32  # that are kept for one host: as many deliveries may be under way
_PROXIES = [
    spelt
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "request_method")
    for spelt in (name, name.upper())
]
_NAT64 = IPv6Network("64:ff9b::/96")
_HOSTS = 100  # of which connections are kept
_CHUNK = 16 * 1024  # bytes written under one look at the clock: a record of TLS


@attrs.frozen(kw_only=True)
class Request:
    """What is sent."""

    method: str
    url: str = attrs.field(repr=False)
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    params: Mapping[str, str] | None = attrs.field(default=None, repr=False)
    data: bytes | Mapping[str, str] | None = attrs.field(default=None, repr=False)
    files: Any = attrs.field(default=None, repr=False)


@attrs.frozen
class Reply:
    """What the server said."""

    status: int
    headers: Mapping[str, str]
    """By name in lower case."""
    body: bytes


@attrs.frozen
class Lost:
    """Why there is no reply."""

    is_begun: bool
    """Something of it may have arrived."""
    is_writable: bool
    """It could be written as HTTP."""
    reason: str
    """A phrase that holds no secret."""


@attrs.define
class _Attempt:
    """What this thread's request is allowed, and how far it came."""

    until: float
    allows_private: bool = True
    is_begun: bool = False

    def left(self) -> float:
        """Return the seconds that are left.

        Raises:
            TimeoutError: None are.

        """
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class _Current(threading.local):
    attempt: _Attempt | None = None


_current = _Current()


class PrivateAddress(OSError):  # noqa: N818 - it says what happened
    """The host is in a network that is not public, and the request is not to go there."""


def send(request: Request, timeout: float, *, allows_private: bool) -> Reply | Lost:
    """Send the request once.

    It raises nothing: the frames of requests, and its messages, hold addresses and headers,
    which are secrets here.
    """
    with _attempting(timeout, allows_private=allows_private) as attempt:
        try:
            return _exchange(request, attempt)
        except Exception as error:  # noqa: BLE001 - whatever it was, no answer came
            return _lost(error, attempt)


def reach(url: str, timeout: float, *, allows_private: bool) -> Lost | None:
    """Connect to the URL's host, TLS included, and send nothing."""
    with _attempting(timeout, allows_private=allows_private) as attempt:
        try:
            with contextlib.closing(_unconnected(url, attempt.left())) as connection:
                connection.connect()
        except Exception as error:  # noqa: BLE001 - see send()
            return _lost(error, attempt)
    return None


def _unconnected(url: str, timeout: float) -> _Open:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    if parts.scheme == "https":
        return _Secure(host, port, timeout=timeout, ssl_context=_tls())
    return _Open(host, port, timeout=timeout)


def is_proxied(url: str) -> bool:
    """Whether the environment sends requests to this URL through a proxy."""
    return urlsplit(url).scheme in _proxies(url)


def close() -> None:
    """Close the connections that are kept; the next request opens another."""
    for adapter in (_adapter(allows_private=True), _adapter(allows_private=False)):
        adapter.close()


@contextlib.contextmanager
def _attempting(timeout: float, *, allows_private: bool) -> Iterator[_Attempt]:
    attempt = _Attempt(time.monotonic() + timeout, allows_private)
    _current.attempt = attempt
    try:
        yield attempt
    finally:
        _current.attempt = None


def _now() -> _Attempt:
    attempt = _current.attempt
    assert attempt is not None
    return attempt


def _exchange(request: Request, attempt: _Attempt) -> Reply:
    prepared = _written(request)
    proxies = _proxies(request.url)
    # a proxy of another kind has connections of its own, which do not tell how far they came
    attempt.is_begun = any(proxy.startswith("socks") for proxy in proxies.values())
    adapter = _adapter(allows_private=attempt.allows_private)
    raw = adapter.answer(prepared, attempt.left(), proxies)
    try:
        body = raw.read(MAX_BODY, decode_content=True)
        headers = {name.lower(): value for name, value in raw.headers.itermerged()}
        return Reply(raw.status, headers, body)
    finally:
        is_whole = raw.isclosed()
        if not is_whole:  # what is left of it would be taken for the next answer
            raw.close()
        raw.release_conn()


def _written(request: Request) -> PreparedRequest:
    """Return the request as it goes over the wire.

    Bytes to an address are most of what is sent. For them, all that requests prepares for
    others (cookies, forms, passwords in addresses) is nothing, and takes longer than the
    rest of the way.
    """
    if request.params or request.files or not isinstance(request.data, bytes):
        return _prepared(request)
    written = PreparedRequest()
    written.method, written.url = request.method, _written_url(request.url)
    written.prepare_headers(request.headers)
    written.headers["Content-Length"] = str(len(request.data))
    written.body = request.data
    return written


@functools.lru_cache(maxsize=_HOSTS)
def _written_url(url: str) -> str | None:
    written = PreparedRequest()
    written.prepare_url(url, None)
    return written.url


def _prepared(request: Request) -> PreparedRequest:
    return requests.Request(
        request.method,
        request.url,
        headers=dict(request.headers),
        params=request.params,
        data=request.data,
        files=request.files,
    ).prepare()


def _proxies(url: str) -> dict[str, str]:
    if getproxies is not getproxies_environment:  # what the system says may change
        return dict(get_environ_proxies(url))
    parts = urlsplit(url)
    place = f"{parts.scheme}://{parts.netloc}"
    return _proxies_in(place, len(os.environ), *map(os.environ.get, _PROXIES))


@functools.lru_cache(maxsize=_HOSTS)
def _proxies_in(place: str, *_: object) -> dict[str, str]:
    """Return the proxies for a scheme and a host, in an environment that is like this.

    requests reads every variable of it twice, at each request.
    """
    return dict(get_environ_proxies(place))


def _lost(error: BaseException, attempt: _Attempt) -> Lost:
    causes = list(_causes(error))
    is_writable = not any(
        isinstance(one, ValueError | http.client.InvalidURL)
        and not isinstance(one, ssl.SSLError)  # a certificate that is refused
        for one in causes
    )
    return Lost(attempt.is_begun, is_writable, _phrase(causes))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Walk through what requests and urllib3 wrapped, each in another way."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop(0)
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [getattr(one, "reason", None), *one.args]
        waiting += [one.__cause__, one.__context__]


def _phrase(causes: list[BaseException]) -> str:
    """Say what went wrong without the errors' own words, which may quote a secret."""
    for one in causes:
        if isinstance(one, PrivateAddress):
            return "its address is not public"
        if isinstance(one, TimeoutError):
            return "the time was up"
        if isinstance(one, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {one.verify_message}"
    for one in causes:
        if isinstance(one, OSError) and one.strerror and one.errno is not None:
            return one.strerror
    if any(isinstance(one, OSError | http.client.HTTPException) for one in causes):
        return "the connection was closed early, or what came was no HTTP"
    return type(causes[0]).__name__


class _Timely(io.RawIOBase):
    """A socket's bytes, each read within what is left of the whole time."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self._raw, self._sock = raw, sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int | None:
        self._sock.settimeout(_now().left())
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, method: str | None = None) -> None:
        super().__init__(sock, method=method)
        self.fp = io.BufferedReader(_Timely(self.fp.detach(), sock))


class _Open(HTTPConnection):
    """A connection that knows how far a request came, and how long it has."""

    debuglevel = 0  # else http.client's, which prints headers
    response_class = _Answer
    idle_since = 0.0
    _held: bytes | None = None  # what waits for more of the request
    _is_connecting = False

    def _new_conn(self) -> socket.socket:
        return _connected(self._dns_host.strip("[]"), self.port, self.socket_options)

    def connect(self) -> None:
        self._is_connecting = True
        try:
            super().connect()
        finally:
            self._is_connecting = False

    def request(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - urllib3's
        """Write a request, its head and a short body in one packet."""
        self._held = b""
        try:
            super().request(*arguments, **options)
            self._let_go()
        finally:
            self._held = None

    def send(self, data: ReadableBuffer) -> None:  # type: ignore[override] # bytes, here
        if self._held is None or self._is_connecting:
            self._write(data)
        elif len(self._held) + len(memoryview(data)) <= _CHUNK:
            self._held += data
        else:
            self._let_go()
            self._write(data)

    def _let_go(self) -> None:
        if self._held:
            held, self._held = self._held, b""
            self._write(held)

    def _write(self, data: ReadableBuffer) -> None:
        if self.sock is None:
            self.connect()
        attempt = _now()
        if not self._is_connecting:  # to a proxy, which is asked for a tunnel
            attempt.is_begun = True
        view = memoryview(data)
        for start in range(0, len(view), _CHUNK):
            self.sock.settimeout(attempt.left())
            super().send(view[start : start + _CHUNK])


class _Secure(_Open, HTTPSConnection):
    pass


def _connected(host: str, port: int, options: Any) -> socket.socket:  # noqa: ANN401 - urllib3's
    """Connect to the first of the host's addresses that answers and may be used."""
    failure: OSError | None = None
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for family, kind, protocol, _, address in found:
        attempt = _now()
        if not (attempt.allows_private or _is_public(str(address[0]))):
            failure = failure or PrivateAddress()
            continue
        sock = socket.socket(family, kind, protocol)
        try:
            for option in options or ():
                sock.setsockopt(*option)
            sock.settimeout(attempt.left())
            sock.connect(address)
        except OSError as error:
            sock.close()
            failure = error
        else:
            return sock
    raise failure or OSError("the name has no address")


def _is_public(address: str) -> bool:
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        found = found.ipv4_mapped or found.sixtofour or _translated(found) or found
    return found.is_global and not found.is_multicast


def _translated(address: IPv6Address) -> IPv4Address | None:
    """Return the address that a NAT64 sends to (RFC 6052)."""
    return IPv4Address(int(address) & 0xFFFF_FFFF) if address in _NAT64 else None


class _Kept(HTTPConnectionPool):
    """Connections that are kept, as long as servers keep theirs."""

    ConnectionCls = _Open

    def _get_conn(self, timeout: float | None = None) -> Any:  # noqa: ANN401 - urllib3's
        connection: Any = super()._get_conn(timeout)
        if (
            connection.sock is not None
            and time.monotonic() > connection.idle_since + IDLE
        ):
            connection.close()
        return connection

    def _put_conn(self, conn: Any) -> None:  # noqa: ANN401 - urllib3's
        if conn is not None:
            conn.idle_since = time.monotonic()
        super()._put_conn(conn)


class _SecureKept(_Kept, HTTPSConnectionPool):
    ConnectionCls = _Secure


_POOLS = {"http": _Kept, "https": _SecureKept}


class _Adapter(HTTPAdapter):
    """Makes each request once, over connections of ours."""

    def __init__(self) -> None:
        super().__init__(_HOSTS, _CONNECTIONS, max_retries=0)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - requests'
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:  # noqa: ANN401 - likewise
        manager = super().proxy_manager_for(proxy, **options)
        if isinstance(manager, urllib3.ProxyManager):
            manager.pool_classes_by_scheme = _POOLS
        return manager

    def answer(
        self, request: PreparedRequest, timeout: float, proxies: dict[str, str]
    ) -> Any:  # noqa: ANN401 - urllib3's
        """Make a request: what `send` does, less a Response that nobody asks for."""
        if proxies:
            url = self.request_url(request, proxies)
            pool = self.get_connection_with_tls_context(
                request, verify=True, proxies=proxies
            )
        else:
            url = request.path_url
            where, options = self.build_connection_pool_key_attributes(request, None)
            pool = self.poolmanager.connection_from_host(**where, pool_kwargs=options)
        return pool.urlopen(
            method=str(request.method),
            url=url,
            body=request.body,  # type: ignore[arg-type] # as in requests
            headers=dict(request.headers or {}),  # type: ignore[arg-type] # as in requests
            redirect=False,
            assert_same_host=False,
            preload_content=False,
            decode_content=False,
            retries=self.max_retries,
            timeout=urllib3.Timeout(connect=timeout, read=timeout),
        )

    def build_connection_pool_key_attributes(
        self,
        request: PreparedRequest,
        verify: Any,  # noqa: ANN401, ARG002 - certificates are always verified
        cert: Any = None,  # noqa: ANN401, ARG002 - likewise
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        parts = urlsplit(str(request.url))
        where = {"scheme": parts.scheme, "host": parts.hostname, "port": parts.port}
        return where, {"ssl_context": _tls()} if parts.scheme == "https" else {}

    def cert_verify(self, *_: Any) -> None:  # noqa: ANN401 - the context does
        """Leave it to the context."""


@functools.cache
def _tls() -> ssl.SSLContext:
    """Return what trusts the machine's authorities and those of requests.

    Or those alone that ``REQUESTS_CA_BUNDLE`` names.
    """
    named = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    if named:
        if os.path.isdir(named):  # noqa: PTH112 - a str
            return ssl.create_default_context(capath=named)
        return ssl.create_default_context(cafile=named)
    context = ssl.create_default_context()  # verifies; TLS 1.2 at least
    context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
    return context


_adapters: dict[bool, _Adapter] = {}
_left: list[object] = []


def _adapter(*, allows_private: bool) -> _Adapter:
    """Return what keeps connections; those to private addresses are kept apart."""
    try:
        return _adapters[allows_private]
    except KeyError:
        return _adapters.setdefault(allows_private, _Adapter())


def _after_fork_in_child() -> None:
    """Leave the connections to the parent, untouched: closing them may need its locks."""
    _left.append(dict(_adapters))
    _adapters.clear()
    _current.attempt = None


class _Silent(logging.Filter):
    """Keeps urllib3 from logging our requests: their addresses may be secrets."""

    def filter(self, _: logging.LogRecord) -> bool:
        return _current.attempt is None


for _name in ("urllib3.connectionpool", "urllib3.connection", "urllib3.util.retry"):
    logging.getLogger(_name).addFilter(_Silent())
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
