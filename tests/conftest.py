from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

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
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[tocsin]\n{entry} = {name}\n")


@attrs.frozen
class Place:
    """An empty home with a state directory, a provider that writes lines, and a
    configuration that uses it."""  # noqa: D205, D209

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
