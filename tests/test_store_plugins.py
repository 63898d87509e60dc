"""A store that is installed as a plugin, through the commands."""

from __future__ import annotations

import json

import pytest
from docs_support import blocks
from support import write_distribution

CODE = blocks("extend/store.md")[0].text
"""The store that the page tells how to write."""


@pytest.fixture
def kept(place):
    """Have the store installed and chosen; return its file."""
    folder = place.path / "plugins"
    write_distribution(folder, "tocsin_json", CODE, entry="json")
    paths = [str(folder), place.environment.get("PYTHONPATH", "")]
    place.environment["PYTHONPATH"] = ":".join(filter(None, paths))
    choose(place)
    return place.path / "alerts.json"


def choose(place, path="alerts.json", **settings):
    config = place.write_config(submit_timeout="5s", **settings)
    table = f'[store]\nprovider = "json"\npath = "{place.path / path}"\n'
    config.write_text(config.read_text() + table)
    return config


def told(place, *words, code=0):
    done = place.tocsin(*words)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def test_commands(place, kept):
    """Each looks into the store of the configuration, and makes no database."""
    told(place, "send", "Disk full")
    assert [line["title"] for line in place.delivered()] == ["Disk full"]
    assert json.loads(kept.read_text())["namespaces"]
    assert not list(place.path.rglob("tocsin.db"))

    assert "Disk full" in told(place, "log")
    told(place, "silence", "add", "Loss*", "--for", "1h", "--reason", "known")
    assert "Loss*" in told(place, "silence", "list")
    told(place, "send", "Loss is NaN", code=3)
    assert "Loss is NaN" in told(place, "log")
    assert [line["title"] for line in place.delivered()] == ["Disk full"]
    assert "alerts are kept in the store 'json'" in told(place, "doctor")
    told(place, "runs")
    assert not list(place.path.rglob("tocsin.db"))


def test_what_a_program_left(place, kept):
    """Another process delivers it, and replays what has failed."""
    place.run("import tocsin; tocsin.init(id='r1', mode='offline').alert('t')")
    assert place.delivered() == []

    assert "1 delivered" in told(place, "drain")
    assert [line["title"] for line in place.delivered()][:1] == ["t"]
    delivery = place.delivered()[0]["id"]
    told(place, "replay", delivery)
    assert [line["id"] for line in place.delivered()].count(delivery) == 2


def test_a_store_that_is_broken(place, kept):
    """What is raised waits in files; doctor tells why, and it is sent once that is mended."""
    kept.mkdir()
    place.run("import tocsin; tocsin.init(id='r1', mode='offline').alert('t')")
    assert "IsADirectoryError" in told(place, "doctor", code=1)

    kept.rmdir()
    told(place, "drain")
    assert "t" in [line["title"] for line in place.delivered()]


def test_a_text_that_is_not_ours(place, kept):
    """It is left alone, and whoever looks is told what to do."""
    kept.write_text("not ours")
    done = place.tocsin("drain")

    assert done.returncode != 0
    assert "put it aside" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert kept.read_text() == "not ours"
    assert not list(place.path.rglob("tocsin.db"))


def test_two_processes(place, kept):
    """They share windows: what one has told, the other counts."""
    code = (
        "import tocsin\n"
        "run = tocsin.init(id='r1', job='j1')\n"
        "print(type(run.alert('t', wait_duration=3600)).__name__)\n"
    )
    processes = [place.python(code) for _ in range(2)]
    results = sorted(
        process.communicate(timeout=60)[0].strip() for process in processes
    )

    assert results == ["Admitted", "Suppressed"]
