from __future__ import annotations

import asyncio
import sys
import threading

import pytest

from tocsin._ending import RunState
from tocsin._failure import account, ending_of, headline, reason_of, stack_of


def raised(error):
    """Return the exception as it is once it was raised."""
    with pytest.raises(type(error)) as caught:
        raise error
    return caught.value


class OutOfMemoryError(RuntimeError):
    """As torch's is."""


class DeviceError(OutOfMemoryError):
    pass


@pytest.mark.parametrize(
    ("error", "state", "exit_code", "reason"),
    [
        (ValueError("lr"), RunState.FAILED, 1, "ValueError: lr"),
        (ValueError(), RunState.FAILED, 1, "ValueError"),
        (SystemExit(), RunState.FINISHED, 0, ""),
        (SystemExit(0), RunState.FINISHED, 0, ""),
        (SystemExit(3), RunState.FAILED, 3, ""),
        (SystemExit(-1), RunState.FAILED, 255, ""),
        (SystemExit("no data"), RunState.FAILED, 1, "no data"),
        (KeyboardInterrupt(), RunState.INTERRUPTED, None, ""),
        (asyncio.CancelledError(), RunState.INTERRUPTED, None, "CancelledError"),
        (MemoryError(), RunState.OUT_OF_MEMORY, 1, "MemoryError"),
        (DeviceError("2 GiB"), RunState.OUT_OF_MEMORY, 1, "DeviceError: 2 GiB"),
    ],
    ids=repr,
)
def test_what_an_exception_makes_of_a_program(error, state, exit_code, reason):
    """It is the end that Python gives it; what somebody wanted is no failure."""
    ending = ending_of(error)

    assert (ending.state, ending.exit_code, ending.reason) == (state, exit_code, reason)


def test_frames_have_no_values():
    """The last frames are there, and what the variables held is not."""

    def fails(word):
        raise ValueError(len(word))

    def calls(depth):
        return calls(depth - 1) if depth else fails("canary" + "-value")

    try:
        calls(20)
    except ValueError as error:
        told = account(error)

    assert told.startswith("ValueError: 12\n\n")
    assert "in fails" in told
    assert "test_frames_have_no_values" not in told  # that is further up
    assert "canary-value" not in told


def test_what_caused_it_and_what_it_holds():
    """Causes and the members of groups are told, each with its frames, some of them."""
    members = [raised(OSError(f"disk {n}")) for n in range(4)]
    inner = raised(ExceptionGroup("inner", members))
    group = raised(ExceptionGroup("outer", [raised(ValueError("lr")), inner]))
    group.__cause__ = raised(KeyError("x"))
    told = account(group)

    held = [line for line in told.splitlines() if line.startswith("it holds")]
    assert held == [
        f"it holds {what}" for what in ("ValueError: lr", *map(_disk, (0, 1)))
    ]
    assert "caused by KeyError: 'x'" in told
    assert told.count("in raised") == 5


def _disk(number):
    return f"OSError: disk {number}"


def test_what_is_suppressed_is_no_cause():
    """`raise … from None` says so."""
    error = raised(ValueError("lr"))
    error.__context__ = raised(OSError("disk"))
    assert "disk" in account(error)
    error.__cause__ = None  # which sets `__suppress_context__`

    assert "disk" not in account(error)


class BrokenError(Exception):
    def __str__(self):
        raise RuntimeError("no text")


def test_what_cannot_be_printed():
    """A text, or a note, that raises costs nothing but itself."""
    error = BrokenError()
    error.add_note("while reading")
    error.__notes__.append(BrokenError())

    assert reason_of(error) == (
        "BrokenError: <a BrokenError that cannot be printed>\nwhile reading\n"
        "<a BrokenError that cannot be printed>"
    )


@pytest.mark.parametrize("value", ["canary-77-9c1d", "x" * 3000])
def test_secrets_are_blotted_before_anything_is_cut(monkeypatch, tmp_path, value):
    """No part of one is left where a line or a text is cut in its middle."""
    monkeypatch.setenv("API_KEY", value)
    for length in (480, 490, 1980, 1990):
        code = f"raise ValueError({'y' * length + value!r})  # {value}"
        file = tmp_path / f"line{length}.py"
        file.write_text(code)
        try:
            exec(compile(code, file, "exec"), {})
        except ValueError as error:
            told = account(error) + headline(error)
        assert value[:6] not in told


def test_long_texts_are_cut():
    """Whatever an exception says, people can read the message."""
    error = ValueError("x" * 10_000_000)
    error.add_note("y" * 10_000_000)

    assert len(account(error)) < 3000
    assert len(headline(error)) < 130
    assert len(ending_of(SystemExit("z" * 10_000_000)).reason) == 2000


def test_where_a_thread_is():
    """It is the innermost frames; a thread that is not there has none."""
    frames = stack_of(threading.get_ident())

    assert "test_where_a_thread_is" in frames
    assert stack_of(0) == ""
    assert sys._getframe().f_code.co_name in frames
