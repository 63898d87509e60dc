"""What `tocsin.init` hooks into, put back as it was."""

from __future__ import annotations

import builtins
import contextlib
import logging
import signal
import sys
import threading
from typing import TYPE_CHECKING

from tocsin import _session

if TYPE_CHECKING:
    from collections.abc import Iterator

_HOOKS = [
    (sys, "excepthook"),
    (sys, "unraisablehook"),
    (sys, "exit"),
    (builtins, "exit"),
    (builtins, "quit"),
    (threading, "excepthook"),
    (_session, "_current"),
    (_session, "_default"),
]
_SIGNALS = [signal.SIGTERM, signal.SIGHUP]


@contextlib.contextmanager
def as_in_a_fresh_process() -> Iterator[None]:
    """Begin without a run, and leave no hook behind."""
    hooks = [(module, name, getattr(module, name)) for module, name in _HOOKS]
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    filters = logging.getLogger("asyncio").filters[:]
    _session._current = _session._default = None
    try:
        yield
    finally:
        for module, name, hook in hooks:
            setattr(module, name, hook)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        logging.getLogger("asyncio").filters[:] = filters
