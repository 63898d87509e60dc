from __future__ import annotations

import base64
import contextlib
import io
import os
import smtplib
import socket
import ssl
import time
from typing import TYPE_CHECKING, Literal

from tocsin_email._lookup import addresses
from tocsin_email._reply import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from _typeshed import ReadableBuffer, WriteableBuffer

    from tocsin import Secret

Stage = Literal[
    "lookup",
    "connect",
    "greeting",
    "tls",
    "login",
    "sender",
    "recipients",
    "data",
    "dot",
]
"""How far a talk with the server has come. Only after the dot may the mail be there."""

_MAX_REPLY = 65_536  # bytes; a server that says more is not speaking SMTP
_CHUNK = 16_384  # bytes that one write may hold: a TLS record
_GOODBYE = 0.5  # seconds; an attempt may be over its time by as much
_READY, _GO_AHEAD, _CHALLENGE, _CLOSING = 220, 354, 334, 421  # RFC 5321, 4.2.3; 4954
_LOGGED_IN = 235  # RFC 4954, 6


class Interrupted(Exception):  # noqa: N818 - it says what happened
    """The talk with the server came to an end before its time."""

    def __init__(self, stage: Stage, error: OSError) -> None:
        super().__init__(stage)
        self.stage = stage
        self.error = error

    @property
    def reply(self) -> Reply | None:
        """The refusal that ended it, if one did."""
        if isinstance(self.error, smtplib.SMTPResponseException):
            return Reply.read(self.error.smtp_code, _bytes(self.error.smtp_error))
        return None

    @property
    def is_stale(self) -> bool:
        """Whether the server has hung up, as it does when it was left idle for long."""
        if self.reply is not None:
            return self.reply.code == _CLOSING
        return not isinstance(self.error, TimeoutError)


