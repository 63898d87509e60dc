"""What the tests that span packages share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import attrs

ROOT = Path(__file__).parent.parent

PROVIDER = '''
import json, os, time
import attrs
from tocsin import Provider, Receipt, hookimpl

@attrs.frozen
class Lines(Provider):
    """Appends a line to a file for each delivery."""

    path: str
    delay: float = 0.0

    name = "lines"

    def deliver(self, message, delivery):
        time.sleep(self.delay)
        line = json.dumps({"id": delivery.id, "title": message.alert.title,
                           "notes": message.notes, "pid": os.getpid()}) + "\\n"
        with open(self.path, "ab", buffering=0) as file:
            file.write(line.encode())
        return Receipt(reference=delivery.id)

@hookimpl
def tocsin_register(registrar):
    registrar.provider(Lines)
'''


def write_distribution(folder: Path, name: str, code: str, *, entry: str) -> None:
    """Write a package that is installed as soon as its folder is on the path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.py").write_text(code)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    )
    (info / "entry_points.txt").write_text(f"[tocsin]\n{entry} = {name}\n")


@attrs.frozen
class Place:
    """An empty home with a state directory, a provider that writes lines, and a
    configuration that uses it."""

    path: Path
    environment: dict[str, str]

    def write_config(self, name: str = "tocsin.toml", **settings: object) -> Path:
        """Write a configuration whose one channel, ``out``, is a file beside it."""
        config = self.path / name
        lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
        config.write_text(
            f"""
            {chr(10).join(lines)}
            [user]
            name = "ada"
            channels = ["out"]
            [channels.out]
            provider = "lines"
            path = {json.dumps(str(self.path / (name + ".lines")))}
            """
        )
        return config

    def python(self, code: str, **options: object) -> subprocess.Popen[str]:
        """Start a Python process."""
        settings: dict[str, object] = {
            "env": self.environment,
            "cwd": self.path,
            "text": True,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            **options,
        }
        interpreter = settings.pop("interpreter", sys.executable)
        return subprocess.Popen([str(interpreter), "-c", code], **settings)  # type: ignore[call-overload]

    def run(self, code: str, **options: object) -> str:
        """Run a Python process to its end, which must be good, and return its output."""
        process = self.python(code, **options)
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        return output

    def delivered(self, name: str = "tocsin.toml") -> list[dict[str, object]]:
        """Return what a configuration's channel received."""
        try:
            lines = (self.path / (name + ".lines")).read_text().splitlines()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in lines]


def interpreters() -> list[str]:
    """Return one Python of each supported version that this machine has."""
    found: dict[str, str] = {}
    folders = [*os.environ["PATH"].split(os.pathsep)]
    folders += map(str, Path.home().glob(".pyenv/versions/*/bin"))
    for version in ("3.11", "3.12", "3.13", "3.14"):
        for folder in folders:
            path = Path(folder, f"python{version}")
            if version not in found and _runs(path):
                found[version] = str(path)
    return list(found.values())


def _runs(python: Path) -> bool:
    if not python.is_file():
        return False
    done = subprocess.run(
        [python, "-c", "import venv, sqlite3"], check=False, capture_output=True
    )
    return done.returncode == 0


def uv(*arguments: object) -> None:
    """Run uv; what it says is shown when it fails."""
    command = [sys.executable, "-m", "uv", *map(str, arguments)]
    environment = {"UV_SYSTEM_CERTS": "1", **os.environ}  # those that pip trusts too
    done = subprocess.run(
        command, check=False, env=environment, capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
