"""A command is run to its end, within its time."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING

from tocsin import Ambiguous, OutOfOrder, RetryLater

if TYPE_CHECKING:
    from tocsin import DeliveryError
    from tocsin_desktop._command import Command

_MAX_REASON = 200
_PACKAGE = "libnotify-bin (Debian, Ubuntu) or libnotify (others)"


def run(command: Command, timeout: float) -> None:
    """Run the command; one that takes longer is killed.

    Raises:
        DeliveryError: It failed, or was not over in time.

    """
    words = [find(command.program), *command.arguments]
    with tempfile.TemporaryFile() as script, tempfile.TemporaryFile() as said:
        script.write(command.script.encode())
        script.seek(0)
        status = _status(words, script, said, timeout)
        said.seek(0)
        if status != 0:
            raise _failure(command.program, status, said.read(4 * _MAX_REASON))


def find(program: str) -> str:
    """Return the program's path.

    Raises:
        OutOfOrder: It is not installed, or there is no desktop that it could reach.

    """
    if program == "notify-send" and not _session_bus():
        raise OutOfOrder(
            "there is no desktop session here: DBUS_SESSION_BUS_ADDRESS is not set",
            remedy="deliver from a program of the desktop session, as its terminal",
        )
    path = shutil.which(program)
    if path is None:
        remedy = f"install {_PACKAGE}" if program == "notify-send" else ""
        raise OutOfOrder(f"{program} is not installed", remedy=remedy)
    return path


def _session_bus() -> str:
    """Return the address of the user's bus, also for a login by ssh or a timer."""
    address = os.environ.get("DBUS_SESSION_BUS_ADDRESS", "")
    if address:
        return address
    folder = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}"
    bus = Path(folder, "bus")
    return f"unix:path={bus}" if bus.is_socket() else ""


def _status(
    words: list[str], script: IO[bytes], said: IO[bytes], timeout: float
) -> int:
    try:
        process = subprocess.Popen(  # noqa: S603 - no shell; the text is behind `--`
            [word.encode() for word in words],  # whatever the locale is
            stdin=script,
            stdout=subprocess.DEVNULL,
            stderr=said,
            env=_environment(),
            start_new_session=True,
        )
    except OSError as error:
        raise OutOfOrder(f"{words[0]} cannot be run: {error.strerror}") from error
    try:
        return process.wait(timeout)
    except subprocess.TimeoutExpired as error:
        os.killpg(process.pid, signal.SIGKILL)  # with what it has started
        process.wait()
        raise Ambiguous(f"{words[0]} was not over in {timeout:g} s") from error


def _environment() -> dict[str, str]:
    known = {"LC_ALL": "C.UTF-8", "DBUS_SESSION_BUS_ADDRESS": _session_bus()}
    return {**os.environ, **{name: value for name, value in known.items() if value}}


def _failure(program: str, status: int, said: bytes) -> DeliveryError:
    words = " ".join(said.decode(errors="replace").split())[:_MAX_REASON]
    reason = f"{program} failed ({status}): {words}".rstrip(": ")
    if "Excess" in words or "LimitsExceeded" in words:
        return RetryLater(reason)
    if "NoReply" in words or "Timeout" in words:
        return Ambiguous(reason)
    return OutOfOrder(reason, remedy="see that the desktop shows notifications")
