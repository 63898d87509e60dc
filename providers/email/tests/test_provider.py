import copy
import pickle
from pathlib import Path

import attrs
import pytest

from tocsin import Secret
from tocsin_email import Email

LOGIN = {"username": "ada", "password": Secret("hunter2")}


def email(**settings):
    values = {
        "to": "ada@example.org",
        "sender": "tocsin@example.org",
        "host": "smtp.example.org",
    }
    return Email(**values | settings)


@pytest.mark.parametrize(
    ("tls", "port"), [("starttls", 587), ("implicit", 465), ("none", 25)]
)
def test_port(tls, port):
    """Each way of encryption has its usual port."""
    assert email(tls=tls).port == port


def test_port_is_kept():
    """A port of one's own wins over the usual one."""
    assert email(port=2525).port == 2525


@pytest.mark.parametrize(
    "to", ["ada@example.org", ["ada@example.org"], ("ada@example.org",)]
)
def test_to(to):
    """One address needs no list."""
    assert email(to=to).to == ("ada@example.org",)


def test_recipients():
    """A mailbox that is named twice gets the mail once."""
    to = ["Ada <ada@example.org>", "grace@example.org", "ada@example.org"]

    names = [(address.name, address.mailbox) for address in email(to=to).recipients]

    assert names == [("Ada", "ada@example.org"), ("", "grace@example.org")]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"to": []}, "to is empty: name at least one address"),
        ({"to": "ada"}, "'ada' is no mail address: write"),
        ({"to": "a@example.org, b@example.org"}, "write a list"),
        ({"to": ["a@example.org\r\nBcc: b@example.org"]}, "is no mail address: write"),
        ({"sender": "tocsin"}, "'tocsin' is no mail address: write"),
        ({"sender": "t@example.org\nBcc: b@example.org"}, "is no mail address"),
        ({"host": ""}, "host must be the mail server's name"),
        ({"host": "smtp example"}, "host must be the mail server's name"),
        ({"host": "smtp..example"}, "host must be the mail server's name"),
        ({"host": "smtp.example.org:587"}, "the port goes into port"),
        ({"host": "smtps://smtp.example.org"}, "host must be a name alone"),
        ({"host": "smtp\r\n"}, "host holds a control character"),
        ({"tls": "ssl"}, 'tls must be one of "starttls", "implicit", "none"'),
        ({"threads": "project"}, 'threads must be "run" or "", not \'project\''),
        ({"port": 0}, "port must be from 1 to 65535, not 0"),
        ({"port": 65536}, "port must be from 1 to 65535"),
        ({"username": "ada"}, "username needs password"),
        ({"password": Secret("x")}, "password needs username"),
        ({"username": "a\0b", "password": Secret("x")}, "control character"),
        (LOGIN | {"tls": "none"}, "would send the password in the clear"),
        (LOGIN | {"tls": "none", "host": "127.example.org"}, "in the clear"),
    ],
)
def test_mistakes(settings, message):
    """A setting that is wrong is told with what to do."""
    with pytest.raises(ValueError, match=message):
        email(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"to": 5}, "to must be an address or a list of addresses, not int"),
        ({"to": ["a@example.org", 5]}, "to must hold addresses, not int"),
        ({"sender": None}, "sender must be a str, not NoneType"),
        ({"host": 5}, "host must be a str, not int"),
        ({"port": "587"}, "port must be an int, not str"),
        ({"port": True}, "port must be an int, not bool"),
        ({"username": 5}, "username must be a str, not int"),
        ({"ca_file": Path("ca.pem")}, "ca_file must be a str, not"),
        ({"password": "hunter2"}, "password must be a Secret, not str"),
    ],
)
def test_types(settings, message):
    """A setting of a wrong type is told, also when the class is used in code."""
    with pytest.raises(TypeError, match=message):
        email(**settings)


def test_unhashable():
    """Not even a list in the place of a word gets an error of another kind."""
    with pytest.raises(ValueError, match="tls must be one of"):
        email(tls=["starttls"])
    with pytest.raises(ValueError, match="threads must be"):
        email(threads=["run"])


def test_password_is_not_told():
    """A password of the wrong type is not repeated in the error."""
    with pytest.raises(TypeError) as told:
        email(username="ada", password="hunter2")

    assert "hunter2" not in str(told.value)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "::1"])
def test_loopback(host):
    """On one's own machine a password may go in the clear."""
    assert email(tls="none", host=host, **LOGIN).password


def test_repr():
    """The settings can be shown: the password is not."""
    shown = repr(email(**LOGIN))

    assert "smtp.example.org" in shown
    assert "hunter2" not in shown


def test_pickle():
    """The settings are never pickled with a password."""
    with pytest.raises(TypeError, match="never pickled"):
        pickle.dumps(email(**LOGIN))


def test_copy():
    """The settings are a value."""
    assert copy.deepcopy(email(**LOGIN)) == email(**LOGIN)


def test_types_are_resolved():
    """The annotations are types, not strings, so that a configuration can be read."""
    assert [f.name for f in attrs.fields(Email) if isinstance(f.type, str)] == []


def test_help():
    """Every setting says what it is, and the README has it."""
    readme = Path(__file__).parents[1].joinpath("README.md").read_text("utf-8")

    for field in attrs.fields(Email):
        assert field.metadata["help"].endswith(".")
        assert f"| `{field.name}` |" in readme


def test_templates():
    """The templates that it names are in its package."""
    folder = Path(__file__).parents[1] / "src/tocsin_email/templates"

    assert all((folder / file).is_file() for file in Email.templates.values())
