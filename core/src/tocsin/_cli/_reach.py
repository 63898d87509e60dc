"""What `doctor` finds when it asks the services, all at once."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from tocsin._cli._faults import secrets_of
from tocsin._cli._finding import Finding, ok, problem
from tocsin._errors import DeliveryError, SecretUnavailable
from tocsin._secret import redact

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tocsin._provider import Provider
    from tocsin._settings import Settings

_GRACE = 0.5  # seconds beyond its time that a check may take to say so itself


def reach(settings: Settings, timeout: float) -> Iterator[Finding]:
    """Have each channel's provider check itself; it takes `timeout` seconds in total.

    One that hangs is left behind: its thread ends with the program.
    """
    answers: dict[str, Finding] = {}

    def ask(name: str, provider: Provider) -> None:
        answers[name] = _answer(name, provider, timeout)

    usable = {
        name: channel.provider
        for name, channel in settings.channels.items()
        if channel.provider is not None
    }
    threads = [
        threading.Thread(target=ask, args=item, daemon=True) for item in usable.items()
    ]
    deadline = time.monotonic() + timeout + _GRACE
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    silent = f"no answer within {timeout:g} s"
    for name in usable:
        yield answers.get(name) or problem(
            f"{name}: {silent}", "try a longer --timeout"
        )


def _answer(name: str, provider: Provider, timeout: float) -> Finding:
    try:
        said = provider.check(timeout)
    except DeliveryError as error:
        reason, remedy = error.reason, error.remedy
    except SecretUnavailable as error:
        reason, remedy = str(error), ""
    except BaseException as error:  # noqa: BLE001 - a provider runs anyone's code
        reason, remedy = f"the provider raised {type(error).__name__}: {error}", ""
    else:
        return ok(
            f"{name}: {said or f'cannot be asked; `tocsin test {name}` sends to it'}"
        )
    blotted = [redact(text, _revealed(provider)) for text in (reason, remedy)]
    return problem(f"{name}: {blotted[0]}", blotted[1])


def _revealed(provider: Provider) -> list[str]:
    values = []
    for secret in secrets_of(provider).values():
        try:
            values.append(secret.reveal())
        except SecretUnavailable:
            continue
    return values
