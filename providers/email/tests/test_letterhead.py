from email import message_from_string
from email.utils import getaddresses

from tocsin_email import Email
from tocsin_email._letterhead import Letterhead

EMAIL = Email(
    to=["Ada <ada@example.org>", "grace@example.org", "ada@example.org"],
    sender="Tocsin <tocsin@bücher.example>",
    host="smtp.example.org",
)


def test_envelope():
    """Mailboxes are as they go over the wire, each once."""
    letterhead = Letterhead.of(EMAIL)

    assert letterhead.author == "tocsin@xn--bcher-kva.example"
    assert letterhead.domain == "xn--bcher-kva.example"
    assert letterhead.recipients == ("ada@example.org", "grace@example.org")


def test_lines():
    """A mail names its sender and its recipients, and nobody's holiday notice answers it."""
    mail = message_from_string(Letterhead.of(EMAIL).lines)

    assert getaddresses([mail["From"]]) == [("Tocsin", "tocsin@xn--bcher-kva.example")]
    assert getaddresses([mail["To"]]) == [
        ("Ada", "ada@example.org"),
        ("", "grace@example.org"),
    ]
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["X-Auto-Response-Suppress"] == "All"
