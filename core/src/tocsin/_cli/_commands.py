from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

import click

from tocsin._cli._channels import channels, providers
from tocsin._cli._connect import connect
from tocsin._cli._disconnect import disconnect
from tocsin._cli._doctor import doctor
from tocsin._cli._drain import drain
from tocsin._cli._exits import TABLE, Exit
from tocsin._cli._invocation import Group, Invocation, global_options
from tocsin._cli._log import log
from tocsin._cli._mistakes import Failure, Mistake, Mistakes
from tocsin._cli._new import new
from tocsin._cli._replay import replay
from tocsin._cli._resolve import resolve
from tocsin._cli._route import render, route
from tocsin._cli._run_command import run
from tocsin._cli._runs import runs
from tocsin._cli._screen import block
from tocsin._cli._send import send
from tocsin._cli._silence import silence
from tocsin._cli._trial import test
from tocsin._cli._watch import watch
from tocsin._errors import ConfigError, PluginError, TocsinError

if TYPE_CHECKING:
    from tocsin._cli._screen import Screen


class _Tocsin(Group):
    """Tells mistakes and interruptions as a person wants to hear of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's own
        """Return the commands as they were added: what people need first comes first."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's own
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo(err=True)
            ctx.exit(Exit.INTERRUPTED)
        except ConfigError as error:
            raise Mistakes(error) from error
        except PluginError as error:
            raise Mistake(str(error)) from error
        except TocsinError as error:
            raise Failure(str(error)) from error


class _Warnings(logging.Handler):
    """Prints what the library warns of, beside what the commands report themselves."""

    def __init__(self, screen: Screen) -> None:
        super().__init__(logging.WARNING)
        self._screen = screen

    def filter(self, record: logging.LogRecord) -> bool:
        """Leave out how deliveries fare: that is in the command's own words."""
        return record.name != "tocsin.deliveries"

    def emit(self, record: logging.LogRecord) -> None:
        self._screen.warn(block(f"Warning: {self.format(record)}", "yellow"))


@click.group(
    cls=_Tocsin,
    params=global_options(),
    epilog=TABLE,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 88,
    },
)
@click.version_option(package_name="tocsin", message="%(prog)s %(version)s")
@click.pass_context
def tocsin(ctx: click.Context) -> None:
    """Raise an alert from a shell, and see what becomes of alerts."""
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="replace")  # a terminal that knows no such letter
    handler = _Warnings(ctx.ensure_object(Invocation).screen)
    logger = logging.getLogger("tocsin")
    logger.addHandler(handler)
    ctx.call_on_close(lambda: logger.removeHandler(handler))


for _command in (
    send,
    run,
    resolve,
    silence,
    connect,
    disconnect,
    test,
    channels,
    providers,
    route,
    render,
    log,
    runs,
    watch,
    drain,
    replay,
    doctor,
    new,
):
    tocsin.add_command(_command)
