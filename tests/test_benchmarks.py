"""The benchmarks run, and each row is there, whether or not the peers are installed."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import attrs
import pytest
from support import ROOT

DELIVERED = "tocsin-webhook, from `notify()` until it is written down as delivered"
GOALS = [
    ("admitted, online", "≤ 5x"),
    ("admitted, online", "≤ 1/20"),
    ("admitted, online, a sink of 50 ms", "≤ 1/1,000"),
    ("suppressed, online", "≤ 0.5x"),
    ("admitted, online", "≤ 5x"),
    ("suppressed, online", "≤ 0.5x"),
    ("`import tocsin`", "≤ 0.3x"),
    ("import, init, first alert admitted, online", "≤ 0.5x"),
    ("first alert admitted, online", "≤ 30 MB"),
    ("first alert admitted, offline", "≤ 30 MB"),
    ("tocsin-email, from `alert()` on", "≥ 1x"),
    (DELIVERED, "≥ 0.9x"),
    (DELIVERED, "≥ 4x"),
    (DELIVERED, "≥ 0.9x"),
    ("`alert()`", "1 sent, p50 ≤ 1 ms"),
    ("raise, 5,000 alerts in the store", "≤ 1.2x"),
    ("claim and settle, 5,000 alerts in the store", "≤ 1.2x"),
]
FLOORS = [
    "lock + dict",
    "QueueHandler log call",
    "raw WAL insert",
    "smtplib",
    "requests",
]
PEERS = ["apprise", "notifiers", "knockknock", "slack_sdk", "wandb"]

pytestmark = pytest.mark.slow


@attrs.frozen
class Row:
    measure: str
    figure: str
    ratio: str
    goal: str
    verdict: str


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """The rows that the quick form writes."""
    output = tmp_path_factory.mktemp("benchmarks") / "results.md"
    command = [sys.executable, "benchmarks", "--quick", "--output", output]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = output.read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    return [Row(*row) for row in cells if row and row[0] and set(row[0]) != {"-"}]


def test_each_goal_is_in_a_row(rows):
    assert [(row.measure, row.goal) for row in rows if row.goal] == GOALS


def test_each_row_has_a_figure(rows):
    assert all(row.figure for row in rows)
    assert {row.verdict for row in rows} <= {"", "met", "**missed**", "not measured"}


def test_each_goal_is_held_against_what_is_there(rows):
    """Only a goal that needs a peer which is not installed goes unmeasured."""
    unmeasured = [row for row in rows if row.verdict == "not measured"]

    assert all(row.ratio.endswith(": not installed") for row in unmeasured)
    assert len(unmeasured) == (0 if find_spec("apprise") else 5)


@pytest.mark.parametrize("name", [*FLOORS, *PEERS])
def test_floors_and_peers_are_beside(rows, name):
    """A peer that is not installed has a row that says so."""
    figures = [row.figure for row in rows if row.measure.startswith(name)]
    is_there = name in FLOORS or find_spec(name) is not None

    assert figures
    assert all((figure != "not installed") is is_there for figure in figures)
