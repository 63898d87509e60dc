"""Where the configuration and the state are, by the platform's custom."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path

MEMORY = ":memory:"


def config_file() -> Path | None:
    """Return `TOCSIN_CONFIG`, or else the user's own file if there is one.

    The working directory is not searched: a cloned repository must not be able to send
    someone's secrets to its own host.
    """
    if named := os.environ.get("TOCSIN_CONFIG"):
        return Path(named).expanduser()
    own = config_dir() / "tocsin.toml"
    return own if own.is_file() else None


def config_dir() -> Path:
    """Return the user's folder for configuration."""
    if sys.platform == "win32":
        return _base("APPDATA", "~/AppData/Roaming")
    return _base("XDG_CONFIG_HOME", "~/.config")


def state_dir(configured: str = "") -> str:
    """Return the folder of the store, or ``:memory:``.

    It is the argument, else `TOCSIN_STATE_DIR`, else the user's folder for state.
    """
    named = configured or os.environ.get("TOCSIN_STATE_DIR", "")
    if named == MEMORY:
        return MEMORY
    if named:
        return str(Path(named).expanduser().absolute())
    if sys.platform == "win32":
        return str(_base("LOCALAPPDATA", "~/AppData/Local"))
    return str(_base("XDG_STATE_HOME", "~/.local/state"))


@functools.cache
def login() -> str:
    """Return the login name."""
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user may have no name
        return "unknown"


@functools.cache
def host() -> str:
    """Return this machine's name."""
    import socket

    return socket.gethostname()


def _base(variable: str, otherwise: str) -> Path:
    return Path(os.environ.get(variable) or otherwise).expanduser() / "tocsin"
