from __future__ import annotations

import copy
import json
import pickle
import sys
import traceback

import attrs
import pytest

from tocsin import FromEnv, FromFile, FromKeyring, Secret, SecretUnavailable
from tocsin._secret import redact

CANARY = "xoxb-canary-1234"


@attrs.frozen
class Settings:
    token: Secret


def refuse(secret):
    settings = Settings(secret)
    raise RuntimeError(f"refused {secret} of {settings}")


def shown_in_a_traceback(secret):
    """Return the traceback of an error with all that stood in its frames."""
    try:
        refuse(secret)
    except RuntimeError as error:
        shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    return "".join(shown.format())


SHOWN = {
    "repr": repr,
    "str": str,
    "format": "{}".format,
    "conversions": "{0!s} {0!r} {0!a}".format,
    "f-string": lambda secret: f"{secret} {secret!r}",
    "percent": lambda secret: "%s %r" % (secret, secret),  # noqa: UP031 - this way too
    "list": lambda secret: repr([secret]),
    "attrs": lambda secret: repr(Settings(secret)),
    "asdict": lambda secret: str(attrs.asdict(Settings(secret))),
    "copy": lambda secret: repr(copy.copy(secret)),
    "deepcopy": lambda secret: repr(copy.deepcopy([secret])),
    "dir": dir,
    "its own source": lambda secret: repr(secret._source),
    "traceback": shown_in_a_traceback,
}


@pytest.mark.parametrize("show", SHOWN.values(), ids=SHOWN.keys())
def test_secret_does_not_show(show):
    """However a secret is shown, its value is not."""
    shown = show(Secret(CANARY))

    assert shown
    assert CANARY not in str(shown)


USED = {
    "json": json.dumps,
    "pickle": pickle.dumps,
    "pickle, protocol 0": lambda secret: pickle.dumps(secret, protocol=0),
    "pickle around it": lambda secret: pickle.dumps(Settings(secret)),
    "vars": vars,
    "join": lambda secret: " ".join(iter([secret])),
    "concatenation": lambda secret: "Bearer " + secret,
    "format with a width": lambda secret: f"{secret:>40}",
    "bytes": bytes,
    "iteration": list,
}


@pytest.mark.parametrize("use", USED.values(), ids=USED.keys())
def test_secret_does_not_leave(use):
    """What would take the value along raises instead, and the error does not hold it."""
    with pytest.raises(TypeError) as caught:
        use(Secret(CANARY))

    shown = traceback.TracebackException.from_exception(
        caught.value, capture_locals=True
    )
    assert CANARY not in "".join(shown.format())


@pytest.mark.parametrize(
    "value", [CANARY.encode(), [CANARY], 5, None, Secret(CANARY)], ids=type
)
def test_secret_of_a_wrong_type(value):
    """A secret is a str or a reference; anything else is refused without being shown."""
    with pytest.raises(TypeError) as caught:
        Secret(value)

    assert CANARY not in str(caught.value)


def test_copy_is_the_same():
    """A copy of a secret is as good as the secret."""
    secret = Secret(CANARY)

    assert copy.copy(secret).reveal() == CANARY
    assert copy.deepcopy([secret])[0].reveal() == CANARY


def test_env(monkeypatch):
    """A secret in the environment is read each time, so that it may be rotated."""
    secret = Secret(FromEnv("SLACK_BOT_TOKEN"))
    monkeypatch.setenv("SLACK_BOT_TOKEN", "old")
    old = secret.reveal()
    monkeypatch.setenv("SLACK_BOT_TOKEN", "new")

    assert (old, secret.reveal()) == ("old", "new")


def test_file(tmp_path):
    """A secret in a file is read each time, without the white space around it."""
    file = tmp_path / "token"
    secret = Secret(FromFile(str(file)))
    file.write_text("  old\n")
    old = secret.reveal()
    file.write_text("nëw\r\n", encoding="utf-8")

    assert (old, secret.reveal()) == ("old", "nëw")


def test_env_that_is_not_set(monkeypatch):
    """A variable that is not set is named, with what to do."""
    monkeypatch.delenv("SLACK_BOT_TOKEN", raising=False)

    with pytest.raises(SecretUnavailable, match="SLACK_BOT_TOKEN is not set: set it"):
        Secret(FromEnv("SLACK_BOT_TOKEN")).reveal()


