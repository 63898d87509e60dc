from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, AnyStr

import attrs
from aiosmtpd.smtp import SMTP, Envelope, Session

from tocsin_email.testing._book import ReceivedMail

if TYPE_CHECKING:
    import ssl

    from tocsin_email.testing._book import Book, Stage

Act = Callable[["MailSession", str], Awaitable[None]]
"""What a session does in the place of an answer; it is given the reply, if any."""

_DRIP = 0.05  # seconds between two bytes


@attrs.frozen(kw_only=True)
class Terms:
    """What the server offers and asks for."""

    context: ssl.SSLContext | None
    """For STARTTLS; None when that is not offered."""
    username: str
    password: str
    without: frozenset[str]
    max_bytes: int

    def is_known(self, _mechanism: str, username: bytes, password: bytes) -> bool:
        """Say whether these are the username and the password."""
        known = self.username.encode(), self.password.encode()
        return (username, password) == known

    def offered(self, line: str) -> str:
        """Return a line of the answer to EHLO, or nothing when it is not offered."""
        keyword, *words = line[4:].split()
        if keyword in self.without or (keyword == "AUTH" and not self.username):
            return ""
        words = [word for word in words if word not in self.without]
        return line[:4] + " ".join([keyword, *words])


class MailSession(SMTP):
    """One connection: what is planned to go wrong comes before what would be right."""

    def __init__(self, book: Book, terms: Terms) -> None:
        self._book = book
        self._has_greeted = False
        self.gone = asyncio.Event()
        super().__init__(
            _Answers(book, terms),
            hostname="localhost",
            ident="MailDouble",
            data_size_limit=terms.max_bytes,
            enable_SMTPUTF8="SMTPUTF8" not in terms.without,
            tls_context=terms.context,
            auth_require_tls=terms.context is not None,
            auth_callback=terms.is_known,
            loop=asyncio.get_running_loop(),
        )

    async def push(self, status: AnyStr) -> None:
        """Send a line; the first is the greeting."""
        fault = None if self._has_greeted else self._book.due("greeting")
        self._has_greeted = True
        if fault is None:
            await super().push(status)
        else:
            await fault.act(self, fault.reply)

    async def smtp_EHLO(self, hostname: str) -> None:  # noqa: N802 - aiosmtpd's name, as below
        await self._answer("ehlo", "EHLO", super().smtp_EHLO, hostname)

    async def smtp_STARTTLS(self, arg: str) -> None:  # noqa: N802
        await self._answer("starttls", "STARTTLS", super().smtp_STARTTLS, arg)

    async def smtp_AUTH(self, arg: str) -> None:  # noqa: N802
        await self._answer("auth", "AUTH", super().smtp_AUTH, arg)

    async def smtp_MAIL(self, arg: str | None) -> None:  # noqa: N802
        await self._answer("mail", "MAIL", super().smtp_MAIL, arg or "")

    async def smtp_RCPT(self, arg: str | None) -> None:  # noqa: N802
        await self._answer("rcpt", "RCPT", super().smtp_RCPT, arg or "")

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        await self._answer("data", "DATA", super().smtp_DATA, arg)

    async def smtp_NOOP(self, arg: str) -> None:  # noqa: N802
        await self._answer("noop", "NOOP", super().smtp_NOOP, arg)

    async def smtp_QUIT(self, arg: str) -> None:  # noqa: N802
        self._book.heard("QUIT")
        await super().smtp_QUIT(arg)

    async def _answer(
        self,
        stage: Stage,
        command: str,
        answer: Callable[[str], Awaitable[None]],
        argument: str,
    ) -> None:
        self._book.heard(command)
        fault = self._book.due(stage, argument or "")
        if fault is None:
            await answer(argument)
        else:
            await fault.act(self, fault.reply)

    async def refuse(self, reply: str) -> None:
        """Answer with the reply; after a 421, close."""
        await self.push(reply)
        if reply.startswith("421") and self.transport is not None:
            self.transport.close()
            await _end()

    async def cut_short(self, _reply: str) -> None:
        """Ask for the mail, and close."""
        await self.push("354 go on")
        await self.hang_up("")

    async def hang_up(self, _reply: str) -> None:
        """Close."""
        self.abort()
        await _end()

    async def keep_silent(self, _reply: str) -> None:
        """Do nothing, until the client goes."""
        await _end()

    async def drip(self, _reply: str) -> None:
        """Send a byte, and after a while another, without end."""
        while True:
            self._writer.write(b"2")
            await asyncio.sleep(_DRIP)

    def abort(self) -> None:
        """Close at once."""
        for transport in (self.transport, self._original_transport):
            if isinstance(transport, asyncio.Transport):
                transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take note of the connection; after STARTTLS it is made once more."""
        super().connection_made(transport)
        self._book.opened(self)

    def connection_lost(self, error: Exception | None) -> None:
        """Take note that the connection has ended."""
        super().connection_lost(error)
        self._book.ended(self)
        self.gone.set()


async def _end() -> None:
    """Wait for the connection's end, which cancels whoever answers it."""
    await asyncio.Event().wait()


@attrs.frozen
class _Answers:
    """What aiosmtpd asks, for each command."""

    _book: Book
    _terms: Terms

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's name, as below
        self,
        _server: SMTP,
        session: Session,
        _envelope: Envelope,
        hostname: str,
        lines: list[str],
    ) -> list[str]:
        session.host_name = hostname
        return [offered for line in lines if (offered := self._terms.offered(line))]

    async def handle_AUTH(  # noqa: N802
        self, server: SMTP, session: Session, _envelope: Envelope, args: list[str]
    ) -> str | None:
        """Log in; aiosmtpd's own way logs a warning each time."""
        method = server.auth_PLAIN if args[0] == "PLAIN" else server.auth_LOGIN
        result = await method(None, args)
        if result.success:
            session.authenticated = True
            return "235 2.7.0 logged in"
        return None if result.handled else "535 5.7.8 wrong username or password"

    async def handle_MAIL(  # noqa: N802
        self,
        _server: SMTP,
        session: Session,
        envelope: Envelope,
        address: str,
        options: list[str],
    ) -> str:
        if self._terms.username and not session.authenticated:
            return "530 5.7.0 log in first"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 go on"

    async def handle_DATA(  # noqa: N802
        self, server: MailSession, _session: Session, envelope: Envelope
    ) -> str:
        fault = self._book.due("dot")
        if fault is not None and fault.reply:
            return fault.reply
        self._book.received(_mail(envelope))
        if fault is not None:
            await fault.act(server, "")
        return "250 2.0.0 taken"

    async def handle_exception(self, error: Exception) -> str:
        """Tell the client what went wrong; aiosmtpd's own way logs it as well."""
        return f"451 4.3.0 {type(error).__name__}"


def _mail(envelope: Envelope) -> ReceivedMail:
    return ReceivedMail(
        envelope.mail_from or "",
        tuple(envelope.rcpt_tos),
        envelope.original_content or b"",
    )
