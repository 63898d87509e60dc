from __future__ import annotations

import pytest

from tocsin import Attachment
from tocsin._attachment import MAX_ATTACHMENT_BYTES, copy_all

TOO_LARGE = "beyond the 10 MB that one alert may carry"


class Plot:
    """A figure that draws so many bytes."""

    def __init__(self, size=9):
        self.size = size

    def savefig(self, file, *, format):  # noqa: A002 - matplotlib's own name
        assert format == "png"
        file.write(b"\x89" * self.size)


class BrokenPlot:
    def savefig(self, file, *, format):  # noqa: A002 - matplotlib's own name
        file.write(b"half a pict")
        raise RuntimeError("no display")


class Unspeakable(Exception):  # noqa: N818 - it says what happened
    def __str__(self) -> str:
        raise RuntimeError("even its message is broken")


class UnspeakablePlot:
    def savefig(self, file, *, format):  # noqa: A002 - matplotlib's own name
        raise Unspeakable


class BrokenPath:
    def __fspath__(self) -> str:
        raise RuntimeError("unmounted")


def test_path(tmp_path):
    """A path is copied with its base name and the type that its ending says."""
    file = tmp_path / "loss.png"
    file.write_bytes(b"\x89PNG")

    (by_path, by_string), left_out = copy_all([file, str(file)])
    assert by_path == by_string == Attachment("loss.png", b"\x89PNG", "image/png")
    assert left_out == []


def test_bytes_are_numbered():
    """Bytes have no name: they get one from where they stand."""
    copies, left_out = copy_all([b"first", b"second"])

    assert [(copy.name, copy.content) for copy in copies] == [
        ("attachment-1.bin", b"first"),
        ("attachment-2.bin", b"second"),
    ]
    assert copies[0].content_type == "application/octet-stream"
    assert left_out == []


def test_attachment_is_taken_as_it_is():
    """An Attachment keeps its name and its type."""
    given = Attachment("log", b"x", "text/x-log")

    assert copy_all([given]) == ((given,), [])


def test_figure_is_drawn():
    """What has savefig is drawn as a PNG."""
    (picture,), left_out = copy_all([Plot()])

    assert picture == Attachment("attachment-1.png", b"\x89" * 9, "image/png")
    assert left_out == []


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("a.txt", "text/plain"),
        ("a.PNG", "image/png"),
        ("a", "application/octet-stream"),
        ("a.nosuchtype", "application/octet-stream"),
        ("", "application/octet-stream"),
    ],
)
def test_type_is_guessed(name, content_type):
    """An Attachment's type is guessed from its name."""
    assert Attachment(name, b"").content_type == content_type


@pytest.mark.parametrize(
    "arguments", [(5, b""), ("a", "text"), ("a", None), ("a", b"", 5)], ids=repr
)
def test_attachment_of_wrong_types(arguments):
    """An Attachment that is no name, bytes and type is a mistake at the call."""
    with pytest.raises(TypeError):
        Attachment(*arguments)


def test_content_is_not_shown():
    """The repr of an Attachment holds how long it is, not what is in it."""
    shown = repr(Attachment("key.pem", b"BEGIN PRIVATE KEY"))

    assert "17 bytes" in shown
    assert "PRIVATE" not in shown


def test_source_is_copied_when_taken(tmp_path):
    """What happens to the file afterwards does not change the copy."""
    file = tmp_path / "log.txt"
    file.write_bytes(b"before")
    (copy,), _ = copy_all([file])
    file.write_bytes(b"after")

    assert copy.content == b"before"


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ("gone/plot.png", "plot.png: No such file or directory"),
        ("", ": No such file or directory"),
        (".", ".: it is no regular file"),
        ("a\0b", "embedded null byte"),
        (BrokenPlot(), "attachment-1.png: RuntimeError: no display"),
        (UnspeakablePlot(), "Unspeakable"),
        (BrokenPath(), "unmounted"),
        (b"x" * (MAX_ATTACHMENT_BYTES + 1), f"attachment-1.bin: {TOO_LARGE}"),
        (Plot(MAX_ATTACHMENT_BYTES + 1), f"attachment-1.png: {TOO_LARGE}"),
    ],
    ids=[
        "missing",
        "empty path",
        "folder",
        "NUL in the path",
        "broken figure",
        "broken figure with a broken error",
        "broken path",
        "too many bytes",
        "too large a figure",
    ],
)
def test_left_out(item, reason):
    """What cannot be attached is left out with its reason; the others travel."""
    copies, left_out = copy_all([item, b"good"])

    assert [copy.content for copy in copies] == [b"good"]
    assert len(left_out) == 1
    assert reason in left_out[0]


def test_file_that_is_too_large(tmp_path):
    """A file beyond the bound is left out, though only one byte."""
    file = tmp_path / "core.dump"
    with file.open("wb") as stream:
        stream.truncate(MAX_ATTACHMENT_BYTES + 1)

    assert copy_all([file]) == ((), [f"core.dump: {TOO_LARGE}"])


def test_bound_is_for_all_together():
    """All attachments together hold 10 MB; what still fits after one that does not, goes."""
    large = b"x" * (MAX_ATTACHMENT_BYTES - 3)
    copies, left_out = copy_all([large, b"four", b"two", b"x", b""])

    assert [copy.content for copy in copies] == [large, b"two", b""]
    assert left_out == [
        f"attachment-2.bin: {TOO_LARGE}",
        f"attachment-4.bin: {TOO_LARGE}",
    ]


def test_bound_may_be_reached():
    """Exactly 10 MB still travel."""
    copies, left_out = copy_all([b"x" * MAX_ATTACHMENT_BYTES])

    assert len(copies) == 1
    assert left_out == []
