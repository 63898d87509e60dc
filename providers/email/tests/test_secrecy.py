"""A planted password is looked for in all that an attempt leaves behind."""

import base64
import logging
import pickle
import smtplib
import traceback

import pytest

from tocsin import DeliveryError, Secret, SecretUnavailable
from tocsin._secret import FromEnv
from tocsin_email._sender import MailSender
from tocsin_email.testing import MailDouble

CANARY = "c4nary-in-the-mine"
FORMS = [
    CANARY,
    base64.b64encode(CANARY.encode()).decode(),
    base64.b64encode(f"\0ada\0{CANARY}".encode()).decode(),
]
FAULTS = {
    "wrong password": lambda mail: mail.fail_next("auth", "535 5.7.8 no"),
    "echo": lambda mail: mail.fail_next("auth", "535 no: " + " ".join(FORMS)),
    "close": lambda mail: mail.close_at("auth"),
    "hang": lambda mail: mail.hang("auth"),
    "drip": lambda mail: mail.drip("auth"),
    "garbage": lambda mail: mail.fail_next("auth", "what"),
    "later": lambda mail: mail.fail_next("mail", "451 later"),
    "refused": lambda mail: mail.fail_next("rcpt", "550 no"),
    "lost": lambda mail: mail.close_after_dot(),
}


@pytest.fixture(params=[(), ("PLAIN",)], ids=["PLAIN", "LOGIN"])
def mail(request):
    login = {"username": "ada", "password": CANARY}
    with MailDouble(without=request.param, **login) as double:
        yield double


@pytest.fixture
def email(mail, channel):
    return channel(mail, username="ada", password=Secret(CANARY))


@pytest.fixture
def send(rendered, delivery):
    def attempt(email, timeout):
        sender = email.open()
        sender.deliver(rendered(), delivery(timeout=timeout))

    return attempt


@pytest.fixture
def written(caplog, capfd, monkeypatch):
    """Reads all that was logged and printed, with smtplib as talkative as it gets."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(smtplib.SMTP, "debuglevel", 2)
    return lambda: "".join([caplog.text, *capfd.readouterr()])


def is_told(text):
    return any(form in text for form in FORMS)


def chain(error):
    """All errors that led to one, also those that Python would not show."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def told(error):
    """Every word of an error: what is shown with locals, and what hides behind it."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    yield from shown.format()
    for each in chain(error):
        yield repr((each, each.args, vars(each)))
        for frame, _ in traceback.walk_tb(each.__traceback__):
            yield repr(frame.f_locals)
    for each in chain(error.__context__):
        yield repr(each)


@pytest.mark.parametrize("fault", FAULTS)
def test_trouble(mail, email, send, written, fault):
    """No error, no log and no debug output has the password."""
    FAULTS[fault](mail)

    with pytest.raises(DeliveryError) as raised:
        send(email, timeout=0.3)

    assert not is_told("".join(told(raised.value)))
    assert not is_told(raised.value.reason + raised.value.remedy)
    scripted = " ".join(FORMS)  # the double logs what it is to say
    assert not is_told(written().replace(scripted, ""))


def test_success(email, rendered, delivery, written):
    """What is kept after the login does not have the password."""
    sender = MailSender(email)

    receipt = sender.deliver(rendered(), delivery())

    kept = [repr(receipt), repr(email), repr(sender), repr(vars(sender))]
    kept.append(repr(vars(sender._connection)))
    sender.close()
    assert not is_told("".join(kept))
    assert not is_told(written())


def test_pickle(email):
    """Neither the settings nor a sender is pickled."""
    for value in (email, email.open()):
        with pytest.raises(TypeError) as raised:
            pickle.dumps(value)

        assert not is_told("".join(told(raised.value)))


def test_check(mail, email):
    """A check does not tell the password either."""
    mail.fail_next("auth", "535 no: " + " ".join(FORMS))

    with pytest.raises(DeliveryError, match=r"535 no: \.\.\. \.\.\. \.\.\.") as raised:
        email.check(5.0)

    assert not is_told("".join(told(raised.value)))


def test_unavailable(mail, channel, rendered, delivery):
    """A password that cannot be had is told as that, and no connection is left."""
    email = channel(mail, username="ada", password=Secret(FromEnv("NO_SUCH_VARIABLE")))

    with pytest.raises(SecretUnavailable, match="NO_SUCH_VARIABLE is not set"):
        email.open().deliver(rendered(), delivery())

    mail.wait_until_left()
