"""`test`: does a channel work? One that fails is tried beside those that wait for it."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import attrs
import click

from tocsin import _places as places
from tocsin._alert import Alert, Origin, new_id
from tocsin._attempt import Session
from tocsin._cli._alerting import user_of
from tocsin._cli._channels import known_channel, no_channels
from tocsin._cli._exits import Exit
from tocsin._cli._following import follow
from tocsin._cli._invocation import (
    Command,
    Invocation,
    closing,
    notifier_for,
    seconds,
)
from tocsin._cli._outcomes import is_answered, receipt_lines
from tocsin._cli._screen import BAD, GOOD, counted, grid, line, remedy_line, stacked
from tocsin._cli._times import span
from tocsin._courier import GRACE
from tocsin._errors import Ambiguous, DeliveryError
from tocsin._provider import Receipt
from tocsin._retry import Progress
from tocsin._routing import Subscription
from tocsin._store import Claim

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.text import Text

    from tocsin._attempt import AttemptResult
    from tocsin._cli._screen import Screen
    from tocsin._errors import SecretUnavailable
    from tocsin._settings import Settings

_TITLE = "A test of Tocsin"


@click.command(cls=Command, short_help="Try the channels out.")
@click.argument("channel", required=False)
@click.option(
    "--wait-for",
    type=seconds,
    default=20,
    show_default=True,
    help="How long to wait for what comes back.",
)
@click.pass_context
def test(ctx: click.Context, *, channel: str | None, wait_for: float) -> None:
    """Send a test alert to CHANNEL, or to all of them, and say what came back.

    Nothing waits any more for a channel that was out of order, or failed, and works now.
    """
    invocation = ctx.ensure_object(Invocation)
    settings, screen = invocation.settings(), invocation.screen
    if not settings.channels:
        screen.show(no_channels(settings))
        ctx.exit(Exit.UNROUTED)
    names = [known_channel(settings, channel).name] if channel else settings.channels
    failing = _failing(invocation, settings)
    codes = [_try_failing(name, invocation) for name in names if name in failing]
    if working := [name for name in names if name not in failing]:
        codes.append(_try_working(working, settings, screen, wait_for))
    ctx.exit(max(codes))


def _failing(invocation: Invocation, settings: Settings) -> set[str]:
    return {
        name
        for name, circuit in invocation.circuits().items()
        if circuit.is_failing
        and name in settings.channels
        and settings.channels[name].provider is not None
    }


def _try_working(
    channels: Iterable[str], settings: Settings, screen: Screen, timeout: float
) -> Exit:
    """Send the alert by the way that all alerts go."""
    user = f"{user_of(settings)} (test)"  # nobody: no other subscription takes it
    wish = Subscription(channels=tuple(channels), owner=user)
    aimed = attrs.evolve(settings, subscriptions=(*settings.subscriptions, wish))
    with closing(notifier_for(aimed)) as notifier:
        result = notifier.notify(_alert(user))
        return follow(result, notifier, screen, timeout, is_answered)


def _alert(user: str) -> Alert:
    text = (
        f"`tocsin test` sent this from {places.host()}: if you can read it, it works."
    )
    origin = Origin(user=user, host=places.host())
    return Alert(_TITLE, text, None, 0, origin=origin)


def _try_failing(channel: str, invocation: Invocation) -> Exit:
    """Make an attempt of its own, for what waits must not be tried before this works."""
    settings, screen = invocation.settings(), invocation.screen
    with screen.waiting("Delivering …"):
        result = _attempt(channel, settings)
    if not isinstance(result, Receipt):
        _show(BAD, channel, _refusal_lines(result), screen)
        return Exit.UNDELIVERED
    with invocation.state().store(settings.source) as store:
        store.mend(channel, time.time())
        waiting = store.pending([channel])
    if not screen.is_quiet:
        _show(GOOD, channel, _success_lines(result, waiting), screen)
    return Exit.DONE


def _show(mark: Text, channel: str, said: Iterator[Text], screen: Screen) -> None:
    screen.show(grid([(mark, line(channel, "bold"), stacked(said))]))


def _refusal_lines(error: DeliveryError | SecretUnavailable) -> Iterator[Text]:
    reason = error.reason if isinstance(error, DeliveryError) else str(error)
    yield line(f"failed: {reason}")
    if isinstance(error, DeliveryError) and error.remedy:
        yield remedy_line(error.remedy)


def _success_lines(receipt: Receipt, waiting: int) -> Iterator[Text]:
    yield from receipt_lines(receipt)
    yield line("it is in order again")
    if waiting:
        kept = counted(waiting, "delivery", "deliveries")
        yield remedy_line(f"tocsin drain, to send the {kept} that waited for it")


def _attempt(channel: str, settings: Settings) -> AttemptResult:
    """Try a channel once; an attempt that hangs is left behind."""
    answers: list[AttemptResult] = []
    provider = settings.channels[channel].provider
    assert provider is not None
    session, claim = Session(provider, settings), _claim(channel, settings)

    def attempt() -> None:
        answers.append(session.attempt(claim, time.time()))
        session.close()

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(settings.timeout + GRACE)
    return (
        answers[0]
        if answers
        else Ambiguous(f"no answer within {span(settings.timeout)}")
    )


def _claim(channel: str, settings: Settings) -> Claim:
    alert, now = attrs.evolve(_alert(user_of(settings)), id=new_id()), time.time()
    return Claim(
        delivery_id=f"{alert.id}.{channel}",
        channel=channel,
        places=(),
        token=0,
        lease_until=now + settings.timeout,
        alert=alert,
        progress=Progress(attempt=1, ambiguous=0, first_attempt_at=now),
    )
