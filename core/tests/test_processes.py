from __future__ import annotations

import os
import subprocess
import sys

import pytest
from conftest import eventually

from tocsin._processes import born, is_gone, is_there, place

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="it is read from /proc, which is Linux's"
)


@pytest.fixture
def child():
    """A process that waits, and that nobody has asked yet how it ended."""
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


def test_one_that_is_there(child):
    """A process has a birth, which is its own and stays the same."""
    birth = born(child.pid)

    assert birth == born(child.pid)
    assert int(birth) >= int(born(os.getpid()))
    assert is_there(child.pid, place(), birth)
    assert not is_gone(child.pid, place(), birth)


def test_one_that_ended(child):
    """It is gone as soon as it has ended, even before its parent asked how: a zombie."""
    birth = born(child.pid)
    child.kill()
    eventually(lambda: born(child.pid) == "")

    assert is_gone(child.pid, place(), birth)
    child.wait()
    assert is_gone(child.pid, place(), birth)
    assert not is_there(child.pid, place(), birth)


def test_a_later_one_of_the_same_pid(child):
    """A pid that is used again is not taken for the process that had it before."""
    earlier = str(int(born(child.pid)) - 1)

    assert is_gone(child.pid, place(), earlier)
    assert not is_there(child.pid, place(), earlier)


@pytest.mark.parametrize("elsewhere", ["", "another-boot pid:[4026531836]"])
def test_one_of_another_place(child, elsewhere):
    """Of a process on another machine, or in another container, nothing is said."""
    child.kill()
    child.wait()

    assert not is_gone(child.pid, elsewhere, "77")
    assert not is_there(child.pid, elsewhere, "77")


def test_one_whose_birth_nobody_noted(child):
    """Without a birth it might be anybody."""
    assert not is_gone(child.pid, place(), "")
    assert not is_there(child.pid, place(), "")


def test_a_name_with_brackets():
    """What a process calls itself does not confuse what is read behind it."""
    code = (
        "import sys; open('/proc/self/comm', 'w').write('a) Z 1 (b'); "
        "print('ready', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout.readline() == b"ready\n"
        birth = born(process.pid)
        process.stdin.close()

    assert int(birth) > 0


def test_a_place_is_the_same_for_children():
    """A child knows its parent by its pid, so their place is the same."""
    code = "from tocsin._processes import place; print(place(), end='')"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )

    assert done.stdout == place() != ""
