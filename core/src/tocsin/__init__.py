"""Raise an alert in Python code; it reaches people through whatever is installed."""

from typing import TYPE_CHECKING

from tocsin._alert import Alert, AlertLevel, Origin
from tocsin._attachment import Attachment
from tocsin._errors import (
    Ambiguous,
    ConfigError,
    DeliveryError,
    PluginError,
    Problem,
    Rejected,
    RetryLater,
    RunFinished,
    SecretUnavailable,
    StoreError,
    TocsinError,
)
from tocsin._provider import Delivery, Limits, Message, Provider, Receipt, Sender
from tocsin._secret import Secret

if TYPE_CHECKING:
    from tocsin._hookspecs import Registrar, hookimpl

__all__ = [
    "Alert",
    "AlertLevel",
    "Ambiguous",
    "Attachment",
    "ConfigError",
    "Delivery",
    "DeliveryError",
    "Limits",
    "Message",
    "Origin",
    "PluginError",
    "Problem",
    "Provider",
    "Receipt",
    "Registrar",
    "Rejected",
    "RetryLater",
    "RunFinished",
    "Secret",
    "SecretUnavailable",
    "Sender",
    "StoreError",
    "TocsinError",
    "hookimpl",
]


def __getattr__(name: str) -> object:
    """Import late what would make ``import tocsin`` dear."""
    if name in {"Registrar", "hookimpl"}:
        from tocsin import _hookspecs

        return getattr(_hookspecs, name)
    if name == "__version__":
        from importlib.metadata import version

        return version("tocsin")
    raise AttributeError(f"module 'tocsin' has no attribute {name!r}")
