"""Raise an alert in Python code; it reaches people through whatever is installed.

PYTEST_DONT_REWRITE: it may be imported before pytest, which warns of that otherwise, since
there is a plugin of it.
"""

TYPE_CHECKING = (
    False  # what type checkers take for true; typing would be the whole cost
)
if TYPE_CHECKING:
    from tocsin._alert import Alert, AlertLevel, Origin
    from tocsin._attachment import Attachable, Attachment
    from tocsin._ending import Ending, RunState
    from tocsin._errors import (
        Ambiguous,
        ConfigError,
        DeliveryError,
        OutOfOrder,
        PluginBroken,
        PluginError,
        Problem,
        Rejected,
        RetryLater,
        RunFinished,
        SecretUnavailable,
        StoreBusy,
        StoreDamaged,
        StoreError,
        StoreFull,
        TocsinError,
    )
    from tocsin._hookspecs import Registrar, hookimpl
    from tocsin._listener import Change, Listener, Notify
    from tocsin._mode import Mode
    from tocsin._notifier import Notifier
    from tocsin._provider import (
        Choice,
        Delivery,
        Earlier,
        Limits,
        Message,
        Provider,
        Receipt,
        Sender,
    )
    from tocsin._quiet import QuietHours
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
    from tocsin._run import Config, Run
    from tocsin._secret import FromEnv, FromFile, FromKeyring, Secret
    from tocsin._session import alert, finish, init, log, resolve
    from tocsin._settings import Channel, Settings
    from tocsin._settlement import SettledDelivery
    from tocsin._store import DeliveryRecord, Status, StoreProvider
    from tocsin._tally import AlertCounts
    from tocsin._watching import watch, watching

    run: Run | None
    """The run that is current in this process, if there is one."""
    config: Config
    """Its `Run.config`; before `init`, one that is empty."""

__all__ = [
    "Admitted",
    "Alert",
    "AlertCounts",
    "AlertLevel",
    "Ambiguous",
    "Attachable",
    "Attachment",
    "Change",
    "Channel",
    "Choice",
    "ConfigError",
    "Deferred",
    "Delivery",
    "DeliveryError",
    "DeliveryRecord",
    "Disabled",
    "Earlier",
    "Ending",
    "FromEnv",
    "FromFile",
    "FromKeyring",
    "Limits",
    "Listener",
    "Message",
    "Mode",
    "Notifier",
    "Notify",
    "Origin",
    "OutOfOrder",
    "PluginBroken",
    "PluginError",
    "Problem",
    "Provider",
    "QuietHours",
    "Receipt",
    "Refused",
    "Registrar",
    "Rejected",
    "Result",
    "RetryLater",
    "Run",
    "RunFinished",
    "RunState",
    "Scope",
    "Secret",
    "SecretUnavailable",
    "Sender",
    "Settings",
    "SettledDelivery",
    "Status",
    "StoreBusy",
    "StoreDamaged",
    "StoreError",
    "StoreFull",
    "StoreProvider",
    "Subscription",
    "Suppressed",
    "TocsinError",
    "Unrouted",
    "alert",
    "config",
    "finish",
    "hookimpl",
    "init",
    "log",
    "resolve",
    "run",
    "watch",
    "watching",
]

_HOMES = {
    "Alert": "_alert",
    "AlertLevel": "_alert",
    "Origin": "_alert",
    "Attachable": "_attachment",
    "Attachment": "_attachment",
    "Ending": "_ending",
    "RunState": "_ending",
    "Ambiguous": "_errors",
    "ConfigError": "_errors",
    "DeliveryError": "_errors",
    "OutOfOrder": "_errors",
    "PluginBroken": "_errors",
    "PluginError": "_errors",
    "Problem": "_errors",
    "Rejected": "_errors",
    "RetryLater": "_errors",
    "RunFinished": "_errors",
    "SecretUnavailable": "_errors",
    "StoreBusy": "_errors",
    "StoreDamaged": "_errors",
    "StoreError": "_errors",
    "StoreFull": "_errors",
    "TocsinError": "_errors",
    "Registrar": "_hookspecs",
    "hookimpl": "_hookspecs",
    "Change": "_listener",
    "Listener": "_listener",
    "Notify": "_listener",
    "Mode": "_mode",
    "Notifier": "_notifier",
    "Choice": "_provider",
    "Delivery": "_provider",
    "Earlier": "_provider",
    "Limits": "_provider",
    "Message": "_provider",
    "Provider": "_provider",
    "Receipt": "_provider",
    "Sender": "_provider",
    "QuietHours": "_quiet",
    "Admitted": "_results",
    "Deferred": "_results",
    "Disabled": "_results",
    "Refused": "_results",
    "Result": "_results",
    "Suppressed": "_results",
    "Unrouted": "_results",
    "Scope": "_routing",
    "Subscription": "_routing",
    "Run": "_run",
    "FromEnv": "_secret",
    "FromFile": "_secret",
    "FromKeyring": "_secret",
    "Secret": "_secret",
    "alert": "_session",
    "finish": "_session",
    "init": "_session",
    "log": "_session",
    "resolve": "_session",
    "Channel": "_settings",
    "Settings": "_settings",
    "SettledDelivery": "_settlement",
    "DeliveryRecord": "_store",
    "Status": "_store",
    "StoreProvider": "_store",
    "AlertCounts": "_tally",
    "watch": "_watching",
    "watching": "_watching",
}
"""Where each public name lives: it is imported when it is first asked for, so that
``import tocsin`` costs next to nothing."""


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("tocsin")
    if name in {"config", "run"}:  # another one at another time
        from tocsin._session import current, run_config

        return current() if name == "run" else run_config()
    if name in {"http", "integrations", "logging", "stores", "testing"}:
        from importlib import import_module

        return import_module(f"tocsin.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'tocsin' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"tocsin.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
