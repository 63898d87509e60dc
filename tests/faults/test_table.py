"""The page of faults and these tests name the same rows."""

from __future__ import annotations

import re
from pathlib import Path

from support import ROOT


def test_every_row_has_a_test():
    """Each row of the page has a test that is named for it, and each test a row."""
    page = (ROOT / "docs" / "explanation" / "faults.md").read_text()
    told = {int(row) for row in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    tests = "".join(
        file.read_text() for file in Path(__file__).parent.glob("test_*.py")
    )
    tested = {int(row) for row in re.findall(r"def test_row_(\d+)", tests)}

    assert told == tested == set(range(1, 39))
