from __future__ import annotations

import email
import email.policy
import threading
from typing import TYPE_CHECKING, Literal

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable
    from email.message import EmailMessage

    from tocsin_email.testing._session import Act, MailSession

Stage = Literal[
    "greeting", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "dot", "noop"
]
"""What the server answers: the connection itself, a command, or the mail's end."""


@attrs.frozen
class ReceivedMail:
    """A mail that the server took, and its envelope."""

    sender: str
    recipients: tuple[str, ...]
    raw: bytes = attrs.field(repr=lambda raw: f"<{len(raw)} bytes>")
    """What came between DATA and the dot."""

    @property
    def message(self) -> EmailMessage:
        """The mail, parsed."""
        return email.message_from_bytes(self.raw, policy=email.policy.default)

    @property
    def text(self) -> str:
        """The text/plain part, with a line feed at each line's end."""
        return self._part("plain")

    @property
    def html(self) -> str:
        """The text/html part, with a line feed at each line's end."""
        return self._part("html")

    def _part(self, kind: Literal["plain", "html"]) -> str:
        part = self.message.get_body((kind,))
        content = "" if part is None else str(part.get_content())
        return content.replace("\r\n", "\n")


@attrs.frozen
class Fault:
    """What goes wrong, once, at the next occasion."""

    stage: Stage
    act: Act
    reply: str = ""
    address: str = ""
    """Only a command that holds it is meant."""


class Book:
    """What a server and its connections share: what is to come, and what came."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.connections = 0
        self.sessions: set[MailSession] = set()
        self.messages: list[ReceivedMail] = []
        self.commands: list[str] = []
        self._faults: list[Fault] = []

    def plan(self, fault: Fault) -> None:
        """Let it come."""
        with self.changed:
            self._faults.append(fault)

    def due(self, stage: Stage, argument: str = "") -> Fault | None:
        """Take out the first fault that is planned for this."""
        with self.changed:
            for fault in self._faults:
                if fault.stage == stage and fault.address in argument:
                    self._faults.remove(fault)
                    return fault
        return None

    def opened(self, session: MailSession) -> None:
        """Count a connection; it may be told twice."""
        with self.changed:
            self.connections += session not in self.sessions
            self.sessions.add(session)

    def ended(self, session: MailSession) -> None:
        """Forget a connection; it may be told twice."""
        with self.changed:
            self.sessions.discard(session)
            self.changed.notify_all()

    def heard(self, command: str) -> None:
        """Keep a command's verb."""
        with self.changed:
            self.commands.append(command)

    def received(self, mail: ReceivedMail) -> None:
        """Keep a mail."""
        with self.changed:
            self.messages.append(mail)
            self.changed.notify_all()

    def wait(self, is_done: Callable[[], bool], timeout: float) -> bool:
        """Wait until something holds of the book; False when time is up."""
        with self.changed:
            return self.changed.wait_for(is_done, timeout)
