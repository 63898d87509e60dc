from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from strategies import alerts

from tocsin import Alert, Attachment, StoreBusy, StoreError
from tocsin._envelope import encode, encode_whole
from tocsin._spill import Spill

WRITER = """
import sys
from pathlib import Path
from tocsin import Alert
from tocsin._spill import Spill

spill = Spill(Path(sys.argv[1]))
for number in range(int(sys.argv[3])):
    spill.write(Alert("Loss", "x" * 300, id=f"{sys.argv[2]}-{number}"))
"""

ADOPTER = """
import sys
from pathlib import Path
from tocsin._spill import Spill

spill = Spill(Path(sys.argv[1]))
while not Path(sys.argv[2]).exists():
    spill.adopt(lambda alert, **_: print(alert.id))
"""

DYING_ADOPTER = """
import os, sys
from pathlib import Path
from tocsin._spill import Spill

def submit(alert, **_):
    if alert.id == "2":
        os._exit(9)
    print(alert.id, flush=True)

Spill(Path(sys.argv[1])).adopt(submit)
"""


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "spill"


def numbered(*ids):
    return [Alert("Loss", id=str(number)) for number in ids]


def write_all(folder, alerts):
    spill = Spill(folder)
    for alert in alerts:
        spill.write(alert)
    return spill


def into(adopted):
    """Return what keeps the alerts that are submitted in a list."""
    return lambda alert, **_: adopted.append(alert)


def adopt_all(folder):
    """Return what a process that comes later finds."""
    adopted = []
    count = Spill(folder).adopt(into(adopted))
    assert count == len(adopted)
    return adopted


def ids(alerts):
    return [alert.id for alert in alerts]


def run(script, *arguments):
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_round_trip(folder):
    """What was written is adopted, in its order, attachments included, and once."""
    first = attrs.evolve(Alert("a", id="1"), attachments=[Attachment("a.txt", b"x")])
    second = Alert("b", "line\nline", id="2", fields={"f": 1})
    write_all(folder, [first, second])

    assert adopt_all(folder) == [first, second]
    assert adopt_all(folder) == []
    assert list(folder.iterdir()) == []


