"""Raise an alert in Python code; it reaches people through whatever is installed."""

from typing import TYPE_CHECKING

from tocsin._alert import Alert, AlertLevel, Origin
from tocsin._attachment import Attachable, Attachment
from tocsin._errors import (
    Ambiguous,
    ConfigError,
    DeliveryError,
    PluginBroken,
    PluginError,
    Problem,
    Rejected,
    RetryLater,
    RunFinished,
    SecretUnavailable,
    StoreBusy,
    StoreError,
    StoreFull,
    TocsinError,
)
from tocsin._notifier import Mode, Notifier
from tocsin._provider import Delivery, Limits, Message, Provider, Receipt, Sender
from tocsin._results import (
    Admitted,
    Deferred,
    Disabled,
    Refused,
    Result,
    Suppressed,
    Unrouted,
)
from tocsin._routing import Scope, Subscription
from tocsin._run import Run, alert, init
from tocsin._secret import FromEnv, FromFile, Secret
from tocsin._settings import Channel, Settings
from tocsin._store import DeliveryRecord, Status

if TYPE_CHECKING:
    from tocsin._hookspecs import Registrar, hookimpl

__all__ = [
    "Admitted",
    "Alert",
    "AlertLevel",
    "Ambiguous",
    "Attachable",
    "Attachment",
    "Channel",
    "ConfigError",
    "Deferred",
    "Delivery",
    "DeliveryError",
    "DeliveryRecord",
    "Disabled",
    "FromEnv",
    "FromFile",
    "Limits",
    "Message",
    "Mode",
    "Notifier",
    "Origin",
    "PluginBroken",
    "PluginError",
    "Problem",
    "Provider",
    "Receipt",
    "Refused",
    "Registrar",
    "Rejected",
    "Result",
    "RetryLater",
    "Run",
    "RunFinished",
    "Scope",
    "Secret",
    "SecretUnavailable",
    "Sender",
    "Settings",
    "Status",
    "StoreBusy",
    "StoreError",
    "StoreFull",
    "Subscription",
    "Suppressed",
    "TocsinError",
    "Unrouted",
    "alert",
    "hookimpl",
    "init",
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