@pytest.mark.parametrize("path", ["gone", "", ".", "a\0b", "\ud800"], ids=repr)
def test_file_that_cannot_be_read(path, tmp_path, monkeypatch):
    """Whatever is wrong with a secret's file, the secret is unavailable and says why."""
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SecretUnavailable, match="cannot be read"):
        Secret(FromFile(path)).reveal()


def test_file_that_is_not_text(tmp_path):
    """The error of a file that is no text does not hold what is in it."""
    file = tmp_path / "token"
    file.write_bytes(CANARY.encode() + b"\xff")

    with pytest.raises(SecretUnavailable, match="not UTF-8") as caught:
        Secret(FromFile(str(file))).reveal()
    assert CANARY not in "".join(traceback.format_exception(caught.value))


@pytest.fixture
def keyring(tmp_path):
    """A keyring that is a file of this test's own."""
    module = pytest.importorskip("keyring")
    backend = pytest.importorskip("keyrings.alt.file").PlaintextKeyring()
    backend.file_path = str(tmp_path / "keyring.cfg")
    old = module.get_keyring()
    module.set_keyring(backend)
    yield module
    module.set_keyring(old)


def test_keyring(keyring):
    """A secret in the keyring is read each time; a service may hold slashes."""
    secret = Secret(FromKeyring.parse("ci/tocsin/token"))
    keyring.set_password("ci/tocsin", "token", "old")
    old = secret.reveal()
    keyring.set_password("ci/tocsin", "token", CANARY)

    assert (old, secret.reveal()) == ("old", CANARY)
    assert CANARY not in repr(secret)


def test_keyring_without_the_entry(keyring):
    """An entry that is not there is named, with the command that makes it."""
    with pytest.raises(
        SecretUnavailable, match="it has none: keyring set tocsin token"
    ):
        Secret(FromKeyring("tocsin", "token")).reveal()


def test_no_keyring():
    """Where no keyring answers, the secret is unavailable and says what to do."""
    module = pytest.importorskip("keyring")
    from keyring.backends.fail import Keyring

    old = module.get_keyring()
    module.set_keyring(Keyring())
    try:
        with pytest.raises(SecretUnavailable, match="unlock it, or keep"):
            Secret(FromKeyring("tocsin", "token")).reveal()
    finally:
        module.set_keyring(old)


def test_keyring_that_is_not_installed(monkeypatch):
    """Without the package, the extra that brings it is named."""
    monkeypatch.setitem(sys.modules, "keyring", None)

    with pytest.raises(SecretUnavailable, match=r"pip install 'tocsin\[keyring\]'"):
        Secret(FromKeyring("tocsin", "token")).reveal()


@pytest.mark.parametrize("written", ["", "token", "/token", "tocsin/"])
def test_no_entry_of_a_keyring(written):
    with pytest.raises(ValueError, match="service/name"):
        FromKeyring.parse(written)


@pytest.mark.parametrize(
    ("secret", "reference"),
    [
        (Secret(FromKeyring("a", "b")), FromKeyring("a", "b")),
        (Secret(FromEnv("A")), FromEnv("A")),
        (Secret(FromFile("a")), FromFile("a")),
        (Secret("a"), None),
        (Secret(), None),
    ],
)
def test_reference(secret, reference):
    """A reference may be seen, and is what the repr shows; a value has none."""
    assert secret.reference == reference
    assert repr(secret) == (f"Secret({reference!r})" if reference else "Secret('…')")


def test_truth():
    """A secret is true unless it is the empty value; a reference is not read for it."""
    assert Secret("x")
    assert Secret(FromEnv("SURELY_NOT_SET"))
    assert not Secret()


def test_equality():
    """Secrets are equal when their sources are; a str never equals one."""
    assert Secret("a") == Secret("a")
    assert len({Secret("a"), Secret("a"), Secret(FromEnv("a"))}) == 2
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"


@pytest.mark.parametrize(
    ("text", "values", "redacted"),
    [
        ("token abc refused", ["abc"], "token … refused"),
        ("abcd abc", ["abc", "abcd"], "… …"),
        ("nothing", [""], "nothing"),
        ("nothing", [], "nothing"),
        ("aXbXc", ["X"], "a…b…c"),
    ],
)
def test_redact(text, values, redacted):
    """Every value is blotted out wherever it stands, the longest first."""
    assert redact(text, values) == redacted
