"""One attempt: render, deliver, and tell what came of it. It never raises."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs

from tocsin._alert import RESOLVED
from tocsin._digest import Listed, combined
from tocsin._errors import (
    Ambiguous,
    DeliveryError,
    RetryLater,
    SecretUnavailable,
    printed,
)
from tocsin._imports import importing
from tocsin._provider import Delivery, Earlier, Provider, Receipt
from tocsin._rendering import Circumstances, load_templates, render
from tocsin._report import joined
from tocsin._secret import Secret, redact
from tocsin._text import clean
from tocsin._throttle import NONE_SUPPRESSED, throttle_key

if TYPE_CHECKING:
    from tocsin._alert import Alert
    from tocsin._provider import Message, Sender
    from tocsin._settings import Settings
    from tocsin._store import Claim, Resolved

AttemptResult = Receipt | DeliveryError | SecretUnavailable


_imported: set[type[Provider]] = set()


class Session:
    """A worker's connection to one channel: its sender, opened when first needed."""

    def __init__(self, provider: Provider, settings: Settings) -> None:
        self._provider = provider
        self._settings = settings
        self._sender: Sender | None = None

    def conversation(self, claim: Claim) -> str:
        """Return what the message belongs to, or ``""``: a provider's mistake is none."""
        try:
            return str(self._provider.conversation(alert_of(claim)))
        except Exception:  # noqa: BLE001 - a provider runs anyone's code
            return ""

    def attempt(
        self, claim: Claim, now: float, thread: Receipt | None = None
    ) -> AttemptResult:
        """Make one attempt at a claimed delivery, as a reply to what `thread` got."""
        result = self._attempt(claim, now, thread)
        if isinstance(result, SecretUnavailable):
            return result
        secrets = _revealed(self._provider)
        if isinstance(result, Receipt):
            texts = attrs.asdict(result)
            return Receipt(**{name: redact(t, secrets) for name, t in texts.items()})
        _forget_frames(result)
        result.reason = clean(redact(result.reason, secrets))
        result.remedy = clean(redact(result.remedy, secrets))
        return result if _has_json_state(result) else _without_state(result)

    def _attempt(
        self, claim: Claim, now: float, thread: Receipt | None
    ) -> AttemptResult:
        try:
            sender = self._sender = self._sender or self._open()
        except (DeliveryError, SecretUnavailable) as error:
            return error
        except BaseException as error:  # noqa: BLE001 - a provider runs anyone's code
            return RetryLater(f"the provider could not start: {_named(error)}")
        try:
            return self._deliver(sender, claim, now, thread)
        except (DeliveryError, SecretUnavailable) as error:
            return error
        except BaseException as error:  # noqa: BLE001 - even sys.exit() is its own affair
            self.close()
            return Ambiguous(f"the provider raised {_named(error)}")

    def _open(self) -> Sender:
        provider = type(self._provider)
        if provider in _imported:
            return self._provider.open()
        with importing():
            sender = self._provider.open()
            if getattr(sender, "templates", provider.templates):
                load_templates(provider, overrides_for(provider, self._settings))
            _imported.add(provider)
        return sender

    def _deliver(
        self, sender: Sender, claim: Claim, now: float, thread: Receipt | None
    ) -> AttemptResult:
        resolved = claim.resolves
        if thread is None and resolved is not None and not resolved.is_alone:
            thread = resolved.receipt
        delivery = Delivery(
            id=claim.delivery_id,
            channel=claim.channel,
            attempt=claim.progress.attempt,
            timeout=self._settings.timeout,
            state=claim.progress.state,
            thread=thread,
            resolves=self._earlier(resolved, now, sender),
            key=key_of(alert_of(claim) if claim.members else claim.alert),
        )
        provider = type(self._provider)
        message = message_for(provider, claim, self._settings, now, sender)
        receipt: object = sender.deliver(message, delivery)
        if isinstance(receipt, Receipt):
            return receipt
        return Ambiguous(
            f"the provider returned {type(receipt).__name__}, not a Receipt"
        )

    def _earlier(
        self, resolved: Resolved | None, now: float, sender: Sender
    ) -> Earlier | None:
        """Return the message that is over, unless it told of other alerts too."""
        if resolved is None or not resolved.is_alone:
            return None
        provider, alert = type(self._provider), resolved.alert
        happened = alert.created_at or datetime.fromtimestamp(now, UTC)
        overrides = overrides_for(provider, self._settings)
        circumstances = Circumstances(now=happened)
        message = render(
            provider, alert, circumstances, overrides=overrides, **own_forms(sender)
        )
        return Earlier(message=message, receipt=resolved.receipt)

    def close(self) -> None:
        """Close the sender; the next attempt opens another."""
        sender, self._sender = self._sender, None
        if sender is not None and sender is not self._provider:
            with contextlib.suppress(BaseException):
                sender.close()


def _forget_frames(error: DeliveryError) -> None:
    """Let go of the frames that an error went through: they hold revealed secrets."""
    error.__cause__ = error.__context__ = None
    error.__traceback__ = None


def _has_json_state(error: DeliveryError) -> bool:
    try:
        json.dumps(getattr(error, "state", None))
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _without_state(error: DeliveryError) -> DeliveryError:
    return Ambiguous(f"{error.reason} (and the provider's state is no JSON)")


def message_for(
    provider: type[Provider],
    claim: Claim,
    settings: Settings,
    now: float,
    sender: Sender | None = None,
) -> Message:
    """Render what a claim is to send, by what the provider says, or the sender."""
    suppressed = NONE_SUPPRESSED if claim.members else claim.suppressed
    since, resolved = suppressed.since, claim.resolves
    circumstances = Circumstances(
        now=datetime.fromtimestamp(now, UTC),
        suppressed=suppressed.count,
        suppressed_since=None if since is None else datetime.fromtimestamp(since, UTC),
        note=claim.note,
        raised_at=None if resolved is None else resolved.alert.created_at,
    )
    overrides = overrides_for(provider, settings)
    alert = alert_of(claim)
    return render(
        provider, alert, circumstances, overrides=overrides, **own_forms(sender)
    )


def own_forms(sender: Sender | None) -> dict[str, Any]:
    """Return what a sender says of messages, where it says something."""
    if sender is None or isinstance(sender, Provider):
        return {}
    names = ("limits", "templates")
    return {name: getattr(sender, name) for name in names if hasattr(sender, name)}


def key_of(alert: Alert) -> str:
    """Return what is the same for an alert, its repetitions and its resolution."""
    known = alert.id if alert.kind == "digest" else throttle_key(alert)
    return hashlib.blake2b(known.encode(), digest_size=16).hexdigest()


def alert_of(claim: Claim) -> Alert:
    """Return the alert that a message tells of: of several, one that lists them."""
    if claim.members:
        return combined(
            [
                Listed(
                    alert=joined(member.alert, member.echoes)
                    if member.echoes
                    else member.alert,
                    suppressed=member.suppressed.count,
                )
                for member in claim.members
            ]
        )
    if claim.echoes:
        return joined(claim.alert, claim.echoes)
    if claim.alert.kind == RESOLVED:
        what = claim.resolves.alert if claim.resolves else claim.alert
        return attrs.evolve(claim.alert, title=f"Resolved: {what.title}")
    return claim.alert


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
    return f"{type(error).__name__}: {printed(error)}".rstrip(": ")
