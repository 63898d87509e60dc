"""`watch`: tell of runs whose heartbeat is lost, that hang, and that are back."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

import attrs
import click

from tocsin._cli._invocation import Command, Invocation, closing, lasting, notifier_for
from tocsin._cli._screen import line
from tocsin._ending import GATHER
from tocsin._errors import StoreError
from tocsin._life import tell
from tocsin._report import name_of
from tocsin._watcher import Found, Watcher

if TYPE_CHECKING:
    from tocsin._cli._screen import Screen
    from tocsin._notifier import Notifier
    from tocsin._watcher import Finding

_WORDS = {
    Found.GONE: "is gone",
    Found.BACK: "is back",
    Found.STALLED: "stalls",
    Found.MOVING: "makes progress again",
}


@click.command(cls=Command, short_help="Tell of runs that are gone, or hang.")
@click.option(
    "--every",
    type=lasting,
    default="15s",
    show_default=True,
    help="How often to look at the heartbeats.",
)
@click.option(
    "--lost-after",
    type=lasting,
    help="How long a run may be without one; default: the configuration's `lost_after`.",
)
@click.option("--once", is_flag=True, help="Look once, and end: for cron.")
@click.pass_context
def watch(
    ctx: click.Context, *, every: float, lost_after: float | None, once: bool
) -> None:
    """Tell of runs whose heartbeat is lost, that log no progress, and that are back.

    It looks at the runs of this configuration in the state directory, on this machine or
    on others that share the folder, and goes on until it is ended. Each thing is told once,
    even if several watch.
    """
    invocation = ctx.ensure_object(Invocation)
    settings, screen = invocation.settings(), invocation.screen
    if lost_after is not None:
        settings = attrs.evolve(settings, lost_after=lost_after)
    watcher = Watcher(settings.lost_after, is_sure=once)
    with closing(notifier_for(settings)) as notifier:
        notifier.start()
        if once:
            if _look(watcher, notifier, screen):
                threading.Event().wait(GATHER)  # for what else belongs to it
            return
        screen.tell(line(f"Watching the runs of {notifier.namespace or 'no one'} …"))
        while True:
            with contextlib.suppress(StoreError):  # it is asked again
                _look(watcher, notifier, screen)
            threading.Event().wait(every)


def _look(watcher: Watcher, notifier: Notifier, screen: Screen) -> bool:
    now = notifier.now()
    findings = watcher.look(notifier.state.runs(now), now, time.monotonic())
    tell(notifier, findings, now)
    for finding in findings:
        screen.show(line(_told(finding)))
    return bool(findings)


def _told(finding: Finding) -> str:
    origin = finding.record.origin
    rank = "" if origin.rank is None else f", rank {origin.rank}"
    reason = f": {finding.reason}" if finding.reason else ""
    who = f"{name_of(origin)} ({origin.host}{rank})"
    return f"{who} {_WORDS[finding.found]}{reason}"
