"""Every error that Tocsin raises on purpose.

    TocsinError
    ├── ConfigError          the configuration has mistakes: all of them, each with its place
    ├── RunFinished          a run was used after finish()
    ├── PluginError          a provider is not installed, or two plugins claim its name
    │   └── PluginBroken         … or the plugin that has it cannot be loaded
    ├── SecretUnavailable    a secret's reference (environment, file) does not resolve
    ├── EnvelopeError        a stored alert cannot be read
    │   └── EnvelopeTooNew   … because a newer Tocsin wrote it
    ├── StoreError           the store cannot be read or written
    │   ├── StoreBusy        … within the time allowed
    │   ├── StoreDamaged     … because its file is damaged
    │   └── StoreFull        … because too many deliveries are pending
    └── DeliveryError        one attempt to deliver did not succeed
        ├── Rejected         … and never will: do not try again
        │   └── OutOfOrder       … nor will any other message of this channel
        ├── RetryLater       … but may, later
        └── Ambiguous        … or perhaps it did: it may have arrived

A wrong argument (a title that is no string, an unknown level) raises Python's own
``TypeError`` or ``ValueError`` at the call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class TocsinError(Exception):
    """The base of every error that Tocsin raises on purpose."""


@attrs.frozen
class Problem:
    """One mistake in a configuration: where, what, and what to do."""

    file: str
    """The file that holds the mistake; empty for a configuration made in code."""
    key: str
    """The dotted key, for example ``channels.dm.token``; empty for the whole file."""
    message: str
    """What is wrong, with the value, and what to do next."""

    def __str__(self) -> str:
        return ": ".join(part for part in (self.file, self.key, self.message) if part)


class ConfigError(TocsinError):
    """The configuration has mistakes; `problems` holds every one of them."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        if len(self.problems) == 1:
            return str(self.problems[0])
        lines = [f"  {problem}" for problem in self.problems]
        return "\n".join([f"{len(lines)} mistakes in the configuration:", *lines])


class RunFinished(TocsinError):  # noqa: N818 - it says what happened
    """A run was used after `finish()`; start another with `tocsin.init()`."""


class PluginError(TocsinError):
    """No installed plugin has the provider, or two of them claim its name."""


class PluginBroken(PluginError):  # noqa: N818 - it says what happened
    """The plugin that has the provider cannot be loaded."""


class SecretUnavailable(TocsinError):  # noqa: N818 - it says what happened
    """The environment variable or file that a secret refers to cannot be read."""


class EnvelopeError(TocsinError):
    """A stored alert cannot be read: it is damaged."""


class EnvelopeTooNew(EnvelopeError):  # noqa: N818 - it says what happened
    """A stored alert was written by a newer Tocsin; it is kept for one."""


class StoreError(TocsinError):
    """The store cannot be read or written."""


class StoreBusy(StoreError):  # noqa: N818 - it says what happened
    """The store did not answer in time; another process holds it."""


class StoreDamaged(StoreError):  # noqa: N818 - it says what happened
    """The SQLite file of the state directory is damaged: it is put aside, a new one made."""


class StoreFull(StoreError):  # noqa: N818 - it says what happened
    """The store holds as many pending deliveries as it may."""


def printed(value: object) -> str:
    """Return what ``str`` makes of anyone's object, or its type where that raises."""
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - somebody's broken __str__ must not lose the alert
        return f"<a {type(value).__name__} that cannot be printed>"


class DeliveryError(TocsinError):
    """One attempt to deliver did not succeed.

    A provider raises one of the four below, or lets `SecretUnavailable` pass, and nothing
    else. `reason` and `remedy`
    are shown to people and kept in the history: neither may hold a secret.
    """

    def __init__(self, reason: str, *, remedy: str = "") -> None:
        super().__init__(reason)
        self.reason = printed(reason)
        self.remedy = printed(remedy)


class Rejected(DeliveryError):  # noqa: N818 - it says what happened
    """The service refused, and would refuse again: the delivery ends as failed."""


class OutOfOrder(Rejected):
    """The service refuses whatever this channel sends, until a person mends it.

    A token that was revoked, a channel that was archived, a certificate that does not hold.
    The delivery ends as failed, as with `Rejected`. Those behind it wait, and the channel is
    tried with one of them every few minutes.
    """


class RetryLater(DeliveryError):  # noqa: N818 - it says what happened
    """The service did not take the message now; it surely has not arrived.

    `after` is the service's own wish in seconds (Retry-After): nothing is sent to this
    channel before. `state` comes back in `Delivery.state` at the next attempt. With 0 and
    a `state` that is new, the next attempt is made at once: for another form of the
    message when the service refused this one.
    """

    def __init__(
        self,
        reason: str,
        *,
        after: float | None = None,
        state: Mapping[str, object] | None = None,
        remedy: str = "",
    ) -> None:
        super().__init__(reason, remedy=remedy)
        self.after = after
        self.state = state


class Ambiguous(DeliveryError):  # noqa: N818 - it says what happened
    """The message may have arrived: the answer was lost.

    It is sent again a bounded number of times, under the same delivery id.
    `state` comes back in `Delivery.state` at the next attempt.
    """

    def __init__(
        self,
        reason: str,
        *,
        state: Mapping[str, object] | None = None,
        remedy: str = "",
    ) -> None:
        super().__init__(reason, remedy=remedy)
        self.state = state