class Connection(smtplib.SMTP):
    """A connection whose every wait ends at one deadline.

    The time limit of smtplib begins anew with each byte that comes, so that a server
    which drips would hold it for hours. The connection belongs to one thread.

    Its methods raise `Interrupted`, without the frames of smtplib: their variables hold
    what was sent, the password among it. It is closed then.
    """

    def __init__(self, host: str, port: int, *, deadline: float) -> None:
        super().__init__(local_hostname="localhost")  # asking DNS for it may hang
        self.debuglevel = 0  # were it set on the class, it would print the password
        self.deadline = deadline
        """The end of every wait, on the monotonic clock."""
        self._server = host, port
        self._process = os.getpid()

    @property
    def tls_version(self) -> str:
        """``TLSv1.3`` or the like; empty in the clear."""
        if isinstance(self.sock, ssl.SSLSocket):
            return self.sock.version() or ""
        return ""

    @property
    def is_inherited(self) -> bool:
        """Whether this process was forked since: then the talk is the parent's."""
        return os.getpid() != self._process

    def dial(self, context: ssl.SSLContext | None) -> None:
        """Connect, with TLS from the start if there is a context, and greet."""
        host, port = self._server
        with self._at("lookup"):
            found = addresses(host, port, timeout=self._left())
        with self._at("connect"):
            self.sock = _connected(found, port, self._left)
        if context is not None:
            with self._at("tls"):
                self._wrap(context)
        with self._at("greeting"):
            self._listen()
            _expect(self.getreply(), _READY)
            self.ehlo_or_helo_if_needed()

    def secure(self, context: ssl.SSLContext) -> None:
        """Turn to TLS; what the server said in the clear is forgotten (RFC 3207, 4.2)."""
        with self._at("tls"):
            if not self.has_extn("starttls"):
                raise smtplib.SMTPNotSupportedError("STARTTLS")
            _expect(self.docmd("STARTTLS"), _READY)
            self._wrap(context)
            self._listen()
            self.helo_resp = self.ehlo_resp = None
            self.esmtp_features = {}
            self.does_esmtp = False
            self.ehlo_or_helo_if_needed()

    def log_in(self, username: str, password: Secret) -> None:
        """Log in; unlike smtplib's `login` it keeps no password, and takes any Unicode."""
        with self._at("login"):
            offered = self.esmtp_features.get("auth", "").upper().split()
            if "PLAIN" in offered:
                reply = self.docmd("AUTH", f"PLAIN {_plain(username, password)}")
            elif "LOGIN" in offered:
                reply = self.docmd("AUTH", "LOGIN")
                if reply[0] == _CHALLENGE:
                    reply = self.docmd(_base64(username))
                if reply[0] == _CHALLENGE:
                    reply = self.docmd(_base64(password.reveal()))
            else:
                raise smtplib.SMTPNotSupportedError(" ".join(offered))
            _expect(_without(reply, username, password), _LOGGED_IN)

    def announce(
        self, author: str, recipients: Iterable[str], content: bytes
    ) -> dict[str, Reply]:
        """Say who sends how much to whom; return the server's word on each recipient."""
        with self._at("sender"):
            options = f" SIZE={len(content)}" if self.has_extn("size") else ""
            if not content.isascii():
                if not self.has_extn("smtputf8"):
                    raise smtplib.SMTPNotSupportedError("SMTPUTF8")
                options += " SMTPUTF8 BODY=8BITMIME"  # RFC 6531, 3.4 and 3.6
                self.command_encoding = "utf-8"
            _expect(self.docmd("MAIL", f"FROM:<{author}>{options}"), 250)
        with self._at("recipients"):
            return {
                who: _staying(self.docmd("RCPT", f"TO:<{who}>")) for who in recipients
            }

    def transmit(self, content: bytes) -> Reply:
        """Send the mail; return the server's word on it."""
        with self._at("data"):
            reply = _staying(self.docmd("DATA"))
            if reply.code != _GO_AHEAD:
                return reply
            # RFC 5321, 4.5.2: a dot that begins a line is doubled. One ends the mail: it
            # goes with the last write, and if that fails the server does not have it.
            stuffed = memoryview(content.replace(b"\r\n.", b"\r\n..") + b".\r\n")
            for start in range(0, len(stuffed), _CHUNK):
                self.send(stuffed[start : start + _CHUNK])
        with self._at("dot"):
            reply = Reply.read(*self.getreply())
            if not (reply.is_success or reply.is_refusal):
                raise ConnectionError(str(reply))
            return reply

    def ask(self) -> None:
        """Find out whether the server is still there."""
        with self._at("sender"):
            _expect(self.noop(), 250)

    def leave(self) -> None:
        """Say goodbye and close.

        An inherited connection is closed without a word.
        """
        self.deadline = time.monotonic() + _GOODBYE
        if not self.is_inherited:
            with contextlib.suppress(OSError):
                self.docmd("QUIT")
        self.close()

    def send(self, s: ReadableBuffer | str) -> None:
        """Send, within what is left of the time."""
        if self.sock is not None:
            self.sock.settimeout(self._left())
        super().send(s)

    def getreply(self) -> tuple[int, bytes]:
        """Read one reply, which is bounded."""
        self._incoming.room = _MAX_REPLY
        return super().getreply()

    @contextlib.contextmanager
    def _at(self, stage: Stage) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.close()
            _strip(error)
            is_late = time.monotonic() >= self.deadline
            raise Interrupted(stage, TimeoutError() if is_late else error) from None
        except BaseException:
            self.close()
            raise

    def _left(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def _wrap(self, context: ssl.SSLContext) -> None:
        assert self.sock is not None
        self.sock.settimeout(self._left())
        self.sock = context.wrap_socket(self.sock, server_hostname=self._server[0])

    def _listen(self) -> None:
        """Read the replies through a reader that knows the deadline, from here on."""
        assert self.sock is not None
        host = self.sock.getsockname()[0]
        self.local_hostname = f"[IPv6:{host}]" if ":" in host else f"[{host}]"
        self._incoming = _Incoming(self.sock, self._left)
        self.file = io.BufferedReader(self._incoming)


class _Incoming(io.RawIOBase):
    """What comes in through a socket: within what is left of the time, and bounded.

    `room` is for how many more bytes may come.
    """

    def __init__(self, source: socket.socket, left: Callable[[], float]) -> None:
        self._source = source
        self._left = left
        self.room = _MAX_REPLY

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        if self.room <= 0:
            raise ConnectionError("the server talks without end")
        self._source.settimeout(self._left())
        count = self._source.recv_into(buffer)
        self.room -= count
        return count


def _connected(found: list[str], port: int, left: Callable[[], float]) -> socket.socket:
    """Return a socket; each of the host's addresses gets its share of the time."""
    error = OSError("the host has no address")
    for tried, address in enumerate(found):
        try:
            timeout = left() / (len(found) - tried)
            connected = socket.create_connection((address, port), timeout)
        except OSError as refused:
            error = refused
        else:
            # the last write of several is not to wait for a delayed ACK: 40 ms
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connected
    raise error


def _expect(reply: tuple[int, bytes], code: int) -> None:
    if reply[0] != code:
        raise smtplib.SMTPResponseException(*reply)


def _staying(reply: tuple[int, bytes]) -> Reply:
    """Return the reply, unless it says that the server closes the connection."""
    if reply[0] == _CLOSING:
        raise smtplib.SMTPResponseException(*reply)
    return Reply.read(*reply)


def _bytes(text: bytes | str) -> bytes:
    return text.encode() if isinstance(text, str) else text


def _base64(text: str) -> str:
    return base64.b64encode(_utf8(text)).decode()


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # an error would show the password


def _plain(username: str, password: Secret) -> str:
    return _base64(f"\0{username}\0{password.reveal()}")  # RFC 4616, 2


def _without(
    reply: tuple[int, bytes], username: str, password: Secret
) -> tuple[int, bytes]:
    """Return the reply without the password, should the server be so rude as to echo it."""
    code, text = reply
    if password.reveal():
        text = text.replace(_plain(username, password).encode(), b"...")
        text = text.replace(_base64(password.reveal()).encode(), b"...")
        text = text.replace(_utf8(password.reveal()), b"...")
    return code, text


def _strip(error: OSError) -> None:
    """Take from an error its frames, and what led to it."""
    error.__traceback__ = error.__cause__ = error.__context__ = None
