from email import message_from_bytes
from email.policy import default
from email.utils import unquote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tocsin_email import _mime as mime

ANY = st.text(st.characters(exclude_categories=()))
LINES = st.lists(ANY | st.text(" \t.=_-x", max_size=200), max_size=20).map("\n".join)
NAMES = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=100)


def parsed(part):
    return message_from_bytes(b"MIME-Version: 1.0\r\n" + part, policy=default)


def read(part):
    return part.get_content().replace("\r\n", "\n")


@given(LINES)
@example("")
@example("損" * 100_000)
@example("x" * 100_000)
@example("trailing \n tab\t\nsoft=\n" * 2)
@example("損 \n失\t\n" * 100)
@example("--=_alternative\r\n--=_alternative--\r\n")
@example(".\n..\nFrom eve\n")
@settings(deadline=None)
def test_text(text):
    """Any text reads back as it was, ends with a line's end, and has short lines."""
    part = mime.text(text, "plain")

    lines = text.encode("utf-8", "replace").decode()
    lines = lines.replace("\r\n", "\n").replace("\r", "\n")
    assert read(parsed(part)) == (lines if lines.endswith("\n") else f"{lines}\n")
    assert part.isascii()
    assert max(map(len, part.split(b"\r\n"))) <= 78
    assert part.count(b"\n") == part.count(b"\r") == part.count(b"\r\n")
    assert b"=_" not in part


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("at step 12,400\n\tlr: 0.1", "7bit"),
        ("x" * 78, "7bit"),
        ("x" * 79, "quoted-printable"),
        ("a =_ b", "quoted-printable"),
        ("the naïve loss", "quoted-printable"),
        ("損失", "base64"),
    ],
)
def test_encoding(text, encoding):
    """Text travels as it is if it may, and else in the form that is the shorter."""
    assert parsed(mime.text(text, "html"))["Content-Transfer-Encoding"] == encoding


@given(NAMES, st.binary(max_size=500))
@example("loss.png", b"\x89PNG")
@example("=?utf-8?q?x?=.png", b"")
@example('a"; filename="b.exe', b"--=_mixed--")
@example("損" * 100, b"x" * 100_000)
@example("\N{GRINNING FACE}" * 100, b"")
@settings(deadline=None)
def test_file(name, content):
    """Any file travels whole, under its name, in short lines."""
    part = mime.file(content, "image/png", name, cid="a@tocsin")

    file = parsed(part)
    assert file.get_content() == content
    assert file.get_filename() == unquote(name)  # as Python's parser reads it
    assert file["Content-ID"] == "<a@tocsin>"
    assert file.get_content_disposition() == "inline"
    assert max(map(len, part.split(b"\r\n"))) <= 120
    assert file.defects == []


def test_attached():
    """What the HTML does not show is an attachment."""
    file = parsed(mime.file(b"a,b", "text/csv", "log.csv"))

    assert file.get_content_disposition() == "attachment"
    assert file["Content-ID"] is None


@given(st.lists(LINES, min_size=1, max_size=4))
@example(["--=_mixed", "--=_mixed--", "--=_related\n--=_alternative--"])
@settings(deadline=None)
def test_multipart(texts):
    """Whatever the parts hold, they are as many as they were, and whole."""
    parts = [mime.text(text, "plain") for text in texts]
    inner = mime.multipart("alternative", parts)
    middle = mime.multipart("related", [inner, mime.file(b"", "image/png", "a.png")])

    whole = parsed(mime.multipart("mixed", [middle, mime.text("end", "plain")]))

    [related, end] = whole.iter_parts()
    [alternative, _] = related.iter_parts()
    found = [read(part) for part in alternative.iter_parts()]
    assert found == [read(parsed(part)) for part in parts]
    assert read(end) == "end\n"
    assert not any(part.defects for part in whole.walk())
