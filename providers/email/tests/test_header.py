from email.header import decode_header, make_header

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin_email import _header as header
from tocsin_email._address import Address

ANY = st.text(st.characters(exclude_categories=()))


def decoded(value):
    return str(make_header(decode_header(value)))


@given(ANY)
def test_round_trip(text):
    """Any text, on one line, is read back as it was."""
    line = " ".join(text.encode("utf-8", "replace").decode().split())

    assert decoded(header.unstructured(text)) == line[:300]


@given(ANY)
def test_lines(text):
    """Lines are short, ASCII, and folded so that none begins another header."""
    first, *more = header.unstructured(text).split("\r\n")

    assert "\n" not in first
    assert all(line.startswith(" ") and line.strip() for line in more)
    assert all(line.isascii() and len(line) <= 78 for line in [first, *more])


@pytest.mark.parametrize(
    "text", ["=?utf-8?q?=0D=0ABcc=3A_eve?=", "a =?x", "é", "x" * 100, "損失 " * 50]
)
def test_encoded(text):
    """What is long, not ASCII, or looks encoded is encoded, and means itself."""
    value = header.unstructured(text)

    assert value.startswith("=?utf-8?")
    assert decoded(value) == text.strip()


def test_plain():
    """Short ASCII is left as it is."""
    assert header.unstructured("[WARN] disk (92 %)") == "[WARN] disk (92 %)"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("", "ada@example.org"),
        ("Ada", '"Ada" <ada@example.org>'),
        ('Lovelace, "A"', r'"Lovelace, \"A\"" <ada@example.org>'),
        ("Adä", "=?utf-8?q?Ad=C3=A4?= <ada@example.org>"),
        ("=?utf-8?q?x?=", "=?utf-8?b?PT91dGYtOD9xP3g/PQ==?= <ada@example.org>"),
    ],
)
def test_mailbox(name, value):
    """A name is quoted, or encoded, so that it is one address only."""
    assert header.mailboxes((Address("ada@example.org", name),)) == value


def test_mailboxes():
    """Each address has a line."""
    addresses = (Address("a@example.org"), Address("b@example.org"))

    assert header.mailboxes(addresses) == "a@example.org,\r\n b@example.org"
