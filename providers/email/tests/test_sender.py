import json
import os
import time

import pytest

from tocsin import (
    Ambiguous,
    Attachment,
    Earlier,
    Origin,
    OutOfOrder,
    Rejected,
    RetryLater,
    Secret,
)
from tocsin_email._sender import MailSender
from tocsin_email.testing import MailDouble

THREE = ["a@example.org", "b@example.org", "c@example.org"]


@pytest.fixture
def sender(mail, channel):
    sender = MailSender(channel(mail))
    yield sender
    sender.close()


@pytest.fixture
def post(sender, rendered, delivery):
    """Sends a mail over the one sender, which keeps its connection."""

    def attempt(delivery_id="d1", **alert):
        return sender.deliver(rendered(**alert), delivery(delivery_id))

    return attempt


def test_delivery(mail, send):
    """A mail arrives, and the receipt says under which id, and where."""
    receipt = send(mail, to=["Ada <ada@example.org>", "grace@example.org"])

    [received] = mail.wait_for(1)
    assert received.sender == "tocsin@example.org"
    assert received.recipients == ("ada@example.org", "grace@example.org")
    assert received.message["Subject"] == "[ERROR] Loss is NaN"
    assert "at step 12,400" in received.text
    assert "at step 12,400" in received.html
    assert receipt.reference == received.message["Message-ID"] == "<d1@example.org>"
    assert receipt.place == "ada@example.org, grace@example.org"
    assert receipt.note == ""


@pytest.mark.parametrize("tls", ["starttls", "implicit", "none"])
@pytest.mark.parametrize("without", [(), ("PLAIN",)])
def test_login(send, tls, without):
    """It logs in in each way, with any username and password."""
    login = {"username": "adä", "password": "pässwörd"}
    with MailDouble(tls=tls, without=without, **login) as mail:
        send(mail, tls=tls, username="adä", password=Secret("pässwörd"))

        assert len(mail.messages) == 1


def test_encrypted_before_login(send):
    """The login comes after TLS."""
    with MailDouble(username="ada", password="hunter2") as mail:
        send(mail, username="ada", password=Secret("hunter2"))

        assert mail.commands[:4] == ["EHLO", "STARTTLS", "EHLO", "AUTH"]


def test_dots(mail, post):
    """A line that begins with a dot, or is one, does not end the mail."""

    post(text="a\n.\n..\n.b\n\nc")

    assert "a\n.\n..\n.b\n\nc" in mail.messages[0].text


def test_large(mail, post):
    """A mail of many writes arrives whole."""
    text = "損失 loss\n" * 20_000

    post(text=text)

    assert text.strip() in mail.messages[0].text


def test_burst(mail, post):
    """A burst of mails goes over one connection, and nothing is asked in between."""

    for number in range(20):
        post(f"d{number}")

    assert len(mail.messages) == 20
    assert mail.connections == 1
    assert mail.commands == ["EHLO", "STARTTLS", "EHLO", *["MAIL", "RCPT", "DATA"] * 20]


@pytest.mark.parametrize(("threads", "is_thread"), [("run", True), ("", False)])
def test_run(mail, channel, rendered, delivery, *, threads, is_thread):
    """The mails of a run are one thread, unless each is to stand alone."""
    sender = MailSender(channel(mail, threads=threads))

    for name in ("d1", "d2"):
        sender.deliver(rendered(origin=Origin(run="r1")), delivery(name))
    sender.close()

    first, second = (received.message for received in mail.messages)
    assert first["References"] == second["References"]
    assert bool(first["In-Reply-To"]) == is_thread


def test_all_clear(mail, sender, rendered, delivery):
    """That an alert is over is a reply to its mail, whose id the receipt has."""
    message = rendered("Loss is NaN")
    receipt = sender.deliver(message, delivery("d1"))
    earlier = Earlier(message=message, receipt=receipt)

    sender.deliver(rendered("Over", level="INFO"), delivery("d2", resolves=earlier))

    first, second = mail.messages
    assert second.message["In-Reply-To"] == first.message["Message-ID"]
    assert second.message["Subject"] == f"Re: {first.message['Subject']}"
    assert second.text.startswith("This is over: [ERROR] Loss is NaN\n")
    assert "This is over: [ERROR] Loss is NaN<" in second.html


def test_all_clear_for_a_digest(mail, sender, rendered, delivery):
    """Where the alert was part of another mail, the reply is to that one."""
    receipt = sender.deliver(rendered("3 alerts"), delivery("d1"))

    sender.deliver(rendered("Over"), delivery("d2", thread=receipt))

    _, second = mail.messages
    assert second.message["In-Reply-To"] == receipt.reference
    assert second.message["Subject"] == "[ERROR] Over"


def test_connects_late(mail, sender):
    """A sender that has nothing to send does not connect."""
    sender.close()

    assert mail.connections == 0