@settings(
    deadline=None,
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(alert=alerts)
def test_any_alert(folder, alert):
    """Any alert at all survives."""
    write_all(folder, [alert])

    assert adopt_all(folder) == [alert]


def test_nothing(folder):
    """Where nothing was ever spilled there is nothing to adopt, and nothing is made."""
    assert adopt_all(folder) == []
    assert Spill(folder).is_empty
    assert not folder.exists()


def test_is_empty(folder):
    """A spill is empty again when all was adopted."""
    spill = write_all(folder, numbered(1))
    before = spill.is_empty
    spill.adopt(lambda alert, **_: None)

    assert not before
    assert spill.is_empty


def test_only_the_owner_reads_it(folder):
    """A folder of alerts is its user's alone."""
    write_all(folder, numbered(1))

    assert folder.stat().st_mode & 0o777 == 0o700


def test_own_file_is_adopted(folder):
    """A process may adopt what it wrote itself, and write on."""
    spill = write_all(folder, numbered(1))
    adopted = []
    spill.adopt(into(adopted))
    spill.write(*numbered(2))
    spill.adopt(into(adopted))

    assert ids(adopted) == ["1", "2"]


def test_writing_while_it_is_adopted(folder):
    """What is written during an adoption goes to another file, and is not lost."""
    spill = write_all(folder, numbered(1, 2))
    adopted = []

    def submit(alert, **_):
        adopted.append(alert)
        spill.write(*numbered(f"{alert.id}-again"))

    Spill(folder).adopt(submit)
    adopted += adopt_all(folder)
    assert ids(adopted) == ["1", "2", "1-again", "2-again"]


@pytest.fixture
def between(monkeypatch):
    """Return what makes something happen once, between opening a file and locking it."""
    flock = fcntl.flock

    def between(event):
        def flock_after_event(file, operation):
            monkeypatch.setattr(fcntl, "flock", flock)
            event()
            flock(file, operation)

        monkeypatch.setattr(fcntl, "flock", flock_after_event)

    return between


def test_file_taken_before_it_is_written(folder, between):
    """A writer whose file is taken over before it has the lock writes to another."""
    spill = write_all(folder, numbered(1))
    adopted = []
    between(lambda: Spill(folder).adopt(into(adopted)))
    spill.write(*numbered(2))

    assert ids([*adopted, *adopt_all(folder)]) == ["1", "2"]


def test_file_begun_again_before_it_is_adopted(folder, between):
    """An adopter that comes second leaves a new file of the same name for the next."""
    spill = write_all(folder, numbered(1))
    adopted = []

    def come_first():
        Spill(folder).adopt(into(adopted))
        spill.write(*numbered(2))

    between(come_first)
    second = adopt_all(folder)

    assert ids([*adopted, *second, *adopt_all(folder)]) == ["1", "2"]


def test_one_adopter_at_a_time(folder):
    """A file that someone adopts is left alone by everyone else."""
    write_all(folder, numbered(1, 2))
    adopted = []

    def submit(alert, **_):
        adopted.append(alert)
        assert adopt_all(folder) == []

    assert Spill(folder).adopt(submit) == 2
    assert ids(adopted) == ["1", "2"]


def test_store_that_fails(folder):
    """What a store does not take stays for the next time, with all that follows."""
    write_all(folder, numbered(1, 2, 3))
    taken = []

    def submit(alert, **_):
        if alert.id == "2":
            raise StoreBusy("locked")
        taken.append(alert)

    with pytest.raises(StoreError):
        Spill(folder).adopt(submit)
    assert ids(taken) == ["1"]
    assert {"2", "3"} <= set(ids(adopt_all(folder)))
    assert Spill(folder).is_empty


def test_writing_after_a_failed_adoption(folder):
    """A writer whose file was taken and not finished goes on in a new one."""
    spill = write_all(folder, numbered(1))

    def submit(alert, **_):
        raise StoreBusy("locked")

    with pytest.raises(StoreBusy):
        Spill(folder).adopt(submit)
    spill.write(*numbered(2))

    assert sorted(ids(adopt_all(folder))) == ["1", "2"]


@pytest.mark.parametrize(
    "torn",
    [
        b"half",
        encode_whole(Alert("Loss", id="torn")).encode()[:-9],
        b"\xff\0\x80",
        b"[" * 99_999,
    ],
    ids=["word", "half a line", "no text", "deep"],
)
def test_torn_line(folder, torn):
    """A line that a full disk tore is lost alone: not the one before, nor the next."""
    spill = write_all(folder, numbered(1))
    (file,) = folder.iterdir()
    with file.open("ab") as stream:
        stream.write(torn)
    spill.write(*numbered(2))

    assert ids(adopt_all(folder)) == ["1", "2"]
    assert Spill(folder).is_empty


def test_newer_version_is_kept(folder):
    """A file that a newer Tocsin wrote is left for one; the others are adopted."""
    newer = json.loads(encode(Alert("Loss", id="newer"))) | {"version": 99}
    line = json.dumps({"alert": json.dumps(newer), "attachments": []})
    folder.mkdir(mode=0o700)
    (folder / "0-newer.jsonl").write_text(f"\n{line}\n")
    write_all(folder, numbered(1))

    assert ids(adopt_all(folder)) == ["1"]
    assert ids(adopt_all(folder)) == []
    (kept,) = folder.iterdir()
    assert line in kept.read_text()


def test_what_cannot_be_opened_is_passed_over(folder):
    """One file that cannot be read does not keep the others from being adopted."""
    folder.mkdir()
    (folder / "0.jsonl").mkdir()  # even root cannot read it as a file
    write_all(folder, numbered(1))

    assert ids(adopt_all(folder)) == ["1"]


def test_folder_that_cannot_be_made(tmp_path):
    """Whoever writes is told when it could not be kept."""
    (tmp_path / "file").touch()

    with pytest.raises(OSError, match=r"directory|exists"):
        Spill(tmp_path / "file" / "spill").write(*numbered(1))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")  # noqa: PTH110 - a device
def test_disk_full(folder):
    """A full disk is told when it is written to, not swallowed."""
    spill = Spill(folder)
    folder.mkdir()
    spill._mine.symlink_to("/dev/full")

    with pytest.raises(OSError, match="No space"):
        spill.write(*numbered(1))


def test_after_fork(folder):
    """A child writes to a file of its own."""
    spill = write_all(folder, numbered(1))
    spill.after_fork_in_child()
    spill.write(*numbered(2))

    assert len(list(folder.iterdir())) == 2
    assert sorted(ids(adopt_all(folder))) == ["1", "2"]


def test_adopter_that_dies(folder):
    """What a process had not finished when it died is there for the next one."""
    write_all(folder, numbered(1, 2, 3))
    dying = run(DYING_ADOPTER, folder)
    output, _ = dying.communicate(timeout=60)

    assert (dying.returncode, output.split()) == (9, ["1"])
    assert {"2", "3"} <= set(ids(adopt_all(folder)))
    assert Spill(folder).is_empty


def test_processes_lose_nothing(folder, tmp_path):
    """With writers and adopters at once, each alert is submitted, and only once."""
    stop = tmp_path / "stop"
    adopters = [run(ADOPTER, folder, stop) for _ in range(2)]
    writers = [run(WRITER, folder, name, 300) for name in ("a", "b", "c")]
    for writer in writers:
        writer.communicate(timeout=60)
    stop.touch()
    outputs = [adopter.communicate(timeout=60)[0] for adopter in adopters]

    assert [process.returncode for process in (*writers, *adopters)] == [0] * 5
    adopted = " ".join(outputs).split()
    adopted += ids(adopt_all(folder))
    expected = {f"{name}-{number}" for name in "abc" for number in range(300)}
    assert set(adopted) == expected
    assert len(adopted) == len(expected)


@pytest.mark.parametrize("is_admitted", [True, False])
def test_whether_it_was_admitted(folder, is_admitted):
    """What passed the throttle in a store that is gone is not asked to pass it again."""
    Spill(folder).write(*numbered(1), is_admitted=is_admitted)
    told = []
    Spill(folder).adopt(lambda alert, *, is_admitted: told.append(is_admitted))

    assert told == [is_admitted]
