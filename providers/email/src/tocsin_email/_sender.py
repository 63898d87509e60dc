from __future__ import annotations

import contextlib
import ssl
import time
from typing import TYPE_CHECKING

import attrs

from tocsin_email._connection import Connection, Interrupted
from tocsin_email._letterhead import Letterhead
from tocsin_email._message import compose, without_attachments
from tocsin_email._outcome import Outcome, unreadable
from tocsin_email._progress import Progress
from tocsin_email._thread import message_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tocsin import Delivery, Message, Receipt
    from tocsin_email._provider import Email
    from tocsin_email._reply import Reply

MAX_IDLE = 30.0
"""Seconds after which a connection is not used again: a firewall may have dropped it, and
then the next mail would wait for an answer until its time is over."""


class MailSender:
    """Sends mail over one connection, which is made for the first and kept for the next."""

    def __init__(self, settings: Email, *, max_idle: float = MAX_IDLE) -> None:
        self._settings = settings
        self._letterhead = Letterhead.of(settings)
        self._max_idle = max_idle
        self._context: ssl.SSLContext | None = None
        self._connection: Connection | None = None
        self._used_at = 0.0

    def deliver(self, message: Message, delivery: Delivery) -> Receipt:
        """Send the mail to whom it is owed."""
        deadline = time.monotonic() + delivery.timeout
        outcome = Outcome(
            settings=self._settings,
            progress=Progress.resume(delivery.state, self._letterhead.recipients),
            has_attachments=bool(message.attachments),
        )
        if outcome.progress.is_bare:
            message = without_attachments(message)
        content = compose(message, delivery, self._letterhead)
        replies, outcome = self._sent(content, outcome, deadline)
        return outcome.concluded(replies, message_id(delivery, self._letterhead.domain))

    def check(self, timeout: float) -> str:
        """Connect, log in, ask whether the server is there, and leave."""
        everyone = Progress.resume({}, ())
        with _explained(Outcome(settings=self._settings, progress=everyone)):
            connection = self._connect(time.monotonic() + timeout)
            connection.ask()
        seen = _seen(connection, self._settings)
        connection.leave()
        return seen

    def close(self) -> None:
        """Say goodbye to the server."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.leave()

    def _sent(
        self, content: bytes, outcome: Outcome, deadline: float
    ) -> tuple[dict[str, Reply], Outcome]:
        """Send the mail; return the server's last word on each, and what it comes to."""
        with _explained(outcome):
            connection, replies = self._announced(content, outcome.progress, deadline)
        progress = outcome.progress.refuse(replies)
        accepted = [who for who, reply in replies.items() if reply.is_success]
        if not accepted:
            connection.leave()
            return replies, attrs.evolve(outcome, progress=progress)
        outcome = attrs.evolve(outcome, progress=progress, stage="data")
        with _explained(outcome):
            reply = connection.transmit(content)
        self._keep(connection, reply)
        if reply.is_about_size and outcome.can_shed:
            raise outcome.too_large(reply)
        replies |= dict.fromkeys(accepted, reply)
        progress = progress.refuse(replies).deliver(replies)
        return replies, attrs.evolve(outcome, progress=progress)

    def _announced(
        self, content: bytes, progress: Progress, deadline: float
    ) -> tuple[Connection, dict[str, Reply]]:
        """Announce the mail; over a new connection if the server hung up the kept one."""
        author = self._letterhead.author
        kept = self._kept(deadline)
        if kept is not None:
            try:
                return kept, kept.announce(author, progress.owed, content)
            except Interrupted as interrupted:
                if not interrupted.is_stale:
                    raise
        connection = self._connect(deadline)
        return connection, connection.announce(author, progress.owed, content)

    def _kept(self, deadline: float) -> Connection | None:
        kept = self._connection
        is_idle = time.monotonic() - self._used_at > self._max_idle
        if kept is None or is_idle or kept.is_inherited:
            self.close()
            return None
        self._connection = None  # it comes back when the mail is there
        kept.deadline = deadline
        return kept

    def _keep(self, connection: Connection, reply: Reply) -> None:
        """Keep the connection for the next mail, unless there was trouble."""
        if reply.is_success:
            self._connection, self._used_at = connection, time.monotonic()
        else:
            connection.leave()

    def _connect(self, deadline: float) -> Connection:
        settings = self._settings
        context = None if settings.tls == "none" else self._trust()
        connection = Connection(settings.host, settings.port, deadline=deadline)
        connection.dial(context if settings.tls == "implicit" else None)
        if context is not None and settings.tls == "starttls":
            connection.secure(context)
        if settings.username:
            connection.log_in(settings.username, settings.password)
        return connection

    def _trust(self) -> ssl.SSLContext:
        """Return what certificates are checked by; to make it takes 20 ms."""
        if self._context is None:
            ca_file = self._settings.ca_file
            try:
                context = ssl.create_default_context(cafile=ca_file or None)
            except OSError as error:
                raise unreadable(ca_file, error) from error
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            self._context = context
        return self._context


@contextlib.contextmanager
def _explained(outcome: Outcome) -> Iterator[None]:
    try:
        yield
    except Interrupted as interrupted:
        raise outcome.broken(interrupted) from interrupted.error


def _seen(connection: Connection, settings: Email) -> str:
    """Return a sentence on a server that took the login."""
    version = connection.tls_version.replace("TLSv", "TLS ")
    safety = f"over {version}" if version else "in the clear"
    who = f"logged in as {settings.username}" if settings.username else "no login"
    return f"{settings.host}:{settings.port} answers {safety}, {who}"
