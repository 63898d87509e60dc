"""Where we are: configuration and state by the platform's custom; user, host, job, rank."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

MEMORY = ":memory:"

_RANK_VARIABLES = ("RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "SLURM_PROCID")
"""In this order; never LOCAL_RANK, which is one alert for each node."""


_DIGITS = 9
"""Of a rank; what is longer is none."""
_SIZE_VARIABLES = (
    *("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMIX_SIZE", "SLURM_STEP_NUM_TASKS"),
    "SLURM_NTASKS",
)
_SCHEDULERS = {
    "SLURM_JOB_ID": "Slurm",
    "KUBERNETES_SERVICE_HOST": "Kubernetes",
    "LSB_JOBID": "LSF",
    "PBS_JOBID": "PBS",
    "JOB_COMPLETION_INDEX": "Kubernetes",
}


def config_file() -> Path | None:
    """Return `TOCSIN_CONFIG`, or else the user's own file if there is one.

    The working directory is not searched: a cloned repository must not be able to send
    someone's secrets to its own host.
    """
    if named := os.environ.get("TOCSIN_CONFIG"):
        return Path(expanded(named))
    own = config_dir() / "tocsin.toml"
    # os.path: pathlib raises where a folder above may not be searched
    return own if own.is_absolute() and os.path.isfile(own) else None  # noqa: PTH113


def config_dir() -> Path:
    """Return the user's folder for configuration; relative when there is no home."""
    if sys.platform == "win32":
        return _base("APPDATA", "~/AppData/Roaming")
    return _base("XDG_CONFIG_HOME", "~/.config")


def state_dir(configured: str = "") -> str:
    """Return the folder of the store, or ``:memory:``.

    It is the argument, else `TOCSIN_STATE_DIR`, else the user's folder for state; for a
    user without a home it is memory.
    """
    named = configured or os.environ.get("TOCSIN_STATE_DIR", "")
    if named == MEMORY:
        return MEMORY
    if named:
        return os.path.abspath(expanded(named))  # noqa: PTH100 - a str
    if sys.platform == "win32":
        own = _base("LOCALAPPDATA", "~/AppData/Local")
    else:
        own = _base("XDG_STATE_HOME", "~/.local/state")
    return str(own) if own.is_absolute() else MEMORY


def local_dir(shared: str) -> str:
    """Return the folder on a local disk that stands for one on a network file system.

    It is in `TOCSIN_LOCAL_DIR`, else in ``/var/tmp``, which outlives a restart.
    """
    import hashlib
    import tempfile

    base = os.environ.get("TOCSIN_LOCAL_DIR", "")
    if not base:
        base = "/var/tmp" if os.path.isdir("/var/tmp") else tempfile.gettempdir()  # noqa: PTH112, S108 - whoever uses it makes sure that it is theirs
    who = os.getuid() if hasattr(os, "getuid") else login()
    name = hashlib.blake2b(shared.encode(), digest_size=8).hexdigest()
    return os.path.join(base, f"tocsin-{who}", name)  # noqa: PTH118 - a str


def expanded(path: str) -> str:
    """Return the path with ``~`` expanded, where there is such a home."""
    return os.path.expanduser(path)  # noqa: PTH111 - pathlib raises where there is none


def job() -> str:
    """Return the id that the launcher gave to all ranks and restarts of this job."""
    elastic = os.environ.get("TORCHELASTIC_RUN_ID", "")
    if elastic and elastic != "none":  # torchrun's default, which all jobs share
        return elastic
    return os.environ.get("SLURM_JOB_ID", "")


def rank() -> int | None:
    """Return this process's rank in its job."""
    for variable in _RANK_VARIABLES:
        value = os.environ.get(variable, "")
        if value.isdecimal() and len(value) <= _DIGITS:
            return int(value)
    return None


def step() -> str:
    """Return which of the job's steps this is; empty where there are none."""
    return os.environ.get("SLURM_STEP_ID", "")


def world_size() -> int | None:
    """Return how many ranks the job has."""
    for variable in _SIZE_VARIABLES:
        value = os.environ.get(variable, "")
        if value.isdecimal() and len(value) <= _DIGITS:
            return int(value)
    return None


def scheduler(environment: Mapping[str, str] = os.environ) -> str:
    """Return who may want this machine back: the name of the scheduler; empty: nobody."""
    for variable, name in _SCHEDULERS.items():
        if environment.get(variable):
            return name
    return ""


def _base(variable: str, otherwise: str) -> Path:
    named = os.environ.get(variable, "")
    # a relative one is to be ignored, says the XDG Base Directory Specification
    base = named if os.path.isabs(named) else expanded(otherwise)  # noqa: PTH117 - a str
    return Path(base, "tocsin")


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
