from __future__ import annotations

import asyncio
import contextlib
import ssl
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import trustme

from tocsin_email.testing._book import Book, Fault
from tocsin_email.testing._session import MailSession, Terms

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from typing import Self

    from tocsin_email._provider import Tls
    from tocsin_email.testing._book import ReceivedMail, Stage

HOST = "127.0.0.1"


class MailDouble:
    """A real SMTP server that keeps what it is sent, and fails as it is told.

    It listens on the loopback interface, in a thread of its own::

        with MailDouble(username="ada", password="secret") as mail:
            mail.fail_next("rcpt", "550 5.1.1 no such user", address="b@example.org")
            ...  # send to mail.host and mail.port, and trust mail.ca_file
            received = mail.wait_for(1)

    Each thing that is to go wrong does so once, at the next occasion. With a username,
    mail is taken only from who logged in.
    """

    def __init__(
        self,
        *,
        tls: Tls = "starttls",
        username: str = "",
        password: str = "",
        without: Collection[str] = (),
        max_bytes: int = 32 * 1024 * 1024,
        certificate_for: Iterable[str] = ("localhost", HOST),
    ) -> None:
        """Make a server; `start` it, or use it in a ``with`` statement.

        `without` names what is not offered: STARTTLS, AUTH, SMTPUTF8, SIZE, or a way to
        log in, PLAIN or LOGIN. `max_bytes` is the largest mail that is taken.
        """
        self.host = HOST
        self.port = 0
        """Known once the server is started."""
        self.ca_file = ""
        """The certificate of the authority that signed the server's, from start to end."""
        self._tls = tls
        self._certificate_for = tuple(certificate_for)
        self._terms = Terms(
            context=None,
            username=username,
            password=password,
            without=frozenset(name.upper() for name in without),
            max_bytes=max_bytes,
        )
        self._book = Book()
        self._stack = contextlib.ExitStack()

    @property
    def messages(self) -> list[ReceivedMail]:
        """The mails so far, oldest first."""
        return list(self._book.messages)

    @property
    def commands(self) -> list[str]:
        """The verbs of the commands so far, oldest first: EHLO, STARTTLS, AUTH, MAIL."""
        return list(self._book.commands)

    @property
    def connections(self) -> int:
        """How many there were in all."""
        return self._book.connections

    @property
    def open_connections(self) -> int:
        """How many there are now."""
        return len(self._book.sessions)

    def wait_for(self, count: int, timeout: float = 5.0) -> list[ReceivedMail]:
        """Return the mails once there are so many.

        Raises:
            TimeoutError: There are fewer when time is up.

        """
        if not self._book.wait(lambda: len(self.messages) >= count, timeout):
            raise TimeoutError(f"{len(self.messages)} mails came, not {count}")
        return self.messages

    def wait_until_left(self, timeout: float = 5.0) -> None:
        """Wait until no connection is open.

        Raises:
            TimeoutError: One is when time is up.

        """
        if not self._book.wait(lambda: not self._book.sessions, timeout):
            raise TimeoutError(f"{self.open_connections} connections are open")

    def fail_next(self, stage: Stage, reply: str, *, address: str = "") -> None:
        """Answer with this reply, as "451 4.3.0 try later", and do nothing.

        After a 421 the connection is closed. With an address, only a command that holds
        it is meant.
        """
        self._book.plan(Fault(stage, MailSession.refuse, reply, address))

    def close_at(self, stage: Stage) -> None:
        """Close the connection in the place of an answer."""
        self._book.plan(Fault(stage, MailSession.hang_up))

    def close_before_dot(self) -> None:
        """Ask for the mail, and close the connection before it is there."""
        self._book.plan(Fault("data", MailSession.cut_short))

    def close_after_dot(self) -> None:
        """Keep the mail, and close the connection before that is confirmed."""
        self._book.plan(Fault("dot", MailSession.hang_up))

    def hang(self, stage: Stage) -> None:
        """Do not answer; at the dot, the mail is kept."""
        self._book.plan(Fault(stage, MailSession.keep_silent))

    def drip(self, stage: Stage) -> None:
        """Answer twenty bytes a second, without end; at the dot, the mail is kept."""
        self._book.plan(Fault(stage, MailSession.drip))

    def drop_connections(self) -> None:
        """Close all connections, as a server does with those that are idle."""
        asyncio.run_coroutine_threadsafe(self._drop(), self._loop).result()

    def start(self) -> Self:
        """Start to listen."""
        context = self._certified()
        started = threading.Event()
        thread = threading.Thread(
            target=self._run, args=(context, started), daemon=True
        )
        thread.start()
        started.wait()
        self._stack.callback(thread.join)
        self._stack.callback(self._loop.call_soon_threadsafe, self._stop.set)
        return self

    def close(self) -> None:
        """Close all connections, and stop."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _certified(self) -> ssl.SSLContext:
        """Return a context with a certificate from an authority of our own."""
        authority = trustme.CA()
        folder = self._stack.enter_context(tempfile.TemporaryDirectory())
        self.ca_file = str(Path(folder, "authority.pem"))
        authority.cert_pem.write_to_path(self.ca_file)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*self._certificate_for).configure_cert(context)
        return context

    def _run(self, context: ssl.SSLContext, started: threading.Event) -> None:
        try:
            asyncio.run(self._serve(context, started))
        finally:
            started.set()

    async def _serve(self, context: ssl.SSLContext, started: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        # a client that goes in the middle of a sentence is what tests are about
        self._loop.set_exception_handler(lambda _loop, _trouble: None)
        is_implicit = self._tls == "implicit"
        server = await self._loop.create_server(
            lambda: self._session(context),
            self.host,
            0,
            ssl=context if is_implicit else None,
        )
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        await self._stop.wait()
        server.close()
        await self._drop()

    def _session(self, context: ssl.SSLContext) -> MailSession:
        offers_tls = self._tls == "starttls" and "STARTTLS" not in self._terms.without
        terms = attrs.evolve(self._terms, context=context if offers_tls else None)
        return MailSession(self._book, terms)

    async def _drop(self) -> None:
        sessions = list(self._book.sessions)
        for session in sessions:
            session.abort()
        for session in sessions:
            await session.gone.wait()
