import pytest

from tocsin_email._reply import Reply


@pytest.mark.parametrize(
    ("code", "is_success", "is_refusal", "is_final"),
    [
        (250, True, False, False),
        (251, True, False, False),
        (354, False, False, False),
        (421, False, True, False),
        (451, False, True, False),
        (550, False, True, True),
        (-1, False, False, False),
    ],
)
def test_kinds(code, is_success, is_refusal, is_final):
    """The first digit says what a reply means."""
    reply = Reply(code)

    assert reply.is_success == is_success
    assert reply.is_refusal == is_refusal
    assert reply.is_final == is_final


@pytest.mark.parametrize(
    ("code", "text", "is_about_size"),
    [
        (552, "5.3.4 message too big", True),
        (552, "Error: message size exceeds fixed maximum message size", True),
        (554, "5.3.4 message too big", True),
        (552, "5.2.2 mailbox full", False),
        (550, "no such user", False),
    ],
)
def test_size(code, text, is_about_size):
    """A mail that is too large is not a mailbox that is full."""
    assert Reply(code, text).is_about_size == is_about_size


def test_words():
    """A server's words are shown on one line, without controls, and not for ever."""
    reply = Reply.read(550, b"5.1.1 no\nsuch\x1b[31m \xff user" + b"!" * 1000)

    assert str(reply).startswith("550 5.1.1 no such [31m \ufffd user!")
    assert len(reply.text) == 200


def test_no_reply():
    """What is no reply is called so."""
    assert str(Reply(-1, "HTTP/1.1 400 Bad Request")) == "no SMTP reply"
