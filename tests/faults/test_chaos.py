from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_row_05_random_kills():
    """Of 800 alerts that processes raise and deliver while 40 of them are killed, none is
    lost, and none comes twice but those that a dead process had under way."""
    chaos = [sys.executable, Path(__file__).with_name("chaos.py")]
    done = subprocess.run(
        [*chaos, "--kills", "40", "--alerts", "800"],
        check=False,
        capture_output=True,
        text=True,
        timeout=280,
    )

    assert done.returncode == 0, done.stdout + done.stderr
