"""`runs`: what runs there are, and how they fare."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from tocsin import _processes as processes
from tocsin._cli._invocation import Command, Invocation, notifier_for
from tocsin._cli._screen import grid, line
from tocsin._ending import RunState
from tocsin._report import lasted, name_of

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tocsin._run_record import RunRecord

_STYLES = {
    RunState.RUNNING: "green",
    RunState.FINISHED: "dim",
    RunState.INTERRUPTED: "yellow",
    RunState.PREEMPTED: "yellow",
}


@click.command(cls=Command, short_help="List runs, and how they fare.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_context
def runs(ctx: click.Context, *, limit: int, as_json: bool) -> None:
    """List the newest runs of this configuration, the last one last."""
    invocation = ctx.ensure_object(Invocation)
    screen = invocation.screen
    settings = invocation.settings()
    notifier = notifier_for(settings)
    now = notifier.now()
    records = notifier.state.runs(now)[-limit:]
    notifier.close(0)
    found = [(record, _is_lost(record, now, settings.lost_after)) for record in records]
    if as_json:
        for record, is_lost in found:
            click.echo(json.dumps(_values(record, now, is_lost=is_lost)))
        return
    if not records:
        screen.tell(
            line("No run is known here: tocsin.init() and tocsin run make one.")
        )
        return
    screen.show(grid([_row(record, now, is_lost=is_lost) for record, is_lost in found]))


def _is_lost(record: RunRecord, now: float, lost_after: float) -> bool:
    """Say whether it ended without a word, told or not."""
    if record.ending is not None:
        return False
    is_gone = processes.is_gone(record.pid, record.place, record.born)
    return is_gone or now - record.beat_at >= lost_after


def _row(record: RunRecord, now: float, *, is_lost: bool) -> list[RenderableType]:
    origin, state = record.origin, record.state
    rank = "" if origin.rank is None else f" rank {origin.rank}"
    until = record.beat_at if is_lost else now
    ran = record.ending.seconds if record.ending else until - record.started_at
    return [
        line(name_of(origin), "bold"),
        line("gone" if is_lost else state.value, "red" if is_lost else _style(state)),
        line(f"{origin.host}{rank}"),
        line(lasted(max(0.0, ran or 0.0))),
        line(_note(record, now), "dim"),
    ]


def _style(state: RunState) -> str:
    return _STYLES.get(state, "red")


def _note(record: RunRecord, now: float) -> str:
    if record.ending is not None and record.ending.reason:
        return record.ending.reason.splitlines()[0][:80]
    metrics = ", ".join(f"{name}={value}" for name, value in record.metrics.items())
    if record.ending is not None:
        return metrics
    beat = f"heartbeat {lasted(max(0.0, now - record.beat_at))} ago"
    return f"{beat}; {metrics}" if metrics else beat


def _values(record: RunRecord, now: float, *, is_lost: bool) -> dict[str, object]:
    ending, origin = record.ending, record.origin
    return {
        "run": record.run,
        "name": origin.run_name,
        "project": origin.project,
        "job": origin.job,
        "host": origin.host,
        "rank": origin.rank,
        "is_supervisor": record.is_supervisor,
        "state": record.state.value,
        "started_at": record.started_at,
        "beat_age": max(0.0, now - record.beat_at),
        "is_lost": is_lost,
        "exit_code": ending.exit_code if ending else None,
        "reason": ending.reason if ending else "",
        "metrics": dict(record.metrics),
    }
