"""Whether all that is expected arrived, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arrivals import pictures_in, title_in, title_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from arrivals import Arrivals

    from tocsin_slack.testing import Post

START = "Training started"
REPEATED = "Loss is rising"
CRASH = "warm-up failed: OverflowError: math range error"
FOR_TEAM = sorted([REPEATED, "Training stopped", "Loss curve", CRASH])
FOR_ADA = sorted([START, *FOR_TEAM])


def check(
    arrivals: Arrivals, folder: Path, *, secrets: Iterable[str]
) -> dict[str, bool]:
    """Return each expectation, and whether it holds."""
    return {
        "ada has all five alerts as direct messages": (
            sorted(map(title_of, arrivals.direct)) == FOR_ADA
        ),
        "ada has all five alerts by mail": (
            sorted(map(title_in, arrivals.mails)) == FOR_ADA
        ),
        "the team has those from WARN up, and not the INFO": (
            sorted(map(title_of, arrivals.team)) == FOR_TEAM
        ),
        "the mention calls ada in the team's channel": (
            any(map(calls_ada, arrivals.team))
        ),
        "an alert that was raised again at once is suppressed and counted": (
            arrivals.suppressed == {REPEATED: 1}
        ),
        "the plot is in both channels and in the mail, byte for byte": (
            pictures(arrivals) == [content(folder / "loss.png")] * 3
        ),
        "each delivery has the receipt of a message that was received": (
            receipts(arrivals) == references(arrivals)
        ),
        "no secret is in anything that was written": (
            not any(holds(file, secrets) for file in folder.rglob("*"))
        ),
    }


def calls_ada(post: Post) -> bool:
    """Say whether a block of the message has a live mention."""
    return any("<@U1234ABCD>" in block["text"]["text"] for block in post.blocks)


def pictures(arrivals: Arrivals) -> list[bytes]:
    """Return every picture that arrived."""
    posts = [*arrivals.direct, *arrivals.team]
    in_slack = [file.content for post in posts for file in post.files]
    return [*in_slack, *(one for mail in arrivals.mails for one in pictures_in(mail))]


def receipts(arrivals: Arrivals) -> set[str]:
    """Return what the services said when they took the messages."""
    return {
        delivery.receipt.reference if delivery.receipt else ""
        for _, deliveries in arrivals.alerts
        for delivery in deliveries
    }


def references(arrivals: Arrivals) -> set[str]:
    """Return the ids of the messages that arrived."""
    posts = {post.ts for post in [*arrivals.direct, *arrivals.team]}
    return posts | {mail.message["Message-ID"] for mail in arrivals.mails}


def holds(file: Path, secrets: Iterable[str]) -> bool:
    """Say whether one of the secrets stands in the file."""
    return any(secret.encode() in content(file) for secret in secrets)


def content(file: Path) -> bytes:
    """Return what is in the file; nothing for a folder, or where no file is."""
    return file.read_bytes() if file.is_file() else b""
