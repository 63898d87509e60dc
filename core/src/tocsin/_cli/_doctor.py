"""`doctor`: what is wrong with this installation, and what to do about it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click
from rich.padding import Padding

from tocsin._cli import _channel_checks as channel_checks
from tocsin._cli import _config_checks as config_checks
from tocsin._cli import _state_checks as state_checks
from tocsin._cli._exits import Exit
from tocsin._cli._finding import Finding, Verdict, problem
from tocsin._cli._invocation import Command, Invocation, seconds
from tocsin._cli._reach import reach
from tocsin._cli._screen import counted, grid, line
from tocsin._errors import ConfigError
from tocsin._settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tocsin._cli._screen import Screen

Section = tuple[str, "Iterable[Finding]"]


@click.command(cls=Command, short_help="Look for what is wrong.")
@click.option("--offline", is_flag=True, help="Ask no service.")
@click.option(
    "--timeout",
    type=seconds,
    default=10,
    show_default=True,
    help="How long the services may take to answer, all together.",
)
@click.pass_context
def doctor(ctx: click.Context, *, offline: bool, timeout: float) -> None:
    """Look for what is wrong, and say what to do about it. Nothing is sent."""
    invocation = ctx.ensure_object(Invocation)
    screen = invocation.screen
    findings: list[Finding] = []
    for title, found in _sections(invocation, None if offline else timeout):
        with screen.waiting(f"{title} …"):
            section = list(found)
        _tell_section(title, section, screen)
        findings += section
    problems = _count(findings, Verdict.PROBLEM)
    warnings = _count(findings, Verdict.WARNING)
    if problems or warnings:
        counts = [counted(problems, "problem"), counted(warnings, "warning")]
        screen.show(line(f"{' and '.join(counts)}."))
    else:
        screen.tell(line("All is well."))
    ctx.exit(Exit.UNDELIVERED if problems else Exit.DONE)


def _sections(invocation: Invocation, timeout: float | None) -> Iterator[Section]:
    """Return the checks; each is made when its section is read."""
    now, state = time.time(), invocation.state()
    try:
        settings, mistakes = invocation.settings(), []
    except ConfigError as error:
        settings, mistakes = Settings(), [problem(str(one)) for one in error.problems]
    configuration = mistakes or config_checks.configuration(settings)
    yield "Configuration", configuration
    yield "Plugins", config_checks.plugins(settings)
    yield "Secrets", config_checks.secrets(settings)
    yield "State directory", state_checks.folder(state)
    yield "Clock", state_checks.clock(state, now)
    yield "Channels", channel_checks.channels(settings, state, now)
    yield "Silences", channel_checks.silences(settings, state, now)
    yield "Quiet hours", channel_checks.quiet_hours(settings, now)
    yield "Leftovers", state_checks.leftovers(state, invocation.source())
    if timeout is not None:
        yield "Services", reach(settings, timeout)


def _tell_section(title: str, findings: list[Finding], screen: Screen) -> None:
    told = [
        finding
        for finding in findings
        if not (screen.is_quiet and finding.verdict is Verdict.OK)
    ]
    if told:
        rows = grid(finding.row() for finding in told)
        screen.show(line(title, "bold"), Padding(rows, (0, 0, 0, 2), expand=False))


def _count(findings: list[Finding], verdict: Verdict) -> int:
    return sum(finding.verdict is verdict for finding in findings)
