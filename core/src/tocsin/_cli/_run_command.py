"""`run`: a command, and an alert that tells how it ended."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from pathlib import PurePath
from typing import TYPE_CHECKING, TypedDict, Unpack

import attrs
import click

from tocsin import _places as places
from tocsin._alert import Origin
from tocsin._cli._alerting import user_of
from tocsin._cli._invocation import Command, Invocation, lasting, notifier_for
from tocsin._cli._mistakes import Mistake
from tocsin._run_id import fresh_id
from tocsin._terminal import say

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tocsin._notifier import Notifier
    from tocsin._supervisor._command import Limits, Outcome

_INTERPRETERS = ("python", "pypy", "bash", "dash", "zsh", "ksh", "perl", "ruby", "node")
_LAUNCHERS = {
    *("sh", "Rscript", "julia", "php", "torchrun", "accelerate", "deepspeed"),
    *("mpirun", "mpiexec", "srun", "uv", "poetry", "pipenv", "conda", "env", "nohup"),
    *("nice", "time", "stdbuf", "xvfb-run", "numactl"),
    *(
        "torch.distributed.run",
        "torch.distributed.launch",
        "accelerate.commands.launch",
    ),
}
_SCRIPTS = {
    ".py",
    ".sh",
    ".bash",
    ".zsh",
    ".pl",
    ".rb",
    ".js",
    ".mjs",
    ".r",
    ".jl",
    ".php",
}


class _Whose(TypedDict):
    """What the options say of the run."""

    name: str
    project: str
    team: str
    job: str
    run_id: str


@click.command(
    "run",
    cls=Command,
    short_help="Run a command, and tell how it ended.",
    context_settings={"allow_interspersed_args": False},
)
@click.argument(
    "command",
    metavar="[--] COMMAND...",
    nargs=-1,
    type=click.UNPROCESSED,
    required=True,
)
@click.option("--name", default="", help="What to call it; default: the script's name.")
@click.option("--project", default="", help="What it belongs to.")
@click.option("--team", default="", help="Whose settings hold beside yours.")
@click.option("--job", default="", help="What ranks and restarts share.")
@click.option(
    "--id",
    "run_id",
    default="",
    help="The run's id; default: TOCSIN_RUN_ID, else a new one.",
)
@click.option(
    "--tag", "tags", multiple=True, help="A tag of its alerts; may be repeated."
)
@click.option(
    "--timeout",
    metavar="TIME",
    type=lasting,
    help="End it after so long, such as 6h: SIGTERM, then SIGKILL.",
)
@click.option(
    "--grace",
    metavar="TIME",
    type=lasting,
    default="10s",
    show_default=True,
    help="How long it may take to end after that SIGTERM.",
)
@click.option(
    "--stall",
    metavar="TIME",
    type=lasting,
    help="Raise an alert when it prints nothing for so long, such as 10m.",
)
@click.pass_context
def run(
    ctx: click.Context,
    *,
    command: tuple[str, ...],
    tags: tuple[str, ...],
    timeout: float | None,
    grace: float,
    stall: float | None,
    **whose: Unpack[_Whose],
) -> None:
    """Run a command, in whatever language, and raise an alert that tells how it ended.

    All that stands from the first word that is no option belongs to the command. Its
    output is passed on unchanged; the last lines are in the alert.

    The exit code is the command's; a command that a signal ended ends this one by the
    same signal. 124: its time was up; 126 and 127: it could not be started.
    """
    if sys.platform == "win32":
        raise Mistake("`tocsin run` needs the signals of Linux or macOS")
    from tocsin._supervisor._command import Limits

    invocation = ctx.ensure_object(Invocation)
    settings = invocation.settings()
    notifier = notifier_for(settings, mode=None)
    origin = _origin(user_of(settings), command, **whose)
    notifier.check(origin)
    outcome = _supervised(
        command,
        notifier,
        origin,
        tags,
        Limits(timeout=timeout, grace=grace, stall=stall),
    )
    if outcome.signal:
        from tocsin._supervisor._signals import die_by

        die_by(outcome.signal)
    ctx.exit(outcome.exit_code)


def _supervised(
    command: Sequence[str],
    notifier: Notifier,
    origin: Origin,
    tags: Sequence[str],
    limits: Limits,
) -> Outcome:
    from tocsin._supervisor._command import Supervisor
    from tocsin._supervisor._reporter import Reporter
    from tocsin._supervisor._signals import held_back

    environment = {
        **os.environ,
        "TOCSIN_RUN_ID": origin.run,
        "TOCSIN_SUPERVISOR": str(os.getpid()),
    }
    with held_back() as signals, _warnings() as warnings:
        reporter = Reporter(notifier, origin, tags=tags, hurries=signals.waiting)
        supervisor = Supervisor(command, signals, limits)
        outcome = supervisor.run(environment, reporter)
        if not outcome.has_begun and notifier.settings.channels:
            say(f"tocsin: {outcome.ending.reason}")
        told = reporter.ended(outcome.ending)
        supervisor.settle()
        if line := told or next(iter(warnings), ""):
            say(f"tocsin: {line}")
    return outcome


@contextlib.contextmanager
def _warnings() -> Iterator[list[str]]:
    """Keep what the library warns of out of the command's output."""
    logger, kept = logging.getLogger("tocsin"), list[str]()

    def keep(record: logging.LogRecord) -> bool:
        if record.levelno >= logging.WARNING:
            kept.append(record.getMessage())
        return False

    logger.addFilter(keep)
    try:
        yield kept
    finally:
        logger.removeFilter(keep)


def _origin(user: str, command: Sequence[str], **whose: Unpack[_Whose]) -> Origin:
    origin = Origin(
        user=user,
        team=whose["team"],
        project=whose["project"],
        run=whose["run_id"] or os.environ.get("TOCSIN_RUN_ID", ""),
        run_name=whose["name"] or called(command),
        job=whose["job"] or places.job(),
        host=places.host(),
        rank=places.rank(),
    )
    return attrs.evolve(origin, run=origin.run or fresh_id(origin))


def called(command: Sequence[str]) -> str:
    """Return what people would call a command: its script, or module, or program. Pure."""
    program, *words = command
    name = PurePath(program).name or program
    if not _starts_others(name):
        return name
    scripts = [word for word in words if PurePath(word).suffix.lower() in _SCRIPTS]
    if "-m" in words[:-1] and name.startswith(("python", "pypy")):
        module = words[words.index("-m") + 1]
        is_first = not scripts or words.index("-m") < words.index(scripts[0])
        if is_first and module not in _LAUNCHERS:
            return module
    return PurePath(scripts[0]).name if scripts else name


def _starts_others(name: str) -> bool:
    return name in _LAUNCHERS or name.startswith(_INTERPRETERS)
