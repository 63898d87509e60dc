from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin._supervisor._tail import Tail, shown


@pytest.mark.parametrize(
    ("printed", "on_screen"),
    [
        ("one\ntwo\n", "one\ntwo"),
        ("one\r\ntwo\r\n", "one\ntwo"),
        (" 10%|#  |\r 90%|###|\r", " 90%|###|"),
        ("abcdef\rxy", "xycdef"),
        ("abcdef\r\x1b[Kxy", "xy"),
        ("abcdef\x1b[2K\rxy", "xy"),
        ("abc\b\bX", "aXc"),
        ("\x1b[1;31mred\x1b[0m\x1b]0;title\x07 \x1b(Bplain", "red plain"),
        ("a: 1\nb: 1\x1b[A\ra: 2\n\rb: 2", "a: 2\nb: 2"),
        ("epoch 1\nbar\nbaz\r\x1b[1A\x1b[J", "epoch 1"),
        ("x\x00\x07y\tz", "xy\tz"),
        ("\x1b", ""),
    ],
)
def test_what_a_screen_shows(printed, on_screen):
    """Colours go, and what is overwritten is gone."""
    assert shown(printed) == on_screen


@given(st.text(st.sampled_from("ab\r\n\b\x1b[0]2;KAJCm\x07é\U0001f600"), max_size=80))
def test_anything_may_be_printed(printed):
    """Whatever is printed, no control character remains."""
    assert not set(shown(printed)) & set("\r\b\x1b\x07")


@given(st.lists(st.binary(max_size=30), max_size=30))
def test_the_end_is_kept(chunks):
    """What is kept is bounded, and is the end of what was printed."""
    tail = Tail(64)
    for chunk in chunks:
        tail.add(chunk)

    assert len(tail._bytes) <= 2 * 64
    if b"\r" not in b"".join(chunks):
        assert b"".join(chunks).endswith(bytes(tail._bytes))


def test_a_cut_is_between_lines():
    """What is kept begins with a whole line."""
    tail = Tail(100)
    for number in range(1000):
        tail.add(b"line %d\n" % number)

    lines = tail.text().splitlines()
    assert lines[-1] == "line 999"
    assert all(line.startswith("line ") for line in lines)
    assert len("\n".join(lines)) <= 100


def test_a_large_chunk():
    """A chunk larger than what is kept replaces what was there."""
    tail = Tail(100)
    tail.add(b"before\n")
    tail.add(b"x" * 500 + b"\nafter\n")

    assert tail.text() == "after"


def test_a_progress_bar_drives_nothing_out():
    """A bar that was drawn thousands of times is kept once, with what was before it."""
    tail = Tail(2000)
    tail.add(b"epoch 1: loss 0.3\n")
    for number in range(10_000):
        tail.add(b"\r%5d/10000 [########]" % number)
    tail.add(b"\nTraceback\n")

    assert tail.text() == "epoch 1: loss 0.3\n 9999/10000 [########]\nTraceback"


def test_bytes_that_are_no_text():
    """What is no UTF-8 is marked."""
    tail = Tail()
    tail.add(b"\xff\xfe ok\n")

    assert tail.text() == "\ufffd\ufffd ok"
