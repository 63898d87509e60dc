"""What Apprise logs is heard by us alone: its lines hold parts of URLs."""

from __future__ import annotations

import contextlib
import logging
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOGGERS = ("apprise", "urllib3.connectionpool", "urllib3.util.retry")
_is_hushed: ContextVar[bool] = ContextVar("tocsin_apprise_is_hushed", default=False)


class Ear(logging.Logger):
    """The logger of one plugin. It keeps the lines, and hands them on to nobody."""

    def __init__(self) -> None:
        super().__init__("tocsin_apprise")
        self.lines: list[logging.LogRecord] = []

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - logging's name
        """Whether the line is wanted: whatever the program's logging is set to."""
        return level >= logging.DEBUG

    def handle(self, record: logging.LogRecord) -> None:
        """Keep the line."""
        self.lines.append(record)


@contextlib.contextmanager
def hushed() -> Iterator[None]:
    """Keep what is logged in here, by Apprise and below it, from the program's logs."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_is_loud)  # once; other threads are not meant
    token = _is_hushed.set(True)
    try:
        yield
    finally:
        _is_hushed.reset(token)


def _is_loud(_: logging.LogRecord) -> bool:
    return not _is_hushed.get()
