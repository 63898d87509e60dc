"""Homes for what is measured: a folder, a configuration, an environment."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
from sinks import HOST

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent

USER = """\
submit_timeout = "2s"  # so that a busy machine defers no alert: what waits is in the p90

[user]
name = "ada"
channels = ["out"]

[channels.out]
"""


@attrs.frozen
class Home:
    """A folder that is all that a measured process knows of the machine."""

    path: Path

    @property
    def config(self) -> Path:
        """The configuration."""
        return self.path / "tocsin.toml"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a process that lives here, and speaks to the loopback."""
        folder = str(self.path)
        return {
            "PATH": os.environ["PATH"],
            "HOME": folder,
            "TMPDIR": folder,
            "TOCSIN_CONFIG": str(self.config),
            "TOCSIN_STATE_DIR": str(self.path / "state"),
            "WANDB_DIR": folder,
            "WANDB_MODE": "offline",
            "WANDB_SILENT": "true",
            "WANDB_CONSOLE": "off",
            "WANDB_ERROR_REPORTING": "false",
        }

    def use_slack(self, url: str) -> None:
        """Make a webhook the one channel."""
        self._write(f'provider = "slack"\nwebhook_url = "{url}"\n')

    def use_webhook(self, url: str) -> None:
        """Make an address on the loopback the one channel."""
        self._write(f'provider = "webhook"\nurl = "{url}"\nallow_private = true\n')

    def use_email(self, port: int) -> None:
        """Make a mail server on the loopback the one channel."""
        self._write(
            'provider = "email"\nto = "ada@example.org"\nsender = "tocsin@example.org"\n'
            f'host = "{HOST}"\nport = {port}\ntls = "none"\n'
        )

    def _write(self, channel: str) -> None:
        self.config.write_text(USER + channel, encoding="utf-8")
        self.config.chmod(0o600)


@contextlib.contextmanager
def new_folder() -> Iterator[Path]:
    """Make a folder in the checkout, which is on a disk where the system's may not be."""
    cache = ROOT / ".cache"
    cache.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(
        dir=cache, prefix="benchmark-", ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)
