"""What `tocsin new provider` writes is installed, and passes its tests, where nothing else is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec

import pytest
from support import ROOT, uv

ODD = ["my-pager", "none", "test-board"]
"""Names that would be words of Python, of pytest, or of the code itself."""


def run(*command, folder, **environment):
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **environment},
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def install(interpreter, wheels, *packages):
    uv(
        "pip", "install", "--quiet", "--python", interpreter, "--no-sources",
        "--constraints", ROOT / "constraints.txt", "--find-links", wheels, *packages,
    )  # fmt: skip


@pytest.fixture(scope="module")
def installed(fresh_environment):
    return fresh_environment("tocsin[cli,testing]")


@pytest.fixture
def new(installed, tmp_path):
    """Has the installed command write a package; returns its folder."""

    def write(name):
        run(installed, "-m", "tocsin", "new", "provider", name, folder=tmp_path)
        return tmp_path / f"tocsin-{name}"

    return write


@pytest.mark.slow
def test_a_new_provider_passes_its_tests(new, installed, wheels, tmp_path):
    """As a wheel, in an environment with core alone: no line of it has to be touched."""
    folder = new("pager")
    uv("build", "--quiet", "--wheel", "--out-dir", tmp_path / "out", folder)
    (wheel,) = (tmp_path / "out").glob("*.whl")

    install(installed, wheels, f"tocsin-pager[testing] @ {wheel.as_uri()}")
    output = run(
        installed, "-m", "pytest", "-q", "-p", "no:cacheprovider", folder=folder
    )

    assert " passed" in output
    assert "skipped" not in output


@pytest.mark.slow
@pytest.mark.parametrize("name", ODD)
def test_odd_names(name, new, installed, wheels):
    """Editable, as authors install it: it is found under its name, and delivers."""
    folder = new(name)

    install(installed, wheels, "-e", folder)
    run(
        *(installed, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
        *("-k", "arrives or discovered or from_a_file or golden or level or token"),
        folder=folder,
    )

    assert f"tocsin-{name} 0.1.0" in run(
        installed, "-m", "tocsin", "providers", folder=folder
    )


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("ruff"), reason="ruff is not installed")
def test_it_is_clean(new, installed):
    """ruff has nothing to say, nor has mypy, strict as it is."""
    for name in ("siren", "abcdefgh-ijklmnop-qrstuv"):
        folder = new(name)

        run("ruff", "check", "--no-cache", folder=folder)
        run("ruff", "format", "--no-cache", "--check", folder=folder)
        if find_spec("mypy"):
            run(
                *(sys.executable, "-m", "mypy", "--cache-dir", os.devnull),
                *("--python-executable", installed),
                folder=folder,
            )
