import fcntl
import json
import os
import subprocess
import sys
import threading
import time

import pytest

from tocsin import Attachment, OutOfOrder, RetryLater
from tocsin_file import File

IS_ROOT = os.geteuid() == 0

APPEND = """
import resource, sys
from pathlib import Path
from tocsin_file._appending import append
path, count, text, limit = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
for number in range(count):
    try:
        append(path, f"{text}-{number}\\n".encode(), timeout=60)
    except Exception as error:
        print(type(error).__name__, error)
"""


def appending(path, count, text, limit=""):
    words = [sys.executable, "-c", APPEND, path, count, text, limit]
    return subprocess.Popen(
        list(map(str, words)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def titles(path):
    return [json.loads(line)["title"] for line in path.read_text().splitlines()]


def test_a_line_for_each_delivery(provider, path, message, delivery):
    receipts = [
        provider.deliver(message(title), delivery(title)) for title in ("one", "two")
    ]

    assert titles(path) == ["one", "two"]
    assert [receipt.reference for receipt in receipts] == ["one", "two"]
    assert receipts[0].place == str(path)


def test_the_file_is_made_for_its_owner_alone(provider, path, message, delivery):
    provider.deliver(message(), delivery())

    assert path.stat().st_mode & 0o777 == 0o600


def test_the_mode_of_a_file_that_is_there_stays(provider, path, message, delivery):
    path.touch()
    path.chmod(0o640)

    provider.deliver(message(), delivery())

    assert path.stat().st_mode & 0o777 == 0o640


def test_the_receipt_says_that_attachments_are_not_kept(provider, message, delivery):
    told = message(attachments=Attachment("loss.png", b"1"))

    assert "loss.png" in provider.deliver(told, delivery()).note


def test_the_home_of_whoever_delivers(tmp_path, monkeypatch, message, delivery):
    monkeypatch.setenv("HOME", str(tmp_path))

    File(path="~/a.jsonl").deliver(message(), delivery())

    assert titles(tmp_path / "a.jsonl") == ["Loss is NaN"]


def test_a_file_that_was_moved_is_made_again(provider, path, message, delivery):
    """Nothing is kept open, so that logrotate can move the file."""
    provider.deliver(message("one"), delivery())
    moved = path.rename(path.with_suffix(".1"))
    provider.deliver(message("two"), delivery())

    assert (titles(moved), titles(path)) == (["one"], ["two"])


@pytest.mark.parametrize("path", ["", "a.jsonl", "./a", "~ada/a", "/a\0b"])
def test_a_path_that_is_not_one_file_for_all_is_a_mistake(path):
    with pytest.raises(ValueError, match="path must begin with"):
        File(path=path)


def test_a_path_is_a_string():
    with pytest.raises(TypeError, match="path must be a string"):
        File(path=7)


def missing_folder(path):
    return path / "deeper"


def is_a_folder(path):
    path.mkdir()
    return path


def beneath_a_file(path):
    path.touch()
    return path / "deeper"


def is_a_pipe(path):
    os.mkfifo(path)
    return path


def is_a_loop(path):
    path.symlink_to(path)
    return path


WRONG = {
    missing_folder: "make the folder",
    is_a_folder: "see to the file",
    beneath_a_file: "see to the file",
    is_a_pipe: "another path",
    is_a_loop: "see to the file",
}


@pytest.mark.parametrize("make", WRONG)
def test_what_cannot_be_a_file_is_out_of_order(path, message, delivery, make):
    """No kind of path holds an attempt, and each names its remedy."""
    provider = File(path=str(make(path)))

    with pytest.raises(OutOfOrder) as raised:
        provider.deliver(message(), delivery())
    with pytest.raises(OutOfOrder):
        provider.check(1.0)

    assert WRONG[make] in raised.value.remedy


@pytest.mark.skipif(IS_ROOT, reason="root may write everywhere")
@pytest.mark.parametrize("place", ["file", "folder"])
def test_what_may_not_be_written_is_out_of_order(
    *, provider, path, message, delivery, place
):
    if place == "file":
        path.touch(0o400)
    path.parent.chmod(0o500)

    for attempt in (lambda: provider.deliver(message(), delivery()), provider.check):
        with pytest.raises(OutOfOrder, match="Permission denied") as raised:
            attempt() if attempt != provider.check else attempt(1.0)
        assert "user id" in raised.value.remedy


def test_a_check_makes_nothing(provider, path, message, delivery):
    before = provider.check(1.0)
    assert not path.exists()
    provider.deliver(message(), delivery())
    after = provider.check(1.0)

    assert before == f"{path} will be made"
    assert after == f"{path} holds {path.stat().st_size:,} bytes"


def test_a_line_that_finds_no_room_leaves_nothing(path):
    """The system took a part of it: the part is cut off, and the rest can be sent later."""
    path.write_text("whole\n")

    with appending(path, 1, "x" * 100, limit=50) as process:
        said = process.communicate(timeout=60)[0]

    assert said.startswith("RetryLater")
    assert path.read_text() == "whole\n"


def test_what_a_killed_writer_left_stands_alone(provider, path, message, delivery):
    path.write_text('{"id":"d0","ti')

    provider.deliver(message(), delivery())

    left, line = path.read_text().splitlines()
    assert left == '{"id":"d0","ti'
    assert json.loads(line)["id"] == "d1"


def test_several_processes_append_at_once(path):
    """No line is torn, and none is lost."""
    text = "y" * 20_000
    processes = [appending(path, 25, f"{number}{text}") for number in range(4)]
    said = [process.communicate(timeout=120)[0] for process in processes]

    assert said == [""] * 4
    assert sorted(path.read_text().splitlines()) == sorted(
        f"{number}{text}-{line}" for number in range(4) for line in range(25)
    )


def test_a_file_that_is_held_is_waited_for(provider, path, message, delivery):
    path.touch()
    with path.open("rb") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        with pytest.raises(RetryLater, match="another process holds"):
            provider.deliver(message(), delivery(timeout=0.05))
        waiting = threading.Thread(
            target=provider.deliver, args=(message(), delivery())
        )
        waiting.start()
        fcntl.flock(holder, fcntl.LOCK_UN)
        waiting.join(30)

    assert titles(path) == ["Loss is NaN"]


def test_a_forked_child_does_not_hold_the_file(provider, path, message, delivery):
    """A program forks whenever it likes; the child lives on with what was open then."""
    from tocsin_file._appending import _FLAGS, _locked, _opened

    flags = _FLAGS | os.O_CREAT
    deadline = time.monotonic() + 10
    with _opened(path, flags) as file, _locked(file, path, deadline):
        kept = os.dup(file)  # as a fork keeps it
    try:
        provider.deliver(message(), delivery(timeout=0.5))
    finally:
        os.close(kept)

    assert titles(path) == ["Loss is NaN"]
