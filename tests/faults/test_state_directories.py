"""What happens to the state directory: damage, another version, a network file system."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3

import pytest

RAISE = "import tocsin; print(tocsin.init({}).alert({!r}, level='ERROR'))"
KILLED = (
    "import os, signal, tocsin; run = tocsin.init(mode='offline');"
    "print(type(run.alert('lost node')).__name__, flush=True);"
    "os.kill(os.getpid(), signal.SIGKILL)"
)


def overwrite(path, offset, garbage):
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(garbage)


def keep_offline(place, *titles):
    for title in titles:
        place.run(RAISE.format("mode='offline'", title))


def test_row_13_no_database(place):
    """What is no database at all is put aside, a new one is made, and it is told."""
    (place.path / "state").mkdir()
    database = place.path / "state" / "tocsin.db"
    database.write_bytes(b"this is no database\n" * 500)

    process = place.python(
        "import tocsin; run = tocsin.init(); run.alert('x'); run.finish()"
    )
    _, errors = process.communicate(timeout=60)

    assert process.returncode == 0, errors
    assert "was put aside as" in errors
    assert [line["title"] for line in place.delivered()] == ["x"]
    (aside,) = database.parent.glob("tocsin.db.damaged-*")
    assert aside.read_bytes().startswith(b"this is no database")


def test_row_13_damaged_in_the_middle(place):
    """What was not delivered, and can still be read, is submitted to the new database."""
    keep_offline(place, *(f"kept {number}" for number in range(30)))
    database = place.path / "state" / "tocsin.db"
    with sqlite3.connect(database) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (root,) = db.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'windows'"
        ).fetchone()
        size = db.execute("PRAGMA page_size").fetchone()[0]
    db.close()
    overwrite(database, (root - 1) * size, b"\xff" * size)

    process = place.python(
        "import tocsin; run = tocsin.init(); run.alert('new'); run.finish(timeout=20)"
    )
    _, errors = process.communicate(timeout=60)

    assert process.returncode == 0, errors
    assert "alerts that were not delivered could be read" in errors
    titles = {str(line["title"]) for line in place.delivered()}
    assert titles == {*(f"kept {number}" for number in range(30)), "new"}


def test_the_database_is_removed_meanwhile(place):
    """Whoever has the file open that somebody removed goes on with a new one."""
    place.run(
        "import os, time, tocsin\n"
        "run = tocsin.init()\n"
        "run.alert('before').wait(10)\n"
        "for name in os.listdir('state'):\n"
        "    if name.startswith('tocsin.db'): os.remove('state/' + name)\n"
        "deadline = time.monotonic() + 20\n"
        "while not os.path.exists('state/tocsin.db') and time.monotonic() < deadline:\n"
        "    time.sleep(0.05)\n"
        "run.alert('after').wait(10)\n"
        "run.finish()\n"
    )

    assert [line["title"] for line in place.delivered()] == ["before", "after"]
    assert (place.path / "state" / "tocsin.db").exists()


def test_the_database_is_removed_with_what_waits_in_it(place):
    """What a process holds that somebody removed the file of is not lost."""
    place.run(
        "import os, time, tocsin\n"
        "run = tocsin.init(mode='offline')\n"
        "for number in range(3): run.alert(f'kept {number}')\n"
        "for name in os.listdir('state'):\n"
        "    if name.startswith('tocsin.db'): os.remove('state/' + name)\n"
        "deadline = time.monotonic() + 20\n"
        "while not os.path.exists('state/tocsin.db') and time.monotonic() < deadline:\n"
        "    time.sleep(0.05)\n"
        "run.finish()\n"
    )
    place.run("import tocsin; tocsin.init().finish(timeout=20)")

    titles = sorted(str(line["title"]) for line in place.delivered())
    assert titles == [f"kept {number}" for number in range(3)]


@pytest.fixture
def shared(place):
    """A state directory on a network file system, as the configuration says."""
    place.write_config(network_state=True)

    def node(name):
        return {**place.environment, "TOCSIN_LOCAL_DIR": str(place.path / name)}

    return node


def test_row_15_sqlite_is_on_a_local_disk(place, shared):
    """On a network file system the database is elsewhere, and alerts are delivered."""
    place.run(
        "import tocsin; run = tocsin.init(); run.alert('x'); run.finish()",
        env=shared("a"),
    )

    assert [line["title"] for line in place.delivered()] == ["x"]
    assert list((place.path / "a").glob("**/tocsin.db"))
    assert not list((place.path / "state").rglob("tocsin.db"))


def test_row_15_a_node_is_lost(place, shared):
    """What a machine took in that is gone, with its disk, another machine delivers."""
    process = place.python(KILLED, env=shared("lost"))
    output, _ = process.communicate(timeout=60)
    assert output.strip() == "Admitted"
    assert process.returncode == -signal.SIGKILL
    shutil.rmtree(place.path / "lost")

    place.run("import tocsin; tocsin.init().finish(timeout=20)", env=shared("other"))
    place.run("import tocsin; tocsin.init().finish(timeout=20)", env=shared("third"))

    assert [line["title"] for line in place.delivered()] == ["lost node"]
    assert not list((place.path / "state" / "journal").rglob("*.jsonl"))


def test_row_15_the_command_line(place, shared):
    """The commands look where the database is; drain takes over what a machine left."""
    place.python(KILLED, env=shared("lost")).communicate(timeout=60)
    shutil.rmtree(place.path / "lost")
    place.environment["TOCSIN_LOCAL_DIR"] = str(place.path / "other")

    drained = place.tocsin("drain")

    assert drained.returncode == 0, drained.stderr
    assert [line["title"] for line in place.delivered()] == ["lost node"]
    assert "lost node" in place.tocsin("log").stdout


def test_row_15_a_node_that_lives_is_left_alone(place, shared):
    """Another machine's journal is adopted when nobody touched it for a minute, not before."""
    process = place.python(KILLED, env=shared("lost"))
    process.communicate(timeout=60)
    (journal,) = (place.path / "state" / "journal").rglob("*.jsonl")
    _, pid, unique = journal.name.rsplit("-", 2)
    journal = journal.rename(journal.with_name(f"elsewhere-{pid}-{unique}"))
    finish = "import tocsin; tocsin.init().finish(timeout=20)"

    place.run(finish, env=shared("other"))
    assert place.delivered() == []

    long_ago = journal.stat().st_mtime - 61
    os.utime(journal, (long_ago, long_ago))
    place.run(finish, env=shared("other"))
    assert [line["title"] for line in place.delivered()] == ["lost node"]


def test_row_15_what_was_delivered_is_not_adopted(place, shared):
    """A machine that is lost after it delivered leaves nothing to send again."""
    process = place.python(
        "import os, pathlib, signal, time, tocsin\n"
        "run = tocsin.init()\n"
        "run.alert('delivered').wait(10)\n"
        "journal = pathlib.Path('state/journal')\n"
        "while any(journal.rglob('*.jsonl')): time.sleep(0.05)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n",
        env=shared("lost"),
    )
    process.communicate(timeout=60)
    shutil.rmtree(place.path / "lost")

    place.run("import tocsin; tocsin.init().finish(timeout=20)", env=shared("other"))

    assert [line["title"] for line in place.delivered()] == ["delivered"]
