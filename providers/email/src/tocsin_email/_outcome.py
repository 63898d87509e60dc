"""What came of an attempt, in words for people, with what to do about it. Pure."""

from __future__ import annotations

import smtplib
import ssl
from typing import TYPE_CHECKING

import attrs

from tocsin import (
    Ambiguous,
    DeliveryError,
    OutOfOrder,
    Receipt,
    Rejected,
    RetryLater,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tocsin_email._connection import Interrupted, Stage
    from tocsin_email._progress import Progress
    from tocsin_email._provider import Email
    from tocsin_email._reply import Reply

_DOING: Mapping[Stage, str] = {
    "lookup": "being looked up",
    "connect": "being called",
    "greeting": "greeting",
    "tls": "turning to TLS",
    "login": "checking the login",
    "sender": "hearing of the sender",
    "recipients": "hearing of the recipients",
    "data": "taking the mail",
    "dot": "confirming the mail",
}
_OBJECT: Mapping[Stage, str] = {
    "lookup": "the call",
    "connect": "the call",
    "greeting": "the greeting",
    "tls": "TLS",
    "login": "the login",
    "sender": "the sender",
    "recipients": "the recipients",
    "data": "the mail",
    "dot": "the mail",
}
_BEFORE_THE_MAIL = frozenset(["greeting", "tls", "login", "sender"])
"""A refusal for good there is not about this mail: the next one would get it as well."""
_UNREADABLE = "check ca_file: a file of certificates in PEM form"


@attrs.frozen(kw_only=True)
class Outcome:
    """Says what came of one attempt at a mail.

    What every other mail of the channel would meet as well is `OutOfOrder`: a login or
    a sender that is refused for good, STARTTLS that is not offered, a certificate that
    does not hold. For the last two, either the settings are wrong or someone stands
    between. Both need a person, who is told of a failed delivery at once and can replay
    it, but of a retried one only after a day. Whoever stands between could as well
    refuse the recipients for good, so that trying again would protect nothing.
    """

    settings: Email
    progress: Progress
    """How far the mail has come, this attempt included."""
    has_attachments: bool = False
    stage: Stage = "recipients"
    """What the last replies were to."""

    def broken(self, broken: Interrupted) -> DeliveryError:
        """Return the error for a talk that ended before its time."""
        error, stage = broken.error, broken.stage
        if stage == "dot":
            return Ambiguous(
                f"{self._server} took the mail, and the connection broke before it "
                f"confirmed it ({_words(error)})",
                state=self.progress.state,
            )
        if broken.reply is not None:
            return self._refused(broken.reply, stage)
        if isinstance(error, smtplib.SMTPNotSupportedError):
            return self._missing(stage, str(error))
        if isinstance(error, ssl.SSLError) and stage == "tls":
            return self._untrusted(error)
        return self._unreachable(error, stage)

    def concluded(self, replies: Mapping[str, Reply], reference: str) -> Receipt:
        """Return the receipt, if each recipient has the mail or was refused it for good.

        Raises:
            RetryLater: Some wait for it still.
            Rejected: All were refused it for good.

        """
        if self.progress.owed:
            raise RetryLater(
                f"{self._server} put off {_told(replies, self.progress.owed)}",
                state=self.progress.state,
            )
        if not self.progress.delivered:
            reply = next(iter(replies.values()))
            raise Rejected(
                f"{self._server} refused {_listed(self.progress.refused)}",
                remedy=self._remedy(reply, self.stage),
            )
        return Receipt(
            reference=reference,
            place=", ".join(self.progress.delivered),
            note=self._note(),
        )

    @property
    def can_shed(self) -> bool:
        """Whether the mail gets smaller by leaving its attachments out."""
        return self.has_attachments and not self.progress.is_bare

    def too_large(self, reply: Reply) -> RetryLater:
        """Return the error that asks for one more attempt, without the attachments."""
        return RetryLater(
            f"{self._server} found the mail too large: {reply}",
            after=0,
            state=attrs.evolve(self.progress, is_bare=True).state,
        )

    @property
    def _server(self) -> str:
        return f"{self.settings.host}:{self.settings.port}"

    def _note(self) -> str:
        notes = []
        if self.progress.refused:
            notes.append(f"refused: {_listed(self.progress.refused)}")
        if self.progress.is_bare:
            notes.append(
                "sent without its attachments, which the server finds too large"
            )
        return "; ".join(notes)

    def _refused(self, reply: Reply, stage: Stage) -> DeliveryError:
        if reply.is_about_size and self.can_shed:
            return self.too_large(reply)
        remedy = self._remedy(reply, stage)
        if reply.is_final:
            reason = f"{self._server} refused {_OBJECT[stage]}: {reply}"
            if stage in _BEFORE_THE_MAIL and not reply.is_about_size:
                return OutOfOrder(reason, remedy=remedy)
            return Rejected(reason, remedy=remedy)
        reason = f"{self._server} put off {_OBJECT[stage]}: {reply}"
        return RetryLater(reason, state=self.progress.state, remedy=remedy)

    def _remedy(self, reply: Reply, stage: Stage) -> str:
        if reply.is_about_size:
            return "send less text, or let the server take larger mails"
        if stage in {"sender", "recipients"} and not self.settings.username:
            return "check to and sender; perhaps the server wants username and password"
        return {
            "login": "check username and password: many services want a password that "
            "is made for this use (an app password)",
            "sender": f"let {self.settings.username} send as {self.settings.sender} at "
            "the mail service, or change sender",
            "recipients": "check the addresses in to",
            "data": "ask the mail service what it minds: the words are its own",
            "greeting": "ask the server's operator whether it takes mail from here",
        }.get(stage, "")

    def _missing(self, stage: Stage, offered: str) -> OutOfOrder:
        """Return the error for what the server does not offer."""
        if stage == "tls":
            return OutOfOrder(
                f"{self._server} does not offer STARTTLS, so that nothing was sent: it "
                "would have gone in the clear",
                remedy='check port; if it is 465, set tls = "implicit". If the server '
                "does offer STARTTLS elsewhere, somebody in between takes it away",
            )
        if stage == "login":
            return OutOfOrder(
                f"{self._server} offers no login by password"
                + (f", only {offered}" if offered else ""),
                remedy="use another port or server, or remove username and password",
            )
        return OutOfOrder(
            f"{self._server} takes no address that is not ASCII (SMTPUTF8)",
            remedy="use ASCII addresses in to and sender, or another server",
        )

    def _untrusted(self, error: ssl.SSLError) -> DeliveryError:
        if isinstance(error, ssl.SSLCertVerificationError):
            return OutOfOrder(
                f"the certificate of {self._server} does not hold, so that nothing was "
                f"sent: {error.verify_message.rstrip('.')}",
                remedy="set host to a name in the certificate; if a private authority "
                "signed it, set ca_file to that authority's certificate",
            )
        if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return self._unreachable(error, "tls")
        return OutOfOrder(
            f"{self._server} does not speak TLS as expected ({_words(error)})",
            remedy='tls = "implicit" is for port 465, "starttls" for 587 and 25',
        )

    def _unreachable(self, error: OSError, stage: Stage) -> RetryLater:
        return RetryLater(
            self._trouble(error, stage),
            state=self.progress.state,
            remedy=self._where_to_look(stage),
        )

    def _trouble(self, error: OSError, stage: Stage) -> str:
        if isinstance(error, TimeoutError):
            return f"{self._server} did not answer in time, when {_DOING[stage]}"
        if stage in {"lookup", "connect"}:
            return f"{self._server} cannot be reached ({_words(error)})"
        return f"{self._server} broke off when {_DOING[stage]} ({_words(error)})"

    def _where_to_look(self, stage: Stage) -> str:
        if stage == "lookup":
            return "check host: the name does not resolve"
        if stage == "connect":
            return "check host and port, and that no firewall is between"
        if stage == "greeting" and self.settings.tls != "implicit":
            return 'check port and tls: port 465 needs tls = "implicit"'
        return ""


def unreadable(ca_file: str, error: OSError) -> OutOfOrder:
    """Return the error for a file of certificates that cannot be read."""
    return OutOfOrder(f"{ca_file} cannot be read ({_words(error)})", remedy=_UNREADABLE)


def _listed(refused: Mapping[str, str]) -> str:
    return ", ".join(f"{who} ({words})" for who, words in refused.items())


def _told(replies: Mapping[str, Reply], owed: tuple[str, ...]) -> str:
    return _listed({who: str(replies[who]) for who in owed if who in replies})


def _words(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
