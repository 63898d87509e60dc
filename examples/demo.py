"""Raise alerts in a small training run, and show what arrives.

A double of Slack and a mail server run on the loopback. `train.py` runs as a program of
its own, with a configuration like anyone's; what the two received is shown in the terminal
and on a page.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from arrivals import collect
from checks import check
from page import render
from rich.console import Console
from terminal import show_checks, show_history, show_line

from tocsin_email.testing import MailDouble
from tocsin_slack.testing import SlackDouble

EXAMPLES = Path(__file__).resolve().parent
ROOT = EXAMPLES.parent
BUILD = ROOT / "build" / "demo"

ADA = "U1234ABCD"
VISION = "C0VISION"
TOKEN = "xoxb-demo-2f61c8d07b"  # noqa: S105 - it opens the double and nothing else
PASSWORD = "demo-5b9ea1c3f4"  # noqa: S105 - likewise


def main() -> int:
    """Run the demo; 0 when all that is expected arrived."""
    folder = empty_folder(parsed_arguments().out)
    tempfile.tempdir = str(folder)  # the mail server's certificates go there, too
    console = Console(highlight=False, markup=False, emoji=False)
    with (
        SlackDouble(token=TOKEN, channels={VISION: "vision"}, members=[ADA]) as slack,
        MailDouble(username="ada", password=PASSWORD) as mail,
    ):
        config = folder / "tocsin.toml"
        config.write_text(configuration(slack, mail), encoding="utf-8")
        train(config, console)
        arrivals = collect(slack, mail, config)
    page = folder / "index.html"
    page.write_text(render(arrivals), encoding="utf-8")
    results = check(arrivals, folder, secrets=(TOKEN, PASSWORD))
    show_history(console, arrivals)
    show_checks(console, results)
    console.print(f"\nOpen {shown(page)} to see what people see.")
    return 0 if all(results.values()) else 1


def parsed_arguments() -> argparse.Namespace:
    """Return the words of the command line."""
    parser = argparse.ArgumentParser(description="Raise alerts, and show what arrives.")
    parser.add_argument(
        "--out",
        type=Path,
        default=BUILD,
        help="an empty folder for all that is written (default: build/demo)",
    )
    return parser.parse_args()


def empty_folder(folder: Path) -> Path:
    """Return the folder, made anew; only our own is cleared."""
    folder = folder.resolve()
    if folder == BUILD.resolve():
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        sys.exit(f"{folder} is not empty: name another folder with --out.")
    return folder


def configuration(slack: SlackDouble, mail: MailDouble) -> str:
    """Return ada's configuration; what is not the doubles' own is as anyone's would be."""
    return f"""\
state_dir = "state"
# longer than the defaults, so that the busiest of machines shows the same
submit_timeout = "5s"
flush_timeout = "10s"

[user]
name = "ada"
channels = ["dm", "inbox"]

[teams.vision]
members = ["ada", "grace"]
channels = ["vision"]
min_level = "WARN"

[channels.dm]
provider = "slack"
token = {{ env = "SLACK_BOT_TOKEN" }}
channel = "{ADA}"
base_url = "{slack.base_url}"

[channels.vision]
provider = "slack"
token = {{ env = "SLACK_BOT_TOKEN" }}
channel = "{VISION}"
base_url = "{slack.base_url}"

[channels.inbox]
provider = "email"
to = "Ada <ada@example.org>"
sender = "Tocsin <alerts@example.org>"
host = "localhost"
port = {mail.port}
ca_file = "{mail.ca_file}"
username = "ada"
password = {{ env = "SMTP_PASSWORD" }}
"""


def train(config: Path, console: Console) -> None:
    """Run the training script until it crashes, and pass on what it prints."""
    console.print("train.py, in a process of its own:\n", style="bold")
    with (
        (config.parent / "train.log").open("w", encoding="utf-8") as log,
        subprocess.Popen(  # noqa: S603 - our own script
            [sys.executable, EXAMPLES / "train.py"],
            cwd=config.parent,
            env=environment(config),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            log.write(line)
            show_line(console, line)


def environment(config: Path) -> dict[str, str]:
    """Return our environment without settings of Tocsin's, and with the secrets."""
    ours = {
        name: os.environ[name] for name in os.environ if not name.startswith("TOCSIN_")
    }
    return {
        "MPLCONFIGDIR": str(ROOT / ".cache" / "matplotlib"),
        **ours,
        "TOCSIN_CONFIG": str(config),
        "SLACK_BOT_TOKEN": TOKEN,
        "SMTP_PASSWORD": PASSWORD,
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8",
        "no_proxy": "127.0.0.1",  # no proxy knows the double
    }


def shown(path: Path) -> Path:
    """Return the path as seen from the checkout."""
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


if __name__ == "__main__":
    sys.exit(main())
