"""The command line. It needs the extra ``cli``: click, rich and tomlkit."""

from __future__ import annotations

import sys


def main() -> None:
    """Run ``tocsin``; without the extra, name the line that installs it."""
    try:
        from tocsin._cli._commands import tocsin

        tocsin()
    except ModuleNotFoundError as error:
        if error.name not in {"click", "rich", "tomlkit"}:
            raise
        print(  # noqa: T201 - there is nothing else to tell it with
            f"tocsin: the command line needs {error.name}: pip install 'tocsin[cli]'",
            file=sys.stderr,
        )
        sys.exit(2)
    except KeyboardInterrupt:  # before click has taken over
        sys.exit(130)
