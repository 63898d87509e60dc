"""For tests: what a program alerts of, without anything that leaves the process."""

TYPE_CHECKING = False  # as in tocsin itself: these imports are for type checkers
if TYPE_CHECKING:
    from tocsin.testing._alerts import Alerts
    from tocsin.testing._capture import capture
    from tocsin.testing._clock import Clock
    from tocsin.testing._records import Sent, Unsent

__all__ = ["Alerts", "Clock", "Sent", "Unsent", "capture"]

_HOMES = {
    "Alerts": "_alerts",
    "Clock": "_clock",
    "Sent": "_records",
    "Unsent": "_records",
    "capture": "_capture",
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
