"""Servers that take whatever they are sent, each in a process of its own.

python sinks.py http MILLISECONDS [FILE]    answers each POST after so long, and GET with
                                            how many there were; keeps the first in FILE
python sinks.py smtp FILE                   takes every mail, and keeps the first in FILE

Each prints its port as soon as it listens.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from aiosmtpd.smtp import Envelope

HOST = "127.0.0.1"


class Sink:
    """A server in a process of its own, for as long as the ``with`` block lasts."""

    def __init__(self, *words: object) -> None:
        command = [sys.executable, __file__, *map(str, words)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the server did not start: {' '.join(command)}")
        self.port = int(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.communicate()

    @property
    def url(self) -> str:
        """Where to post."""
        return f"http://{HOST}:{self.port}/services/T/B/x"

    @property
    def count(self) -> int:
        """How many posts there were."""
        with urllib.request.urlopen(self.url, timeout=30) as answer:
            return int(answer.read())


class Http(asyncio.Protocol):
    """One connection, kept alive; it reads no more of a request than it must."""

    delay = 0.0
    posts = 0
    sample: Path | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take note of where to answer."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        """Answer once a request is complete; clients here wait for the answer."""
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found or len(body) < content_length(head):
            return
        request, self._received = self._received, b""
        if head.startswith(b"GET"):
            self._answer(b"%d" % Http.posts)
        else:
            Http.posts += 1
            if Http.sample is not None:
                Http.sample.write_bytes(request)
                Http.sample = None
            asyncio.get_running_loop().call_later(Http.delay, self._answer, b"ok")

    def _answer(self, body: bytes) -> None:
        head = (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n"
        )
        self._transport.write(head % len(body) + body)


def content_length(head: bytes) -> int:
    """Return how long a request's body is."""
    for line in head.lower().split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == b"content-length":
            return int(value)
    return 0


async def serve_http(milliseconds: str, sample: str = "") -> None:
    """Answer for ever."""
    Http.delay = float(milliseconds) / 1000
    Http.sample = Path(sample) if sample else None
    await serve(Http)


class Mailbox:
    """What aiosmtpd hands each mail to."""

    def __init__(self, file: Path) -> None:
        self._file = file

    async def handle_DATA(self, _: object, __: object, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        """Take the mail."""
        if not self._file.exists():
            assert isinstance(envelope.content, bytes)
            self._file.write_bytes(envelope.content)
        return "250 OK"


async def serve_smtp(file: str) -> None:
    """Take mail for ever."""
    from aiosmtpd.smtp import SMTP

    mailbox = Mailbox(Path(file))
    await serve(lambda: SMTP(mailbox, hostname="localhost", enable_SMTPUTF8=True))


async def serve(protocol: Callable[[], asyncio.BaseProtocol]) -> None:
    """Say which port it is, and serve."""
    server = await asyncio.get_running_loop().create_server(protocol, HOST, 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    kind, *words = sys.argv[1:]
    asyncio.run({"http": serve_http, "smtp": serve_smtp}[kind](*words))
