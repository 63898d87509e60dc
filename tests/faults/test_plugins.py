"""Plugins that are broken, and providers that misbehave."""

from __future__ import annotations

import json

import pytest
from support import write_distribution

ROGUE = """
import os, sys, threading
import attrs
from tocsin import Provider, hookimpl

class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("not even this")

def recurse():
    recurse()

def eat():
    raise MemoryError

DEEDS = {
    "raise": lambda: 1 / 0,
    "unprintable": lambda: (_ for _ in ()).throw(Unprintable()),
    "exit": lambda: sys.exit("gone"),
    "interrupt": lambda: (_ for _ in ()).throw(KeyboardInterrupt()),
    "base": lambda: (_ for _ in ()).throw(BaseException("base")),
    "stop": lambda: (_ for _ in ()).throw(GeneratorExit()),
    "recurse": recurse,
    "memory": eat,
    "nothing": lambda: None,
    "hang": threading.Event().wait,
}

@attrs.frozen
class Rogue(Provider):
    deed: str
    when: str = "deliver"

    name = "rogue"

    def open(self):
        if self.when == "open":
            DEEDS[self.deed]()
        return self

    def deliver(self, message, delivery):
        return DEEDS[self.deed]()

    def close(self):
        DEEDS[self.deed]()

@hookimpl
def tocsin_register(registrar):
    registrar.provider(Rogue)
"""
RAISE = """
import json, threading, time, tocsin

run = tocsin.init()
results = [run.alert(title) for title in ("one", "two")]
deadline = time.monotonic() + 6
while time.monotonic() < deadline:
    bad, good = zip(*[result.wait(0) for result in results])
    if all(one.reason for one in bad) and all(one.settled_at for one in good):
        break
    time.sleep(0.01)
began = time.monotonic()
run.finish(timeout=1)
took = time.monotonic() - began
print(json.dumps([[(one.status.value, one.reason) for one in bad], took]))
"""


@pytest.fixture
def rogue(place):
    """Configures a channel that misbehaves, beside one that works."""
    write_distribution(place.path / "site", "tocsin_rogue", ROGUE, entry="rogue")

    def configured(**settings):
        out = {"provider": "lines", "path": str(place.path / "tocsin.toml.lines")}
        bad = {"provider": "rogue", **settings}
        place.configure({"bad": bad, "out": out}, submit_timeout="10s", timeout=0.5)

    return configured


@pytest.mark.parametrize(
    ("deed", "words"),
    [
        ("raise", "ZeroDivisionError"),
        ("unprintable", "Unprintable"),
        ("exit", "SystemExit: gone"),
        ("interrupt", "KeyboardInterrupt"),
        ("base", "BaseException: base"),
        ("stop", "GeneratorExit"),
        ("recurse", "RecursionError"),
        ("memory", "MemoryError"),
        ("nothing", "NoneType"),
        ("hang", "no answer within 0.5 s"),
    ],
)
def test_row_31_a_provider_that_misbehaves(place, rogue, deed, words):
    """Whatever a provider does in its attempt is told as a failure of that attempt; the
    other channels flow, and the program ends in time, with its own status."""
    rogue(deed=deed)

    deliveries, took = json.loads(place.run(RAISE))

    assert {line["title"] for line in place.delivered()} == {"one", "two"}
    for status, reason in deliveries:
        assert status == "pending"
        assert words in reason
    assert took < 1 + 3


@pytest.mark.parametrize(
    "deed",
    [
        "raise",
        "exit",
        "hang",
    ],
)
def test_row_31_a_provider_that_does_not_open(place, rogue, deed):
    """The same goes for what it does before the first attempt."""
    rogue(deed=deed, when="open")

    deliveries, took = json.loads(place.run(RAISE))

    assert {line["title"] for line in place.delivered()} == {"one", "two"}
    assert {status for status, _ in deliveries} == {"pending"}
    assert took < 1 + 3


BROKEN = {
    "import": "import nowhere_to_be_found",
    "syntax": "def tocsin_register(registrar:",
    "exit": "import sys; sys.exit(4)",
    "interrupt": "raise KeyboardInterrupt",
    "empty": "",
    "hook": "from tocsin import hookimpl\n@hookimpl\ndef tocsin_register(registrar): 1 / 0",
    "misspelt": "from tocsin import hookimpl\n@hookimpl\ndef tocsin_regster(registrar): 1",
    "foreign": "from tocsin import hookimpl\n@hookimpl\ndef tocsin_register(registrar):"
    " registrar.provider(dict)",
}


RAISE_AND_FINISH = "import tocsin; r = tocsin.init(); r.alert('x'); r.finish()"


@pytest.fixture
def broken(place):
    """Configures a channel for each plugin that is broken, and one that works."""
    out = {"provider": "lines", "path": str(place.path / "tocsin.toml.lines")}
    for name, code in BROKEN.items():
        folder = place.path / "site"
        write_distribution(folder, f"tocsin_{name}", code, entry=name)
    broken = {f"bad-{name}": {"provider": name} for name in BROKEN}
    place.configure({**broken, "out": out}, submit_timeout="10s")


@pytest.mark.usefixtures("broken")
def test_row_35_broken_plugins_beside_good_ones(place):
    """Each plugin that is broken is named by the commands that look; the channels of the
    others work."""
    place.run(RAISE_AND_FINISH)
    told = place.tocsin("channels").stdout + place.tocsin("doctor").stdout

    assert [line["title"] for line in place.delivered()] == ["x"]
    for name in BROKEN:
        assert f"tocsin_{name} 1.0" in " ".join(told.split())


@pytest.mark.usefixtures("broken")
def test_row_35_a_program_names_its_broken_plugins(place):
    """A program whose channel's plugin is broken says so itself."""
    _, errors = place.python(RAISE_AND_FINISH).communicate(timeout=60)

    for name in BROKEN:
        assert f"tocsin_{name} 1.0" in errors
