"""Set up `.venv` in this checkout, and run something in it.

    python3 dev.py demo     raise alerts in a small training loop, and see what arrives
    python3 dev.py test     run the tests; further words go to pytest
    python3 dev.py nox      run nox; further words go to it

It needs Python 3.11 or newer with venv and pip, and touches nothing outside the checkout.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
SHOWN = ("core[cli]", "providers/slack[testing]", "providers/email[testing]")


def main() -> int:
    """Run the command that the arguments name."""
    commands = {"demo": demo, "test": test, "nox": nox}
    command = commands.get(sys.argv[1] if len(sys.argv) > 1 else "")
    if command is None:
        print(__doc__)
        return 2
    if sys.version_info < (3, 11):  # noqa: UP036 - whatever python3 is may run this
        print(f"Python 3.11 or newer is needed; this is {sys.version.split()[0]}.")
        return 2
    return command(sys.argv[2:])


def demo(words: list[str]) -> int:
    """Run the demo with the packages of this checkout."""
    install("demo", SHOWN)
    return run(BIN / "python", ROOT / "examples" / "demo.py", *words)


def test(words: list[str]) -> int:
    """Run the tests."""
    install("tests")
    temporary = ROOT / ".cache" / "pytest"
    temporary.parent.mkdir(exist_ok=True)
    # half of the time is waiting for other processes: a worker for each core halves it
    parallel = [] if any(word.startswith("-n") for word in words) else ["-n", "auto"]
    arguments = [f"--basetemp={temporary}", *parallel, *words]
    return run(BIN / "python", "-m", "pytest", *arguments)


def nox(words: list[str]) -> int:
    """Run nox."""
    install("nox")
    return run(BIN / "python", "-m", "nox", *words)


def packages() -> list[str]:
    """Return every package of this checkout, with what its tests need."""
    others = sorted(path.parent for path in ROOT.glob("*/*/pyproject.toml"))
    return ["core[cli]", *(f"{path.relative_to(ROOT)}[testing]" for path in others)]


def install(group: str, only: Iterable[str] = ()) -> None:
    """Install the packages of this checkout, editable, and a group of requirements."""
    if not VENV.is_dir():
        print("Making .venv …", flush=True)
        check(sys.executable, "-m", "venv", VENV)
    stamp = VENV / f"installed-{group}"
    state = fingerprint()
    if stamp.is_file() and stamp.read_text() == state:
        return
    print(f"Installing what {group} needs into .venv …", flush=True)
    editable = [
        word for package in only or packages() for word in ("-e", f"{ROOT}/{package}")
    ]
    pip = [
        BIN / "python",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]
    check(*pip, "-c", ROOT / "constraints.txt", *editable, *requirements(group))
    stamp.write_text(state)


def requirements(group: str) -> list[str]:
    """Return a dependency group of pyproject.toml; older versions of pip cannot read it."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return [str(item) for item in project["dependency-groups"][group]]


def fingerprint() -> str:
    """Return a digest of all that decides what is installed."""
    files = [ROOT / "constraints.txt", *sorted(ROOT.glob("**/pyproject.toml"))]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def check(*command: object) -> None:
    """Run a command that must succeed."""
    if status := run(*command):
        sys.exit(status)


def run(*command: object) -> int:
    """Run a command with its caches in this checkout."""
    caches = {
        "MPLCONFIGDIR": str(ROOT / ".cache" / "matplotlib"),
        "PIP_CACHE_DIR": str(ROOT / ".cache" / "pip"),
        "UV_CACHE_DIR": str(ROOT / ".cache" / "uv"),
        "UV_CREDENTIALS_DIR": str(ROOT / ".cache" / "uv-credentials"),
    }
    environment = {**os.environ, **caches}
    words = [str(word) for word in command]
    return subprocess.run(words, cwd=ROOT, env=environment, check=False).returncode  # noqa: S603 - our own commands


if __name__ == "__main__":
    sys.exit(main())
