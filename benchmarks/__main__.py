"""Measure what an alert costs, beside floors and peers, in one run.

python benchmarks                    measure all, and write results.md
python benchmarks raising history    measure two groups, and print them
python benchmarks --quick            see that all can be measured

The figures of a quick run are rough. A peer that is not installed is a row without a figure.
"""

from __future__ import annotations

import argparse
import os
import platform
import sqlite3
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import crowd
import delivering
import history
import mail
import raising
import starting
from places import new_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from table import Table

RESULTS = Path(__file__).with_name("results.md")

GROUPS: Mapping[str, Callable[[Path], Iterator[Table]]] = {
    "raising": lambda folder: raising.tables(folder, rounds=12),
    "starting": lambda folder: starting.tables(folder, rounds=15),
    "mail": lambda folder: mail.tables(folder, rounds=6, mails=200),
    "delivering": lambda folder: delivering.tables(folder, rounds=6, count=400),
    "crowd": lambda folder: crowd.tables(folder, rounds=4, calls=100),
    "history": lambda folder: history.tables(folder, rounds=20, rows=1_000_000),
}
QUICK: Mapping[str, Callable[[Path], Iterator[Table]]] = {
    "raising": lambda folder: raising.tables(folder, rounds=1, share=0.1),
    "starting": lambda folder: starting.tables(folder, rounds=0),
    "mail": lambda folder: mail.tables(folder, rounds=1, mails=10),
    "delivering": lambda folder: delivering.tables(folder, rounds=1, count=40),
    "crowd": lambda folder: crowd.tables(folder, rounds=0, calls=10),
    "history": lambda folder: history.tables(folder, rounds=1, rows=5_000),
}


def main() -> None:
    """Measure, print, and write down what is whole."""
    words = parsed_arguments()
    groups = QUICK if words.quick else GROUPS
    parts = [machine()]
    print(parts[0], flush=True)
    for name in words.groups or groups:
        for table in measured(groups[name]):
            print(f"\n{table}", end="", flush=True)
            parts.append(str(table))
    is_whole = not (words.quick or words.groups)
    if output := words.output or (RESULTS if is_whole else None):
        output.write_text("\n".join(parts), encoding="utf-8")


def parsed_arguments() -> argparse.Namespace:
    """Return the words of the command line."""
    parser = argparse.ArgumentParser(description="Measure what an alert costs.")
    parser.add_argument("groups", nargs="*", choices=[*GROUPS, []], metavar="GROUP")
    parser.add_argument("--quick", action="store_true", help="a smoke run, 30 seconds")
    parser.add_argument("--output", type=Path, help="the file to write")
    return parser.parse_args()


def measured(tables: Callable[[Path], Iterator[Table]]) -> Iterator[Table]:
    """Measure a group in a folder of its own."""
    with new_folder() as folder:
        yield from tables(folder)


def machine() -> str:
    """Return a line about where this is measured."""
    return (
        f"tocsin {metadata.version('tocsin')}, {os.cpu_count()} cores, "
        f"{platform.python_implementation()} {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}, {sys.platform} {platform.machine()}\n"
    )


if __name__ == "__main__":
    main()
