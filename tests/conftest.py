from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest
from hooked import as_in_a_fresh_process
from support import PACKAGES, PROVIDER, ROOT, Place, uv, write_distribution

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Each test begins as a fresh process does."""
    with as_in_a_fresh_process():
        yield


@pytest.fixture
def place(tmp_path: Path) -> Place:
    write_distribution(tmp_path / "site", "tocsin_lines", PROVIDER, entry="lines")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PYTHONPATH": str(tmp_path / "site"),
        "TOCSIN_STATE_DIR": str(tmp_path / "state"),
        "TOCSIN_CONFIG": str(tmp_path / "tocsin.toml"),
    }
    place = Place(tmp_path, environment)
    place.write_config()
    return place


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel of every package."""
    folder = tmp_path_factory.mktemp("wheels")
    for package in PACKAGES:
        uv("build", "--quiet", "--wheel", "--out-dir", folder, package)
    return folder


@pytest.fixture(scope="session")
def fresh_environment(wheels: Path, tmp_path_factory: pytest.TempPathFactory):
    """Makes a virtual environment with the given packages, from their wheels."""

    def make(*packages: str, python: str = sys.executable) -> str:
        folder = tmp_path_factory.mktemp("environment")
        uv("venv", "--quiet", "--python", python, folder)
        interpreter = str(folder / "bin" / "python")
        uv(
            "pip", "install", "--quiet", "--python", interpreter, "--no-sources",
            "--constraints", ROOT / "constraints.txt", "--find-links", wheels, *packages,
        )  # fmt: skip
        return interpreter

    return make
