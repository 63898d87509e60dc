"""One attempt: render, deliver, and tell what came of it. It never raises."""

from __future__ import annotations

import contextlib
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import attrs

from tocsin._errors import Ambiguous, DeliveryError, RetryLater, SecretUnavailable
from tocsin._provider import Delivery, Receipt
from tocsin._rendering import Circumstances, render
from tocsin._secret import Secret, redact

if TYPE_CHECKING:
    from tocsin._provider import Message, Provider, Sender
    from tocsin._settings import Settings
    from tocsin._store import Claim

AttemptResult = Receipt | DeliveryError | SecretUnavailable


class Session:
    """A worker's connection to one channel: its sender, opened when first needed."""

    def __init__(self, provider: Provider, settings: Settings) -> None:
        self._provider = provider
        self._settings = settings
        self._sender: Sender | None = None

    def attempt(self, claim: Claim, now: float) -> AttemptResult:
        """Make one attempt at a claimed delivery."""
        result = self._attempt(claim, now)
        if isinstance(result, DeliveryError):
            secrets = _revealed(self._provider)
            result.reason = redact(result.reason, secrets)
            result.remedy = redact(result.remedy, secrets)
        return result

    def _attempt(self, claim: Claim, now: float) -> AttemptResult:
        try:
            sender = self._sender = self._sender or self._provider.open()
        except (DeliveryError, SecretUnavailable) as error:
            return error
        except BaseException as error:  # noqa: BLE001 - a provider runs anyone's code
            return RetryLater(f"the provider could not start: {_named(error)}")
        try:
            return self._deliver(sender, claim, now)
        except (DeliveryError, SecretUnavailable) as error:
            return error
        except BaseException as error:  # noqa: BLE001 - even sys.exit() is its own affair
            self.close()
            return Ambiguous(f"the provider raised {_named(error)}")

    def _deliver(self, sender: Sender, claim: Claim, now: float) -> AttemptResult:
        delivery = Delivery(
            id=claim.delivery_id,
            channel=claim.channel,
            attempt=claim.progress.attempt,
            timeout=self._settings.timeout,
            state=claim.progress.state,
        )
        receipt: object = sender.deliver(self._message(claim, now), delivery)
        if isinstance(receipt, Receipt):
            return receipt
        return Ambiguous(
            f"the provider returned {type(receipt).__name__}, not a Receipt"
        )

    def _message(self, claim: Claim, now: float) -> Message:
        return message_for(type(self._provider), claim, self._settings, now)

    def close(self) -> None:
        """Close the sender; the next attempt opens another."""
        sender, self._sender = self._sender, None
        if sender is not None:
            with contextlib.suppress(BaseException):
                sender.close()


def message_for(
    provider: type[Provider], claim: Claim, settings: Settings, now: float
) -> Message:
    """Render what a claim is to send."""
    since = claim.suppressed.since
    circumstances = Circumstances(
        now=datetime.fromtimestamp(now, UTC),
        suppressed=claim.suppressed.count,
        suppressed_since=None if since is None else datetime.fromtimestamp(since, UTC),
    )
    overrides = overrides_for(provider, settings)
    return render(provider, claim.alert, circumstances, overrides=overrides)


def overrides_for(provider: type[Provider], settings: Settings) -> str:
    """Return the folder of the operator's templates for a provider."""
    return os.path.join(settings.templates, provider.name) if settings.templates else ""  # noqa: PTH118 - a str for jinja2


def _revealed(provider: Provider) -> list[str]:
    values = []
    for field in attrs.fields(type(provider)):
        secret = getattr(provider, field.name)
        if isinstance(secret, Secret):
            with contextlib.suppress(SecretUnavailable):
                values.append(secret.reveal())
    return values


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")
