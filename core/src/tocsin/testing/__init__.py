"""For tests: of programs that raise alerts, of providers, and of stores.

It needs the extra ``testing``: ``pip install tocsin[testing]``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tocsin.testing._attempts import attempt
    from tocsin.testing._double import Fault, File, HttpDouble, Received, Reply
    from tocsin.testing._http_suite import ProviderSuite
    from tocsin.testing._local_suite import LocalProviderSuite

__all__ = [
    "Fault",
    "File",
    "HttpDouble",
    "LocalProviderSuite",
    "ProviderSuite",
    "Received",
    "Reply",
    "attempt",
]

_HOMES = {
    "Fault": "_double",
    "File": "_double",
    "HttpDouble": "_double",
    "LocalProviderSuite": "_local_suite",
    "ProviderSuite": "_http_suite",
    "Received": "_double",
    "Reply": "_double",
    "attempt": "_attempts",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'tocsin.testing' has no attribute {name!r}")
    return getattr(import_module(f"tocsin.testing.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
