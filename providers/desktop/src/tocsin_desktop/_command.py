"""A message becomes the words of a command. Pure."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import attrs

from tocsin import AlertLevel, OutOfOrder

if TYPE_CHECKING:
    from tocsin import Message

_PROGRAMS = {"linux": "notify-send", "darwin": "osascript"}
# A desktop may hold back what is "low", and a plain alert is there to be seen; "critical"
# stays until it is dismissed: specifications.freedesktop.org/notification/latest
_URGENCIES = {AlertLevel.ERROR: "critical"}
_SCRIPT = """\
on run argv
    display notification (item 2 of argv) with title (item 1 of argv)
end run
"""


@attrs.frozen
class Command:
    """A program, its arguments, and what it reads."""

    program: str
    arguments: tuple[str, ...]
    script: str = ""


def program_for(platform: str) -> str:
    """Return what shows notifications there.

    Raises:
        OutOfOrder: Tocsin knows of nothing.

    """
    if platform in _PROGRAMS:
        return _PROGRAMS[platform]
    raise OutOfOrder(
        f"desktop notifications are not supported on {platform}",
        remedy="use another provider there: they are for Linux and macOS",
    )


def command_for(platform: str, message: Message, app_name: str) -> Command:
    """Return what shows the message there. No shell or script ever reads its text."""
    program = program_for(platform)
    if program == "osascript":
        # the script comes from stdin: all that stands behind "-" is an argument
        return Command(program, ("-", message.title, message.body), _SCRIPT)
    urgency = _URGENCIES.get(message.alert.level, "normal")
    options = (f"--app-name={app_name}", f"--urgency={urgency}")
    return Command(program, (*options, "--", message.title, _inert(message.body)))


def _inert(body: str) -> str:
    """Escape what a desktop reads as markup, and what notify-send reads as C's escapes."""
    return escape(body, quote=False).replace("\\", "\\\\")
