import socket
import ssl

import pytest

from tocsin import Ambiguous, Attachment, OutOfOrder, Rejected, RetryLater, Secret
from tocsin_email import Email
from tocsin_email._connection import Interrupted
from tocsin_email._outcome import Outcome
from tocsin_email._progress import Progress
from tocsin_email.testing import MailDouble

LOGIN = {"username": "ada", "password": "hunter2"}


def outcome(**settings):
    values = {"to": "a@example.org", "sender": "t@example.org", "host": "mail.test"}
    email = Email(**values | settings)
    return Outcome(settings=email, progress=Progress.resume({}, ["a@example.org"]))


@pytest.mark.parametrize(
    ("stage", "reply", "error", "words", "remedy"),
    [
        ("greeting", "554 5.7.1 go away", OutOfOrder, "554 5.7.1 go away", "operator"),
        ("greeting", "521 no mail here", OutOfOrder, "521 no mail here", "operator"),
        ("greeting", "421 4.3.2 busy", RetryLater, "put off the greeting: 421", ""),
        ("ehlo", "421 4.3.2 busy", RetryLater, "broke off when greeting", ""),
        ("starttls", "454 4.7.0 not now", RetryLater, "put off TLS: 454", ""),
        ("starttls", "502 no", OutOfOrder, "refused TLS: 502 no", ""),
        ("mail", "451 4.3.0 later", RetryLater, "put off the sender: 451", ""),
        ("mail", "421 4.7.0 too many", RetryLater, "put off the sender: 421", ""),
        (
            "mail",
            "550 5.7.1 no",
            OutOfOrder,
            "refused the sender: 550",
            "to and sender",
        ),
        ("mail", "553 5.1.8 who?", OutOfOrder, "refused the sender: 553", "sender"),
        ("mail", "530 5.7.0 log in", OutOfOrder, "530", "username and password"),
        ("mail", "552 5.3.4 big", Rejected, "552 5.3.4 big", "send less text"),
        ("rcpt", "450 4.2.1 later", RetryLater, r"put off ada@.*\(450 4.2.1 l", ""),
        ("rcpt", "421 4.3.2 bye", RetryLater, "put off the recipients: 421", ""),
        ("rcpt", "550 5.1.1 who?", Rejected, r"ada@.*\(550 5.1.1 who\?", "check to"),
        ("data", "451 4.3.0 later", RetryLater, r"put off ada@.*\(451", ""),
        ("data", "554 5.7.1 no", Rejected, r"refused ada@.*\(554", "mail service"),
        ("dot", "451 4.3.0 later", RetryLater, r"put off ada@.*\(451", ""),
        ("dot", "554 5.7.1 spam", Rejected, r"refused ada@.*\(554", "mail service"),
        ("dot", "552 5.3.4 big", Rejected, r"refused ada@.*\(552", "larger mails"),
        ("dot", "354 what", Ambiguous, "before it confirmed it", ""),
        ("dot", "what", Ambiguous, "no SMTP reply", ""),
    ],
)
def test_replies(mail, send, *, stage, reply, error, words, remedy):
    """4xx is tried again, 5xx is final, and both are told in the server's words.

    What is refused for good before the mail is spoken of, the next mail would meet too.
    """
    mail.fail_next(stage, reply)

    with pytest.raises(error, match=words) as told:
        send(mail)

    assert type(told.value) is error
    assert remedy in told.value.remedy


@pytest.mark.parametrize(
    ("reply", "error", "remedy"),
    [
        ("535 5.7.8 wrong", OutOfOrder, "app password"),
        (
            "534 5.7.9 application-specific password required",
            OutOfOrder,
            "app password",
        ),
        ("454 4.7.0 temporary authentication failure", RetryLater, ""),
        ("432 4.7.12 a password transition is needed", RetryLater, ""),
    ],
)
def test_login_replies(send, reply, error, remedy):
    """A wrong password stops the channel; trouble with the server's list of them is not."""
    with MailDouble(username="ada", password="hunter2") as mail:
        mail.fail_next("auth", reply)

        with pytest.raises(error, match=f"the login: {reply[:12]}") as told:
            send(mail, username="ada", password=Secret("hunter2"))

    assert remedy in told.value.remedy


def test_wrong_password(send):
    """The server's own word on a wrong password stops the channel."""
    with (
        MailDouble(**LOGIN) as mail,
        pytest.raises(OutOfOrder, match=r"535 5\.7\.8 wrong username or pass"),
    ):
        send(mail, username="ada", password=Secret("hunter3"))


def test_login_is_wanted(send):
    """A server that wants a login is a matter of settings."""
    with (
        MailDouble(**LOGIN) as mail,
        pytest.raises(OutOfOrder, match=r"530 5\.7\.0 log in first") as told,
    ):
        send(mail)

    assert "the server wants username and password" in told.value.remedy


@pytest.mark.parametrize("stage", ["greeting", "ehlo", "starttls", "mail", "rcpt"])
def test_hang_up_before(mail, send, stage):
    """A connection that breaks before the mail is sent is tried again."""
    mail.close_at(stage)

    with pytest.raises(RetryLater, match="broke off when") as told:
        send(mail)

    assert told.value.state["owed"] == ["ada@example.org"]
    assert mail.messages == []


