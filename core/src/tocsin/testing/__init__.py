"""For tests: of programs that raise alerts, of providers, and of stores.

What authors of providers and stores derive from needs the extra ``testing``:
``pip install tocsin[testing]``.
"""

TYPE_CHECKING = False  # as in tocsin itself: these imports are for type checkers
if TYPE_CHECKING:
    from tocsin.testing._alerts import Alerts
    from tocsin.testing._attempts import attempt, rendered
    from tocsin.testing._capture import capture
    from tocsin.testing._clock import Clock
    from tocsin.testing._double import Fault, File, HttpDouble, Received, Reply
    from tocsin.testing._http_suite import ProviderSuite
    from tocsin.testing._local_suite import LocalProviderSuite, full_alert, outcome
    from tocsin.testing._records import Sent, Unsent
    from tocsin.testing._store_suite import StoreSuite

__all__ = [
    "Alerts",
    "Clock",
    "Fault",
    "File",
    "HttpDouble",
    "LocalProviderSuite",
    "ProviderSuite",
    "Received",
    "Reply",
    "Sent",
    "StoreSuite",
    "Unsent",
    "attempt",
    "capture",
    "full_alert",
    "outcome",
    "rendered",
]

_HOMES = {
    "Alerts": "_alerts",
    "Clock": "_clock",
    "Fault": "_double",
    "File": "_double",
    "HttpDouble": "_double",
    "LocalProviderSuite": "_local_suite",
    "ProviderSuite": "_http_suite",
    "Received": "_double",
    "Reply": "_double",
    "Sent": "_records",
    "StoreSuite": "_store_suite",
    "Unsent": "_records",
    "attempt": "_attempts",
    "capture": "_capture",
    "full_alert": "_local_suite",
    "outcome": "_local_suite",
    "rendered": "_attempts",
}
"""Where each name lives: it is imported when it is first asked for."""


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'tocsin.testing' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"tocsin.testing.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
