"""An HTTP service on the loopback, which answers as the real one does, or fails as told."""

from __future__ import annotations

import contextlib
import email.parser
import email.policy
import json as _json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import parse_qs, urlsplit

import attrs

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Mapping

Fault = Literal["hang", "drip", "drip body", "close", "reset", "garbage", "truncated"]
"""How an answer is lost: none comes; its head, or its body, comes a byte at a time for ever;
the connection is closed, or reset, once the request is read; what comes is no HTTP; or it ends
too early."""

_BEAT = 0.05  # seconds between two bytes that drip


@attrs.frozen
class Reply:
    """What the service answers: a status, and a body as bytes or as what JSON can hold."""

    status: int = 200
    json: object = None
    body: bytes = attrs.field(default=b"", repr=lambda body: repr(body[:40]))
    headers: Mapping[str, str] = attrs.field(factory=dict)

    def content(self) -> bytes:
        """Return the body as it is sent."""
        return self.body if self.json is None else _json.dumps(self.json).encode()


@attrs.frozen
class File:
    """A file in a form that was sent."""

    name: str
    content_type: str
    content: bytes


@attrs.frozen
class Received:
    """A request that the service got."""

    method: str
    target: str
    """The path, with the query."""
    headers: Mapping[str, str]
    """By name in lower case."""
    body: bytes

    @property
    def path(self) -> str:
        """The path alone."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        """The query; of a name that comes twice, the last value."""
        return {
            name: all_[-1]
            for name, all_ in parse_qs(urlsplit(self.target).query).items()
        }

    def json(self) -> Any:  # noqa: ANN401 - whatever JSON holds
        """Return the body, read as JSON."""
        return _json.loads(self.body)

    def form(self) -> dict[str, str]:
        """Return the fields of a form, of either encoding, without its files."""
        if not self._is_multipart():
            found = parse_qs(self.body.decode(), keep_blank_values=True)
            return {name: values[-1] for name, values in found.items()}
        return {
            name: content.decode()
            for name, filename, _, content in self._parts()
            if filename is None
        }

    def files(self) -> dict[str, File]:
        """Return the files of a form, by the field's name."""
        if not self._is_multipart():
            return {}
        return {
            name: File(filename, kind, content)
            for name, filename, kind, content in self._parts()
            if filename is not None
        }

    def _is_multipart(self) -> bool:
        return self.headers.get("content-type", "").startswith("multipart/")

    def _parts(self) -> Iterator[tuple[str, str | None, str, bytes]]:
        head = f"Content-Type: {self.headers['content-type']}\r\n\r\n".encode()
        parser = email.parser.BytesParser(policy=email.policy.HTTP)
        for part in parser.parsebytes(head + self.body).iter_parts():
            name = str(part.get_param("name", header="content-disposition"))
            content = part.get_payload(decode=True)
            assert isinstance(content, bytes)
            yield name, part.get_filename(), part.get_content_type(), content


class HttpDouble:
    """A server on the loopback that keeps what it is sent.

    Derive from it and override `answer`, or pass a function that answers. `fail_next` has it
    fail, or answer something else, so many times. With a `context` it speaks TLS. A context
    manager.
    """

    def __init__(
        self,
        answer: Callable[[Received], Reply] | None = None,
        *,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._answer = answer
        self._context = context
        self._failures: list[Reply | Fault] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self.requests: list[Received] = []
        """All that came, the oldest first."""
        self.connections = 0
        """How many were opened."""

    def answer(self, request: Received) -> Reply:
        """Return what the service answers to a request that it takes."""
        return self._answer(request) if self._answer else Reply()

    def fail_next(self, *failures: Reply | Fault) -> None:
        """Do this with the requests that come next, one each."""
        with self._lock:
            self._failures += failures

    @property
    def url(self) -> str:
        """Where it is: ``http://127.0.0.1:PORT``, without a slash at the end."""
        scheme = "https" if self._context else "http"
        return f"{scheme}://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _handler_for(self))
        if self._context:
            self._server.socket = self._context.wrap_socket(
                self._server.socket, server_side=True
            )
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.hang_up()
        self._server.server_close()
        self._thread.join()

    def _next(self, request: Received) -> Reply | Fault:
        with self._lock:
            self.requests.append(request)
            if self._failures:
                return self._failures.pop(0)
        return self.answer(request)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[_Handler]) -> None:
        super().__init__(address, handler)
        self._open: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - socketserver's
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - likewise
        self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End the connections that are kept, so that their threads end."""
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, *_: object) -> None:
        """Say nothing: whoever hangs up does so on purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    double: HttpDouble

    def setup(self) -> None:
        super().setup()
        with self.double._lock:  # noqa: SLF001 - its own server
            self.double.connections += 1

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Received(self.command, self.path, headers, body)
        reply = self.double._next(request)  # noqa: SLF001 - its own server
        if isinstance(reply, str):
            self.close_connection = True
            self._fail(reply)
        else:
            self._send(reply)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815 - http.server's

    def _send(self, reply: Reply) -> None:
        content = reply.content()
        self.wfile.write(_head(reply, len(content)) + content)

    def _fail(self, fault: Fault) -> None:
        whole = _head(Reply(), 100_000)
        if fault == "hang":
            self.double._closing.wait()  # noqa: SLF001 - its own server
        elif fault == "drip":
            self._drip(whole[:-4] + b"\r\nX-Slow: ")
        elif fault == "drip body":
            self._drip(whole)
        elif fault == "garbage":
            self.wfile.write(b"\x00\xff not HTTP at all\r\n\r\n" * 10)
        elif fault == "truncated":
            self.wfile.write(whole + b'{"id": ')
        elif fault == "reset":
            _reset(self.connection)

    def _drip(self, head: bytes) -> None:
        self.wfile.write(head)
        while not self.double._closing.wait(_BEAT):  # noqa: SLF001 - its own server
            self.wfile.write(b"x")


def _reset(connection: socket.socket) -> None:
    no_linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"  # struct linger: on, 0 seconds
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_linger)
    connection.close()


def _head(reply: Reply, length: int) -> bytes:
    kind = "text/plain" if reply.json is None else "application/json"
    headers = {"Content-Type": kind, "Content-Length": str(length), **reply.headers}
    lines = [f"HTTP/1.1 {reply.status} As told"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _handler_for(double: HttpDouble) -> type[_Handler]:
    return type("Handler", (_Handler,), {"double": double})