def test_hang_up_during(mail, send):
    """A connection that breaks while the mail is sent is tried again."""
    mail.close_before_dot()

    with pytest.raises(RetryLater, match="broke off when taking the mail"):
        send(mail, attachments=[Attachment("a.bin", b"x" * 4_000_000)])


def test_hang_up_after(mail, send):
    """A connection that breaks before the mail is confirmed leaves it open."""
    mail.close_after_dot()

    with pytest.raises(Ambiguous, match="before it confirmed it") as told:
        send(mail)

    assert told.value.state["owed"] == ["ada@example.org"]
    assert len(mail.wait_for(1)) == 1


@pytest.mark.parametrize("stage", ["greeting", "ehlo", "starttls", "mail", "rcpt"])
def test_silence_before(mail, send, stage):
    """A server that does not answer before the mail is sent is tried again."""
    mail.hang(stage)

    with pytest.raises(RetryLater, match="did not answer in time, when"):
        send(mail, timeout=0.2)


def test_silence_after(mail, send):
    """A server that does not confirm the mail leaves it open."""
    mail.hang("dot")

    with pytest.raises(Ambiguous, match="before it confirmed it"):
        send(mail, timeout=0.2)


def test_nobody_there(send):
    """A server that is down is tried again."""
    with MailDouble() as mail:
        pass

    with pytest.raises(RetryLater, match=r"cannot be reached \(Connection ref") as told:
        send(mail, ca_file="")

    assert "check host and port" in told.value.remedy


def test_no_such_host():
    """A name that does not resolve is tried again: the network may be down."""
    error = socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    told = outcome().broken(Interrupted("lookup", error))

    assert isinstance(told, RetryLater)
    assert told.reason == "mail.test:587 cannot be reached (Name or service not known)"
    assert told.remedy == "check host: the name does not resolve"


def test_starttls_is_gone(send):
    """Without STARTTLS nothing is sent: not the mail, and not the password."""
    with MailDouble(without=["STARTTLS"], **LOGIN) as mail:
        with pytest.raises(OutOfOrder, match="does not offer STARTTLS") as told:
            send(mail, username="ada", password=Secret("hunter2"))

        assert mail.commands == ["EHLO"]
        assert mail.messages == []
    assert 'tls = "implicit"' in told.value.remedy


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
@pytest.mark.parametrize(
    ("names", "trusts", "words"),
    [
        (["mail.example.org"], True, "IP address mismatch"),
        (["127.0.0.1"], False, "unable to get local issuer certificate|self.signed"),
    ],
)
def test_wrong_certificate(send, tls, names, trusts, words):
    """A certificate that is another's, or of a stranger, gets nothing."""
    with MailDouble(tls=tls, certificate_for=names) as mail:
        with pytest.raises(OutOfOrder, match=words) as told:
            send(mail, tls=tls, ca_file=mail.ca_file if trusts else "")

        assert set(mail.commands) <= {"EHLO", "STARTTLS"}
        assert mail.messages == []
    assert "set ca_file" in told.value.remedy


def test_no_tls_there(send):
    """TLS on a port that does not speak it is a matter of settings."""
    with (
        MailDouble(tls="none") as mail,
        pytest.raises(OutOfOrder, match="does not speak TLS as expected") as told,
    ):
        send(mail, tls="implicit")

    assert 'tls = "implicit" is for port 465' in told.value.remedy


def test_tls_breaks_off():
    """TLS that ends in the middle is tried again."""
    error = ssl.SSLEOFError(8, "EOF occurred in violation of protocol")

    assert isinstance(outcome().broken(Interrupted("tls", error)), RetryLater)


def test_implicit_is_meant(send):
    """A server that waits for TLS says nothing; the remedy says what that may be."""
    with (
        MailDouble(tls="implicit") as mail,
        pytest.raises(RetryLater, match="did not answer in time") as told,
    ):
        send(mail, timeout=0.2)

    assert 'port 465 needs tls = "implicit"' in told.value.remedy


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_ca_file(mail, send, tmp_path, content):
    """A file of certificates that cannot be read is a matter of settings."""
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)

    with pytest.raises(OutOfOrder, match=r"ca\.pem cannot be read") as told:
        send(mail, ca_file=str(path))

    assert "check ca_file" in told.value.remedy


def test_no_login_by_password(send):
    """A server that takes no passwords is named with what it takes."""
    with (
        MailDouble(without=["PLAIN", "LOGIN"], **LOGIN) as mail,
        pytest.raises(OutOfOrder, match="offers no login by password") as told,
    ):
        send(mail, username="ada", password=Secret("hunter2"))

    assert "remove username and password" in told.value.remedy


def test_ascii_only(send):
    """A server that takes ASCII alone does not get other addresses."""
    with (
        MailDouble(without=["SMTPUTF8"]) as mail,
        pytest.raises(OutOfOrder, match="not ASCII") as told,
    ):
        send(mail, to="ünï@example.org")

    assert "use ASCII addresses" in told.value.remedy