def test_goodbye(mail, sender, post):
    """A sender that is closed says goodbye, and leaves no connection behind."""
    post()

    sender.close()

    mail.wait_until_left()
    assert mail.commands[-1] == "QUIT"


def test_dropped(mail, post):
    """When the server dropped the connection, the same attempt makes another."""
    post("d1")
    mail.drop_connections()

    post("d2")

    assert len(mail.messages) == mail.connections == 2


@pytest.mark.parametrize("stage", ["mail", "rcpt"])
def test_closing(mail, post, stage):
    """When the server closes a kept connection (421), the same attempt makes another."""
    post("d1")
    mail.fail_next(stage, "421 4.7.0 too many mails over this connection")

    post("d2")

    assert len(mail.messages) == mail.connections == 2


def test_reconnects_once(mail, post):
    """A second connection that is dropped as well is the end of the attempt."""
    post("d1")
    mail.drop_connections()
    mail.close_at("greeting")

    with pytest.raises(RetryLater, match="broke off when greeting"):
        post("d2")

    assert mail.connections == 2


def test_put_off(mail, post):
    """A refusal for now, over a kept connection, ends the attempt."""
    post("d1")
    mail.fail_next("mail", "451 4.3.0 later")

    with pytest.raises(RetryLater, match="put off the sender"):
        post("d2")

    assert mail.connections == 1


def test_out_of_order(mail, post):
    """A sender that is refused for good, over a kept connection too, stops the channel."""
    post("d1")
    mail.fail_next("mail", "550 5.7.1 not yours")

    with pytest.raises(OutOfOrder, match="refused the sender: 550"):
        post("d2")

    assert mail.connections == 1


def test_never_twice(mail, post):
    """After the mail was sent, the same attempt does not send it again."""
    post("d1")
    mail.close_after_dot()

    with pytest.raises(Ambiguous):
        post("d2")

    assert len(mail.messages) == 2
    assert mail.connections == 1


def test_idle(mail, channel, rendered, delivery):
    """A connection that was idle for long is closed, and not used again."""
    sender = MailSender(channel(mail), max_idle=-1.0)

    sender.deliver(rendered(), delivery("d1"))
    sender.deliver(rendered(), delivery("d2"))
    sender.close()

    mail.wait_until_left()
    assert mail.connections == mail.commands.count("QUIT") == 2


def test_after_trouble(mail, post):
    """A connection over which there was trouble is not used again."""
    mail.fail_next("rcpt", "450 4.2.1 later")
    with pytest.raises(RetryLater):
        post()

    post()

    assert mail.connections == 2
    assert mail.commands.count("QUIT") == 1


def test_forked(mail, post, monkeypatch):
    """A forked process neither uses nor ends the talk of its parent."""
    post("d1")
    monkeypatch.setattr(os, "getpid", lambda: -1)

    post("d2")

    assert mail.connections == 2
    assert "QUIT" not in mail.commands


def test_partial_refusal(mail, send):
    """Who was put off is tried again alone; who was refused for good is named."""
    mail.fail_next("rcpt", "550 5.1.1 no such user", address="b@example.org")
    mail.fail_next("rcpt", "450 4.2.1 try later", address="c@example.org")

    with pytest.raises(RetryLater, match=r"put off c@example.org \(450") as told:
        send(mail, to=THREE)
    state = json.loads(json.dumps(told.value.state))
    receipt = send(mail, to=THREE, state=state)

    assert state["owed"] == ["c@example.org"]
    assert state["refused"] == {"b@example.org": "550 5.1.1 no such user"}
    assert [received.recipients for received in mail.messages] == [
        ("a@example.org",),
        ("c@example.org",),
    ]
    assert receipt.place == "a@example.org, c@example.org"
    assert receipt.note == "refused: b@example.org (550 5.1.1 no such user)"


def test_some_refused(mail, send):
    """When the others have the mail, a refusal for good is told, and is a success."""
    mail.fail_next("rcpt", "550 5.1.1 no such user", address="b@example.org")

    receipt = send(mail, to=THREE)

    assert receipt.place == "a@example.org, c@example.org"
    assert "b@example.org (550 5.1.1 no such user)" in receipt.note


def test_all_refused(mail, send):
    """When nobody has the mail it is rejected, with each refusal."""
    for address in THREE:
        mail.fail_next("rcpt", f"550 5.1.1 no {address[0]}", address=address)

    with pytest.raises(Rejected, match=r"a@.*\(550 5.1.1 no a\), b@.*no b\), c@.*no c"):
        send(mail, to=THREE)

    assert "DATA" not in mail.commands


