"""The double, seen by another client than ours."""

import smtplib
import ssl
import threading

import pytest

from tocsin_email.testing import MailDouble

MAIL = "Subject: hello\r\n\r\n.dot\r\nhello\r\n"


@pytest.fixture
def client(mail):
    with smtplib.SMTP(mail.host, mail.port, timeout=5) as client:
        yield client


def send(client, *to):
    return client.sendmail("t@example.org", to or ["a@example.org"], MAIL)


def test_received(mail, client):
    """What is received is kept, with its envelope."""
    send(client, "a@example.org", "b@example.org")

    [received] = mail.messages
    assert received.sender == "t@example.org"
    assert received.recipients == ("a@example.org", "b@example.org")
    assert received.message["Subject"] == "hello"
    assert received.text == ".dot\nhello\n"
    assert received.html == ""
    assert received.raw == MAIL.encode()


def test_tls(mail):
    """Its certificate holds for who trusts its authority."""
    context = ssl.create_default_context(cafile=mail.ca_file)
    with smtplib.SMTP(mail.host, mail.port, timeout=5) as client:
        client.starttls(context=context)

        assert client.noop()[0] == 250


@pytest.mark.parametrize("method", ["PLAIN", "LOGIN"])
def test_login(method):
    """With a username, mail is taken only from who logged in."""
    without = {"PLAIN", "LOGIN"} - {method}
    login = {"username": "ada", "password": "hunter2"}
    with (
        MailDouble(tls="none", without=without, **login) as mail,
        smtplib.SMTP(mail.host, mail.port, timeout=5) as client,
    ):
        with pytest.raises(smtplib.SMTPSenderRefused, match="530"):
            send(client)
        with pytest.raises(smtplib.SMTPAuthenticationError, match="535"):
            client.login("ada", "hunter3")
        client.login("ada", "hunter2")
        send(client)

        assert len(mail.messages) == 1


def test_login_needs_tls():
    """Where there is TLS, no login is offered before it."""
    with (
        MailDouble(username="ada", password="hunter2") as mail,
        smtplib.SMTP(mail.host, mail.port, timeout=5) as client,
    ):
        client.ehlo()

        assert client.has_extn("starttls")
        assert not client.has_extn("auth")


@pytest.mark.parametrize("extension", ["STARTTLS", "AUTH", "SMTPUTF8", "SIZE"])
def test_without(extension):
    """What is left out is not offered."""
    with (
        MailDouble(without=[extension]) as mail,
        smtplib.SMTP(mail.host, mail.port, timeout=5) as client,
    ):
        client.ehlo()

        assert not client.has_extn(extension)


def test_fails_once(mail, client):
    """A fault comes once, for the address that is meant."""
    mail.fail_next("rcpt", "550 5.1.1 no such user", address="b@example.org")

    refused = send(client, "a@example.org", "b@example.org")
    assert refused == {"b@example.org": (550, b"5.1.1 no such user")}
    assert send(client, "a@example.org", "b@example.org") == {}


def test_faults_add_up(mail, client):
    """Faults of one stage come one after the other."""
    mail.fail_next("mail", "451 first")
    mail.fail_next("mail", "452 second")

    for words in ("451", "452"):
        with pytest.raises(smtplib.SMTPSenderRefused, match=words):
            send(client)
    assert send(client) == {}


def test_refused_mail(mail, client):
    """A mail that is refused at its end is not kept."""
    mail.fail_next("dot", "554 5.7.1 spam")

    with pytest.raises(smtplib.SMTPDataError, match="spam"):
        send(client)

    assert mail.messages == []


@pytest.mark.parametrize(
    ("script", "count"), [("close_before_dot", 0), ("close_after_dot", 1)]
)
def test_close(mail, script, count):
    """The connection breaks before or after the mail is there."""
    getattr(mail, script)()
    client = smtplib.SMTP(mail.host, mail.port, timeout=5)

    with pytest.raises(smtplib.SMTPServerDisconnected):
        send(client)

    assert len(mail.messages) == count


def test_421(mail):
    """After a 421 the connection is closed."""
    mail.fail_next("noop", "421 4.3.2 bye")
    client = smtplib.SMTP(mail.host, mail.port, timeout=5)

    assert client.noop()[0] == 421
    with pytest.raises(smtplib.SMTPServerDisconnected):
        client.noop()


def test_drop_connections(mail, client):
    """All connections are closed, and counted still."""
    client.noop()

    mail.drop_connections()

    assert mail.open_connections == 0
    assert mail.connections == 1
    with pytest.raises(smtplib.SMTPServerDisconnected):
        client.noop()


def test_wait_for(mail, client):
    """It waits for mails, which may come from another thread."""
    thread = threading.Thread(target=send, args=(client,))
    thread.start()

    assert len(mail.wait_for(1)) == 1
    thread.join()


def test_wait_in_vain(mail, client):
    """A wait for what does not come ends with an error that says what came."""
    client.noop()

    with pytest.raises(TimeoutError, match="0 mails came, not 1"):
        mail.wait_for(1, timeout=0.01)
    with pytest.raises(TimeoutError, match="1 connections are open"):
        mail.wait_until_left(timeout=0.01)


def test_again():
    """A double ends with no trace, whatever its clients do."""
    before = threading.active_count()
    with MailDouble(tls="implicit") as mail:
        with pytest.raises(ssl.SSLError):
            smtplib.SMTP_SSL(mail.host, mail.port, context=ssl.create_default_context())
        mail.hang("noop")
        trusting = ssl.create_default_context(cafile=mail.ca_file)
        client = smtplib.SMTP_SSL(mail.host, mail.port, context=trusting, timeout=0.1)
        with pytest.raises(smtplib.SMTPServerDisconnected):
            client.noop()

    assert threading.active_count() == before
