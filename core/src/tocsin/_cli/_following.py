"""What became of a call, and of the deliveries that it made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from tocsin._cli._exits import Exit
from tocsin._cli._invocation import seconds
from tocsin._cli._outcomes import (
    await_deliveries,
    exit_for,
    is_settled,
    obstacles,
    tell_outcomes,
)
from tocsin._cli._screen import line, remedy_line
from tocsin._cli._times import moment
from tocsin._mode import Mode
from tocsin._results import Admitted, Deferred, Disabled, Refused, Result, Suppressed

if TYPE_CHECKING:
    from collections.abc import Callable

    from tocsin._cli._screen import Screen
    from tocsin._notifier import Notifier
    from tocsin._store import DeliveryRecord

F = TypeVar("F", bound="Callable[..., Any]")

_OPTIONS = (
    click.option(
        "--wait-for",
        type=seconds,
        default=10,
        show_default=True,
        help="How long to wait for the deliveries.",
    ),
    click.option(
        "--no-wait", is_flag=True, help="Only keep it; it is delivered later."
    ),
)


def follow_options(command: F) -> F:
    """Add the options that say for how long the deliveries are waited for."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def follow(
    result: Result,
    notifier: Notifier,
    screen: Screen,
    timeout: float,
    is_enough: Callable[[DeliveryRecord], bool] = is_settled,
) -> Exit:
    """Wait for the deliveries of a call that routed an alert, and tell how they stand."""
    if not isinstance(result, Admitted | Deferred):
        return _tell_unkept(result, screen)
    if notifier.mode is Mode.OFFLINE:
        return _tell_kept(result, screen)
    obstacle = obstacles(notifier)
    with screen.waiting("Delivering …"):
        records = await_deliveries(
            result.wait,
            lambda record: is_enough(record) or bool(obstacle(record)),
            timeout,
        )
    tell_outcomes(records, obstacle, notifier.settings, screen)
    return exit_for(records, notifier.settings)


def _tell_unkept(result: Result, screen: Screen) -> Exit:
    if isinstance(result, Suppressed):
        screen.tell(
            line(f"Suppressed until {moment(result.until)}: one like it was admitted."),
            remedy_line("--wait 0 sends it all the same, and so does a higher --level"),
        )
        return Exit.SUPPRESSED
    if isinstance(result, Refused):
        screen.show(line(f"Lost: {result.reason}", "red"))
        return Exit.UNDELIVERED
    assert isinstance(result, Disabled)
    screen.tell(line("Nothing was done: TOCSIN_MODE is disabled."))
    return Exit.DONE


def _tell_kept(result: Admitted | Deferred, screen: Screen) -> Exit:
    where = f" for {', '.join(result.channels)}" if isinstance(result, Admitted) else ""
    screen.tell(
        line(f"Kept{where}."),
        remedy_line(
            "the next program of this configuration delivers it, or `tocsin drain`"
        ),
    )
    return Exit.DONE