def test_refused_later(mail, send):
    """Who is refused for good at a later attempt is named beside those who have it."""
    mail.fail_next("rcpt", "450 4.2.1 later", address="b@example.org")
    with pytest.raises(RetryLater) as told:
        send(mail, to=THREE)
    mail.fail_next("rcpt", "550 5.1.1 no such user", address="b@example.org")

    receipt = send(mail, to=THREE, state=told.value.state)

    assert receipt.place == "a@example.org, c@example.org"
    assert len(mail.messages) == 1


def test_same_id(mail, send):
    """A mail whose confirmation was lost is sent again under the same Message-ID."""
    mail.close_after_dot()
    with pytest.raises(Ambiguous) as told:
        send(mail)

    send(mail, state=told.value.state)

    first, second = mail.wait_for(2)
    assert first.message["Message-ID"] == second.message["Message-ID"]


def test_owed_after_the_dot(mail, send):
    """When the confirmation is lost, who was refused for good is not tried again."""
    mail.fail_next("rcpt", "550 5.1.1 no such user", address="b@example.org")
    mail.close_after_dot()

    with pytest.raises(Ambiguous) as told:
        send(mail, to=THREE)

    assert told.value.state["owed"] == ["a@example.org", "c@example.org"]
    assert list(told.value.state["refused"]) == ["b@example.org"]


@pytest.mark.parametrize("without", [(), ("SIZE",)])
def test_too_large(send, without):
    """A mail that is too large goes without its attachments, and says so."""
    attachments = [Attachment("big.bin", b"x" * 100_000)]
    with MailDouble(max_bytes=50_000, without=without) as mail:
        with pytest.raises(RetryLater, match="too large: 552") as told:
            send(mail, attachments=attachments)

        receipt = send(mail, attachments=attachments, state=told.value.state)

        [received] = mail.messages
    assert told.value.after == 0
    assert "sent without its attachments" in receipt.note
    [part] = received.message.iter_attachments()
    assert "big.bin: 100,000 bytes" in part.get_content()


def test_international(mail, send):
    """An address that is not ASCII arrives as it is; a domain becomes ASCII."""
    send(mail, to=["ünï@example.org", "ada@bücher.example"])

    [received] = mail.messages
    assert received.recipients == ("ünï@example.org", "ada@xn--bcher-kva.example")


STAGES = ["greeting", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "dot"]


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("fault", ["hang", "drip"])
def test_total_time(send, stage, fault):
    """A server that hangs, or drips, takes no more than the attempt's time in total."""
    with MailDouble(username="ada", password="hunter2") as mail:
        getattr(mail, fault)(stage)
        began = time.monotonic()

        with pytest.raises(Ambiguous if stage == "dot" else RetryLater):
            send(mail, timeout=0.25, username="ada", password=Secret("hunter2"))

    assert 0.2 < time.monotonic() - began < 1.5


def test_no_time_left(mail, send):
    """With no time left there is no attempt."""
    with pytest.raises(RetryLater, match="did not answer in time"):
        send(mail, timeout=0.0)


def test_endless_reply(mail, send):
    """A reply without end is read up to a bound."""
    mail.fail_next("ehlo", "\r\n".join(["250-x" * 20] * 10_000))

    with pytest.raises(RetryLater, match="talks without end"):
        send(mail)


@pytest.mark.parametrize(
    ("tls", "words"),
    [
        ("starttls", "over TLS 1.3"),
        ("implicit", "over TLS 1.3"),
        ("none", "in the clear"),
    ],
)
def test_check(channel, tls, words):
    """A check connects, logs in and leaves; it sends nothing, and says what it saw."""
    with MailDouble(tls=tls, username="ada", password="hunter2") as mail:
        email = channel(mail, tls=tls, username="ada", password=Secret("hunter2"))

        said = email.check(5.0)

        mail.wait_until_left()
        assert said == f"127.0.0.1:{mail.port} answers {words}, logged in as ada"
        assert mail.commands[-2:] == ["NOOP", "QUIT"]
        assert "MAIL" not in mail.commands


def test_check_without_login(mail, channel):
    """A check of a channel without a login says so."""
    assert channel(mail).check(5.0).endswith(", no login")


def test_check_fails(mail, channel):
    """A check that fails says why, and what to do."""
    mail.fail_next("noop", "554 5.3.0 broken")

    with pytest.raises(OutOfOrder, match=r"554 5\.3\.0 broken"):
        channel(mail).check(5.0)


def test_check_in_time(mail, channel):
    """A check takes no more than its time."""
    mail.hang("noop")

    with pytest.raises(RetryLater, match="did not answer in time"):
        channel(mail).check(0.2)


def test_trust(sender):
    """TLS is 1.2 at least and always verified; what it takes is made once."""
    context = sender._trust()

    assert context.minimum_version.name == "TLSv1_2"
    assert context.check_hostname
    assert context.verify_mode.name == "CERT_REQUIRED"
    assert sender._trust() is context
