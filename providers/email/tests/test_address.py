import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin_email._address import Address


@pytest.mark.parametrize(
    ("text", "mailbox", "name"),
    [
        ("ada@example.org", "ada@example.org", ""),
        (" ada@example.org ", "ada@example.org", ""),
        ("<ada@example.org>", "ada@example.org", ""),
        ("Ada <ada@example.org>", "ada@example.org", "Ada"),
        ("Ada  King <ada@example.org>", "ada@example.org", "Ada King"),
        ('"Lovelace, Ada" <ada@example.org>', "ada@example.org", "Lovelace, Ada"),
        (r'"the \"first\"" <ada@example.org>', "ada@example.org", 'the "first"'),
        ("ada+gpu.1@example.org", "ada+gpu.1@example.org", ""),
        ("root@localhost", "root@localhost", ""),
        ("ada@[192.0.2.1]", "ada@[192.0.2.1]", ""),
        ("ada@bücher.example", "ada@xn--bcher-kva.example", ""),
        ("ünï@example.org", "ünï@example.org", ""),
    ],
)
def test_forms(text, mailbox, name):
    """An address stands alone or beside a name; its domain becomes ASCII."""
    assert Address.parse(text) == Address(mailbox, name)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ada",
        "@example.org",
        "ada@",
        "ada@exa mple.org",
        "ada@example..org",
        "ada@-\u0308.org",
        "ada king@example.org",
        "Ada <ada@example.org> Lovelace",
        "Ada <<ada@example.org>>",
        "ada@example.org\r\nBcc: eve@example.org",
        "Ada\nBcc: eve@example.org <ada@example.org>",
        "ada\x00@example.org",
        "ada@example.org\u2028",
        "\ud800@example.org",
        "a" * 65 + "@example.org",
        "ada@" + "ü" * 63 + ".org",
        "a@" + ".".join(["b" * 60] * 5),
        "Ada" * 200 + " <ada@example.org>",
    ],
)
def test_mistakes(text):
    """What is no address is told, with how to write one."""
    with pytest.raises(ValueError, match=r"write ada@example\.org or Ada <ada@"):
        Address.parse(text)


def test_several():
    """Several addresses in one string get the hint to write a list."""
    with pytest.raises(ValueError, match="write a list"):
        Address.parse("ada@example.org, grace@example.org")


@given(st.text(st.characters(exclude_categories=())))
def test_inert(text):
    """Whatever parses can be put into a command and a header."""
    try:
        address = Address.parse(text)
    except ValueError:
        return

    assert address.mailbox.isprintable()
    assert not set(address.mailbox) & set(" <>,;")
    assert address.name.isprintable()
